"""What steps are ranked by: the effective reward Q + alpha * A (arXiv 2410.08146, equation 5).

Q is the value of the state that a step leads to, in the eyes of a scorer; A the progress that the step makes in the
eyes of a prover, the difference of two values: A(s_h, a_h) = Q(s_h, a_h) - Q(s_{h-1}, a_{h-1}). For a first step the
value of the bare problem stands there; it is not measured, the mean over the first steps that were proposed is taken
for it. All first steps share it, so that it ranks none of them before another.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from genprm.errors import ConfigError
from genprm.provers import BestOf
from genprm.scorers.base import Scorer, Scores
from genprm.types import Solution, Usage


@dataclass(frozen=True, slots=True)
class Mark:
    """What a step got; None for what is not known."""

    q: float | None = None
    advantage: float | None = None
    score: float | None = None
    """What it is ranked by."""
    prover: float | None = None
    """The prover's value of the state, where advantages are differences of those."""
    outcome: float | None = None
    """The scorer's opinion of the whole, where it has one."""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A path whose last step is to be judged."""

    solution: Solution
    parent: Mark | None
    """Of the step before; None for a first step."""
    weight: int = 1
    """How often it was proposed."""


@dataclass(frozen=True, slots=True)
class Judged:
    marks: tuple[Mark, ...]
    """One for each path that was asked about."""
    values: tuple[tuple[float | None, ...], ...]
    """The scorer's values of all steps, where it gives more than the last."""
    scorer: Usage = Usage()
    prover: Usage = Usage()


class StepScore(Protocol):
    """Ranks the last steps of paths."""

    name: str

    async def judge(self, asked: Sequence[Asked]) -> Judged:
        """All of them in one batch. What a scorer fails on is a mark without a score."""
        ...


class EffectiveReward:
    """Q + alpha * A.

    ``alpha`` 0 is Q alone, and no prover is asked; infinity is A alone. Without a ``prover`` the advantages are the
    scorer's own, or differences of its values. Owns neither.
    """

    def __init__(self, scorer: Scorer, prover: Scorer | None = None, alpha: float = 0.0) -> None:
        """Raises ConfigError for an alpha that is negative or no number."""
        if not alpha >= 0:
            raise ConfigError(f"alpha is a number from 0 on, not {alpha}")
        self.alpha = alpha
        self._scorer = scorer
        self._prover = prover if alpha else None
        self.name = self._named()

    def _named(self) -> str:
        if not self.alpha:
            return f"Q[{self._scorer.name}]"
        progress = f"A[{(self._prover or self._scorer).name}]"
        return progress if math.isinf(self.alpha) else f"Q[{self._scorer.name}] + {self.alpha:g} {progress}"

    async def judge(self, asked: Sequence[Asked]) -> Judged:
        """See :class:`StepScore`."""
        solutions = [each.solution for each in asked]
        own = await self._scorer.score(solutions)
        theirs = await self._proved(solutions, own)
        start = _start(asked, theirs)
        marks = tuple(self._mark(*each, start) for each in zip(asked, own, theirs, strict=True))
        proving = Usage() if theirs is own else _spent(asked, theirs)
        return Judged(marks, tuple(each.steps for each in own), _spent(asked, own), proving)

    async def _proved(self, solutions: Sequence[Solution], own: list[Scores]) -> list[Scores]:
        """The prover's scores, which a prover has for nothing that is the scorer, or a function of its values."""
        if self._prover is None or self._prover is self._scorer:
            return own
        if isinstance(self._prover, BestOf) and self._prover.of is self._scorer:
            return [self._prover.derive(scores) for scores in own]
        return await self._prover.score(solutions)

    def _mark(self, asked: Asked, own: Scores, theirs: Scores, start: float | None) -> Mark:
        q, value = _last(own.steps), _last(theirs.steps)
        advantage = _last(theirs.advantages) if theirs.advantages else _difference(value, _before(asked, theirs, start))
        error = own.error or (theirs.error if self.alpha else "")
        return Mark(q, advantage, self._effective(q, advantage), value, own.outcome, error)

    def _effective(self, q: float | None, advantage: float | None) -> float | None:
        if math.isinf(self.alpha):
            return advantage
        if not self.alpha or q is None:
            return q
        return None if advantage is None else q + self.alpha * advantage


def _last(values: Sequence[float | None]) -> float | None:
    return values[-1] if values else None


def _difference(value: float | None, before: float | None) -> float | None:
    return None if value is None or before is None else value - before


def _before(asked: Asked, theirs: Scores, start: float | None) -> float | None:
    if asked.parent is not None:
        return asked.parent.prover
    return theirs.steps[-2] if len(theirs.steps) > 1 else start


def _start(asked: Sequence[Asked], theirs: Sequence[Scores]) -> float | None:
    """The mean value of first steps, as often as each was proposed."""
    known = [
        (value, each.weight)
        for each, scores in zip(asked, theirs, strict=True)
        if len(each.solution.steps) == 1 and (value := _last(scores.steps)) is not None
    ]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else None


def _spent(asked: Sequence[Asked], scores: Sequence[Scores]) -> Usage:
    """Of a path whose parent was judged before, that of its last step, where the scorer can go on from there."""
    return sum(map(_cost, asked, scores), Usage())


def _cost(asked: Asked, scores: Scores) -> Usage:
    return scores.usage if asked.parent is None or scores.last_usage is None else scores.last_usage
