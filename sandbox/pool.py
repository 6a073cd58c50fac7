"""The sandbox: one warm process, and sessions forked from it."""

import asyncio
import itertools
import os
import sys
from typing import Literal, Self

from genprm.sandbox.errors import SandboxError
from genprm.sandbox.layers import Layer
from genprm.sandbox.limits import Limits
from genprm.sandbox.nursery import Child, Nursery
from genprm.sandbox.session import Session

Level = Literal["confined", "process"]
"""What is required. ``confined``: no file outside the scratch folder and no network, or it does not start.
``process``: whatever this machine offers, and be it only a process with limits."""


class Sandbox:
    """Runs checks in processes of their own. Starts at the first check, or by ``start``; belongs to one event loop."""

    def __init__(self, limits: Limits | None = None, workers: int | None = None, level: Level = "confined") -> None:
        if level not in ("confined", "process"):
            raise SandboxError(f"unknown level {level!r}: it is 'confined' or 'process'")
        self.limits = limits or Limits()
        self.slots = asyncio.Semaphore(workers or _cores())
        """Checks run at once: as many as there are cores, so that a verdict does not depend on how many wait."""
        self._level = level
        self._nursery: Nursery | None = None
        self._starting = asyncio.Lock()
        self._sessions: set[Session] = set()
        self._numbers = itertools.count()
        self._closed = False
        self._failure: SandboxError | None = None
        self.started = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every layer, in force or not. Empty before the start."""
        return self._nursery.layers if self._nursery else ()

    @property
    def flags(self) -> tuple[str, ...]:
        """Remarks that belong on every result."""
        return () if self._nursery is None or _confined(self._nursery) else ("unconfined",)

    def session(self) -> Session:
        """A fresh namespace, shared with nobody."""
        session = Session(self)
        self._sessions.add(session)
        return session

    async def start(self) -> None:
        """Start the warm process, or a new one where it was lost."""
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
            self.started = True

    async def _begin(self) -> Nursery:
        if sys.platform != "linux":
            raise SandboxError(f"the sandbox needs Linux, this is {sys.platform}: run it in a container")
        nursery = Nursery(self.limits)
        try:
            await nursery.start()
            if self._level == "confined" and not _confined(nursery):
                raise SandboxError(_missing(nursery))
        except BaseException:
            await nursery.close()
            raise
        return nursery

    async def fork(self) -> Child:
        """A fresh child for a session, from a new warm process where the old one was lost."""
        await self.start()
        assert self._nursery is not None
        return await self._nursery.fork(next(self._numbers))

    def forget(self, session: Session) -> None:
        self._sessions.discard(session)

    async def close(self) -> None:
        """End every session and the warm process."""
        self._closed = True
        for session in list(self._sessions):
            session.close()
        await self._put_away()

    async def _put_away(self) -> None:
        if self._nursery is not None:
            nursery, self._nursery = self._nursery, None
            await nursery.close()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _confined(nursery: Nursery) -> bool:
    return nursery.files and nursery.network


def _missing(nursery: Nursery) -> str:
    open_ways = " and ".join(
        name for name, shut in (("files", nursery.files), ("the network", nursery.network)) if not shut
    )
    reasons = "; ".join(f"{layer.name}: {layer.why}" for layer in nursery.layers if not layer.active)
    return (
        f"checks could reach {open_ways} on this machine ({reasons or 'every layer is in force'}); "
        "pass level='process' to run them all the same"
    )
