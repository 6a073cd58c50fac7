"""Who reviews a solution between two revisions: the generative critic, or the policy itself."""

from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

from genprm.critic import Critic
from genprm.errors import EngineError, EngineLost
from genprm.policy import Policy
from genprm.protocols.policy import Wording, feedback, read_review
from genprm.refining import Review, Score
from genprm.scorers.base import over_steps
from genprm.types import NO_ERROR, Critique, Method, Rationale, Solution, StepCritique, Usage


class Reviewer(Protocol):
    """Says whether a solution is right, and what is wrong with it."""

    name: str

    async def review(self, solution: Solution, turn: int) -> Review:
        """Failures are in the review. Raises EngineLost."""
        ...


class CriticReviewer:
    """The generative critic: step by step, with what its checks printed."""

    def __init__(self, critic: Critic, *, score: Score = "progress", wording: Wording = "paragraph") -> None:
        self.name = critic_name(critic.method)
        self._critic = critic
        self._score = score
        self._wording = wording

    async def review(self, solution: Solution, turn: int) -> Review:
        named = replace(solution, id=f"{solution.id}@{turn}")  # the seeds of its rationales are by the id
        # Not as a single critique: an engine that is lost ends the work, and is no review to keep.
        async with aclosing(self._critic.critique_many([named])) as critiques:
            critique = await anext(critiques)
        return read_critique(replace(critique, solution=solution), self._score, self._wording)


def critic_name(method: Method) -> str:
    """What a critic with this method is called as a reviewer."""
    return f"critic {method.engine}, {method.protocol}, n={method.n}"


def read_critique(critique: Critique, score: Score = "progress", wording: Wording = "paragraph") -> Review:
    """A critique as a review: the feedback is of the first wrong step, by the rationale that speaks best against it."""
    rewards = tuple(step.reward for step in critique.steps)
    known = critique.first_error is not None
    return Review(
        accepted=critique.first_error == NO_ERROR if known else None,
        first_error=critique.first_error,
        feedback=_feedback(critique, wording),
        score=_score(critique, score),
        rewards=rewards,
        error="" if known else critique.error or critique.outcome,
        failed=critique.failed,
        usage=critique.usage,
        critique=critique,
    )


def _score(critique: Critique, score: Score) -> float | None:
    if critique.first_error is None:
        return None
    return progress(critique) if score == "progress" else over_steps([step.reward for step in critique.steps], score)


def progress(critique: Critique) -> float:
    """How far a solution is right, in [0, 1]: see :data:`~genprm.refining.Score`. 0 without a verdict."""
    at = critique.first_error
    if at is None or at == NO_ERROR:
        return 0.0 if at is None else 1.0
    reward = next((step.reward for step in critique.steps if step.step == at), None)
    return (at + (reward or 0.0)) / len(critique.solution.steps)


def _feedback(critique: Critique, wording: Wording) -> str:
    at = critique.first_error
    if at is None or at == NO_ERROR:
        return ""
    return feedback(at, critique.solution.steps[at], _spokesman(critique, at), wording)


def _spokesman(critique: Critique, at: int) -> Rationale:
    """The rationale that is surest that step ``at`` is wrong; where none is, an empty one."""
    step: StepCritique | None = next((step for step in critique.steps if step.step == at), None)
    said = [*(step.rationales if step else ()), *(r for r in critique.judgements if r.first_error == at)]
    against = [r for r in said if r.verdict is False or r.first_error == at]
    return min(against, key=lambda r: 0.0 if r.p_yes is None else r.p_yes, default=Rationale(0, "no_verdict"))


class SelfReviewer:
    """The policy itself, asked in plain words about its own solution: no critic, no code, no scores (self-refine)."""

    def __init__(self, policy: Policy) -> None:
        self.name = "self"
        self._policy = policy

    async def review(self, solution: Solution, turn: int) -> Review:
        try:
            said = await self._policy.review(solution, str(turn))
        except EngineLost:
            raise
        except EngineError as error:
            return Review(None, error=str(error), failed=True, usage=Usage(calls=1))
        usage = replace(said.usage, engine_s=said.seconds)
        first = read_review(said.text, len(solution.steps))
        text = "" if first == NO_ERROR else said.text.strip()
        # What names no step is feedback all the same: the policy may know what it means.
        return Review(None if first is None else first == NO_ERROR, first, text, usage=usage)
