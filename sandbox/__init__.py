"""Runs untrusted Python checks outside the process. How, and what that is worth: ``docs/sandbox.md``.

    async with Sandbox() as sandbox:
        async with sandbox.session() as session:
            result = await session.run("print(1 + 1)")

Read ``pool`` (the sandbox), ``session``, ``worker`` (one process and its deadlines), ``nursery`` (the warm process as
the host sees it); then ``inside`` (what runs behind the wall), ``kernel`` (what the wall is made of), ``trials`` (what
it is put through). What a check does is in the ``Result``, never an exception.
"""

from genprm.sandbox.blocking import BlockingSandbox, BlockingSession, run
from genprm.sandbox.errors import SandboxError
from genprm.sandbox.layers import Layer
from genprm.sandbox.limits import Limits
from genprm.sandbox.pool import Level, Policy, Sandbox
from genprm.sandbox.result import Result, Status
from genprm.sandbox.session import Session
from genprm.sandbox.stats import Histogram, Stats

__all__ = [
    "BlockingSandbox",
    "BlockingSession",
    "Histogram",
    "Layer",
    "Level",
    "Limits",
    "Policy",
    "Result",
    "Sandbox",
    "SandboxError",
    "Session",
    "Stats",
    "Status",
    "run",
]
