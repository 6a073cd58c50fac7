"""Runs untrusted Python checks outside the process.

    async with Sandbox() as sandbox:
        async with sandbox.session() as session:
            result = await session.run("print(1 + 1)")

A warm process that never runs a check forks one child per session; the child confines itself, then runs the session's
checks one after the other in one namespace. The host owns the deadlines. ``Sandbox.layers`` says what is in force here.

Covered: a check cannot read files other than Python and its libraries, write outside its own scratch folder, reach a
network, start processes or threads, signal or read other processes (its sister sessions among them), see the host's
environment, or use more CPU time, memory, output and file size than the limits; nothing survives its session, or the
host. What it does is in the ``Result``, never an exception.

Not covered: holes in the kernel itself (a deny-list of system calls narrows that surface, no more); what a check does
to its own session (it can patch sympy or forge its own output: one session is one author); side channels; which paths
exist, where no mount namespace can be had; a session that fills the scratch space that all share (64 MB there, the disk
without a mount namespace); what the missing layers leave open at ``level="process"``.
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
