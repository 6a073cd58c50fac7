"""Solutions of a problem in steps: right, wrong by one mistake of a known kind, right after a detour."""

import random
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from genprm.synth.world.problems import Quantity, WorldProblem, evaluate

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
Form = Literal["plain", "detour", "lucky"]
"""``detour``: right, after something that was not needed, or that was corrected at once. ``lucky``: a wrong step, and
the right answer all the same."""


@dataclass(frozen=True, slots=True)
class StepTruth:
    """What is true of a step."""

    correct: bool
    kind: str = ""
    """One of :data:`KINDS`; empty for a correct step."""
    reachable: bool = True
    """Whether who takes all values up to here at their word can still find the answer."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a solution, and what it claims."""

    text: str
    place: int
    """Of the quantity that it is about."""
    claimed: int
    computation: str
    """As the step writes it; empty where it gives none."""
    truth: StepTruth


@dataclass(slots=True)
class _Solver:
    """Somebody who writes a solution, with what they believe so far."""

    problem: WorldProblem
    rng: random.Random
    mark: str
    """How the solution writes multiplication."""
    beliefs: dict[int, int] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)

    def value(self, place: int) -> int:
        """What is believed of a quantity; what is given is read from the problem."""
        return self.beliefs.get(place, self.problem.quantities[place].value)

    def names(self, place: int) -> dict[str, int]:
        """The letters of a quantity's form."""
        quantity = self.problem.quantities[place]
        return {**dict(zip("ab", map(self.value, quantity.parents), strict=False)), **quantity.numbers}

    def add(self, place: int, claimed: int, form: str, names: Mapping[str, int], fault: str, text: str = "") -> None:
        quantity = self.problem.quantities[place]
        computation = shown(form, names, self.mark) if form else ""
        text = text or self._told(quantity, computation, claimed)
        right = claimed == quantity.value and (not form or evaluate(form, names) == claimed) and not fault
        self.beliefs[place] = claimed
        needed = self.problem.needed()
        reachable = all(
            self.problem.quantities[at].value == value for at, value in self.beliefs.items() if at in needed
        )
        truth = StepTruth(right, "" if right else fault or "carried", reachable)
        self.steps.append(Step(text, place, claimed, computation, truth))

    def _told(self, quantity: Quantity, computation: str, claimed: int, because: str = "", say: bool = False) -> str:
        """A step in words; ``say``: its reason is among them."""
        rng = self.rng
        if not computation:
            return _capital(rng.choice(("So {s}.", "{s}.", "Therefore {s}.")).format(s=self._stated(quantity, claimed)))
        equation = f"{computation} = {claimed}"
        because = because or quantity.text(quantity.relation.because)
        return _capital(
            rng.choice(_REASONED if say else _STYLES).format(
                s=self._stated(quantity, equation),
                v=self._stated(quantity, claimed),
                e=equation,
                n=quantity.called,
                b=because,
            )
        )

    def _stated(self, quantity: Quantity, value: object) -> str:
        return quantity.text(quantity.relation.stated, x=value)

    def worked(self, place: int, fault: str = "") -> bool:
        """Write the step for a quantity, with a fault of that kind; False where this one cannot have it."""
        quantity = self.problem.quantities[place]
        names = self.names(place)
        form = quantity.relation.form
        if not fault:
            self._rightly(place, form, names)
            return True
        wrong = self._faulty(place, fault, form, names)
        if wrong is None:
            return False
        form, names, claimed, because = wrong
        computation = shown(form, names, self.mark) if form else ""
        told = self._told(quantity, computation, claimed, because, say=fault == "reference")
        self.add(place, claimed, form, names, fault, told)
        return True

    def _rightly(self, place: int, form: str, names: dict[str, int]) -> None:
        """As right as what is believed allows; now and then without the computation."""
        claimed = evaluate(form, names)
        if claimed is None:  # after a mistake a division may leave a remainder, which goes unnoticed
            claimed = _rounded(form, names)
        if self.rng.random() < 0.06 and claimed == self.problem.quantities[place].value:
            form = ""
        self.add(place, claimed, form, names, "")

    def corrected(self, place: int) -> bool:
        """A step that tries something wrong and takes it back."""
        quantity = self.problem.quantities[place]
        names = self.names(place)
        tried = self._alternative(quantity, names)
        right = evaluate(quantity.relation.form, names)
        if tried is None or right is None:
            return False
        first = f"{shown(tried[0], names, self.mark)} = {tried[1]}"
        second = f"{shown(quantity.relation.form, names, self.mark)} = {right}"
        text = self.rng.choice(_CORRECTIONS).format(
            first=first, b=quantity.text(quantity.relation.because), s=self._stated(quantity, second)
        )
        self.add(place, right, quantity.relation.form, names, "", _capital(text))
        return True

    # --- faults: form, names, claimed value and reason of a step that is wrong in one way --------------------------

    def _faulty(
        self, place: int, fault: str, form: str, names: dict[str, int]
    ) -> tuple[str, dict[str, int], int, str] | None:
        quantity = self.problem.quantities[place]
        right = evaluate(form, names)
        if right is None:
            return None
        match fault:
            case "slip":
                return form, names, slipped(self.rng, right), ""
            case "jump":
                return "", names, slipped(self.rng, right), ""
            case "operation":
                return self._other_form(quantity.relation.wrong, names, right)
            case "unit":
                return self._other_form(quantity.relation.without_unit, names, right)
            case "doubled":
                return self._other_form(_DOUBLED.get(form, ()), names, right)
            case "sign":
                return self._other_form(_TURNED.get(form, ()), names, right, negative=True)
            case "written":
                other = self._other_form((*quantity.relation.wrong, *quantity.relation.without_unit), names, right)
                return other and (other[0], names, right, "")
            case "misread":
                return self._misread(quantity, form, names, right)
            case "quantity" | "reference":
                return self._other_parent(place, fault, form, names, right)
            case "dropped":
                return self._dropped(quantity, form, names, right)
        raise ValueError(f"unknown fault {fault!r}")

    def _other_form(
        self, forms: Sequence[str], names: dict[str, int], right: int, negative: bool = False
    ) -> tuple[str, dict[str, int], int, str] | None:
        values = [(form, evaluate(form, names)) for form in forms]
        good = [(f, v) for f, v in values if v is not None and v != right and (negative or v > 0)]
        if not good:
            return None
        form, value = self.rng.choice(good)
        return form, names, value, ""

    def _alternative(self, quantity: Quantity, names: dict[str, int]) -> tuple[str, int] | None:
        other = self._other_form(quantity.relation.wrong, names, quantity.value)
        return other and (other[0], other[2])

    def _misread(
        self, quantity: Quantity, form: str, names: dict[str, int], right: int
    ) -> tuple[str, dict[str, int], int, str] | None:
        numbers = [name for name in quantity.numbers if re.search(rf"\b{name}\b", form)]
        if not numbers:
            return None
        name = self.rng.choice(numbers)
        changed = names | {name: misread(self.rng, names[name])}
        value = evaluate(form, changed)
        if value is None or value <= 0 or value == right:
            return None
        return form, changed, value, quantity.text(quantity.relation.because, **{name: changed[name]})

    def _other_parent(
        self, place: int, fault: str, form: str, names: dict[str, int], right: int
    ) -> tuple[str, dict[str, int], int, str] | None:
        quantity = self.problem.quantities[place]
        if not quantity.parents:
            return None
        letter = self.rng.choice("ab"[: len(quantity.parents)])
        if fault == "reference" and f"{{{letter.upper()}}}" not in quantity.relation.because:
            return None
        known = [at for at, other in enumerate(self.problem.quantities) if other.given or at in self.beliefs]
        others = [at for at in known if at != place and self.value(at) not in names.values()]
        if fault == "reference":
            parent = self.problem.quantities[quantity.parents["ab".index(letter)]]
            others = [at for at in others if self.problem.quantities[at].holder != parent.holder]
        self.rng.shuffle(others)
        for other in others:
            changed = names | {letter: self.value(other)}
            value = evaluate(form, changed)
            if value is not None and value > 0 and value != right:
                named = {letter.upper(): self.problem.quantities[other].holder} if fault == "reference" else {}
                return form, changed, value, quantity.text(quantity.relation.because, **named)
        return None

    def _dropped(
        self, quantity: Quantity, form: str, names: dict[str, int], right: int
    ) -> tuple[str, dict[str, int], int, str] | None:
        """In place of ``a``, which nobody has worked out, what it follows from."""
        at = quantity.parents[0] if quantity.parents else None
        if at is None or at in self.beliefs or not self.problem.quantities[at].parents:
            return None
        changed = names | {"a": self.value(self.problem.quantities[at].parents[0])}
        value = evaluate(form, changed)
        return (form, changed, value, "") if value is not None and value > 0 and value != right else None


