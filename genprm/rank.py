"""Best of N: one of several solutions is chosen, by its scores, by the answers' votes, or by both.

A candidate's steps become one score: ``last``, ``mean``, ``min`` or ``product`` of those that have one; ``outcome`` is
the scorer's own for the whole; ``hybrid`` is 0.3 outcome + 0.7 mean. A candidate without a score, because it is empty
or the scorer failed on it, is never chosen by score; where no candidate has one, nothing is chosen.

**Ties.** Of candidates with equal scores the one whose answer more candidates share wins, then the first. Of answers
with equal votes the one with more members wins, then the one that came first.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from genprm.candidates import Group
from genprm.comparing import Comparer
from genprm.scorers.base import Scorer, Scores, over_steps

Rule = Literal["last", "mean", "min", "product", "outcome", "hybrid"]
RULES: tuple[Rule, ...] = get_args(Rule)
STEP_RULES: tuple[Rule, ...] = RULES[:4]
NO_ANSWER = -1
"""The group of those whose answer cannot be read."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which candidate is taken."""

    index: int | None
    """None where there is nothing to choose by."""
    tied: int = 1
    """Candidates, or answers, that were as good before the tie was broken."""


def aggregate(scores: Scores, rule: Rule) -> float | None:
    """One score for a solution; None where the scorer failed on it or gives none of that kind."""
    if scores.error:
        return None
    if rule == "outcome":
        return scores.outcome
    if rule != "hybrid":
        return over_steps(scores.steps, rule)
    mean = over_steps(scores.steps, "mean")
    return None if scores.outcome is None or mean is None else 0.3 * scores.outcome + 0.7 * mean


def best(scores: Sequence[float | None], groups: Sequence[int]) -> Choice:
    """The candidate with the highest score."""
    known = [score for score in scores if score is not None]
    if not known:
        return Choice(None, 0)
    top = max(known)
    tied = [n for n, score in enumerate(scores) if score == top]
    if len(tied) == 1:
        return Choice(tied[0])
    return Choice(min(tied, key=lambda n: (-_members(groups, groups[n]), n)), len(tied))


def majority(groups: Sequence[int]) -> Choice:
    """A candidate with the most frequent answer."""
    return weighted([1.0] * len(groups), groups)


def weighted(weights: Sequence[float | None], groups: Sequence[int]) -> Choice:
    """Of the answer whose candidates' weights add up to the most, the candidate with the highest one (arXiv
    2211.14275). Candidates without an answer, or without a weight, have no vote."""
    votes: dict[int, float] = {}
    for weight, group in zip(weights, groups, strict=True):
        if weight is not None and group != NO_ANSWER:
            votes[group] = votes.get(group, 0.0) + weight
    if not votes:
        return Choice(None, 0)
    top = max(votes.values())
    tied = [group for group, vote in votes.items() if math.isclose(vote, top, rel_tol=1e-9)]
    winner = tied[0]
    if len(tied) > 1:
        winner = min(tied, key=lambda group: (-_members(groups, group), groups.index(group)))
    own = [(-weight, n) for n, weight in enumerate(weights) if groups[n] == winner and weight is not None]
    return Choice(min(own)[1], len(tied))


def _members(groups: Sequence[int], group: int) -> int:
    return 0 if group == NO_ANSWER else groups.count(group)


@dataclass(frozen=True, slots=True)
class Ranked:
    """A problem whose candidates were scored."""

    group: Group
    answers: tuple[int, ...]
    """For each candidate the group of its answer."""
    right: tuple[bool | None, ...]
    """For each whether its answer is right; None where nobody can tell."""
    scores: tuple[Scores, ...] = ()
    """For each; empty where nobody scored."""


async def compared(group: Group, comparer: Comparer) -> Ranked:
    """Which answers are the same, and which are right: as the candidates say, else by the reference."""
    said = [candidate.answer or None for candidate in group.candidates]
    reference, *groups = await comparer.equivalent_groups([group.problem.answer, *said])
    unknown = group.problem.answer is None
    order = {number: n for n, number in enumerate(dict.fromkeys(n for n in groups if n != NO_ANSWER))}
    right = tuple(
        one.right if one.right is not None else None if unknown else number == reference
        for one, number in zip(group.candidates, groups, strict=True)
    )
    # Numbered as they come: ties go to the first, and the reference must not be it.
    return Ranked(group, tuple(order.get(number, NO_ANSWER) for number in groups), right)


async def score_groups(groups: Sequence[Group], scorer: Scorer) -> list[tuple[Scores, ...]]:
    """Of all candidates, in one call; those that cannot be scored have their own error."""
    scorable = [one.solution for group in groups for one in group.candidates if not one.error]
    found = iter(await scorer.score(scorable)) if scorable else iter(())
    return [
        tuple(
            Scores((None,) * len(one.solution.steps), error=one.error) if one.error else next(found)
            for one in group.candidates
        )
        for group in groups
    ]


def choices(ranked: Ranked, rule: Rule) -> dict[str, Choice]:
    """By each way of choosing: ``majority``, and where there are scores ``best`` and ``weighted``."""
    found = {"majority": majority(ranked.answers)}
    if ranked.scores or not ranked.group.candidates:
        scores = [aggregate(one, rule) for one in ranked.scores]
        found |= {"best": best(scores, ranked.answers), "weighted": weighted(scores, ranked.answers)}
    return found


def is_right(ranked: Ranked, choice: Choice) -> bool | None:
    """Whether the chosen candidate is; no choice is not."""
    return False if choice.index is None else ranked.right[choice.index]


def failures(ranked: Sequence[Ranked]) -> dict[str, int]:
    """What is missing, by name."""
    tests: Mapping[str, Callable[[Ranked], int]] = {
        "problem without candidates": lambda one: not one.group.candidates,
        "candidate empty": lambda one: sum(c.error == "empty" for c in one.group.candidates),
        "candidate failed": lambda one: sum(c.error not in ("", "empty") for c in one.group.candidates),
        "candidate without an answer": lambda one: sum(n == NO_ANSWER for n in one.answers),
        "candidate without a score": lambda one: sum(bool(s.error) for s in one.scores),
        "problem without a score": lambda one: bool(one.scores) and all(s.error for s in one.scores),
        "problem without an answer": lambda one: bool(one.answers) and set(one.answers) == {NO_ANSWER},
    }
    counts = {name: sum(int(test(one)) for one in ranked) for name, test in tests.items()}
    return {name: count for name, count in counts.items() if count}
