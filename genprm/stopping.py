"""When enough rationales have spoken: votes that cannot change a step's verdict any more need not be paid for.

A rule is asked again and again how many further votes to sample. It never asks for more than the fewest that could
settle the step, so that no vote of a round is in vain, and a round is still as wide as can be.

``none``
    All N, at once.
``exact``
    Settled when no outcome of the votes that are left could change the verdict, each of them being any value in [0, 1]
    or missing. With the values x_1 … x_k in, R = N - k - missing left and the threshold t::

        right for good    sum(x) / (k + R) >= t             wrong for good    (sum(x) + R) / (k + R) < t

    The verdict is that of all N. With 8 votes of which 90 % agree this saves about 44 % on right steps and 31 % on
    wrong ones (a tie leaves the step standing, so a step is right earlier than it is wrong).
``predictive``
    Settled when the verdict of all N would differ from the one so far with a probability of at most ``error``. What is
    left is predicted as votes of 1 with an unknown probability p, 0 otherwise; the prior of p starts out uniform
    and is learnt from the steps that are done (a nonparametric maximum-likelihood estimate on a grid, by expectation
    maximisation; what was sampled decides when a step stops, so stopping early leaves the likelihood as it is).
    The bound holds on average over steps, as far as that model does; a learnt prior depends on which steps were done
    first.
"""

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

from genprm.errors import ConfigError
from genprm.types import Method

_GRID = [(i + 0.5) / 40 for i in range(40)]
_PRIOR_STEPS = 4.0
"""How many steps' worth the uniform prior counts for beside the steps that are seen."""
_FIRST_FIT = 8
"""Steps before the first fit; the next ones come each time that their number has grown by half."""
_ROUNDS = 30
_MOST_KNOWN = 1 << 16


class Rule(Protocol):
    def more(self, values: Sequence[float], missing: int) -> int:
        """How many further votes to sample now; 0: the step is settled.

        ``values``: the votes so far, each in [0, 1] as it counts in the mean; ``missing``: how many gave no verdict.
        """
        ...

    def learn(self, values: Sequence[float]) -> None:
        """A step is done, and these were its votes."""
        ...


def make_rule(method: Method) -> Rule:
    """The rule of ``method.stopping``."""
    match method.stopping:
        case "none":
            return All(method.n)
        case "exact":
            return Exact(method.n, method.threshold)
        case "predictive":
            return Predictive(method.n, method.threshold, method.stop_error)
    raise ConfigError(f"unknown stopping rule {method.stopping!r}; there are none, exact, predictive")


class All:
    """Every vote that was asked for."""

    def __init__(self, n: int) -> None:
        self._n = n

    def more(self, values: Sequence[float], missing: int) -> int:
        return self._n - len(values) - missing

    def learn(self, values: Sequence[float]) -> None:
        pass


class _Settling(ABC):
    """Asks for the fewest votes that could settle the step; when it is settled is for the subclass to say."""

    def __init__(self, n: int, threshold: float) -> None:
        self._n = n
        self._threshold = threshold

    def more(self, values: Sequence[float], missing: int) -> int:
        given = list(values)
        left = self._n - len(given) - missing
        for wave in range(left):
            if given or wave:
                ends = ([*given, *[vote] * wave] for vote in (1.0, 0.0))
                if any(self._settled(votes, left - wave) for votes in ends):
                    return wave
        return left

    def learn(self, values: Sequence[float]) -> None:  # noqa: B027
        """Nothing, unless a subclass does."""

    @abstractmethod
    def _settled(self, given: list[float], left: int) -> bool: ...


class Exact(_Settling):
    """Only what cannot change the verdict is left out."""

    def _settled(self, given: list[float], left: int) -> bool:
        most = len(given) + left
        right = sum(given) / most >= self._threshold
        return right or sum([*given, *[1.0] * left]) / most < self._threshold


class Predictive(_Settling):
    """What will hardly change the verdict is left out: with a probability of at most ``error``."""

    def __init__(self, n: int, threshold: float, error: float) -> None:
        super().__init__(n, threshold)
        self._error = error
        self._weights = [1 / len(_GRID)] * len(_GRID)
        self._seen: Counter[tuple[float, int]] = Counter()
        self._n_seen = 0
        self._next_fit = _FIRST_FIT
        self._known: dict[tuple[float, int, int], bool] = {}

    def learn(self, values: Sequence[float]) -> None:
        if not values:
            return
        grain = 10 if self._n <= 8 else 2  # so that many votes do not make a fit long
        self._seen[round(sum(values) * grain) / grain, len(values)] += 1
        self._n_seen += 1
        if self._n_seen >= self._next_fit:
            self._next_fit += self._n_seen // 2
            self._fit()

    def _settled(self, given: list[float], left: int) -> bool:
        state = (sum(given), len(given), left)
        if (known := self._known.get(state)) is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[state] = self._would_change(*state) <= self._error
        return known

    def _would_change(self, yes: float, n: int, left: int) -> float:
        """The probability that ``left`` further votes turn the verdict of ``n`` votes that sum to ``yes``."""
        needed = math.ceil(self._threshold * (n + left) - yes - 1e-9)
        weights = [weight * _likelihood(i, yes, n) for i, weight in enumerate(self._weights)]
        right = sum(weight * _at_least(i, left, needed) for i, weight in enumerate(weights)) / sum(weights)
        return 1 - right if yes / n >= self._threshold else right

    def _fit(self) -> None:
        """The prior under which the steps seen are most likely, and a little of the uniform one."""
        weights = self._weights
        for _ in range(_ROUNDS):
            mass = [_PRIOR_STEPS / len(_GRID)] * len(_GRID)
            for (yes, n), count in self._seen.items():
                joint = [weight * _likelihood(i, yes, n) for i, weight in enumerate(weights)]
                scale = count / sum(joint)
                mass = [m + scale * j for m, j in zip(mass, joint, strict=True)]
            weights = [m / (self._n_seen + _PRIOR_STEPS) for m in mass]
        self._weights = weights
        self._known.clear()


@lru_cache(maxsize=1 << 16)
def _likelihood(i: int, yes: float, n: int) -> float:
    """Of ``n`` votes that sum to ``yes``, where a vote is 1 with the probability at ``_GRID[i]``."""
    return math.pow(_GRID[i], yes) * math.pow(1 - _GRID[i], n - yes)


@lru_cache(maxsize=1 << 16)
def _at_least(i: int, n: int, k: int) -> float:
    """The probability of at least ``k`` ones among ``n`` votes."""
    p = _GRID[i]
    return sum(math.comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(max(k, 0), n + 1))
