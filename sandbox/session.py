"""A session: the checks of one rationale, one after the other, in one namespace of their own."""

import asyncio
import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from genprm.sandbox.errors import SandboxError
from genprm.sandbox.exchange import Outcome, exchange
from genprm.sandbox.frames import CUT, READ_STDIN, Reply, Request
from genprm.sandbox.limits import Limits
from genprm.sandbox.nursery import Child, Exit
from genprm.sandbox.result import Result, Status
from genprm.sandbox.text import clean, one_line

if TYPE_CHECKING:
    from genprm.sandbox.pool import Sandbox


class Session:
    """Made by ``Sandbox.session()``. Its process is forked at the first check, so a session without checks costs
    nothing; a check that takes its process down takes the namespace with it, and the next result says ``state_lost``.
    """

    def __init__(self, sandbox: "Sandbox") -> None:
        self._sandbox = sandbox
        self._limits = sandbox.limits
        self._child: Child | None = None
        self._steps = 0
        self._lost = False
        self._closed = False
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()

    async def run(self, code: str) -> Result:
        """Run one check. Whatever the code does is in the result; only a sandbox that cannot be had is raised."""
        if refusal := _refusal(code, self._limits):
            return Result("refused", error=f"Refused: {refusal}")
        async with self._turn, self._sandbox.slots:
            if self._closed:
                raise SandboxError("the session is closed")
            return await self._run(code)

    async def _run(self, code: str) -> Result:
        self._drop_if_dead()
        try:
            child = self._child = self._child or await self._sandbox.fork()
        except SandboxError as error:
            if not self._sandbox.started:
                raise
            return Result("crashed", error=f"Crashed: {error}")
        if self._closed:
            self._drop()
            raise SandboxError("the session is closed")
        flags = self._sandbox.flags + (("state_lost",) if self._lost else ())
        self._steps += 1
        self._lost = False
        outcome = None
        try:
            outcome = await exchange(child, Request(self._steps, os.urandom(8), code), self._limits)
        finally:
            if outcome is None or outcome.reply is None or outcome.reply.status == "timeout" or self._closed:
                self._drop()
        result = _result(outcome)
        return replace(result, flags=flags + result.flags)

    def _drop_if_dead(self) -> None:
        """Between two checks a child is alive and silent; anything else is the work of a check."""
        if self._child is None:
            return
        try:
            self._child.channel.recv(1)
        except BlockingIOError:
            return
        except OSError:
            pass
        self._drop()

    def _drop(self) -> None:
        if self._child is not None:
            self._child.dispose()
            self._child = None
            self._lost = True

    def close(self) -> None:
        """End the session's process. A check that is still running gives ``crashed``."""
        self._closed = True
        if self._turn.locked() and self._child is not None:
            self._child.kill()
        else:
            self._drop()
        self._sandbox.forget(self)


def _refusal(code: str, limits: Limits) -> str:
    """Why this cannot be run at all."""
    try:
        length = len(code.encode())
    except UnicodeEncodeError:
        return "the code is not text that can be encoded"
    if length > limits.code_bytes:
        return f"the code has {length} bytes, more than {limits.code_bytes}"
    return "the code holds a NUL character" if "\0" in code else ""


def _result(outcome: Outcome) -> Result:
    if outcome.reply is not None:
        return _replied(outcome, outcome.reply)
    status: Status = "crashed"
    if outcome.overrun:
        status, error = "timeout", f"Timeout: still running after {outcome.overrun}"
    elif outcome.broken:
        error = f"Crashed: it tampered with the sandbox's channel ({outcome.broken})"
    else:
        error = f"Crashed: {_death(outcome.exit or Exit())}"
    return Result(status, error=error, cpu_s=outcome.cpu_s, wall_s=outcome.wall_s)


def _replied(outcome: Outcome, reply: Reply) -> Result:
    return Result(
        reply.status,
        stdout=clean(reply.stdout),
        error=one_line(reply.error),
        traceback=clean(reply.traceback),
        cpu_s=outcome.cpu_s,
        wall_s=outcome.wall_s,
        truncated=bool(reply.flags & CUT),
        flags=("stdin",) if reply.flags & READ_STDIN else (),
    )


def _death(end: Exit) -> str:
    if end.code is None:
        return "the sandbox process was lost"
    if end.code >= 0:
        return f"its process ended with exit code {end.code}"
    try:
        name = signal.Signals(-end.code).name
    except ValueError:
        name = f"signal {-end.code}"
    return f"its process was killed by {name}"
