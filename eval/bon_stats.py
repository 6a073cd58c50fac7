"""Best of N from one table of candidates: accuracy at every size, and a paired bootstrap over problems.

A choice among k of a problem's n candidates is right or not; the accuracy at k is the mean over all sets of k, or over
``SETS`` seeded ones where there are more. One value a problem, in [0, 1]; problems are what is drawn with replacement,
the same ones for every method, so that differences are known better than the figures themselves.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from random import Random
from typing import TypeVar

from genprm.eval.metrics import interval
from genprm.eval.paired import Measure
from genprm.rank import Choice

K = TypeVar("K")
SETS = 200
"""Sets of candidates at most, of each size."""
_SCALE = 10**6
_BITS = 64
"""Of one digit: values times ``_SCALE``, summed over more problems than there will ever be."""

Chooser = Callable[[Sequence[int]], Choice]
"""From the indices of some candidates to one of them, as an index into those."""


def sizes(n: int) -> list[int]:
    """1, 2, 4, … and n itself."""
    return sorted({1 << k for k in range(n.bit_length())} | {n}) if n else []


def candidate_sets(n: int, size: int, seed: int = 0) -> list[tuple[int, ...]]:
    """All sets of that size, or seeded ones, each in the order of the candidates."""
    if math.comb(n, size) <= SETS:
        return list(combinations(range(n), size))
    rng = Random(f"{seed}/{n}/{size}")
    return [tuple(sorted(rng.sample(range(n), size))) for _ in range(SETS)]


def accuracy(choose: Chooser, right: Sequence[bool], sets: Sequence[Sequence[int]]) -> float:
    """The mean over the sets; where nothing is chosen, it is not right."""
    hits = 0
    for some in sets:
        index = choose(some).index
        hits += index is not None and right[some[index]]
    return hits / len(sets) if sets else 0.0


def pass_at(right: Sequence[bool], size: int) -> float:
    """Probability that one of ``size`` is right (arXiv 2107.03374)."""
    n, wrong = len(right), sum(not one for one in right)
    return 1 - math.comb(wrong, size) / math.comb(n, size) if n else 0.0


@dataclass(frozen=True, slots=True)
class Draws:
    """The mean over all problems, and over each resample of them."""

    value: float
    draws: tuple[float, ...]

    def measure(self) -> Measure:
        return Measure(self.value, interval(self.draws))

    def minus(self, other: "Draws") -> Measure:
        """The difference, on the same problems."""
        return Measure(
            self.value - other.value, interval([a - b for a, b in zip(self.draws, other.draws, strict=True)])
        )


def bootstrap(columns: Mapping[K, Sequence[float]], *, seed: int = 0, resamples: int = 2000) -> dict[K, Draws]:
    """Means of all columns, a value a problem in each."""
    names = list(columns)
    rows = list(zip(*columns.values(), strict=True))
    if not rows:
        return {}
    packed = [sum(round(value * _SCALE) << (_BITS * i) for i, value in enumerate(row)) for row in rows]
    rng = Random(seed)
    totals = [sum(packed), *(sum(rng.choices(packed, k=len(packed))) for _ in range(resamples))]
    means = [_unpacked(total, len(names), len(rows)) for total in totals]
    return {name: Draws(own[0], tuple(own[1:])) for name, own in zip(names, zip(*means, strict=True), strict=True)}


def _unpacked(total: int, n: int, rows: int) -> list[float]:
    digits = total.to_bytes(n * _BITS // 8, "little")
    width = _BITS // 8
    return [int.from_bytes(digits[at : at + width], "little") / _SCALE / rows for at in range(0, len(digits), width)]
