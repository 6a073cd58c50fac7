"""Best of N from one table of candidates: accuracy at every size.

A choice among k of a problem's n candidates is right or not; the accuracy at k is the mean over all sets of k, or over
``SETS`` seeded ones where there are more. One value a problem, in [0, 1]; problems are what is drawn with replacement,
the same ones for every method, so that differences are known better than the figures themselves.
"""

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from random import Random

from genprm.rank import Choice

SETS = 200
"""Sets of candidates at most, of each size."""

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
