"""What is taken where nobody says otherwise."""

ENGINE = "nano"
"""The shipped verifier: see ``genprm.engines``."""
