"""What went wrong in a solution, from its critique: for every faulty step how bad it is, of which kind, and what to do.

The kinds are decided by rules, in this order, for each rationale that calls the step wrong; most of them decide
(``docs/analysis.md``):

1. ``carried_forward``: the step has a number that an earlier faulty step claims, and computes rightly with it.
2. ``calculation``: a computation that the step writes does not give what it says.
3. ``logic_jump``: the step writes no computation, or its checks had to work out another quantity first that no earlier
   check knows.
4. ``first_step`` in step 1, ``setup`` in a later one: the computation holds, and is not the one that is asked for.
"""

import ast
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Literal

from genprm.types import Critique, Rationale, StepCritique

Kind = Literal["first_step", "setup", "calculation", "logic_jump", "carried_forward"]
LOW = 0.75
"""Confidence or agreement below it is worth a warning."""

_NUMBER = re.compile(r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?")
_SAID = re.compile(r"\s*(-?\s?)[$€£]?(\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)")
_WRITTEN = re.compile(r"=|\\(?:d?frac|times|cdot|div|sqrt)\b|\d\s*[-+*/×·÷^]\s*\d")
_CURRENCY = re.compile(r"\\?[$€£](?=\d)")
_ANSWER = re.compile(r"\banswer\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fault:
    """A step that the critique calls wrong."""

    step: int
    kind: Kind
    severity: float
    """In [0, 1]: (1 - reward) (1 + s) / 2, where s is the share of the solution from this step on; half of it for what
    is carried forward, since it goes away with its cause."""
    confidence: float
    """Of the critique in its verdict, in [0.5, 1]."""
    agreement: float
    """Share of the rationales for the verdict that stand for this kind."""
    claimed: str | None = None
    """The value that the step comes to, where it can be read."""
    found: str | None = None
    """The value that most of the checks found."""
    cause: int | None = None
    """For what is carried forward: the step that it comes from."""
    suggestion: str = ""
    warning: str = ""
    """Why not to rely on this; empty where nothing speaks against it."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """Of one critique."""

    id: str
    first_error: int | None
    """As the critique has it: None where it is not known."""
    faults: tuple[Fault, ...]
    unknown: tuple[int, ...] = ()
    """Steps without a verdict."""


def analyse(critique: Critique) -> Analysis:
    """Kinds, severity and repair of all faulty steps. Critiques without verdicts on steps (``judge``) have none."""
    faults: list[Fault] = []
    for step in critique.steps:
        if step.correct is False and step.reward is not None:
            faults.append(_fault(critique, step, step.reward, faults))
    unknown = tuple(step.step for step in critique.steps if step.correct is None)
    return Analysis(critique.solution.id, critique.first_error, tuple(faults), unknown)


def told(analysis: Analysis) -> list[str]:
    """The analysis for people, a line each; steps count from 1."""
    lines = []
    for fault in analysis.faults:
        lines.append(
            f"Step {fault.step + 1}: {fault.kind.replace('_', ' ')}, severity {fault.severity:.2f}, "
            f"confidence {fault.confidence:.2f}. {fault.suggestion}"
        )
        if fault.warning:
            lines.append(f"  Warning: {fault.warning}")
    if analysis.unknown:
        lines.append(f"No verdict on step {', '.join(str(step + 1) for step in analysis.unknown)}.")
    return lines or ["No faulty step."]


# --- one step ------------------------------------------------------------------------------------------------------


def _fault(critique: Critique, step: StepCritique, reward: float, earlier: Sequence[Fault]) -> Fault:
    steps = critique.solution.steps
    text = steps[step.step]
    against = [rationale for rationale in step.rationales if rationale.verdict is False]
    cause = _cause(text, earlier)
    holds = _computations(text)
    kinds = Counter(_kind(critique, step.step, holds, cause, r) for r in against or [Rationale(0, "ok")])
    kind, times = kinds.most_common(1)[0]
    found = _most(_found(rationale) for rationale in against)
    claimed = _claimed(text)
    rest = (len(steps) - step.step) / len(steps)
    confidence, agreement = max(reward, 1 - reward), times / kinds.total()
    return Fault(
        step.step,
        kind,
        (1 - reward) * (1 + rest) / 2 * (0.5 if kind == "carried_forward" else 1),
        confidence,
        agreement,
        claimed,
        found,
        cause if kind == "carried_forward" else None,
        _suggestion(kind, claimed, found, cause),
        _warning(step, confidence, agreement),
    )


def _kind(critique: Critique, at: int, holds: Sequence[bool], cause: int | None, rationale: Rationale) -> Kind:
    text = critique.solution.steps[at]
    if cause is not None and False not in holds:
        return "carried_forward"
    if False in holds:
        return "calculation"
    if not _WRITTEN.search(text) or _left_out(rationale, _known(critique, at, rationale.sample)):
        return "logic_jump"
    return "setup" if at else "first_step"


def _cause(text: str, earlier: Sequence[Fault]) -> int | None:
    """The last faulty step before whose value stands in this one, followed back to where it comes from."""
    numbers = {_plain(number) for number in _NUMBER.findall(text)}
    for fault in reversed(earlier):
        if fault.claimed is not None and fault.claimed != fault.found and fault.claimed.lstrip("-") in numbers:
            return fault.step if fault.cause is None else fault.cause
    return None


def _computations(text: str) -> list[bool]:
    """For each computation of numbers in the text, whether it gives what stands behind its equals sign.

    A value that was cut off or rounded at its last place is given.
    """
    from genprm.calculator import value_of  # reads mathematics, which takes long to import

    found = []
    text = _CURRENCY.sub("", text)
    for sign in re.finditer("=", text):
        value, said = value_of(text[: sign.end()]), _SAID.match(text, sign.end())
        if value is not None and said:
            claimed = said[2].replace(",", "")
            unit = Fraction(1, 10 ** len(claimed.partition(".")[2]))
            written = -Fraction(claimed) if said[1].strip() else Fraction(claimed)
            found.append(abs(Fraction(value.strip()) - written) < unit)
    return found


def _claimed(text: str) -> str | None:
    """What stands behind the last equals sign, else the last number; before the sentence that names the answer."""
    named = _ANSWER.search(text)
    body = text[: max(text.rfind(".", 0, named.start()), text.rfind("\n", 0, named.start())) + 1] if named else text
    behind = [match for sign in re.finditer("=", body) if (match := _SAID.match(body, sign.end()))]
    if behind:
        return ("-" if behind[-1][1].strip() else "") + _plain(behind[-1][2])
    numbers = _NUMBER.findall(body) or _NUMBER.findall(text)
    return _plain(numbers[-1]) if numbers else None


def _found(rationale: Rationale) -> str | None:
    """The last number that its last check printed."""
    outputs = [check.result.stdout for check in rationale.checks if check.result.status == "ok"]
    said = outputs[-1].strip().split()[-1:] if outputs else []
    match = re.fullmatch(r"(-?)(\d+(?:\.\d+)?)", said[0]) if said else None
    return match[1] + _plain(match[2]) if match else None


def _most(found: Iterator[str | None]) -> str | None:
    """The most frequent value; None where there is none."""
    counts = Counter(value for value in found if value is not None)
    return counts.most_common(1)[0][0] if counts else None


def _plain(number: str) -> str:
    whole, point, places = number.replace(",", "").partition(".")
    return f"{whole}{point}{places}".rstrip("0").rstrip(".") if point else whole


# --- what checks know ----------------------------------------------------------------------------------------------


def _known(critique: Critique, at: int, sample: int) -> set[str]:
    """Names that the checks of this sample gave a value in earlier steps."""
    rationales = (r for step in critique.steps if step.step < at for r in step.rationales if r.sample == sample)
    return {name for rationale in rationales for name in _assigned(rationale)}


def _left_out(rationale: Rationale, known: Collection[str]) -> bool:
    """Whether its checks derive two quantities or more that no earlier one knows: the step's own, and another first."""
    return sum(derived and name not in known for name, derived in _assigned(rationale).items()) > 1


def _assigned(rationale: Rationale) -> dict[str, bool]:
    """Names that its code assigns, and whether from other names: ``x = 3`` reads the problem, ``y = x + 1`` derives."""
    found: dict[str, bool] = {}
    for check in rationale.checks:
        found |= _assigned_in(check.code)
    return found


@lru_cache(maxsize=1024)
def _assigned_in(code: str) -> dict[str, bool]:
    """Of one check, which every later step of its rationale's chain asks about."""
    found: dict[str, bool] = {}
    for node in ast.walk(_parsed(code)):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = any(isinstance(part, ast.Name) for part in ast.walk(node.value))
    return found


def _parsed(code: str) -> ast.AST:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # untrusted text: read, never run
        return ast.Module([], [])


# --- words ---------------------------------------------------------------------------------------------------------

_REPAIR: dict[Kind, str] = {
    "first_step": "Read the problem again: the computation is not the one that it asks for",
    "setup": "Set the step up anew: its computation is not the one that the problem asks for",
    "calculation": "Compute again what the step writes",
    "logic_jump": "Work the value out: a computation is missing on the way to it",
    "carried_forward": "Mend step {cause} first, then compute this one again",
}


def _suggestion(kind: Kind, claimed: str | None, found: str | None, cause: int | None) -> str:
    said = _REPAIR[kind].format(cause=None if cause is None else cause + 1)
    if found is None:
        return f"{said}."
    if found == claimed:
        return f"{said}; its value is right, the check finds {found} too."
    return f"{said}; the check finds {found}{f' in place of {claimed}' if claimed else ''}."


def _warning(step: StepCritique, confidence: float, agreement: float) -> str:
    reasons = []
    if confidence < LOW:
        reasons.append(f"the votes are divided (reward {step.reward:.2f})")
    if agreement < LOW:
        reasons.append("the rationales differ in what is wrong")
    if step.votes.missing:
        reasons.append(f"{step.votes.missing} rationales gave no verdict")
    return "; ".join(reasons)
