"""Rationales for the world's steps, as the verifier is to write them: from the truth, in the genprm protocol's form.

A rationale quotes the sentences of the problem that the step rests on before it says a word about the step. Its check
works the quantity out anew, from variables that the checks of earlier steps have left, and compares. Where a variable
was taken for known that no check has made, the check fails, and the rationale mends itself: it follows that variable
back as well, and checks once more.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass

from genprm.protocols.genprm import ABLATIONS, ANALYZE, JUDGE, VERIFY, Ablation, GenPRMProtocol, format_output
from genprm.sandbox.result import Result
from genprm.synth.world.problems import WorldProblem
from genprm.synth.world.truth import Step, holds, in_python
from genprm.types import Message, Problem, Solution

Mode = Ablation
"""What a rationale consists of; ``full`` but for the ablations of ``genprm eval world``."""
MODES = {mode: GenPRMProtocol(**switches) for mode, switches in ABLATIONS.items()}


@dataclass(frozen=True, slots=True)
class Check:
    """What a rationale's check computes."""

    code: str
    output: str
    right: int
    """The value that the step should have found."""
    value: bool
    """Whether the step's value is right."""
    computation: bool | None
    """Whether the step's own computation gives its value; None where it has none."""

    @property
    def correct(self) -> bool:
        """Whether the step is."""
        return self.value and self.computation is not False


def conversation(
    problem: WorldProblem,
    steps: Sequence[Step],
    mode: Mode = "full",
    overlook: Callable[[Sequence[int]], int | None] | None = None,
) -> list[dict[str, str]]:
    """The messages of one chain of rationales through these steps, ready for ``genprm train critic``.

    ``overlook``: of the places that have to be worked out before a step's own, the one that its rationale first takes
    for known, if any.
    """
    known: set[int] = set()
    written = []
    for number, step in enumerate(steps):
        needed = needed_for(problem, step.place, known)
        overlooked = overlook(needed[:-1]) if overlook and mode == "full" and len(needed) > 1 else None
        written.append(rationale(problem, step, number, known, mode, overlooked))
        known.update(needed)
    solution = Solution(Problem(problem.text), tuple(step.text for step in steps))
    messages = MODES[mode].messages(solution, len(steps) - 1, written[:-1])
    return answered(messages, written[-1])


def answered(asked: Sequence[Message], answer: str) -> list[dict[str, str]]:
    """The messages of a conversation that ends with that answer, as a row has them."""
    return [asdict(message) for message in (*asked, Message("assistant", answer))]


def rationale(
    problem: WorldProblem,
    step: Step,
    number: int,
    known: Collection[int],
    mode: Mode = "full",
    overlooked: int | None = None,
) -> str:
    """The rationale of step ``number`` (from 0); ``known`` are the places that earlier checks have worked out.

    ``overlooked`` is none of those, and is taken for one until the check has failed for it.
    """
    parts, protocol = [], MODES[mode]
    believed = known if overlooked is None else {*known, overlooked}
    if protocol.analyze:
        parts.append(f"{ANALYZE.format(t=number + 1)}{analyse(problem, step, believed)}\n</analyze>\n")
    if protocol.verify:
        check = make_check(problem, step, believed)
        parts.append(f"{VERIFY}{check.code}\n```\n")
        if overlooked is not None:
            traced = {*believed, *needed_for(problem, step.place, believed)} - {overlooked}
            parts += [_output(_failed(problem, overlooked)), *_mended(problem, overlooked, traced)]
            check = make_check(problem, step, known)
            parts.append(f"```python\n{check.code}\n```\n")
        if protocol.execute:
            parts.append(f"{_output(check.output)}{conclusion(check)}\n")
        parts.append("</verify>\n")
    word = "Yes" if step.truth.correct else "No"
    return "".join([*parts, f"{JUDGE}{{{word}}}$\n</output>\n"])


def _output(text: str) -> str:
    return f"[Code Output]\n\n```\n{text}\n```\n"


