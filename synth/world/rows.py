"""The world as training data: conversations for ``genprm train critic`` and ``genprm train policy``."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from genprm.protocols.genprm import ABLATIONS
from genprm.protocols.policy import JOINT, feedback, revise, solve
from genprm.sandbox.result import Result
from genprm.synth.world import solutions
from genprm.synth.world.examples import HELD_OUT, Example, Split, example
from genprm.synth.world.problems import WorldProblem
from genprm.synth.world.teacher import Mode, analyse, answered, conversation, known_after, make_check
from genprm.synth.world.truth import Step
from genprm.types import NO_ERROR, Check, Message, Rationale

ABLATED: tuple[Mode, ...] = tuple(mode for mode in ABLATIONS if mode != "full")
_ABLATED_SHARE = 0.09
_HARD_SHARE = 0.35
"""Of the training rows, beside those that are hard by chance: long problems are where sentences are mixed up."""
_HARD = (4, 5)
_TERSE_SHARE = 0.3
"""Of the training rows: there half of the steps give their values alone. Where steps show numbers, a model learns to
take them from there, and not from the problem."""
_DROPPED_SHARE = 0.08
"""Of the training rows, beside those that leave a step out by turns: nowhere else has a rationale to work out what no
step has."""
_OVERLOOKED_SHARE = {False: 0.35, True: 0.1}
"""Of the training rationales that have to work out another quantity before the step's own (a given one: True): they
take it for known, fail, and mend it."""


def critic_rows(split: Split, n: int, start: int = 0) -> Iterator[dict[str, Any]]:
    """Chains of rationales. Most are full; the rest, in equal parts, leave out what the ablations leave out.

    Those for training are made harder than the examples of the split are.
    """
    for index in range(start, start + n):
        rng = random.Random(f"critic row {split} {index}")
        training = split not in HELD_OUT
        made = _harder(rng, split, index) if training else example(split, index)
        mode: Mode = rng.choice(ABLATED) if rng.random() < _ABLATED_SHARE else "full"
        steps = _judged(rng, made)
        if training and rng.random() < _TERSE_SHARE:
            steps = [_perhaps_terse(rng, made, step) for step in steps]
        overlook = partial(_overlooked, rng, made.problem) if training else None
        yield _row(made, mode, conversation(made.problem, steps, mode, overlook))


def _harder(rng: random.Random, split: Split, index: int) -> Example:
    difficulty = rng.choice(_HARD) if rng.random() < _HARD_SHARE else None
    return example(split, index, difficulty, "dropped" if rng.random() < _DROPPED_SHARE else None)


def _judged(rng: random.Random, made: Example) -> Sequence[Step]:
    """All steps, or those up to the first error: what comes after is judged too, but is soon learnt."""
    first = made.solution.first_error
    return made.steps if first in (None, NO_ERROR) or rng.random() < 0.5 else made.steps[: first + 1]


def _perhaps_terse(rng: random.Random, made: Example, step: Step) -> Step:
    return solutions.without_computation(rng, made.problem, step) if rng.random() < 0.5 else step


def _overlooked(rng: random.Random, problem: WorldProblem, needed: Sequence[int]) -> int | None:
    place = rng.choice(needed)
    return place if rng.random() < _OVERLOOKED_SHARE[problem.quantities[place].given] else None


def _row(made: Example, mode: str, messages: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "id": made.solution.id,
        "difficulty": made.difficulty,
        "kind": made.kind,
        "mode": mode,
        "messages": messages,
    }


def policy_rows(split: Split, n: int, start: int = 0) -> Iterator[dict[str, Any]]:
    """Solutions to right examples, and revisions of wrong ones after a critique, one after the other."""
    for index in range(start, start + n):
        made = example(split, index)
        rng = random.Random(f"policy row {made.solution.id}")
        asked = asked_to_revise(made) if made.kind else asked_to_solve(made)
        answer = _revised(rng, made) if made.kind else _solved(rng, made)
        yield _row(made, "revise" if made.kind else "solve", answered(asked, answer))


def solution_rows(split: Split, n: int, start: int = 0) -> Iterator[dict[str, Any]]:
    """Solutions with their truth, in the form of ProcessBench's rows."""
    for index in range(start, start + n):
        made = example(split, index)
        yield {
            "id": made.solution.id,
            "generator": "world",
            "problem": made.solution.problem.text,
            "steps": list(made.solution.steps),
            "final_answer_correct": made.steps[-1].claimed == made.problem.answer,
            "label": made.solution.first_error,
            "answer": made.solution.problem.answer,
            "difficulty": made.difficulty,
            "kind": made.kind,
            "form": made.form,
            "truths": [asdict(truth) for truth in made.truths],
        }


def asked_to_solve(made: Example) -> tuple[Message, ...]:
    """The conversation in which a policy solves the example's problem."""
    return solve(made.problem.text)


def asked_to_revise(made: Example) -> tuple[Message, ...]:
    """The conversation in which it mends the example's wrong solution, after a true critique of its first error."""
    first = made.solution.first_error or 0
    said = feedback(first, made.steps[first].text, true_critique(made.problem, made.steps, first))
    return revise(made.problem.text, joined(made.steps), said)


def _solved(rng: random.Random, made: Example) -> str:
    return joined(solutions.revise(rng, made.problem, made.steps, 0))


def _revised(rng: random.Random, made: Example) -> str:
    return joined(solutions.revise(rng, made.problem, made.steps, made.solution.first_error or 0))


def true_critique(problem: WorldProblem, steps: Sequence[Step], at: int) -> Rationale:
    """What a critic who is right says of a step."""
    known = known_after(problem, steps[:at])
    check = make_check(problem, steps[at], known)
    said = analyse(problem, steps[at], known)
    return Rationale(0, "ok", analysis=said, checks=(Check(check.code, Result("ok", stdout=check.output)),))


def joined(steps: Sequence[Step]) -> str:
    """The text of a solution."""
    return JOINT.join(step.text for step in steps)
