"""Runs untrusted checks outside the process."""

from genprm.sandbox.result import Result, Status

__all__ = ["Result", "Status"]
