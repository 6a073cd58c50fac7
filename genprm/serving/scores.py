"""Step rewards to the reward of a solution, and solutions to an order."""

import math
from collections.abc import Sequence

from genprm.serving.bodies import By, Scored
from genprm.types import Critique


def scored(critique: Critique, by: By) -> Scored:
    """The scores of a critique, without its text."""
    given = {step.step: step.reward for step in critique.steps}
    rewards = [given.get(step) for step in range(len(critique.solution.steps))]
    judged = [step.reward for step in critique.steps]
    whole = None if critique.failed else reduced(judged, by)
    return Scored(critique.solution.id, critique.outcome, critique.first_error, whole, rewards, critique.error)


def reduced(rewards: Sequence[float | None], by: By) -> float | None:
    """The reward of a solution, in [0, 1]; None where a step of those that were judged has none."""
    known = [reward for reward in rewards if reward is not None]
    if not known or len(known) < len(rewards):
        return None
    match by:
        case "min":
            return min(known)
        case "mean":
            return sum(known) / len(known)
        case "last":
            return known[-1]
        case "product":
            return math.prod(known)


def ranked(scores: Sequence[Scored]) -> list[int]:
    """Indices from the best to the worst, ties as they came, those without a reward last."""
    return sorted(
        range(len(scores)),
        key=lambda i: -math.inf if scores[i].reward is None else scores[i].reward or 0.0,
        reverse=True,
    )
