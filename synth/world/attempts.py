"""Rows for a policy that heeds its critics, from what it wrote itself.

A policy is surest of its own mistakes, so it is they that it has to learn to give up: revisions of invented mistakes
teach it little about them. What it samples on problems for training (``genprm synth solutions``) is read with its
truth, criticised and mended as :mod:`~genprm.synth.world.revisions` does it with invented attempts.
"""

import random
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
from genprm.synth.world.truth import Step
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
    wrong: bool


def read_attempts(attempts: Iterable[Attempt], split: Split) -> Iterator[Read]:
    """Those in the world's language; not those that end wrongly without a wrong step, nor those that are right by luck.

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
    if first is None or (first == NO_ERROR) != attempt.right:
        return None
    told = [step for step in steps[: None if first == NO_ERROR else first + 1] if step is not None]
    if first != NO_ERROR and problem.asked in {step.place for step in told[:-1]}:
        return None  # it had its answer, and went on
    return Read(attempt.solution.id, problem, JOINT.join(texts), told, first != NO_ERROR)