def write_solution(
    rng: random.Random, problem: WorldProblem, fault: str = "", form: Form = "plain"
) -> list[Step] | None:
    """Steps with one fault of that kind, or none; None where this problem or these dice do not allow it.

    ``form`` ``detour`` goes with no fault, ``lucky`` with one of :data:`ASIDE` in a quantity that no step needs, or
    with ``written``, whose value is right.
    """
    solver = _Solver(problem, rng, rng.choice(("*", "*", "×")))
    order = _order(rng, problem)
    extra = [at for at, q in enumerate(problem.quantities) if at not in problem.needed() and not q.given]
    faulty = None
    if form != "plain" and extra and rng.random() < 0.7:
        place = rng.choice(extra)
        at = max(
            (order.index(parent) + 1 for parent in problem.quantities[place].parents if parent in order), default=0
        )
        order.insert(rng.randint(at, len(order) - 1), place)
        faulty = place if form == "lucky" else None
    elif form == "lucky" and fault != "written":
        return None
    if fault and faulty is None:
        faulty = _place_of_fault(rng, problem, order, fault)
        if faulty is None:
            return None
    if fault == "dropped" and faulty is not None:
        order.remove(problem.quantities[faulty].parents[0])
    turning = rng.choice(order) if form == "detour" and not set(extra) & set(order) else None
    for place in order:
        if place == turning:
            if not solver.corrected(place):
                return None
        elif not solver.worked(place, fault if place == faulty else ""):
            return None
    _close(rng, solver)
    return solver.steps


