"""Training of critics and policies on conversations: ``genprm train critic | policy``."""
