"""Provers: who judges progress, and how good a judge is.

The progress of a step is measured under a prover mu, a policy that differs from the one that wrote it (Rewarding
Progress, arXiv 2410.08146). A prover that solves everything, or nothing, sees no progress anywhere. A good one tells
the steps of the policy pi apart, and does not like what pi cannot go on from (section 3.4, theorem 3.1 there):

    distinguishability   E_s Var_{a~pi} [A^mu(s, a)]
    alignment            E_s E_{a~pi} [A^mu(s, a) A^pi(s, a)]

Since A^pi has mean 0 under pi, and A^mu differs from Q^mu by what does not hang on a, both are (co)variances of values
over the steps at one state: Var_a[Q^mu] and Cov_a[Q^mu, Q^pi].

Values that are counted from completions are noisy, and the square of noise is not 0: a variance of such values is too
large by Q(1 - Q) / n on average. So values come as two independent halves, and products take one factor of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genprm.errors import ConfigError
from genprm.scorers.base import Scorer, Scores
from genprm.types import Solution

Values = NDArray[np.float64]
"""Of shape (states, steps, halves): values of steps that a policy proposed at states, each by two independent halves of
its completions; NaN where there is none. Exact values have two equal halves."""
RESAMPLES = 2000


def best_of(q: float, k: int) -> float:
    """The value of a state under the best of k completions, by an oracle: 1 - (1 - Q)^k."""
    return 1 - (1 - q) ** k


def best_of_counts(right: int, n: int, k: int) -> float | None:
    """The same from ``right`` of ``n`` completions; None without any.

    Without bias for k <= n: the share of sets of k among them in which one is right (arXiv 2107.03374, equation 1).
    Beyond, the power of the share, which is too low.
    """
    if not n:
        return None
    return 1 - comb(n - right, k) / comb(n, k) if k <= n else best_of(right / n, k)


class BestOf:
    """A scorer's values as those of the best of K: Q -> 1 - (1 - Q)^K. What the scorer says of outcomes and advantages
    is of another prover, and is left out."""

    def __init__(self, of: Scorer, k: int) -> None:
        """Raises ConfigError for a k under 1."""
        if k < 1:
            raise ConfigError(f"a best-of-K prover needs K from 1 on, not {k}")
        self.of = of
        self.k = k
        self.name = f"Bo{k}({of.name})"

    async def score(self, solutions: Sequence[Solution]) -> list[Scores]:
        """See :class:`~genprm.scorers.base.Scorer`."""
        scores = await self.of.score(solutions)
        return [replace(self.derive(each), usage=each.usage) for each in scores]

    def derive(self, scores: Scores) -> Scores:
        """From the scorer's scores, which are paid for."""
        return Scores(tuple(None if q is None else best_of(q, self.k) for q in scores.steps), error=scores.error)

    async def close(self) -> None:
        await self.of.close()


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over states with its 95 % bootstrap interval; None where no state has two steps with values."""

    value: float | None
    low: float | None
    high: float | None
    states: int
    """That it is a mean of."""


def distinguishability(prover: Values) -> Values:
    """Var_{a~pi} [A^mu(s, a)] at each state, of shape (states,), NaN where fewer than two steps have values.

    Unbiased; so it may come out below 0 where the prover sees no difference."""
    return _covariance(prover[..., 0], prover[..., 1])


def alignment(prover: Values, policy: Values) -> Values:
    """E_{a~pi} [A^mu(s, a) A^pi(s, a)] at each state, as :func:`distinguishability`. The steps are the same in both;
    the completions may be."""
    crossed = (prover[..., 0], policy[..., 1]), (prover[..., 1], policy[..., 0])
    found: Values = (_covariance(*crossed[0]) + _covariance(*crossed[1])) / 2
    return found


def mean(
    per_state: Values, problems: Sequence[str] | None = None, *, seed: int = 0, resamples: int = RESAMPLES
) -> Figure:
    """Over states, with a percentile bootstrap over ``problems``, one for each state (default: each its own): states of
    the same problem are alike. States without a figure are left out."""
    held = ~np.isnan(per_state)
    if not held.any():
        return Figure(None, None, None, 0)
    of = np.arange(len(per_state)) if problems is None else np.unique(problems, return_inverse=True)[1]
    _, of = np.unique(of[held], return_inverse=True)
    sums, counts = np.bincount(of, per_state[held]), np.bincount(of)
    drawn = np.random.default_rng(seed).integers(len(sums), size=(resamples, len(sums)))
    low, high = np.quantile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), (0.025, 0.975))
    return Figure(float(per_state[held].mean()), float(low), float(high), int(held.sum()))


def _covariance(one: Values, other: Values) -> Values:
    """Of the rows of two arrays of shape (states, steps), by n - 1, over steps that both have."""
    held = ~(np.isnan(one) | np.isnan(other))
    n = held.sum(axis=1)
    total: Any = np.where(held, _centred(one, held, n) * _centred(other, held, n), 0.0).sum(axis=1)
    return np.where(n > 1, total / np.maximum(n - 1, 1), np.nan)


def _centred(values: Values, held: NDArray[np.bool_], n: NDArray[np.int_]) -> Values:
    means = np.where(held, values, 0.0).sum(axis=1) / np.maximum(n, 1)
    centred: Values = values - means[:, None]
    return centred