def revise(rng: random.Random, problem: WorldProblem, steps: Sequence[Step], first_error: int) -> list[Step]:
    """The right solution that begins with the steps before the first error."""
    solver = _Solver(problem, rng, "×" if any("×" in step.computation for step in steps) else "*")
    solver.steps = list(steps[:first_error])
    solver.beliefs = {step.place: step.claimed for step in solver.steps}
    for place in _order(rng, problem, solver.beliefs.keys()):
        solver.worked(place)
    _close(rng, solver)
    return solver.steps


def _order(rng: random.Random, problem: WorldProblem, done: Collection[int] = ()) -> list[int]:
    """The quantities that are still to be worked out, each after its parents."""
    waiting = [at for at in sorted(problem.needed()) if not problem.quantities[at].given and at not in done]
    order: list[int] = []
    while waiting:
        ready = [at for at in waiting if not any(parent in waiting for parent in problem.quantities[at].parents)]
        at = ready[0] if rng.random() < 0.6 else rng.choice(ready)
        waiting.remove(at)
        order.append(at)
    return order


def _place_of_fault(rng: random.Random, problem: WorldProblem, order: Sequence[int], fault: str) -> int | None:
    quantities = problem.quantities

    def can(place: int) -> bool:
        quantity = quantities[place]
        match fault:
            case "unit":
                return bool(quantity.relation.without_unit)
            case "sign":
                return quantity.relation.form in _TURNED
            case "doubled":
                return quantity.relation.form in _DOUBLED
            case "quantity" | "reference":
                return bool(quantity.parents)
            case "misread":
                return bool(quantity.numbers)
            case "dropped":
                return _droppable(problem, order, place)
        return True

    places = [place for place in order if can(place)]
    return rng.choice(places) if places else None


def _droppable(problem: WorldProblem, order: Sequence[int], place: int) -> bool:
    parents = problem.quantities[place].parents
    if not parents or parents[0] not in order or not problem.quantities[parents[0]].parents:
        return False
    users = [at for at in order if parents[0] in problem.quantities[at].parents]
    return users == [place]


def _close(rng: random.Random, solver: _Solver) -> None:
    """The answer, in the last step or in one of its own."""
    last = solver.steps[-1]
    if "\\boxed" in last.text:
        return
    answer = rng.choice(("The answer is $\\boxed{{{}}}$.", "So the answer is $\\boxed{{{}}}$.")).format(last.claimed)
    if rng.random() < 0.25:
        solver.add(last.place, last.claimed, "", {}, "", answer)
    else:
        solver.steps[-1] = Step(f"{last.text} {answer}", last.place, last.claimed, last.computation, last.truth)


def shown(form: str, names: Mapping[str, int], mark: str = "*") -> str:
    """A form with its numbers, as people write it."""
    filled = re.sub(r"\b[a-z]\b", lambda found: str(names[found[0]]), form)
    return filled.replace("**", "^").replace("//", "/").replace("%", "mod").replace("*", mark)


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


def _rounded(form: str, names: Mapping[str, int]) -> int:
    """A division with a remainder, cut off. No form divides by a quantity, so none by 0."""
    value = evaluate(form.replace("//", "/"), names)
    assert value is not None
    return value


def _capital(text: str) -> str:
    return text if text.startswith(("gcd(", "lcm(")) else text[0].upper() + text[1:]


_STYLES = (
    "{s}.", "{s}.", "{b}, so {s}.", "{b}. So {s}.", "{n}: {e}.", "To find {n}, compute {e}.", "Since {b}, {s}.",
    "Compute {e}, so {v}.", "Now {s}.", "Next, {n}: {e}.", "We get {n} from {e}.", "Here {b}: {e}, so {v}.",
)  # fmt: skip
_REASONED = tuple(style for style in _STYLES if "{b}" in style)
_CORRECTIONS = (
    "At first I took {first}. But {b}, so {s}.", "One might say {first}, but that is wrong: {b}, so {s}.",
    "Is it {first}? No: {b}. So {s}.",
)  # fmt: skip
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
