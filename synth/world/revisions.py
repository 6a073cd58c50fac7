"""The world as training data for a policy that heeds its critics, itself among them.

What a policy gets back is its own work, so the solutions here are of its kind: several mistakes in one, quantities that
nobody needs, revisions that are still wrong. The critic may be any of those that it will meet: with checks that ran,
without, or its own review in plain words. All are right; the truth of every step is known.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from genprm.protocols.policy import ACCEPTED, feedback, review, revise
from genprm.synth.world import solutions
from genprm.synth.world.examples import Split, example
from genprm.synth.world.faults import FIRST_KINDS
from genprm.synth.world.problems import WorldProblem
from genprm.synth.world.rows import joined, true_critique
from genprm.synth.world.solutions import shown
from genprm.synth.world.teacher import analyse, answered, known_after
from genprm.synth.world.truth import Step, first_error, names_of
from genprm.types import NO_ERROR, Message

_SHARES = (0.2, 0.35, 0.6)
"""Of the steps of an attempt that are wrong, one of these."""
_HARD_SHARE = 0.4
"""Of the rows, beside those that are hard by chance: long problems are where a revision goes wrong."""
_HARD = (4, 5)
_KINDS = (*FIRST_KINDS, "quantity", "operation", "dropped", "dropped", "reference")
"""Those that policies fall into, and heed a critique of the least, stand twice."""
_SINGLE_SHARE = 0.4
"""Of the attempts have one mistake, of any kind: some kinds, such as a left-out step, hardly come about by chance."""
_WAYS = ("checked", "checked", "checked", "analysis", "words")
"""How the critique of a revision is given: with its check, without, or in the policy's own words."""


def revise_rows(split: Split, n: int, start: int = 0) -> Iterator[dict[str, Any]]:
    """Revisions of an attempt with one or several mistakes, after a true critique of the first."""
    for index in range(start, start + n):
        rng = random.Random(f"revise row {split} {index}")
        problem = _problem(rng, split, index)
        steps = _wrong_attempt(rng, problem)
        yield revised(rng, f"revise-{split}-{index}", problem, steps, joined(steps))


def review_rows(split: Split, n: int, start: int = 0) -> Iterator[dict[str, Any]]:
    """Reviews in plain words: of right attempts and, every other one, of wrong ones."""
    for index in range(start, start + n):
        rng = random.Random(f"review row {split} {index}")
        problem = _problem(rng, split, index)
        steps = _wrong_attempt(rng, problem) if index % 2 else solutions.revise(rng, problem, (), 0)
        yield reviewed(f"review-{split}-{index}", problem, steps, joined(steps))


def revised(rng: random.Random, name: str, problem: WorldProblem, steps: Sequence[Step], text: str) -> dict[str, Any]:
    """The row of a revision of ``text``; its ``steps``, as far as its first error at least, have one."""
    first = first_error(steps)
    asked = revise(problem.text, text, _criticised(rng.choice(_WAYS), problem, steps, first))
    return _row(name, "revise", problem, steps, asked, joined(solutions.revise(rng, problem, steps, first)))


def reviewed(name: str, problem: WorldProblem, steps: Sequence[Step], text: str) -> dict[str, Any]:
    """The row of a review of ``text``; of its ``steps`` those behind its first error may be left out."""
    first = first_error(steps)
    said = ACCEPTED if first == NO_ERROR else in_words(problem, steps, first)
    return _row(name, "review", problem, steps, review(problem.text, text), said)


def in_words(problem: WorldProblem, steps: Sequence[Step], at: int) -> str:
    """A true review that has no code and runs none: which paragraph is wrong, what it is about, what it should be."""
    about = analyse(problem, steps[at], known_after(problem, steps[:at])).split("\n")[:-1]
    quantity = problem.quantities[steps[at].place]
    computation = shown(quantity.relation.form, names_of(problem, {}, steps[at].place))
    return "\n".join([f"Paragraph {at + 1} is wrong.", *about, f"It should be {computation} = {quantity.value}."])


def _problem(rng: random.Random, split: Split, index: int) -> WorldProblem:
    difficulty = rng.choice(_HARD) if rng.random() < _HARD_SHARE else None
    return example(split, index, difficulty, kind="").problem


def _wrong_attempt(rng: random.Random, problem: WorldProblem) -> list[Step]:
    """With a mistake for sure, and one that is not mere bad luck."""
    while True:
        single = rng.random() < _SINGLE_SHARE and solutions.write_solution(rng, problem, rng.choice(_KINDS))
        steps = single or solutions.write_sloppily(rng, problem, _KINDS, rng.choice(_SHARES))
        first = first_error(steps)
        if first != NO_ERROR and steps[first].truth.kind != "carried":
            return steps


def _criticised(way: str, problem: WorldProblem, steps: Sequence[Step], at: int) -> str:
    if way == "words":
        return in_words(problem, steps, at)
    rationale = true_critique(problem, steps, at)
    return feedback(at, steps[at].text, rationale if way == "checked" else replace(rationale, checks=()))


def _row(
    name: str, mode: str, problem: WorldProblem, steps: Sequence[Step], asked: Sequence[Message], answer: str
) -> dict[str, Any]:
    first = first_error(steps)
    return {
        "id": name,
        "difficulty": problem.difficulty,
        "kind": "" if first == NO_ERROR else steps[first].truth.kind,
        "mode": mode,
        "messages": answered(asked, answer),
    }
