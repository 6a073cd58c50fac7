"""Solutions as tokens with a place for each step, and models that are read at those places, in batches."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import torch

from genprm.scorers.base import Scores
from genprm.types import Solution, Usage


@dataclass(frozen=True, slots=True)
class Reading:
    """A solution as tokens."""

    ids: list[int]
    places: list[int]
    """For each step the token at which its score is read."""


class Unreadable(Exception):
    """The text cannot be put into the model's form."""


Encode = Callable[[Solution], Reading]
Body = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]
"""Ids ``[rows, length]`` and their mask -> states ``[rows, length, size]``."""
Head = Callable[[torch.Tensor], torch.Tensor]
"""States ``[places, size]`` -> values ``[places, kinds]``."""
ToScores = Callable[[Sequence[Sequence[float]]], Scores]
"""Values ``[places][kinds]`` of one solution."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a model scorer is made of."""

    encode: Encode
    body: Body
    head: Head
    to_scores: ToScores
    device: str
    causal: bool
    """No token sees a later one, so padding on the right needs no mask."""
    window: int | None = None
    """Tokens that the model reads at most."""
    pad: int = 0


class ModelScorer:
    """Scores with one model, several solutions at once, those of similar length together.

    ``max_tokens`` are read at once, padding included. A solution that is longer than the window, or that cannot be put
    into the model's form, has an error and no scores; nothing is cut.
    """

    def __init__(self, name: str, parts: Parts, *, max_tokens: int = 16384) -> None:
        self.name = name
        self._parts = parts
        self._max_tokens = max_tokens
        # One of its own: calls that wait for the model take no thread from others.
        self._thread = ThreadPoolExecutor(1, "scorer")
        self._closed = False

    async def score(self, solutions: Sequence[Solution]) -> list[Scores]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._score, list(solutions))

    async def close(self) -> None:
        """End the thread, after the batch that it is reading. The model goes when the scorer does."""
        self._closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _score(self, solutions: Sequence[Solution]) -> list[Scores]:
        found: list[Scores] = [Scores(())] * len(solutions)
        readings: dict[int, Reading] = {}
        for n, solution in enumerate(solutions):
            read = self._read(solution)
            if isinstance(read, Reading):
                readings[n] = read
            else:
                found[n] = read
        for batch in _batches(readings, self._max_tokens):
            if self._closed:
                raise RuntimeError("the scorer was closed")
            for n, scores in zip(batch, self._run([readings[n] for n in batch]), strict=True):
                found[n] = scores
        return found

    def _read(self, solution: Solution) -> Reading | Scores:
        missing = (None,) * len(solution.steps)
        try:
            reading = self._parts.encode(solution)
        except Unreadable as error:
            return Scores(missing, error=str(error))
        window = self._parts.window
        if window is not None and len(reading.ids) > window:
            return Scores(missing, error=f"too long: {len(reading.ids)} tokens in a window of {window}")
        return reading

    def _run(self, batch: Sequence[Reading]) -> Iterator[Scores]:
        began = time.perf_counter()
        values = iter(self._values(batch))
        seconds = (time.perf_counter() - began) / len(batch)
        for reading in batch:
            scores = self._parts.to_scores([next(values) for _ in reading.places])
            yield replace(scores, usage=Usage(prompt_tokens=len(reading.ids), calls=1, engine_s=seconds))

    def _values(self, batch: Sequence[Reading]) -> list[list[float]]:
        """Of all places of all rows, one after another."""
        parts, read = self._parts, padded(batch, self._parts.pad)
        mask = None if parts.causal else read["attention_mask"].to(parts.device)
        with torch.no_grad():
            states = parts.body(read["input_ids"].to(parts.device), mask)
            values: list[list[float]] = parts.head(states[read["rows"], read["places"]]).float().cpu().tolist()
        return values


def padded(batch: Sequence[Reading], pad: int) -> dict[str, torch.Tensor]:
    """``input_ids`` and ``attention_mask`` ``[rows, length]``, padded on the right; ``rows`` and ``places``
    ``[places]`` say where to read."""
    ids = [torch.tensor(reading.ids) for reading in batch]
    input_ids = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=pad)
    lengths = torch.tensor([len(row) for row in ids])
    return {
        "input_ids": input_ids,
        "attention_mask": (torch.arange(input_ids.shape[1]) < lengths[:, None]).long(),
        "rows": torch.tensor([n for n, reading in enumerate(batch) for _ in reading.places], dtype=torch.long),
        "places": torch.tensor([place for reading in batch for place in reading.places], dtype=torch.long),
    }


def is_causal(body: Any) -> bool:
    """Whether no token of the model sees a later one, by its attention layers."""
    return any(getattr(module, "is_causal", False) is True for module in body.modules())


def _batches(readings: dict[int, Reading], max_tokens: int) -> Iterator[list[int]]:
    """Longest first, so that what does not fit the memory fails at once."""
    batch: list[int] = []
    for n in sorted(readings, key=lambda n: -len(readings[n].ids)):
        if batch and len(readings[batch[0]].ids) * (len(batch) + 1) > max_tokens:
            yield batch
            batch = []
        batch.append(n)
    if batch:
        yield batch
