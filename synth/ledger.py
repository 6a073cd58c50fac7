"""A ledger of calls: what an engine was asked once is never asked again.

``calls.jsonl`` has a line for each call that has an answer, under a digest of the engine's name, the prompt and the
sampling with its seed. A stage that is run again makes the same calls, and gets the same answers from the file: so the
decisions that hang on them come out the same, and nothing is generated twice.
"""

import asyncio
import hashlib
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from genprm import records
from genprm.appending import AppendedFile
from genprm.engines.base import Engine
from genprm.errors import EngineError, EngineRefused, PromptTooLong, WriteError
from genprm.flight import cancelled
from genprm.types import Completion, Prompt, Sampling, Usage

_Key = bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of ``calls.jsonl``: a completion, or the engine's final no."""

    key: str
    completion: Completion | None = None
    refused: str = ""
    too_long: bool = False
    status: int | None = None


@dataclass(frozen=True, slots=True)
class _Cost:
    """What is read of a line when the ledger is opened."""

    key: str
    completion: "_Billed | None" = None


@dataclass(frozen=True, slots=True)
class _Billed:
    usage: Usage
    seconds: float


@dataclass(slots=True)
class Counts:
    """Calls of this process, or of all that the file holds."""

    asked: int = 0
    """Calls that went to the engine, those that failed among them."""
    replayed: int = 0
    """Calls answered from the file."""
    shared: int = 0
    """Calls that waited for an equal one in flight."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    engine_s: float = 0.0
    """Seconds of calls, which run side by side."""
    failures: Counter[str] = field(default_factory=Counter)
    """Of the engine, by the name of the error."""

    def add(self, usage: Usage, seconds: float) -> None:
        self.asked += 1
        self.prompt_tokens += usage.prompt_tokens
        self.cached_tokens += usage.cached_tokens
        self.completion_tokens += usage.completion_tokens
        self.engine_s += seconds


@dataclass(slots=True)
class _Flight:
    """A call that is being answered, and how many wait for it."""

    task: "asyncio.Task[Completion]"
    waiting: int = 0


class Recorded:
    """An engine around another one, which it does not own.

    What hangs on chance, seconds and tokens found in a cache, is counted here and left out of the completions that are
    handed on, so that these are the same from the engine and from the file.
    """

    def __init__(self, engine: Engine, path: Path, concurrency: int = 64, *, seams: bool = False) -> None:
        """``concurrency`` bounds the calls in flight. ``seams``: keep the tokens that a call can go on from, for
        protocols that write one text in several calls; they make the file two or three times as long.

        Raises:
            InputError: the file holds a line that is no entry.
        """
        self.name = engine.name
        self.protocols = engine.protocols
        self.counts = Counts()
        """Of this process."""
        self.total = Counts()
        """Of the whole file, without what was replayed."""
        self._engine = engine
        self._seams = seams
        self.concurrency = concurrency
        self.changed = asyncio.Event()
        """Set whenever a call has ended, for those who wait for :attr:`has_room`."""
        self._room = asyncio.Semaphore(concurrency)
        self._flying: dict[_Key, _Flight] = {}
        self.broken: WriteError | None = None
        """Why the file can take no more."""
        self._file = AppendedFile(path)
        self._places = self._read(path)

    @property
    def has_room(self) -> bool:
        """Whether a further call would be sent at once."""
        return len(self._flying) < self.concurrency

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        """See :class:`~genprm.engines.base.Engine`; ``sampling`` needs a seed.

        Raises:
            WriteError: the file cannot take the answer. No further call is made then.
        """
        if sampling.seed is None:
            raise ValueError("a call that is to be recorded needs a seed")
        key = _key(self.name, prompt, sampling)
        if key in self._places:
            self.counts.replayed += 1
            return _answer(records.from_json(self._file.read(self._places[key]), Entry, str(self._file.path)))
        flight = self._flying.get(key)
        if flight is None:
            flight = self._flying[key] = _Flight(asyncio.create_task(self._ask(key, prompt, sampling)))
        else:
            self.counts.shared += 1
        return await self._wait(flight)

    async def close(self) -> None:
        """Ends the calls in flight, and the file. Safe to call twice."""
        await cancelled(flight.task for flight in self._flying.values())
        self._file.close()

    async def _wait(self, flight: _Flight) -> Completion:
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                flight.task.cancel()

    async def _ask(self, key: _Key, prompt: Prompt, sampling: Sampling) -> Completion:
        try:
            async with self._room:
                if self.broken:
                    raise self.broken
                entry = await self._entry(key, prompt, sampling)
                self._keep(key, entry)
            return _answer(entry)
        finally:
            del self._flying[key]
            self.changed.set()

    async def _entry(self, key: _Key, prompt: Prompt, sampling: Sampling) -> Entry:
        began = perf_counter()
        try:
            said = await self._engine.complete(prompt, sampling)
        except EngineError as error:
            self.counts.asked += 1
            self.counts.failures[type(error).__name__] += 1
            if not isinstance(error, EngineRefused):
                raise
            return Entry(key.hex(), None, str(error), isinstance(error, PromptTooLong), error.status)
        said = replace(said, seconds=said.seconds or perf_counter() - began)
        self.counts.add(said.usage, said.seconds)
        return Entry(key.hex(), said if self._seams else replace(said, seam=None))

    def _keep(self, key: _Key, entry: Entry) -> None:
        try:
            self._places[key] = self._file.append(records.to_json(entry))
        except WriteError as error:
            self.broken = error
            raise
        self._bill(entry.completion)

    def _bill(self, said: "Completion | _Billed | None") -> None:
        self.total.add(said.usage if said else Usage(), said.seconds if said else 0.0)
        self.total.failures["EngineRefused"] += said is None

    def _read(self, path: Path) -> dict[_Key, tuple[int, int]]:
        places, begin = {}, 0
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                cost = records.from_json(line, _Cost, f"{path}:{number}")
                places[bytes.fromhex(cost.key)] = begin, len(line) - 1
                self._bill(cost.completion)
                begin += len(line)
        return places


def _key(engine: str, prompt: Prompt, sampling: Sampling) -> _Key:
    asked: dict[str, Any] = {
        "engine": engine,
        "messages": prompt.messages,
        "opening": prompt.opening,
        "problem": prompt.problem,
        "sampling": asdict(sampling),
    }
    return hashlib.blake2b(records.to_json(asked), digest_size=16).digest()


def _answer(entry: Entry) -> Completion:
    if entry.completion is None:
        raise (PromptTooLong if entry.too_long else EngineRefused)(entry.refused, entry.status)
    said = entry.completion
    return replace(said, seconds=0.0, usage=replace(said.usage, cached_tokens=0, engine_s=0.0))
