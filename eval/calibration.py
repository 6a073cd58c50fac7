"""How far scores and confidences can be believed: calibration and ranking against reference labels.

- **ECE** (Naeini et al. 2015): over bins of scores, the mean distance between the mean score and the share of right
  items, weighted by the bins' sizes; in bins of equal mass (default) or of equal width.
- **Brier**: mean squared distance between score and label.
- **AUROC**: the chance that a right item has a higher score than a wrong one, ties counting half.
- **tau-b** (Kendall 1945): concordant minus discordant pairs over the geometric mean of the pairs that are not tied in
  either; for labels of a few grades, such as -1, 0, 1.

Intervals are percentile bootstraps over clusters (solutions), whose steps are no independent items. Bins stay those of
the whole sample. What has no score is left out and counted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from genprm.eval.metrics import interval
from genprm.eval.paired import Measure

Reals = NDArray[np.float64]
Binning = Literal["mass", "width"]
BINS = 10
RESAMPLES = 500


@dataclass(frozen=True, slots=True)
class Scored:
    """One step: what a labeler says of it, and what is true."""

    score: float | None
    """In [0, 1], a probability that the step is right; None where the labeler gave none."""
    grade: int
    """Reference label: 1 right, 0 wrong; graded ones may have more levels, see :func:`calibrate`."""
    cluster: str
    """The solution that it belongs to."""


@dataclass(frozen=True, slots=True)
class Bin:
    """One point of the reliability curve."""

    low: float
    high: float
    """Least and greatest score in it."""
    n: int
    score: float
    """Mean."""
    right: float
    """Share."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Of one labeler. A measure is None where one class has no item."""

    name: str
    n: int
    """Items with a score."""
    right: int
    """Of these, those that are right."""
    missing: int
    """Items without a score, which are left out."""
    ece: Measure
    brier: Measure
    auroc: Measure
    tau: Measure
    accuracy: Measure
    """Of "right" for scores of at least one half."""
    curve: tuple[Bin, ...]


