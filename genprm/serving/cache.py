"""Critiques and refinements that were made, and those that are being made, by what they are of."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, TypeVar

from genprm import records
from genprm.refining import Refinement
from genprm.types import Critique, Solution, StepCritique

Part = StepCritique | Critique
Parts = AsyncGenerator[Part, None]
Whole = Critique | Refinement
"""What the parts of something end in."""
P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Drafted:
    """Part of a refinement: a version as it was written, about to be judged."""

    turn: int
    solution: Solution


@dataclass(frozen=True, slots=True)
class Judged:
    """Part of a refinement: a step of the version of this turn, as soon as it is judged."""

    turn: int
    critique: StepCritique


class Cache:
    """The latest of them, for ``ttl_s`` each, bounded by number and by the size of their JSON."""

    def __init__(self, entries: int, size: int, ttl_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._entries = entries
        self._bytes = size
        self._ttl_s = ttl_s
        self._clock = clock
        self._kept: OrderedDict[bytes, tuple[float, int, Whole]] = OrderedDict()
        self.size = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: bytes) -> Whole | None:
        if (found := self._kept.get(key)) is None:
            return None
        if found[0] < self._clock():
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return found[2]

    def put(self, key: bytes, made: Whole) -> None:
        size = len(records.to_json(made))
        if not self._entries or not self._ttl_s or size > self._bytes:
            return
        if key in self._kept:
            self._drop(key)
        self._kept[key] = (self._clock() + self._ttl_s, size, made)
        self.size += size
        while len(self._kept) > self._entries or self.size > self._bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: bytes) -> None:
        self.size -= self._kept.pop(key)[1]


class Flight(Generic[P]):
    """One of them in the making, for everybody who wants it. Without anybody it is given up: ``task`` is cancelled."""

    def __init__(self, parts: AsyncGenerator[P, None], done: Callable[["Flight[P]"], None]) -> None:
        self._parts: list[P] = []
        self._followers = 0
        self._done = done
        self._changed = asyncio.Event()
        self.task = asyncio.create_task(self._fly(parts))
        self.task.add_done_callback(lambda _: done(self))

    async def _fly(self, parts: AsyncGenerator[P, None]) -> None:
        async with aclosing(parts):
            async for part in parts:
                self._parts.append(part)
                self._tell()

    async def follow(self) -> AsyncGenerator[P, None]:
        """All parts from the first on, those to come as they come."""
        self._followers += 1
        try:
            at = 0
            while True:
                while at < len(self._parts):
                    at += 1
                    yield self._parts[at - 1]
                if self._landed:
                    return
                if self.task.done():
                    self.task.result()  # raises what ended it, or CancelledError
                    raise AssertionError("a flight ends in the whole")
                await self._news()
        finally:
            self._followers -= 1
            if not self._followers and not self._landed:
                self._done(self)  # now, so that nobody comes aboard
                self.task.cancel()

    @property
    def _landed(self) -> bool:
        return bool(self._parts) and isinstance(self._parts[-1], Whole)

    async def _news(self) -> None:
        waiting = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait({waiting, self.task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    def _tell(self) -> None:
        told, self._changed = self._changed, asyncio.Event()
        told.set()
