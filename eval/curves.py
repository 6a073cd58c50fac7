"""Accuracy over compute: curves of several methods on the same problems, compared by a paired bootstrap.

A method has a point for each of its sizes: the mean accuracy, and the mean tokens of a problem. Between the points of
the baseline a line is drawn over the logarithm of tokens, through the best accuracy so far: more tokens are never worth
less, one may leave them unspent. Beyond its ends nothing is claimed.

Every resample draws problems with replacement and computes all curves and what is read off them from the same ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genprm.eval.metrics import interval
from genprm.eval.paired import Measure
from genprm.resampling import times_drawn

Array = NDArray[np.float64]
RESAMPLES = 2000
_MOSTLY = 0.9
"""Share of the resamples in which a figure must exist for an interval to be given."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One point of one method on every problem, in the same order for all: shape (problems,)."""

    method: str
    size: int
    right: Array
    tokens: Array


@dataclass(frozen=True, slots=True)
class Point:
    method: str
    size: int
    accuracy: Measure
    tokens: float
    """Mean of a problem."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A point of a method against the curve of the baseline."""

    method: str
    size: int
    gain: Measure
    """Accuracy less that of the baseline at equal tokens; None beyond the baseline's ends."""
    share: Measure
    """Its tokens, as a share of those that the baseline needs for the same accuracy; None below the baseline's first
    point."""
    beyond: bool
    """More accurate than the baseline at its last point: ``share`` is of that point's tokens, and an upper bound."""


def points(cells: Sequence[Cell], *, seed: int = 0, resamples: int = RESAMPLES) -> list[Point]:
    """The points of all methods with intervals."""
    n = len(cells[0].right)
    draws = times_drawn(n, resamples, seed) / n
    found = []
    for cell in cells:
        accuracy = Measure(float(cell.right.mean()), interval((draws @ cell.right).tolist()))
        found.append(Point(cell.method, cell.size, accuracy, float(cell.tokens.mean())))
    return found


def compare(cells: Sequence[Cell], baseline: str, *, seed: int = 0, resamples: int = RESAMPLES) -> list[Comparison]:
    """Every point of the other methods against the curve of ``baseline``."""
    base = sorted((cell for cell in cells if cell.method == baseline), key=lambda cell: cell.size)
    others = [cell for cell in cells if cell.method != baseline]
    if not base or not others:
        return []
    n = len(base[0].right)
    draws = np.vstack([np.ones(n), times_drawn(n, resamples, seed)]) / n
    curves = [
        Curve(accuracy, tokens)
        for accuracy, tokens in zip(_means(draws, base, "right"), _means(draws, base, "tokens"), strict=True)
    ]
    return [_compared(cell, draws, curves) for cell in others]


class Curve:
    """The baseline's accuracy over tokens."""

    def __init__(self, accuracy: Array, tokens: Array) -> None:
        """Both of shape (points,), in any order."""
        order = np.argsort(tokens, kind="stable")
        self._log = np.log(tokens[order])
        self._best = np.maximum.accumulate(accuracy[order])

    def accuracy_at(self, tokens: float) -> float:
        """NaN beyond its ends."""
        return float(np.interp(np.log(tokens), self._log, self._best, left=np.nan, right=np.nan))

    def tokens_for(self, accuracy: float) -> float:
        """The fewest tokens with which it is reached; NaN below its first point, those of the first point with its
        highest accuracy above that."""
        if accuracy < self._best[0]:
            return float("nan")
        at = int(np.searchsorted(self._best, accuracy, side="left"))
        if at >= len(self._best):
            at = int(np.searchsorted(self._best, self._best[-1], side="left"))
            return float(np.exp(self._log[at]))
        if at == 0:
            return float(np.exp(self._log[0]))
        low, high = self._best[at - 1], self._best[at]
        way = (accuracy - low) / (high - low)
        return float(np.exp(self._log[at - 1] + way * (self._log[at] - self._log[at - 1])))

    @property
    def highest(self) -> float:
        return float(self._best[-1])


def _compared(cell: Cell, draws: Array, curves: Sequence[Curve]) -> Comparison:
    accuracy, tokens = draws @ cell.right, draws @ cell.tokens
    each = list(zip(accuracy, tokens, curves, strict=True))
    gains = np.array([a - curve.accuracy_at(t) for a, t, curve in each])
    shares = np.array([t / curve.tokens_for(a) for a, t, curve in each])
    beyond = bool(accuracy[0] > curves[0].highest)
    return Comparison(cell.method, cell.size, _measure(gains), _measure(shares), beyond)


def _measure(draws: Array) -> Measure:
    """The first is that of all problems, the others those of resamples."""
    if np.isnan(draws[0]):
        return Measure(None, None)
    held = np.count_nonzero(~np.isnan(draws[1:])) >= _MOSTLY * (len(draws) - 1)
    return Measure(float(draws[0]), interval(draws[1:].tolist()) if held else None)


def _means(draws: Array, cells: Sequence[Cell], name: str) -> Array:
    """Of shape (draws, cells)."""
    means: Array = draws @ np.stack([getattr(cell, name) for cell in cells], axis=1)
    return means


def by_method(found: Sequence[Point]) -> Mapping[str, list[Point]]:
    """In the order in which the methods first appear, each by tokens."""
    methods: dict[str, list[Point]] = {}
    for point in sorted(found, key=lambda point: point.tokens):
        methods.setdefault(point.method, []).append(point)
    order = list(dict.fromkeys(point.method for point in found))
    return {method: methods[method] for method in order}
