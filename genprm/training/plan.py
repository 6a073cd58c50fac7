"""Which rows go together, update by update: fixed before the run begins, so that a killed run goes on exactly there."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

_POOL = 2048
"""Rows among which those of similar length are looked for."""

Micro = list[int]
"""Rows that run through the model at once, by their place in the list of examples."""


@dataclass(frozen=True, slots=True)
class Batching:
    """How much goes into an update, in tokens, padding included."""

    batch_tokens: int = 8192
    micro_tokens: int = 4096
    """At once, at most; more of them add up to an update. A longer row goes alone."""
    packing: bool = False
    """Rows one behind the other in one sequence, instead of one below the other with padding."""


@dataclass(frozen=True, slots=True)
class Plan:
    micros: list[Micro]
    """Of all updates, ``per_update`` for each."""
    per_update: int
    updates: int


def make_plan(
    lengths: Sequence[int],
    batching: Batching,
    *,
    epochs: float = 1.0,
    updates: int | None = None,
    ranks: int = 1,
    seed: int = 0,
    difficulties: Sequence[int] | None = None,
) -> Plan:
    """A plan for rows of these lengths.

    ``updates`` wins over ``epochs``. The number of micro-batches an update is a multiple of ``ranks``, the processes
    that share them; each is small enough for one update to have one of every process. With ``difficulties`` easy rows
    come first: see :func:`_growing`.
    """
    most = max(1, min(batching.micro_tokens, batching.batch_tokens // ranks))
    batching = replace(batching, micro_tokens=most)
    rows = list(range(len(lengths)))
    one_epoch = list(_epoch(rows, lengths, batching, random.Random(f"{seed} 0")))
    mean = sum(_size(micro, lengths, batching) for micro in one_epoch) / len(one_epoch)
    per_update = ranks * max(1, round(batching.batch_tokens / mean / ranks))
    updates = updates or max(1, round(epochs * len(one_epoch) / per_update))
    n = updates * per_update
    if difficulties is None:
        micros = _endless(rows, lengths, batching, seed)
    else:
        micros = _growing(difficulties, lengths, batching, seed, n)
    return Plan(list(islice(micros, n)), per_update, updates)


def in_order(lengths: Sequence[int], batching: Batching) -> list[Micro]:
    """Every row once, shortest first: for validation."""
    return list(_cut(sorted(range(len(lengths)), key=lambda n: lengths[n]), lengths, batching))


def _growing(
    difficulties: Sequence[int], lengths: Sequence[int], batching: Batching, seed: int, n: int
) -> Iterator[Micro]:
    """A pool that grows by one difficulty after the other over the first half of the ``n``, then all rows."""
    levels = sorted(set(difficulties))
    for stage, level in enumerate(levels[:-1]):
        pool = [row for row, difficulty in enumerate(difficulties) if difficulty <= level]
        yield from islice(_endless(pool, lengths, batching, seed + stage), n // 2 // (len(levels) - 1))
    yield from _endless(list(range(len(lengths))), lengths, batching, seed + len(levels))


def _endless(rows: Sequence[int], lengths: Sequence[int], batching: Batching, seed: int) -> Iterator[Micro]:
    epoch = 0
    while True:
        yield from _epoch(rows, lengths, batching, random.Random(f"{seed} {epoch}"))
        epoch += 1


def _epoch(rows: Sequence[int], lengths: Sequence[int], batching: Batching, rng: random.Random) -> Iterator[Micro]:
    """Every row once; rows of similar length together, the micro-batches of a pool in random order."""
    rows = list(rows)
    rng.shuffle(rows)
    for start in range(0, len(rows), _POOL):
        pool = rows[start : start + _POOL]
        if not batching.packing:
            pool.sort(key=lambda n: lengths[n])
        micros = list(_cut(pool, lengths, batching))
        rng.shuffle(micros)
        yield from micros


def _cut(rows: Sequence[int], lengths: Sequence[int], batching: Batching) -> Iterator[Micro]:
    micro: Micro = []
    for row in rows:
        if micro and _size([*micro, row], lengths, batching) > batching.micro_tokens:
            yield micro
            micro = []
        micro.append(row)
    if micro:
        yield micro


def _size(micro: Micro, lengths: Sequence[int], batching: Batching) -> int:
    """In tokens, padding included."""
    sizes = [lengths[row] for row in micro]
    return sum(sizes) if batching.packing else max(sizes) * len(sizes)
