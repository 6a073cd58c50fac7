"""Rows for a policy that heeds its critics, from what it wrote itself.

A policy is surest of its own mistakes, so it is they that it has to learn to give up: revisions of invented mistakes
teach it little about them. What it samples on problems for training (``genprm synth solutions``) is read with its
truth, criticised and mended as :mod:`~genprm.synth.world.revisions` does it with invented attempts.
"""

import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from genprm.errors import InputError
from genprm.protocols.policy import JOINT
from genprm.synth.types import Attempt
from genprm.synth.world.examples import Split, split_of
from genprm.synth.world.problems import WorldProblem
from genprm.synth.world.reading import first_error, read_problem, read_solution
from genprm.synth.world.revisions import reviewed, revised
from genprm.synth.world.solutions import order_of
from genprm.synth.world.truth import Step, StepTruth
from genprm.types import NO_ERROR

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Read:
    """An attempt of which it is known whether and where it goes wrong."""

    id: str
    problem: WorldProblem
    text: str
    steps: Sequence[Step]
    """Up to its first error, or all of them."""

    @property
    def wrong(self) -> bool:
        return not self.steps[-1].truth.correct


def read_attempts(attempts: Iterable[Attempt], split: Split) -> Iterator[Read]:
    """Those whose first error is known; not those that are right by luck, nor those that end wrongly without an error.

    Raises:
        InputError: a problem of another split: its rows would teach what is to be measured.
    """
    for attempt in attempts:
        text = attempt.solution.problem.text
        if split_of(text) != split:
            raise InputError(f"{attempt.solution.id} is an attempt at a problem of the split {split_of(text)}")
        problem = read_problem(text)
        found = _read(attempt, problem) if problem else None
        if found is not None:
            yield found


def revisions(attempts: Iterable[Read]) -> Iterator[Row]:
    """Of the wrong ones, after a true critique of the first error."""
    for one in attempts:
        if one.wrong:
            yield revised(random.Random(f"revise {one.id}"), f"revise-{one.id}", one.problem, one.steps, one.text)


def reviews(attempts: Iterable[Read]) -> Iterator[Row]:
    """Of right and wrong ones in turn, for as long as there are both."""
    right: list[Read] = []
    wrong: list[Read] = []
    for one in attempts:
        (wrong if one.wrong else right).append(one)
        if right and wrong:
            for each in (right.pop(), wrong.pop()):
                yield reviewed(f"review-{each.id}", each.problem, each.steps, each.text)


ROWS: Mapping[str, Callable[[Iterable[Read]], Iterator[Row]]] = {"revise": revisions, "review": reviews}


def attempt_rows(kind: str, attempts: Iterable[Attempt], split: Split, n: int, start: int = 0) -> Iterator[Row]:
    """Rows ``start`` to ``start + n`` of that kind, or as many as the attempts give."""
    return islice(ROWS[kind](read_attempts(attempts, split)), start, start + n)


def _read(attempt: Attempt, problem: WorldProblem) -> Read | None:
    texts = attempt.solution.steps
    steps = read_solution(problem, texts)
    first = first_error(steps)
    if first == NO_ERROR:
        told = [step for step in steps if step is not None]
        return Read(attempt.solution.id, problem, JOINT.join(texts), told) if attempt.right else None
    at = steps.index(None) if first is None else first
    right = [step for step in steps[:at] if step is not None]
    wrong = steps[at] or _supposed(problem, right, texts[at])
    if attempt.right or wrong is None or problem.asked in {step.place for step in right}:
        return None  # right by luck, not to be read, or it had its answer and went on
    return Read(attempt.solution.id, problem, JOINT.join(texts), [*right, wrong])


def _supposed(problem: WorldProblem, before: Sequence[Step], text: str) -> Step | None:
    """A step in no words of the world, in a solution that ends wrongly: taken, as a critic would, to be about what
    should come next; None where it has no calculation."""
    found = _CALCULATION.search(text)
    waiting = order_of(random.Random(text), problem, {step.place for step in before})
    if found is None or not waiting:
        return None
    return Step(text, waiting[0], int(found[2]), found[1], StepTruth(False))


_NUMBER = "(?:0|[1-9][0-9]{0,8})"
_CALCULATION = re.compile(rf"\b({_NUMBER}(?: (?:[-+*/×]|mod) {_NUMBER}){{1,4}}) = (-?[0-9]{{1,12}})")
