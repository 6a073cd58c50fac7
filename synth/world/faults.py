"""The kinds of mistakes, where each can be made, and how."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from genprm.synth.world.problems import WorldProblem, evaluate
from genprm.synth.world.relations import Relation
from genprm.synth.world.truth import believed, names_of

Fault = Literal[
    "slip", "operation", "quantity", "reference", "misread", "dropped", "doubled", "sign", "unit", "jump", "written",
    "carried",
]  # fmt: skip
"""What is wrong with a step.

- ``slip``: the right computation, with a wrong result.
- ``operation``: another operation than the problem says.
- ``quantity``: the right operation, on another quantity's value.
- ``reference``: the same, and the step says so: it refers to the wrong one.
- ``misread``: a number of the problem, read wrongly.
- ``dropped``: a step is left out, and its result taken to be what it follows from.
- ``doubled``: something is done twice.
- ``sign``: a difference taken the wrong way round.
- ``unit``: a change of units is forgotten, or made with a wrong factor.
- ``jump``: a wrong value without any computation.
- ``written``: the value is right, but the computation that is written down does not give it.
- ``carried``: nothing new; the step goes on from an earlier mistake.
"""
KINDS: tuple[Fault, ...] = get_args(Fault)
FIRST_KINDS = KINDS[:-1]
"""Kinds that a first error can have."""
ASIDE: tuple[Fault, ...] = ("slip", "operation", "quantity", "misread", "jump")
"""Kinds that a ``lucky`` solution may have where the answer does not need it."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A computation that is wrong in one way."""

    form: str
    """Empty where none is written."""
    names: Mapping[str, int]
    """The numbers of the form, by its letters."""
    claimed: int
    because: str = ""
    """The reason that is given for it; empty for the quantity's own."""


def forms_of(relation: Relation, fault: str) -> tuple[str, ...]:
    """The forms that somebody uses who makes such a mistake; empty where this relation knows none."""
    match fault:
        case "operation":
            return relation.wrong
        case "unit":
            return relation.without_unit
        case "doubled":
            return _DOUBLED.get(relation.form, ())
        case "sign":
            return _TURNED.get(relation.form, ())
        case "written":
            return (*relation.wrong, *relation.without_unit)
    return ()


def place_of_fault(rng: random.Random, problem: WorldProblem, order: Sequence[int], fault: str) -> int | None:
    """One of the quantities in ``order`` whose step may have that fault; None where there is none."""
    places = [place for place in order if _possible(problem, order, place, fault)]
    return rng.choice(places) if places else None


def make_fault(
    rng: random.Random, problem: WorldProblem, beliefs: Mapping[int, int], place: int, fault: str
) -> Mistake | None:
    """How somebody with these beliefs gets a quantity wrong in that way; None where the dice find no such way."""
    quantity = problem.quantities[place]
    form, names = quantity.relation.form, names_of(problem, beliefs, place)
    right = evaluate(form, names)
    if right is None:
        return None
    match fault:
        case "slip":
            return Mistake(form, names, slipped(rng, right))
        case "jump":
            return Mistake("", names, slipped(rng, right))
        case "operation" | "unit" | "doubled":
            return other_form(rng, forms_of(quantity.relation, fault), names, right)
        case "sign":
            return other_form(rng, forms_of(quantity.relation, fault), names, right, negative=True)
        case "written":
            other = other_form(rng, forms_of(quantity.relation, fault), names, right)
            return other and Mistake(other.form, names, right)
        case "misread":
            return _misread(rng, problem, place, names, right)
        case "quantity" | "reference":
            return _other_parent(rng, problem, beliefs, place, fault, names, right)
        case "dropped":
            return _dropped(problem, beliefs, place, names, right)
    raise ValueError(f"unknown fault {fault!r}")


def other_form(
    rng: random.Random, forms: Sequence[str], names: Mapping[str, int], right: int, negative: bool = False
) -> Mistake | None:
    """One of ``forms`` that gives another value than the right one."""
    values = [(form, evaluate(form, names)) for form in forms]
    good = [(f, v) for f, v in values if v is not None and v != right and (negative or v > 0)]
    if not good:
        return None
    form, value = rng.choice(good)
    return Mistake(form, names, value)


def slipped(rng: random.Random, value: int) -> int:
    """A number that somebody may find who miscalculates ``value``."""
    digits = str(abs(value))
    tries = [value + rng.choice((-1, 1)) * rng.choice((1, 2, 3, 9, 10, 10, 11, 20, 100)) for _ in range(4)]
    at = rng.randrange(len(digits))
    tries.append(int(digits[:at] + str((int(digits[at]) + rng.randint(1, 9)) % 10) + digits[at + 1 :]))
    if len(digits) > 1:
        at = rng.randrange(len(digits) - 1)
        tries.append(int(digits[:at] + digits[at + 1] + digits[at] + digits[at + 2 :]))
        tries.append(int(digits[:-1]) if rng.random() < 0.3 else value * 10)
    good = [tried for tried in tries if tried > 0 and tried != value]
    return rng.choice(good) if good else value + 1


