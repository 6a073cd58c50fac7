"""The sandbox: one warm process, and sessions forked from it."""

import asyncio
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Self

from genprm.sandbox.errors import SandboxError
from genprm.sandbox.layers import Layer
from genprm.sandbox.limits import Limits
from genprm.sandbox.nursery import Nursery, Plan
from genprm.sandbox.portable import Portable
from genprm.sandbox.review import Findings, Reviewer
from genprm.sandbox.session import Session
from genprm.sandbox.stats import Stats
from genprm.sandbox.worker import Child, Worker

if TYPE_CHECKING:
    from genprm.sandbox.blocking import BlockingSandbox

_PATROL_S = 0.1

Level = Literal["confined", "process"]
"""What is required. ``confined``: no files but Python's and no network, or it does not start. ``process``: whatever
this machine offers, and be it only a process with limits."""
Policy = Literal["audit", "enforce", "off"]
"""What a refusal by the static policy (``inside.policy``) means. ``audit``: a remark on the result. ``enforce``: the
check is not run. ``off``: nobody asks."""


class Sandbox:
    """Runs checks in processes of their own. Starts at the first check, or by ``start``; belongs to one event loop.

    ``with Sandbox(...) as sandbox`` gives the same without ``await``, for any thread: ``blocking.BlockingSandbox``.

    ``seed``: hash seed and random states of every session, so that the same checks print the same; None for fresh ones.
    ``preload``: modules to import once beforehand, such as ``scipy.stats``. ``spares``: processes kept ready for
    sessions to come (default: twice ``workers``). ``warm``: spend some four seconds of an idle core on making checks
    that use sympy a third quicker, which a few checks are not worth.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        workers: int | None = None,
        level: Level = "confined",
        *,
        policy: Policy = "audit",
        seed: int | None = 0,
        preload: Sequence[str] = (),
        spares: int | None = None,
        warm: bool = True,
    ) -> None:
        if level not in ("confined", "process"):
            raise SandboxError(f"unknown level {level!r}: it is 'confined' or 'process'")
        if policy not in ("audit", "enforce", "off"):
            raise SandboxError(f"unknown policy {policy!r}: it is 'audit', 'enforce' or 'off'")
        workers = workers or _cores()
        self.limits = limits or Limits()
        self.policy = policy
        self.stats = Stats()
        self.slots = asyncio.Semaphore(workers)
        """Checks run at once: as many as there are cores, so that a verdict does not depend on how many wait."""
        self.in_force: tuple[str, ...] = ()
        """Names of the layers in force."""
        self.flags: tuple[str, ...] = ()
        """Remarks that belong on every result."""
        self.started = False
        self._plan = Plan(self.limits, seed, tuple(preload), 2 * workers if spares is None else spares, warm)
        self._level = level
        self._nursery: Nursery | Portable | None = None
        self._reviewer = Reviewer(self.worker)
        self._starting = asyncio.Lock()
        self._sessions: set[Session] = set()
        self._closed = False
        self._failure: SandboxError | None = None
        self._blocking: BlockingSandbox | None = None
        self._patrol: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def __enter__(self) -> "BlockingSandbox":
        from genprm.sandbox.blocking import BlockingSandbox

        self._blocking = BlockingSandbox(self)
        return self._blocking

    def __exit__(self, *exc_info: object) -> None:
        if self._blocking is not None:
            self._blocking.close()

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every layer, in force or not. Empty before the start."""
        return self._nursery.layers if self._nursery else ()

    def session(self, past: Sequence[tuple[str, float]] = ()) -> Session:
        """A fresh namespace, shared with nobody. ``past`` is for ``Session.fork``."""
        session = Session(self, past)
        self._sessions.add(session)
        return session

    async def start(self) -> None:
        """Start the warm process, or a new one where it was lost."""
        if self._nursery is not None and not self._nursery.lost and not self._closed and self.started:
            return
        async with self._starting:
            if self._closed:
                raise SandboxError("the sandbox is closed")
            if self._failure is not None:
                raise SandboxError(*self._failure.args)
            if self._nursery is not None and not self._nursery.lost:
                return
            await self._put_away()
            try:
                self._nursery = await self._begin()
            except SandboxError as error:
                # One that never started will not do so for the next of a thousand sessions either.
                self._failure = None if self.started else error
                raise
            self.in_force = tuple(layer.name for layer in self._nursery.layers if layer.active)
            self.flags = () if _confined(self._nursery) else ("unconfined",)
            self.stats.starts += 1
            self.started = True
            if self._patrol is None:
                self._look_after_idle()

    def _look_after_idle(self) -> None:
        """Ten times a second: what a session does when it has nothing to do."""
        for session in list(self._sessions):
            session.end_restless()
        self._patrol = asyncio.get_running_loop().call_later(_PATROL_S, self._look_after_idle)

    async def warmed(self) -> None:
        """Wait until the warm process is as warm as it will be, which it gets while it has nothing else to do.

        Nothing needs to wait for this but measurements: until then checks that use sympy take up to twice as long.
        """
        await self.start()
        if isinstance(self._nursery, Nursery):
            await self._nursery.warm.wait()

    async def _begin(self) -> Nursery | Portable:
        nursery = Nursery(self._plan) if sys.platform == "linux" else Portable(self._plan)
        try:
            await nursery.start()
            if self._level == "confined" and not _confined(nursery):
                raise SandboxError(_missing(nursery))
        except BaseException:
            await nursery.close()
            raise
        return nursery

    async def worker(self) -> Worker:
        """A process for a session, from a new warm process where the old one was lost."""
        await self.start()
        assert self._nursery is not None
        if self._nursery.has_spare:
            self.stats.spares += 1
        else:
            self.stats.fresh += 1
        return await self._nursery.fork()

    async def split(self, origin: Worker, step: int) -> Worker | None:
        """A second process with all that this one has in memory, or None where that cannot be had."""
        if not isinstance(self._nursery, Nursery) or self._nursery.gate is None or not isinstance(origin, Child):
            return None
        self.stats.forks += 1
        return await self._nursery.split(origin, step)

    def review(self, code: str) -> "asyncio.Future[Findings]":
        """What the policy says against a check."""
        if self.policy != "off":
            return self._reviewer.review(code)
        nothing: asyncio.Future[Findings] = asyncio.get_running_loop().create_future()
        nothing.set_result(())
        return nothing

    def forget(self, session: Session) -> None:
        self._sessions.discard(session)

    async def close(self) -> None:
        """End every session and the warm process."""
        self._closed = True
        if self._patrol is not None:
            self._patrol.cancel()
        for session in list(self._sessions):
            session.close()
        self._reviewer.close()
        await self._put_away()

    async def _put_away(self) -> None:
        if self._nursery is not None:
            nursery, self._nursery = self._nursery, None
            await nursery.close()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _confined(nursery: Nursery | Portable) -> bool:
    return nursery.files and nursery.network


def _missing(nursery: Nursery | Portable) -> str:
    open_ways = " and ".join(
        name for name, shut in (("files", nursery.files), ("the network", nursery.network)) if not shut
    )
    reasons = "; ".join(f"{layer.name}: {layer.why}" for layer in nursery.layers if not layer.active)
    return (
        f"checks could reach {open_ways} on this machine ({reasons or 'every layer is in force'}); "
        "pass level='process' to run them all the same"
    )