def _failed(problem: WorldProblem, place: int) -> str:
    """What the model is shown of a check that uses a variable which no check has made."""
    name = problem.quantities[place].variable
    return format_output(Result("error", error=f"NameError: name '{name}' is not defined"))


def _mended(problem: WorldProblem, place: int, known: set[int]) -> list[str]:
    return [f"We need {problem.quantities[place].called}.\n", *(f"{line}\n" for line in _traced(problem, place, known))]


def needed_for(problem: WorldProblem, place: int, known: Collection[int]) -> list[int]:
    """What has to be worked out for ``place``, itself at the end, that is not known yet; each after its parents."""
    needed: list[int] = []
    if place not in known:
        for parent in problem.quantities[place].parents:
            needed += needed_for(problem, parent, {*known, *needed})
        needed.append(place)
    return needed


def known_after(problem: WorldProblem, steps: Sequence[Step]) -> set[int]:
    """The places that checks of all these steps have worked out."""
    known: set[int] = set()
    for step in steps:
        known.update(needed_for(problem, step.place, known))
    return known


def analyse(problem: WorldProblem, step: Step, known: Collection[int]) -> str:
    """Quotes first, from the step's quantity back to what is known; then what the step says."""
    quantity = problem.quantities[step.place]
    about = [f"It is about {quantity.called}.", *_traced(problem, step.place, set(known))]
    equation = f"{step.computation} = {step.claimed}" if step.computation else str(step.claimed)
    return "\n".join([*about, f"The paragraph says {equation}."])


def _traced(problem: WorldProblem, place: int, known: set[int]) -> list[str]:
    """A quantity back to what is known. Of all that it follows from it is said whether it is known, for a model that
    goes on without having asked itself uses variables that no check has made."""
    quantity = problem.quantities[place]
    if place in known:
        return [f"{quantity.variable} is known."]
    known.add(place)
    lines = [f"> {quantity.told}", assignment(problem, place)]
    for parent in quantity.parents:
        if parent not in known:
            lines.append(f"We need {problem.quantities[parent].called}.")
        lines += _traced(problem, parent, known)
    return lines


def assignment(problem: WorldProblem, place: int, form: str | None = None) -> str:
    """A quantity in Python, by the names of what it follows from; ``form``: worked out in another way than its own."""
    quantity = problem.quantities[place]
    names = {letter: problem.quantities[at].variable for letter, at in zip("ab", quantity.parents, strict=False)}
    names |= {name: str(value) for name, value in quantity.numbers.items()}
    filled = re.sub(r"\b[a-z]\b", lambda found: names[found[0]], form or quantity.relation.form)
    return f"{quantity.variable} = {filled}"


def make_check(problem: WorldProblem, step: Step, known: Collection[int]) -> Check:
    """The check of a step, and what it prints."""
    quantity = problem.quantities[step.place]
    lines = [assignment(problem, at) for at in needed_for(problem, step.place, known)]
    written = in_python(step.computation)
    value = quantity.value == step.claimed
    computation = holds(step.computation, step.claimed) if written else None
    compared = [f"{quantity.variable} == {step.claimed}"]
    printed: list[object] = [value]
    if computation is not None:
        compared.append(f"{written} == {step.claimed}")
        printed.append(computation)
    compared.append(quantity.variable)
    printed.append(quantity.value)
    lines.append(f"print({', '.join(compared)})")
    return Check(importing("\n".join(lines)), " ".join(map(str, printed)), quantity.value, value, computation)


def importing(code: str) -> str:
    """The code with the functions that it calls."""
    imported = [name for name in ("gcd", "lcm") if f"{name}(" in code]
    return f"from math import {', '.join(imported)}\n{code}" if imported else code


def conclusion(check: Check) -> str:
    """What the output says of the step."""
    if check.correct:
        return "The paragraph is right."
    if check.value:
        return f"The value is {check.right}, but the computation in the paragraph does not give it."
    if check.computation is None:
        return f"The value in the paragraph is not right. It is {check.right}."
    if check.computation:
        return f"The computation in the paragraph is not the one that the problem asks for. It is {check.right}."
    return f"The computation in the paragraph does not give its value. It is {check.right}."
