"""The one exception of the sandbox. What a check does is never one: see ``genprm.sandbox.Result``."""


class SandboxError(Exception):
    """The sandbox cannot be had on this machine, or not as asked for."""
