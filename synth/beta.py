"""What counts of right completions say of a probability, and of two of them together.

A probability of which ``right`` of ``n`` trials came out right, before which nothing was known, is Beta(right + 1,
n - right + 1). With whole numbers its density and its tail are polynomials (the tail is a binomial sum), and so is what
is integrated here for ratios: Gauss–Legendre with 256 nodes is exact for degrees up to 511, which covers two shares of
up to 250 trials each. Transformed values (best of K) are smooth, and as good as exact.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genprm.synth.types import Estimate

Reals = NDArray[np.float64]
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(256)
Z = 1.959963984540054
"""Of a 95 % interval."""


def wilson(right: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (Wilson 1927); (0, 1) for no trials."""
    if n == 0:
        return 0.0, 1.0
    p, spread = right / n, Z * Z / n
    middle, half = p + spread / 2, Z * math.sqrt(p * (1 - p) / n + spread / (4 * n))
    low, high = (middle - half) / (1 + spread), (middle + half) / (1 + spread)
    return (low if right else 0.0), (high if right < n else 1.0)


def estimated(right: int, n: int, lost: int = 0) -> Estimate:
    """``right`` of ``n`` completions with evidence; ``lost`` ones had none."""
    return Estimate(right, n, *wilson(right, n), lost=lost)


def known(value: int) -> Estimate:
    """0 or 1, without completions."""
    return Estimate(value, value, float(value), float(value), known=True)


def tail(estimate: Estimate, x: Any) -> Reals:
    """P(Q >= x) for each x."""
    x = np.clip(np.asarray(x, dtype=float), 0.0, None)
    if estimate.known:
        return np.asarray(x <= estimate.value, dtype=float)
    return np.where(x >= 1, 0.0, _binomial_at_most(estimate.right, estimate.n + 1, np.minimum(x, 1.0)))


def above(estimate: Estimate, threshold: float) -> float:
    """P(Q >= threshold)."""
    return float(tail(estimate, threshold))


def positive(estimate: Estimate, zero_share: float = 0.5) -> float:
    """P(Q > 0), where a share ``zero_share`` of all prefixes has no way to the answer, and the others any chance alike.

    Without a right one of n completions: P(Q = 0) = z / (z + (1 - z) / (n + 1)), the integral of (1 - q)^n being
    1 / (n + 1).
    """
    if estimate.known or estimate.right:
        return float(estimate.right > 0)
    alive = (1 - zero_share) / (estimate.n + 1)
    return alive / (alive + zero_share)


def ratio_above(after: Estimate, before: Estimate, threshold: float) -> float:
    """P(Q / V >= threshold) with Q of ``after`` and V of ``before``, as if independent; 0 for a V known to be 0."""
    if before.known and before.value == 0:
        return 0.0
    return _mean(before, lambda v: tail(after, threshold * v))


def gain_above(after: Estimate, before: Estimate, threshold: float, best_of: int = 1) -> float:
    """P(g(Q) - g(V) >= threshold) with g(q) = 1 - (1 - q)^K, the value under the best of K (K = 1: q itself)."""

    def needed(v: Reals) -> Reals:
        wanted = 1 - (1 - v) ** best_of + threshold
        return np.where(wanted > 1, 2.0, 1 - np.clip(1 - wanted, 0.0, 1.0) ** (1 / best_of))

    # An integral over a kink is cut there: below it, g(v) + threshold < 0 and every Q will do.
    kink = 1 - (1 + threshold) ** (1 / best_of) if -1 < threshold < 0 else 0.0
    return _mean(before, lambda v: tail(after, needed(v)), kink)


def _mean(estimate: Estimate, f: Callable[[Reals], Reals], *cuts: float) -> float:
    """The mean of ``f`` over a value; ``cuts``: where ``f`` has a kink."""
    if estimate.known:
        return float(f(np.asarray([estimate.value]))[0])
    ends = sorted({0.0, 1.0, *(cut for cut in cuts if 0 < cut < 1)})
    return min(max(sum(_integral(estimate, f, low, high) for low, high in pairwise(ends)), 0.0), 1.0)


def _integral(estimate: Estimate, f: Callable[[Reals], Reals], low: float, high: float) -> float:
    x = low + (high - low) * (_NODES + 1) / 2
    return float(np.dot(_WEIGHTS, _density(estimate.right, estimate.n, x) * f(x)) * (high - low) / 2)


def _density(right: int, n: int, x: Reals) -> Reals:
    log_scale = math.lgamma(n + 2) - math.lgamma(right + 1) - math.lgamma(n - right + 1)
    density: Reals = np.exp(log_scale + right * np.log(x) + (n - right) * np.log1p(-x))
    return density


def _binomial_at_most(k: int, n: int, p: Any) -> Any:
    """P(X <= k) for X binomial(n, p)."""
    p = np.clip(np.asarray(p, dtype=float), 1e-300, 1 - 1e-16)[..., None]
    j = np.arange(k + 1)
    return np.exp(_log_choose(n, k) + j * np.log(p) + (n - j) * np.log1p(-p)).sum(-1)


@lru_cache(maxsize=4096)
def _log_choose(n: int, k: int) -> Reals:
    return np.asarray([math.lgamma(n + 1) - math.lgamma(j + 1) - math.lgamma(n - j + 1) for j in range(k + 1)])
