"""Step rewards to the reward of a solution, and one of several solutions: with the rules of ``genprm.rank``."""

import math
from collections.abc import Sequence
from dataclasses import replace

from genprm.answers import final_answer
from genprm.candidates import Candidate, Group
from genprm.comparing import Comparer
from genprm.rank import Ranked, aggregate, choices, compared
from genprm.scorers.critic import to_scores
from genprm.serving.bodies import By, RankAnswer, Scored, Way
from genprm.types import Critique, Method, Solution, Usage


def scored(critique: Critique, by: By) -> Scored:
    """The scores of a critique, without its text."""
    scores = to_scores(critique)
    whole, rewards = aggregate(scores, by), list(scores.steps)
    return Scored(critique.solution.id, critique.outcome, critique.first_error, whole, rewards, critique.error)


async def grouped(solutions: Sequence[Solution], comparer: Comparer) -> Ranked:
    """Candidates for one problem, and which of their answers are the same. Nobody has scored them yet."""
    candidates = (Candidate(solution, final_answer("\n\n".join(solution.steps))) for solution in solutions)
    return await compared(Group("", solutions[0].problem, tuple(candidates)), comparer)


def ranked(candidates: Ranked, critiques: Sequence[Critique], by: By, way: Way, method: Method) -> RankAnswer:
    """Which is chosen. ``critiques``: of each candidate; empty for ``majority``."""
    scores = [scored(critique, by) for critique in critiques]
    rewards = [score.reward for score in scores] or [None] * len(candidates.answers)
    judged = replace(candidates, scores=tuple(map(to_scores, critiques)))
    choice = choices(judged, by)[way]
    order = sorted(range(len(rewards)), key=lambda i: (i != choice.index, -_or_least(rewards[i])))
    usage = sum((critique.usage for critique in critiques), Usage())
    return RankAnswer(choice.index, choice.tied, order, list(candidates.answers), scores, method, usage)


def _or_least(reward: float | None) -> float:
    return -math.inf if reward is None else reward
