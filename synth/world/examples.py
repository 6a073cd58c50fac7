"""Problems with solutions whose every step's truth is known, without end and without overlap between splits."""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from genprm.synth.world.faults import ASIDE, FIRST_KINDS
from genprm.synth.world.problems import DIFFICULTIES, WorldProblem, make_problem
from genprm.synth.world.solutions import Form, write_solution
from genprm.synth.world.truth import Step, StepTruth, first_error
from genprm.types import NO_ERROR, Problem, Solution

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
HELD_OUT = SPLITS[1:]
"""Splits that no model is trained on."""
_WITH_ASIDES = 3
"""Difficulties from here on have quantities that no step needs."""


@dataclass(frozen=True, slots=True)
class Example:
    """One solution of one problem, with its truth."""

    solution: Solution
    difficulty: int
    """1 to 5."""
    kind: str
    """Of the first error, one of :data:`~genprm.synth.world.KINDS`; empty for a right solution."""
    form: Form
    truths: tuple[StepTruth, ...]
    """One for each step."""
    problem: WorldProblem
    steps: tuple[Step, ...]


def examples(split: Split, n: int, start: int = 0, difficulty: int | None = None) -> Iterator[Example]:
    """``n`` examples, every other one right; the same index gives the same example, whatever is asked beside it."""
    for index in range(start, start + n):
        yield example(split, index, difficulty)


def example(split: Split, index: int, difficulty: int | None = None, kind: str | None = None) -> Example:
    """Example ``index`` of a split. A problem belongs to one split only: its digest says to which.

    ``kind``: of the first error, where it is not left to the index.
    """
    asked = [str(value) for value in (difficulty, kind) if value is not None]
    rng = random.Random(f"genprm world {split} {index} {' '.join(asked)}")
    level = difficulty or rng.choice(DIFFICULTIES)
    fault = ("" if index % 2 == 0 else FIRST_KINDS[index // 2 % len(FIRST_KINDS)]) if kind is None else kind
    form = _form(rng, fault, level)
    while True:
        problem = make_problem(rng, level)
        if split_of(problem.text) != split:
            continue
        steps = write_solution(rng, problem, fault, form)
        if steps is not None and _as_asked(problem, steps, fault, form):
            return _example("-".join(["world", split, *asked, str(index)]), problem, steps, form)


def split_of(text: str) -> Split:
    """The only split in which a problem may stand: half of all problems for training, a quarter for each other."""
    return _SPLIT_OF[hashlib.blake2b(text.encode(), digest_size=1).digest()[0] % 4]


_SPLIT_OF: tuple[Split, ...] = ("train", "train", "valid", "test")


def _form(rng: random.Random, fault: str, level: int) -> Form:
    if fault == "written" or (fault in ASIDE and level >= _WITH_ASIDES and rng.random() < 0.1):
        return "lucky"
    return "detour" if not fault and rng.random() < 0.2 else "plain"


def _as_asked(problem: WorldProblem, steps: list[Step], fault: str, form: Form) -> bool:
    """Whether the dice kept to what was asked for: a mistake may cancel out by chance."""
    wrong = [step.truth for step in steps if not step.truth.correct]
    if bool(wrong) != bool(fault) or (wrong and wrong[0].kind == "carried"):
        return False
    answered = steps[-1].claimed == problem.answer
    return answered if form == "lucky" or not fault else not answered


def _example(name: str, problem: WorldProblem, steps: list[Step], form: Form) -> Example:
    first = first_error(steps)
    solution = Solution(
        Problem(problem.text, str(problem.answer)), tuple(step.text for step in steps), name, first, "world", "world"
    )
    truths = tuple(step.truth for step in steps)
    kind = "" if first == NO_ERROR else truths[first].kind
    return Example(solution, problem.difficulty, kind, form, truths, problem, tuple(steps))