def calibrate(
    name: str,
    items: Sequence[Scored],
    *,
    right_from: int = 1,
    bins: int = BINS,
    binning: Binning = "mass",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Calibration:
    """Measure one labeler. A grade of at least ``right_from`` is right; tau-b uses the grades as they are."""
    given = [item for item in items if item.score is not None]
    scores = np.asarray([item.score for item in given], dtype=float)
    grades = np.asarray([item.grade for item in given], dtype=int)
    right = (grades >= right_from).astype(float)
    places = bins_of(scores, bins, binning)
    table, codes = _Levels(scores, right), _Levels(scores, grades)

    def measured(weights: Reals) -> dict[str, float]:
        return {
            "ece": _ece(places, scores, right, weights),
            "brier": _mean((scores - right) ** 2, weights),
            "auroc": table.auroc(weights),
            "tau": codes.tau_b(weights),
            "accuracy": _mean(((scores >= 0.5) == (right > 0)).astype(float), weights),
        }

    measures = _bootstrapped(measured, [item.cluster for item in given], resamples, seed)
    return Calibration(
        name,
        len(given),
        int(right.sum()),
        len(items) - len(given),
        measures["ece"],
        measures["brier"],
        measures["auroc"],
        measures["tau"],
        measures["accuracy"],
        _curve(places, scores, right),
    )


def bins_of(scores: Reals, bins: int, binning: Binning) -> NDArray[np.int64]:
    """The bin of each score, from 0. Equal scores share one, so bins of equal mass may be fewer than asked for."""
    if binning == "width":
        return np.minimum((scores * bins).astype(np.int64), bins - 1)
    if not len(scores):
        return np.zeros(0, dtype=np.int64)
    edges = np.unique(np.quantile(scores, np.arange(1, bins) / bins))
    places: NDArray[np.int64] = np.unique(np.searchsorted(edges, scores, side="right"), return_inverse=True)[1]
    return places


def ece(scores: Sequence[float], right: Sequence[bool], bins: int = BINS, binning: Binning = "mass") -> float:
    """Expected calibration error, in [0, 1]; NaN for no items."""
    s, r = np.asarray(scores, dtype=float), np.asarray(right, dtype=float)
    return _ece(bins_of(s, bins, binning), s, r, np.ones(len(s)))


def auroc(scores: Sequence[float], right: Sequence[bool]) -> float:
    """NaN where one of the classes is empty."""
    return _Levels(np.asarray(scores, dtype=float), np.asarray(right)).auroc(np.ones(len(scores)))


def tau_b(scores: Sequence[float], grades: Sequence[int]) -> float:
    """NaN where all scores or all grades are the same. Time grows with the square of the number of grades."""
    return _Levels(np.asarray(scores, dtype=float), np.asarray(grades)).tau_b(np.ones(len(scores)))


class _Levels:
    """Weights by score and grade, sorted once, so that each resample costs one pass."""

    def __init__(self, scores: Reals, grades: NDArray[Any]) -> None:
        _, self._score = np.unique(scores, return_inverse=True)
        _, self._grade = np.unique(grades, return_inverse=True)
        self._shape = (int(self._grade.max(initial=-1)) + 1, int(self._score.max(initial=-1)) + 1)

    def auroc(self, weights: Reals) -> float:
        counts = self._counts(weights)
        pairs = counts[0].sum() * counts[1].sum() if len(counts) == 2 else 0.0
        return float((_surplus(counts[0], counts[1]) / pairs + 1) / 2) if pairs else float("nan")

    def tau_b(self, weights: Reals) -> float:
        counts = self._counts(weights)
        surplus = sum(_surplus(counts[a], counts[b]) for b in range(len(counts)) for a in range(b))
        untied = _untied(counts.sum(0)) * _untied(counts.sum(1))
        return float(surplus / untied**0.5) if untied else float("nan")

    def _counts(self, weights: Reals) -> Reals:
        """(grades, scores)."""
        flat = self._grade * self._shape[1] + self._score
        counts = np.bincount(flat, weights, self._shape[0] * self._shape[1]).reshape(self._shape)
        return counts.astype(float)


def _surplus(lower: Reals, higher: Reals) -> float:
    """Pairs with the higher grade at the higher score, less those the other way round."""
    below = np.cumsum(lower) - lower
    above = lower.sum() - below - lower
    return float(higher @ (below - above))


def _untied(counts: Reals) -> float:
    """Pairs of items that differ, of the items counted by value."""
    return float((counts.sum() ** 2 - (counts**2).sum()) / 2)


def _ece(places: NDArray[np.int64], scores: Reals, right: Reals, weights: Reals) -> float:
    if not weights.sum():
        return float("nan")
    return float(np.abs(np.bincount(places, weights * (scores - right))).sum() / weights.sum())


def _mean(values: Reals, weights: Reals) -> float:
    return float(values @ weights / weights.sum()) if weights.sum() else float("nan")


def _curve(places: NDArray[np.int64], scores: Reals, right: Reals) -> tuple[Bin, ...]:
    bins = [places == place for place in np.unique(places)]
    return tuple(
        Bin(float(s.min()), float(s.max()), len(s), float(s.mean()), float(right[chosen].mean()))
        for chosen in bins
        if len(s := scores[chosen])
    )


def _bootstrapped(
    measured: Callable[[Reals], dict[str, float]], clusters: Sequence[str], resamples: int, seed: int
) -> dict[str, Measure]:
    names, cluster = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    rng, draws = np.random.default_rng(seed), []
    for _ in range(resamples if len(names) else 0):
        times = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
        draws.append(measured(times[cluster].astype(float)))
    whole = measured(np.ones(len(clusters)))
    return {key: _measure(value, [draw[key] for draw in draws]) for key, value in whole.items()}


def _measure(value: float, draws: Sequence[float]) -> Measure:
    if value != value:
        return Measure(None, None)
    return Measure(value, interval(draws))
