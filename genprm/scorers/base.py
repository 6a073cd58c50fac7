"""The one thing that a scorer does."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from genprm.types import Solution, Usage

StepRule = Literal["last", "mean", "min", "product"]
"""How the scores of steps become one."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of one solution, finished or not."""

    steps: tuple[float | None, ...]
    """One for each step, in [0, 1] (probabilities that it is right, or values); None where there is none."""
    outcome: float | None = None
    """Of the whole, where the scorer gives one of its own (an outcome head)."""
    advantages: tuple[float | None, ...] = ()
    """Progress of each step under a prover, in [-1, 1]; empty where the scorer does not know any."""
    usage: Usage = Usage()
    error: str = ""
    """Why scores are missing."""
    confidences: tuple[float | None, ...] = ()
    """How sure the scorer is of each advantage, in [0, 1]; empty where it does not know any."""
    votes: tuple[tuple[float | None, ...], ...] = ()
    """``[step][sample]``: what each of several votes says, where there are any and none was left out."""
    last_usage: Usage | None = None
    """Of the last step alone, where that is all that a longer solution costs whose steps before it were scored."""


class Scorer(Protocol):
    """Scores solutions, and prefixes of solutions, step by step."""

    name: str

    async def score(self, solutions: Sequence[Solution]) -> list[Scores]:
        """One :class:`Scores` for each; the scorer batches. A solution that fails has an ``error``, and none raises."""
        ...

    async def close(self) -> None:
        """Give back what it holds. Safe to call twice."""
        ...


def over_steps(steps: Sequence[float | None], rule: StepRule) -> float | None:
    """One score for a solution; steps without one are left out, and there is none where all are."""
    given = [score for score in steps if score is not None]
    if not given:
        return None
    match rule:
        case "last":
            return given[-1]
        case "mean":
            return math.fsum(given) / len(given)
        case "min":
            return min(given)
        case "product":
            return math.prod(given)
