"""A session: the checks of one rationale, one after the other, in one namespace of their own."""

import asyncio
import os
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from genprm.sandbox.errors import SandboxError
from genprm.sandbox.frames import CUT, LAST, READ_STDIN, Reply, Request
from genprm.sandbox.limits import Limits
from genprm.sandbox.result import Result, Status
from genprm.sandbox.text import clean, one_line
from genprm.sandbox.worker import Exit, Outcome, Worker, exchange

if TYPE_CHECKING:
    from genprm.sandbox.pool import Sandbox


_REST_CPU_S = 0.05
"""Getting ready for the next check takes a hundredth of this; the kernel counts in steps of some milliseconds."""


class Session:
    """Made by ``Sandbox.session()``. Its process is taken at the first check: a session without checks costs nothing.

    A check that takes its process down takes the namespace with it. The next check gets a fresh process in which the
    earlier checks were run again (flag ``replayed``) or, where that would cost more than one check may, or does not
    work out, an empty one (flag ``state_lost``).
    """

    def __init__(self, sandbox: "Sandbox", past: Sequence[tuple[str, float]] = ()) -> None:
        self._sandbox = sandbox
        self._worker: Worker | None = None
        self._steps = 0
        self._past = list(past)
        self._fresh = not past
        """Nothing is missing in the namespace of a new process."""
        self._closed = False
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def past(self) -> tuple[tuple[str, float], ...]:
        """What the namespace is made of: the code of each check that ran to an end, and its CPU seconds."""
        return tuple(self._past)

    async def run(self, code: str) -> Result:
        """Run one check. Whatever the code does is in the result; only a sandbox that cannot be had is raised."""
        result = await self._run_in_turn(code)
        self._sandbox.stats.count(result)
        return result

    async def _run_in_turn(self, code: str) -> Result:
        if refusal := _refusal(code, self._sandbox.limits):
            return self._refused(refusal)
        async with self._turn, self._sandbox.slots:
            self._check_open()
            review = self._sandbox.review(code)
            if self._sandbox.policy == "enforce" and (against := await review):
                return self._refused(against[0], against)
            try:
                flags = await self._ready_worker()
            except SandboxError as error:
                if not self._sandbox.started:
                    raise
                return Result("crashed", error=f"Crashed: {error}", layers=self._sandbox.in_force)
            outcome = await self._exchange(code)
            against = await review
            return _result(outcome, flags, against, self._sandbox.in_force)

    def _refused(self, why: str, against: tuple[str, ...] = ()) -> Result:
        flags = ("policy",) if against else ()
        return Result("refused", error=f"Refused: {why}", flags=flags, policy=against, layers=self._sandbox.in_force)

    def _check_open(self) -> None:
        if self._closed:
            raise SandboxError("the session is closed")

    async def _ready_worker(self) -> tuple[str, ...]:
        """Have a process with the session's namespace; the flags that tell where it is not the one of before."""
        if self._worker is not None and not self._worker.quiet():
            self._drop()
        if self._worker is not None:
            return self._sandbox.flags
        await self._take_worker()
        if self._fresh:
            return self._sandbox.flags
        self._fresh = True
        if not self._past or not await self._replay():
            self._past.clear()
            return (*self._sandbox.flags, "state_lost")
        return (*self._sandbox.flags, "replayed")

    async def _take_worker(self) -> None:
        self._worker = await self._sandbox.worker()
        if self._closed:
            self._drop()
        self._check_open()

    async def _replay(self) -> bool:
        """Run the past again; it may cost what one check may cost. False leaves a fresh process."""
        past, limits = self._past, self._sandbox.limits
        spent = sum(cpu for _, cpu in past)
        if spent <= limits.cpu_s:
            self._sandbox.stats.replays += 1
            for code, _ in past:
                if not _lives_on(await self._exchange(code, remember=False)):
                    break
            else:
                return True
        if self._worker is None:
            await self._take_worker()
        return False

    async def _exchange(self, code: str, *, remember: bool = True) -> Outcome:
        assert self._worker is not None
        self._steps += 1
        request, outcome = Request(self._steps, os.urandom(8), code), None
        alone = not self._sandbox.slots.locked()
        try:
            outcome = await exchange(self._worker, request, self._sandbox.limits, alone=alone)
        finally:
            if outcome is None or not _lives_on(outcome) or self._closed:
                self._drop()
        if remember and _lives_on(outcome):
            self._past.append((code, outcome.cpu_s))
        return outcome

    async def fork(self) -> "Session":
        """A new session that goes on from the state of this one, as it is now; this one goes on too.

        Where the kernel offers no gate for forks the new session runs the checks of this one again before its first
        (flag ``replayed``).
        """
        async with self._turn:
            self._check_open()
            forked = self._sandbox.session(self._past)
            if self._worker is None or not self._worker.quiet():
                return forked
            self._steps += 1
            try:
                worker = await self._sandbox.split(self._worker, self._steps)
            except SandboxError:
                self._drop()
                return forked
            except BaseException:
                forked.close()
                raise
            self._worker.idle_cpu_s = self._worker.cpu_s()
            if worker is not None:
                forked._worker, forked._steps, forked._fresh = worker, self._steps, True
            return forked

    def end_restless(self) -> None:
        """A process that works between two checks does what nobody asked it to: it has no limit, so it is ended."""
        worker = None if self._turn.locked() else self._worker
        if worker is not None and worker.cpu_s() - worker.idle_cpu_s > _REST_CPU_S:
            self._drop()

    def _drop(self) -> None:
        if self._worker is not None:
            self._worker.dispose()
            self._worker = None
            self._fresh = False

    def close(self) -> None:
        """End the session's process. A check that is still running gives ``crashed``."""
        self._closed = True
        if self._turn.locked() and self._worker is not None:
            self._worker.kill()
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


def _lives_on(outcome: Outcome) -> bool:
    return outcome.reply is not None and not outcome.reply.flags & LAST


def _result(outcome: Outcome, flags: tuple[str, ...], against: tuple[str, ...], layers: tuple[str, ...]) -> Result:
    reply = outcome.reply or _no_reply(outcome)
    status: Status = reply.status
    if outcome.reply is None and not outcome.overrun:
        status = "crashed"
    if against:
        flags += ("policy",)
    if reply.flags & READ_STDIN:
        flags += ("stdin",)
    return Result(
        status,
        stdout=clean(reply.stdout),
        error=one_line(reply.error),
        traceback=clean(reply.traceback),
        cpu_s=outcome.cpu_s,
        wall_s=outcome.wall_s,
        truncated=bool(reply.flags & CUT),
        flags=flags,
        policy=against,
        layers=layers,
    )


def _no_reply(outcome: Outcome) -> Reply:
    """What to say in the place of a process that said nothing (valid)."""
    if outcome.overrun:
        return Reply("timeout", error=f"Timeout: still running after {outcome.overrun}".encode())
    if outcome.broken:
        return Reply("error", error=f"Crashed: it tampered with the sandbox's channel ({outcome.broken})".encode())
    return Reply("error", error=f"Crashed: {_death(outcome.exit or Exit())}".encode())


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