def misread(rng: random.Random, number: int) -> int:
    """A number that somebody may take ``number`` for."""
    digits = str(number)
    tries = [int(digits[::-1]), number + 1, number - 1, number + 10, int(digits[:-1] + str((int(digits[-1]) + 5) % 10))]
    good = [tried for tried in tries if tried > 1 and tried != number]
    return rng.choice(good) if good else number + 1


def rounded(form: str, names: Mapping[str, int]) -> int:
    """A division with a remainder, cut off. No form divides by a quantity, so none by 0."""
    value = evaluate(form.replace("//", "/"), names)
    assert value is not None
    return value


def _possible(problem: WorldProblem, order: Sequence[int], place: int, fault: str) -> bool:
    quantity = problem.quantities[place]
    match fault:
        case "unit" | "sign" | "doubled":
            return bool(forms_of(quantity.relation, fault))
        case "quantity" | "reference":
            return bool(quantity.parents)
        case "misread":
            return bool(quantity.numbers)
        case "dropped":
            return _droppable(problem, order, place)
    return True


def _droppable(problem: WorldProblem, order: Sequence[int], place: int) -> bool:
    parents = problem.quantities[place].parents
    if not parents or parents[0] not in order or not problem.quantities[parents[0]].parents:
        return False
    users = [at for at in order if parents[0] in problem.quantities[at].parents]
    return users == [place]


def _misread(
    rng: random.Random, problem: WorldProblem, place: int, names: Mapping[str, int], right: int
) -> Mistake | None:
    quantity = problem.quantities[place]
    form = quantity.relation.form
    numbers = [name for name in quantity.numbers if re.search(rf"\b{name}\b", form)]
    if not numbers:
        return None
    name = rng.choice(numbers)
    changed = {**names, name: misread(rng, names[name])}
    value = evaluate(form, changed)
    if value is None or value <= 0 or value == right:
        return None
    return Mistake(form, changed, value, quantity.text(quantity.relation.because, **{name: changed[name]}))


def _other_parent(
    rng: random.Random,
    problem: WorldProblem,
    beliefs: Mapping[int, int],
    place: int,
    fault: str,
    names: Mapping[str, int],
    right: int,
) -> Mistake | None:
    quantity = problem.quantities[place]
    if not quantity.parents:
        return None
    form, because = quantity.relation.form, quantity.relation.because
    letter = rng.choice("ab"[: len(quantity.parents)])
    if fault == "reference" and f"{{{letter.upper()}}}" not in because:
        return None
    known = [at for at, other in enumerate(problem.quantities) if other.given or at in beliefs]
    others = [at for at in known if at != place and believed(problem, beliefs, at) not in names.values()]
    if fault == "reference":
        parent = problem.quantities[quantity.parents["ab".index(letter)]]
        others = [at for at in others if problem.quantities[at].holder != parent.holder]
    rng.shuffle(others)
    for other in others:
        changed = {**names, letter: believed(problem, beliefs, other)}
        value = evaluate(form, changed)
        if value is not None and value > 0 and value != right:
            named = {letter.upper(): problem.quantities[other].holder} if fault == "reference" else {}
            return Mistake(form, changed, value, quantity.text(because, **named))
    return None


def _dropped(
    problem: WorldProblem, beliefs: Mapping[int, int], place: int, names: Mapping[str, int], right: int
) -> Mistake | None:
    """In place of ``a``, which nobody has worked out, what it follows from."""
    quantity = problem.quantities[place]
    at = quantity.parents[0] if quantity.parents else None
    if at is None or at in beliefs or not problem.quantities[at].parents:
        return None
    form = quantity.relation.form
    changed = {**names, "a": believed(problem, beliefs, problem.quantities[at].parents[0])}
    value = evaluate(form, changed)
    return Mistake(form, changed, value) if value is not None and value > 0 and value != right else None


_DOUBLED = {
    "a + k": ("a + k + k",), "a - k": ("a - k - k",), "a * k": ("a * k * k",), "a + k * m": ("a + k * m + k * m",),
    "a - k * m": ("a - k * m - k * m",), "a // k": ("a // k // k",), "a * p // 100": ("a * p // 100 * p // 100",),
    "a + b": ("a + b + b", "a + a + b"), "a * (100 - p) // 100": ("a * (100 - p) // 100 * (100 - p) // 100",),
    "(k + m) * p": ("(k + m + m) * p", "(k + m) * p * p"), "k * m": ("k * m * m", "k * k * m"),
}  # fmt: skip
_TURNED = {
    "a - k": ("k - a",), "a - k * m": ("k * m - a",), "a - b": ("b - a",), "(m - k) // 2": ("(k - m) // 2",),
    "(p - m) // k": ("(m - p) // k",),
}  # fmt: skip
