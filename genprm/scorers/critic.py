"""The generative critic as a scorer: the rewards of its steps."""

import asyncio
from collections.abc import Sequence

from genprm.critic import Critic
from genprm.scorers.base import Scores
from genprm.types import Critique, Solution, Usage
from genprm.voting import vote_value


class CriticScorer:
    """Scores with a critic, which it does not own. Give solutions ids of their own: the samples are seeded by them."""

    def __init__(self, name: str, critic: Critic) -> None:
        self.name = name
        self.critic = critic

    async def score(self, solutions: Sequence[Solution]) -> list[Scores]:
        return list(await asyncio.gather(*map(self._scored, solutions)))

    async def close(self) -> None:
        """Nothing is held here."""

    async def _scored(self, solution: Solution) -> Scores:
        if not solution.steps:
            return Scores((), error="there is no step")
        return to_scores(await self.critic.critique(solution))


def to_scores(critique: Critique) -> Scores:
    """Rewards by step; None for steps that were not judged. The error is that of the critique, or its outcome."""
    judged = {step.step: step for step in critique.steps}
    steps = tuple(judged[i].reward if i in judged else None for i in range(len(critique.solution.steps)))
    error = "" if critique.outcome == "ok" else critique.error or critique.outcome
    last = (
        sum((r.usage for r in critique.steps[-1].rationales), Usage()) if steps and judged.get(len(steps) - 1) else None
    )
    return Scores(steps, usage=critique.usage, last_usage=last, error=error, votes=_votes(critique))


def _votes(critique: Critique) -> tuple[tuple[float | None, ...], ...]:
    n = critique.method.n
    whole = len(critique.steps) == len(critique.solution.steps) and all(len(s.rationales) == n for s in critique.steps)
    if not whole:
        return ()
    return tuple(tuple(vote_value(r, critique.method.vote) for r in s.rationales) for s in critique.steps)
