"""The ProcessBench metric and its uncertainty (arXiv 2412.06559). Pure functions on labels and predictions.

Per split: the share of wrong solutions whose first error is named exactly, the share of right solutions that are said
to be right, and F1, the harmonic mean of the two. The headline is the unweighted mean of the splits' F1. A missing
prediction counts as wrong, and is counted apart as well.

The intervals are percentile bootstraps, with the rows of each class resampled on their own: the sizes of the classes
are facts of the benchmark and stay as they are. The number of hits among n rows drawn with replacement, of which h are
hits, is binomial(n, h / n), so it is drawn as such, which is exact and spares the rows. Such an interval has no width
where a class has all hits or none.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from genprm.types import NO_ERROR

RESAMPLES = 10_000
LEVEL = 0.95
"""Share of the resamples that lies inside an interval."""

Pair = tuple[int, int | None]
"""Gold label and prediction: an index from 0, ``NO_ERROR``, or None for a prediction that is missing."""


@dataclass(frozen=True, slots=True)
class Interval:
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ProcessBenchScore:
    """The score on one split. Shares lie in [0, 1]; what a class without rows leaves undefined is None."""

    split: str
    n_error: int
    """Rows with an error."""
    n_correct: int
    """Rows without one."""
    error_hits: int
    """Rows with an error whose first wrong step is predicted exactly."""
    correct_hits: int
    """Rows without an error that are predicted to have none."""
    missing: int
    """Rows without a prediction; they are no hits."""
    error_accuracy: float | None
    correct_accuracy: float | None
    f1: float | None
    """Harmonic mean of the two accuracies, 0 where both are 0, None where one is None."""
    error_interval: Interval | None
    correct_interval: Interval | None
    f1_interval: Interval | None

    @property
    def n(self) -> int:
        return self.n_error + self.n_correct


@dataclass(frozen=True, slots=True)
class MeanF1:
    """Unweighted mean of the splits' F1; None where a split has none, or where there is no split."""

    f1: float | None
    f1_interval: Interval | None
    """From joint resampling: each resample takes one draw from every split."""


def first_below(scores: Iterable[float], threshold: float = 0.5) -> int:
    """Index of the first score under the threshold, ``NO_ERROR`` where there is none: how a PRM predicts.

    Raises ValueError for NaN, which lies under no threshold and would pass for a right step.
    """
    for i, score in enumerate(scores):
        if math.isnan(score):
            raise ValueError(f"score {i} is not a number")
        if score < threshold:
            return i
    return NO_ERROR


def confusion(pairs: Iterable[Pair], n_steps: int) -> tuple[tuple[int, ...], ...]:
    """[label][prediction], both counted from step 0, then no error; predictions then: none. Numbers of solutions."""
    places = [*range(n_steps), NO_ERROR]
    counts = Counter(pairs)
    return tuple(tuple(counts[label, named] for named in [*places, None]) for label in places)


def harmonic_mean(a: float, b: float) -> float:
    return 2 * a * b / (a + b) if a + b else 0.0


def score_split(
    pairs: Iterable[Pair], split: str = "", *, seed: int = 0, resamples: int = RESAMPLES
) -> ProcessBenchScore:
    """Score one split. The order of the pairs does not matter, nor what other splits there are."""
    pairs = list(pairs)
    errors = [label == prediction for label, prediction in pairs if label != NO_ERROR]
    corrects = [prediction == NO_ERROR for label, prediction in pairs if label == NO_ERROR]
    counts = _Counts(split, len(errors), len(corrects), sum(errors), sum(corrects))
    draws = counts.draws(seed, resamples)
    error_accuracy, correct_accuracy = (
        _share(counts.error_hits, counts.n_error),
        _share(counts.correct_hits, counts.n_correct),
    )
    return ProcessBenchScore(
        split=split,
        n_error=counts.n_error,
        n_correct=counts.n_correct,
        error_hits=counts.error_hits,
        correct_hits=counts.correct_hits,
        missing=sum(prediction is None for _, prediction in pairs),
        error_accuracy=error_accuracy,
        correct_accuracy=correct_accuracy,
        f1=None
        if error_accuracy is None or correct_accuracy is None
        else harmonic_mean(error_accuracy, correct_accuracy),
        error_interval=interval(draws.error),
        correct_interval=interval(draws.correct),
        f1_interval=interval(draws.f1),
    )


