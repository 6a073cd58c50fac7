"""How well scorers tell the right step from the wrong one, where the truth can be read from the text of a solution.

Judged are the steps up to the first wrong one, that included. A search needs more than a ranking of solutions: it
chooses among steps that go on from the very same steps, of which the solution has not shown yet what they come to.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from genprm.eval.calibration import Scored, calibrate
from genprm.eval.metrics import interval
from genprm.eval.paired import Measure
from genprm.rank import Ranked
from genprm.resampling import times_drawn
from genprm.synth.world.reading import first_error, read_problem, read_solution
from genprm.types import NO_ERROR, Solution


@dataclass(frozen=True, slots=True)
class StepsToldApart:
    """Of one scorer. Intervals are over problems."""

    scorer: str
    right: int
    wrong: int
    """Steps that have a score: right ones, first wrong ones."""
    auroc: Measure
    """A right step has a higher score than a first wrong one, of any solutions."""
    siblings: Measure
    """The same of two steps behind the same steps; equal scores count half."""
    pairs: int
    """Of such steps."""


def told_apart(scored: Mapping[str, Sequence[Ranked]], resamples: int) -> Iterator[StepsToldApart]:
    """For each scorer that scores steps of solutions whose truth is known."""
    known: dict[tuple[str, ...], int | None] = {}

    def first(solution: Solution) -> int | None:
        name = (solution.problem.text, *solution.steps)
        if name not in known:
            known[name] = _first_error(solution)
        return known[name]

    for scorer, ranked in scored.items():
        judged = {one.group.id: [*_judged(one, [first(c.solution) for c in one.group.candidates])] for one in ranked}
        items = [Scored(score, grade, name) for name, own in judged.items() for _, score, grade in own]
        if len({item.grade for item in items}) < 2:
            continue
        measured = calibrate(scorer, items, resamples=resamples)
        hits = [_hits(own) for own in judged.values()]
        siblings = _share([sum(own) for own in hits], [len(own) for own in hits], resamples)
        right = sum(item.grade for item in items)
        yield StepsToldApart(scorer, right, len(items) - right, measured.auroc, siblings, sum(map(len, hits)))


Step = tuple[str, ...]
"""With those before it."""


def _first_error(solution: Solution) -> int | None:
    if solution.first_error is not None:
        return solution.first_error
    problem = read_problem(solution.problem.text)
    return None if problem is None else first_error(read_solution(problem, solution.steps))


def _judged(one: Ranked, firsts: Sequence[int | None]) -> Iterator[tuple[Step, float, int]]:
    """Steps with their scores and whether they are right."""
    for candidate, scores, first in zip(one.group.candidates, one.scores, firsts, strict=True):
        steps = candidate.solution.steps
        end = len(steps) if first in (None, NO_ERROR) else first + 1
        for at in range(end if first is not None else 0):
            if at < len(scores.steps) and (score := scores.steps[at]) is not None:
                yield steps[: at + 1], score, int(at != first)


def _hits(judged: Sequence[tuple[Step, float, int]]) -> list[float]:
    """Of each pair of a right and a wrong step behind the same steps."""
    behind: dict[Step, dict[Step, tuple[float, int]]] = {}
    for step, score, grade in judged:
        behind.setdefault(step[:-1], {})[step] = (score, grade)
    return [
        float(a > b) + 0.5 * (a == b)
        for own in behind.values()
        for (a, right), (b, other) in product(own.values(), own.values())
        if right and not other
    ]


def _share(hits: Sequence[float], pairs: Sequence[int], resamples: int) -> Measure:
    if not sum(pairs):
        return Measure(None, None)
    drawn = times_drawn(len(pairs), resamples, 0)
    n = drawn @ np.asarray(pairs)
    draws = np.divide(drawn @ np.asarray(hits), n, out=np.full(resamples, np.nan), where=n > 0)
    return Measure(sum(hits) / sum(pairs), interval(draws.tolist()))
