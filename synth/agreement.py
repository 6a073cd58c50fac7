"""Cross-validation of labelers: how far they agree, beyond what chance would give, and what most of them say.

Cohen's kappa (1960) for two labelers, Fleiss' (1971) for all of them; 1 is agreement, 0 what chance would give by the
labelers' own rates. Steps on which one of them is unsure are left out where the two (all) are compared, and counted.
Intervals are percentile bootstraps over solutions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from genprm.resampling import times_drawn
from genprm.synth.types import Label, first_error

Labels = Sequence[Label]
"""Of the steps of one solution."""
Times = NDArray[np.int64]
RESAMPLES = 500


@dataclass(frozen=True, slots=True)
class Share:
    """A figure, and its 95 % interval; None where there is nothing to count, or chance alone would give 1."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """Two labelers."""

    one: str
    other: str
    n: int
    """Steps that both have a label for."""
    unsure: int
    """Steps that one of them has none for."""
    agreement: Share
    kappa: Share
    first_error: Share
    """Solutions in which both name the same first error, or none, among those in which both name one."""


@dataclass(frozen=True, slots=True)
class Agreement:
    pairs: tuple[Pair, ...]
    fleiss: Share
    """Over the steps that all have a label for."""
    n: int
    """Those steps."""


def agree(labels: Mapping[str, Sequence[Labels]], *, resamples: int = RESAMPLES, seed: int = 0) -> Agreement:
    """``labels``: for each labeler those of the same solutions, in the same order, with as many steps."""
    solutions = max([1, *map(len, labels.values())])  # of none there is no figure, and nothing to draw for
    times = times_drawn(solutions, resamples, seed)
    pairs = tuple(_pair(one, other, labels, times) for one, other in combinations(labels, 2))
    ratings = [_ratings(steps) for steps in zip(*labels.values(), strict=True)]
    rows = [(len(r), sum(y for y, _ in r), sum(y * (y - 1) + n * (n - 1) for y, n in r)) for r in ratings]
    fleiss = _bootstrapped(lambda sums: _fleiss(len(labels), *sums), rows, times)
    return Agreement(pairs, fleiss, sum(map(len, ratings)))


def majority(votes: Sequence[Label]) -> Label:
    """What more say than not; None for a tie, and where none is sure."""
    yes, no = votes.count(True), votes.count(False)
    return None if yes == no else yes > no


def consensus(labels: Sequence[Labels]) -> tuple[Label, ...]:
    """The majority's label of each step of a solution; ``labels`` are those of several labelers."""
    return tuple(majority(votes) for votes in zip(*labels, strict=True))


def _pair(one: str, other: str, labels: Mapping[str, Sequence[Labels]], times: Times) -> Pair:
    solutions = list(zip(labels[one], labels[other], strict=True))
    steps = [_counts(_both(*solution)) for solution in solutions]
    firsts = [_same_first(first_error(a), first_error(b)) for a, b in solutions]
    n = sum(map(sum, steps))
    return Pair(
        one,
        other,
        n,
        sum(len(a) for a, _ in solutions) - n,
        _bootstrapped(lambda c: _share(c[0] + c[3], sum(c)), steps, times),
        _bootstrapped(lambda c: _cohen(*c), steps, times),
        _bootstrapped(lambda c: _share(*c), firsts, times),
    )


def _both(one: Labels, other: Labels) -> list[tuple[bool, bool]]:
    return [(a, b) for a, b in zip(one, other, strict=True) if a is not None and b is not None]


def _counts(pairs: Sequence[tuple[bool, bool]]) -> tuple[int, int, int, int]:
    """Both right, the one, the other, none."""
    return tuple(pairs.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False)))  # type: ignore[return-value]


def _same_first(one: int | None, other: int | None) -> tuple[int, int]:
    """Whether they are the same, and whether both are known."""
    known = one is not None and other is not None
    return int(known and one == other), int(known)


def _ratings(labelers: Sequence[Labels]) -> list[tuple[int, int]]:
    """Of the steps that all have a label for."""
    return [(votes.count(True), votes.count(False)) for votes in zip(*labelers, strict=True) if None not in votes]


def _cohen(both: float, one: float, other: float, none: float) -> float | None:
    n = both + one + other + none
    if not n:
        return None
    p, q = (both + one) / n, (both + other) / n
    return _beyond((both + none) / n, p * q + (1 - p) * (1 - q))


def _fleiss(raters: int, n: float, yes: float, same: float) -> float | None:
    """``same``: ordered pairs of raters that agree, summed over the ``n`` items."""
    if raters < 2 or not n:
        return None
    share = yes / (n * raters)
    return _beyond(same / (n * raters * (raters - 1)), share**2 + (1 - share) ** 2)


def _share(hits: float, n: float) -> float | None:
    return hits / n if n else None


def _beyond(observed: float, chance: float) -> float | None:
    return (observed - chance) / (1 - chance) if chance < 1 else None


def _bootstrapped(
    figure: Callable[[Sequence[float]], float | None], rows: Sequence[tuple[int, ...]], times: Times
) -> Share:
    """A figure of the sums over solutions; ``rows`` are what each of them adds, ``times`` how often it is drawn."""
    value = figure([sum(column) for column in zip(*rows, strict=True)]) if rows else None
    if value is None:
        return Share(None)
    drawn = (figure(sums) for sums in (times @ np.asarray(rows)).tolist())
    draws = [draw for draw in drawn if draw is not None]
    low, high = np.quantile(draws, [0.025, 0.975]) if draws else (value, value)
    return Share(value, float(low), float(high))