def mean_f1(scores: Sequence[ProcessBenchScore], *, seed: int = 0, resamples: int = RESAMPLES) -> MeanF1:
    """The headline. With the seed of the scores its interval rests on the very draws of theirs.

    Raises ValueError where two scores have the same split: their draws would not be independent.
    """
    if len({score.split for score in scores}) < len(scores):
        raise ValueError("a split appears twice")
    values = [score.f1 for score in scores if score.f1 is not None]
    if not values or len(values) < len(scores):
        return MeanF1(None, None)
    draws = [_counts(score).draws(seed, resamples).f1 for score in scores]
    means = [math.fsum(each) / len(each) for each in zip(*draws, strict=True)]
    return MeanF1(math.fsum(values) / len(values), interval(means))


def score_splits(
    splits: Mapping[str, Iterable[Pair]], *, seed: int = 0, resamples: int = RESAMPLES
) -> tuple[tuple[ProcessBenchScore, ...], MeanF1]:
    """Score every split, in the order given, and their mean."""
    scores = tuple(score_split(pairs, split, seed=seed, resamples=resamples) for split, pairs in splits.items())
    return scores, mean_f1(scores, seed=seed, resamples=resamples)


# --- resampling ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Draws:
    """Resampled shares; empty where they are not defined."""

    error: list[float]
    correct: list[float]
    f1: list[float]


@dataclass(frozen=True, slots=True)
class _Counts:
    """All that the bootstrap needs to know of a split."""

    split: str
    n_error: int
    n_correct: int
    error_hits: int
    correct_hits: int

    def draws(self, seed: int, resamples: int) -> _Draws:
        # The name is part of the seed, so splits are independent of one another and of their order.
        error = _shares(self.error_hits, self.n_error, Random(f"{seed}/{self.split}/error"), resamples)
        correct = _shares(self.correct_hits, self.n_correct, Random(f"{seed}/{self.split}/correct"), resamples)
        f1 = [harmonic_mean(a, b) for a, b in zip(error, correct, strict=True)] if error and correct else []
        return _Draws(error, correct, f1)


def _counts(score: ProcessBenchScore) -> _Counts:
    return _Counts(score.split, score.n_error, score.n_correct, score.error_hits, score.correct_hits)


def _shares(hits: int, n: int, random: Random, resamples: int) -> list[float]:
    """Shares of hits in resamples of n rows: binomial draws by inversion of the cumulative distribution."""
    if n == 0:
        return []
    if hits in (0, n):
        return [hits / n] * resamples
    table = _cumulative(n, hits / n)
    return [bisect_right(table, random.random()) / n for _ in range(resamples)]


def _cumulative(n: int, p: float) -> list[float]:
    """P(X <= k) for k = 0 … n - 1 and X binomial(n, p), 0 < p < 1. (P(X <= n) = 1 is left for bisect to run into.)"""
    log_p, log_q, log_n = math.log(p), math.log1p(-p), math.lgamma(n + 1)
    total, table = 0.0, []
    for k in range(n):
        total += math.exp(log_n - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * log_p + (n - k) * log_q)
        table.append(total)
    return table


def interval(draws: Sequence[float]) -> Interval | None:
    """The middle ``LEVEL`` of the draws, those that are not defined (NaN) left out; None without any."""
    ordered = sorted(draw for draw in draws if not math.isnan(draw))
    if not ordered:
        return None
    return Interval(_quantile(ordered, (1 - LEVEL) / 2), _quantile(ordered, (1 + LEVEL) / 2))


def _quantile(ordered: Sequence[float], q: float) -> float:
    """By linear interpolation between the neighbours, numpy's default."""
    place = q * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _share(hits: int, n: int) -> float | None:
    return hits / n if n else None
