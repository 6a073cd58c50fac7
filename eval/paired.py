"""F1 of several predictors on the same rows, and of their differences: a paired bootstrap.

Every resample draws rows with replacement, those with an error and those without apart, as ``genprm.eval.metrics``
does, and takes the F1 of all predictors on the very same rows. What makes a row hard for one makes it hard for the
others too, so that a difference is known far better than the two figures that it is the difference of.

A predictor is one column of hits or several: one for each of the samples, or of the votes, that it stands for. Its F1
is the mean of theirs.

The hits of a row, one for each column, are digits of one large integer, so that a sum over rows adds up all columns at
once.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from genprm.eval.metrics import RESAMPLES, Interval, harmonic_mean, interval

K = TypeVar("K")
Hits = Sequence[bool]
"""For every row, whether the prediction is the label."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure and its interval; None where rows of a class are missing."""

    value: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure of one predictor, on the rows and on every resample of them: its F1, or with :func:`means` a mean.
    Nothing where a class has no rows."""

    value: float | None
    draws: Sequence[float]

    def measure(self) -> Measure:
        return Measure(self.value, interval(self.draws))

    def less(self, other: "Estimate") -> "Estimate":
        """The difference as an estimate of its own, of which differences can be taken again."""
        if self.value is None or other.value is None:
            return Estimate(None, ())
        return Estimate(self.value - other.value, [a - b for a, b in zip(self.draws, other.draws, strict=True)])

    def minus(self, other: "Estimate") -> Measure:
        """The difference, from the same resamples on both sides."""
        return self.less(other).measure()


def estimate(
    wrong: Sequence[bool], predictors: Mapping[K, Sequence[Hits]], *, seed: int = 0, resamples: int = RESAMPLES
) -> dict[K, Estimate]:
    """F1 of all predictors; ``wrong`` says of every row whether it has an error."""
    columns = [hits for columns in predictors.values() for hits in columns]
    rows = [sum(hit << (_BITS * i) for i, hit in enumerate(row)) for row in zip(*columns, strict=True)]
    errors = [row for row, is_wrong in zip(rows, wrong, strict=True) if is_wrong]
    corrects = [row for row, is_wrong in zip(rows, wrong, strict=True) if not is_wrong]
    if not errors or not corrects:
        return {name: Estimate(None, ()) for name in predictors}
    totals = [(sum(errors), sum(corrects)), *_resampled(errors, corrects, seed, resamples)]
    sizes = [len(columns) for columns in predictors.values()]
    means = [_means(totals_, len(errors), len(corrects), sizes) for totals_ in totals]
    return {name: Estimate(own[0], own[1:]) for name, own in zip(predictors, zip(*means, strict=True), strict=True)}


def means(columns: Mapping[K, Sequence[float]], *, seed: int = 0, resamples: int = RESAMPLES) -> dict[K, Estimate]:
    """Means in place of F1, of hits or of values in [0, 1] (six decimals count): every column by its name, all on the
    same resamples of all rows."""
    rows = [
        sum(round(value * _SCALE) << (_WIDE * i) for i, value in enumerate(row))
        for row in zip(*columns.values(), strict=True)
    ]
    if not rows:
        return {name: Estimate(None, ()) for name in columns}
    random, n, width = Random(seed), len(rows), len(columns)
    totals = [sum(rows), *(sum(random.choices(rows, k=n)) for _ in range(resamples))]
    sums = [struct.unpack(f"<{width}Q", total.to_bytes(8 * width, "little")) for total in totals]
    found = zip(columns, zip(*sums, strict=True), strict=True)
    return {name: Estimate(own[0] / _SCALE / n, [one / _SCALE / n for one in own[1:]]) for name, own in found}


_BITS = 32
"""Of one digit: more rows than there will ever be."""
_SCALE, _WIDE = 10**6, 64
"""Of a digit that is a value instead of a hit."""


def _resampled(errors: list[int], corrects: list[int], seed: int, resamples: int) -> Iterator[tuple[int, int]]:
    random = Random(seed)
    for _ in range(resamples):
        yield sum(random.choices(errors, k=len(errors))), sum(random.choices(corrects, k=len(corrects)))


def _means(totals: tuple[int, int], n_error: int, n_correct: int, sizes: Sequence[int]) -> list[float]:
    """The mean F1 of every predictor, whose columns follow one another."""
    width = sum(sizes)
    hits = zip(*(struct.unpack(f"<{width}I", total.to_bytes(4 * width, "little")) for total in totals), strict=True)
    f1 = iter([harmonic_mean(a / n_error, b / n_correct) for a, b in hits])
    return [sum(next(f1) for _ in range(size)) / size for size in sizes]
