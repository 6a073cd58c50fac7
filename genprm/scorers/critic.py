"""The generative critic as a scorer: the rewards of its steps."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from genprm.critic import Critic
from genprm.engines.remembering import RememberingEngine
from genprm.scorers.base import Scores
from genprm.types import Critique, Solution, Usage
from genprm.voting import vote_value


class CriticScorer:
    """Scores with a critic, which it does not own. Give solutions ids of their own: the samples are seeded by them.

    ``growing``: solutions are scored again with further steps, under the same id. What was said of their first steps is
    kept then, and a longer solution costs its last step alone.
    """

    def __init__(self, name: str, critic: Critic, *, growing: bool = False) -> None:
        self.name = name
        # Without a seed nothing is ever asked again.
        self._growing = growing and critic.method.seed is not None
        self.critic = critic.by(critic.method, RememberingEngine(critic.engine)) if self._growing else critic

    async def score(self, solutions: Sequence[Solution]) -> list[Scores]:
        return list(await asyncio.gather(*map(self._scored, solutions)))

    async def close(self) -> None:
        """Nothing is held here."""

    async def _scored(self, solution: Solution) -> Scores:
        if not solution.steps:
            return Scores((), error="there is no step")
        critique = await self.critic.critique(solution)
        scores = to_scores(critique)
        if self._growing and scores.steps[-1] is not None:
            return replace(scores, last_usage=sum((r.usage for r in critique.steps[-1].rationales), Usage()))
        return scores


def to_scores(critique: Critique) -> Scores:
    """Rewards by step; None for steps that were not judged. The error is that of the critique, or its outcome."""
    judged = {step.step: step for step in critique.steps}
    steps = tuple(judged[i].reward if i in judged else None for i in range(len(critique.solution.steps)))
    error = "" if critique.outcome == "ok" else critique.error or critique.outcome
    return Scores(steps, usage=critique.usage, error=error, votes=_votes(critique))


def _votes(critique: Critique) -> tuple[tuple[float | None, ...], ...]:
    n = critique.method.n
    whole = len(critique.steps) == len(critique.solution.steps) and all(len(s.rationales) == n for s in critique.steps)
    if not whole:
        return ()
    return tuple(tuple(vote_value(r, critique.method.vote) for r in s.rationales) for s in critique.steps)
