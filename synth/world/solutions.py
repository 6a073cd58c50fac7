"""Solutions of a problem in steps: right, wrong by one mistake of a known kind, right after a detour."""

import random
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from genprm.synth.world.faults import make_fault, other_form, place_of_fault, rounded
from genprm.synth.world.problems import Quantity, WorldProblem, evaluate
from genprm.synth.world.truth import Step, StepTruth, first_wrong, names_of

Form = Literal["plain", "detour", "lucky"]
"""``detour``: right, after something that was not needed, or that was corrected at once. ``lucky``: a wrong step, and
the right answer all the same."""


@dataclass(slots=True)
class Solver:
    """Somebody who writes a solution, with what they believe so far."""

    problem: WorldProblem
    rng: random.Random
    mark: str
    """How the solution writes multiplication."""
    terse: float = 0.06
    """How often a right step gives its value alone."""
    beliefs: dict[int, int] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    needed: frozenset[int] = field(init=False)
    """Places that the answer follows from."""

    def __post_init__(self) -> None:
        self.needed = self.problem.needed()

    def add(self, place: int, claimed: int, form: str, names: Mapping[str, int], fault: str, text: str = "") -> None:
        quantity = self.problem.quantities[place]
        computation = shown(form, names, self.mark) if form else ""
        text = text or self._told(quantity, computation, claimed)
        right = claimed == quantity.value and (not form or evaluate(form, names) == claimed) and not fault
        self.beliefs[place] = claimed
        reachable = first_wrong(self.problem, self.beliefs, self.needed) is None
        truth = StepTruth(right, "" if right else fault or "carried", reachable)
        self.steps.append(Step(text, place, claimed, computation, truth))

    def _told(self, quantity: Quantity, computation: str, claimed: int, because: str = "", say: bool = False) -> str:
        """A step in words; ``say``: its reason is among them."""
        rng = self.rng
        if not computation:
            return _valued(rng, quantity, claimed)
        equation = f"{computation} = {claimed}"
        because = because or quantity.text(quantity.relation.because)
        return capital(
            rng.choice(_REASONED if say else STYLES).format(
                s=stated(quantity, equation),
                v=stated(quantity, claimed),
                e=equation,
                n=quantity.called,
                b=because,
            )
        )

    def worked(self, place: int, fault: str = "") -> bool:
        """Write the step for a quantity, with a fault of that kind; False where this one cannot have it."""
        if not fault:
            self._rightly(place)
            return True
        wrong = make_fault(self.rng, self.problem, self.beliefs, place, fault)
        if wrong is None:
            return False
        quantity = self.problem.quantities[place]
        computation = shown(wrong.form, wrong.names, self.mark) if wrong.form else ""
        told = self._told(quantity, computation, wrong.claimed, wrong.because, say=fault == "reference")
        self.add(place, wrong.claimed, wrong.form, wrong.names, fault, told)
        return True

    def _rightly(self, place: int) -> None:
        """As right as what is believed allows; now and then without the computation."""
        form, names = self.problem.quantities[place].relation.form, names_of(self.problem, self.beliefs, place)
        claimed = evaluate(form, names)
        if claimed is None:  # after a mistake a division may leave a remainder, which goes unnoticed
            claimed = rounded(form, names)
        if self.rng.random() < self.terse and claimed == self.problem.quantities[place].value:
            form = ""
        self.add(place, claimed, form, names, "")

    def corrected(self, place: int) -> bool:
        """A step that tries something wrong and takes it back."""
        quantity = self.problem.quantities[place]
        names = names_of(self.problem, self.beliefs, place)
        tried = other_form(self.rng, quantity.relation.wrong, names, quantity.value)
        right = evaluate(quantity.relation.form, names)
        if tried is None or right is None:
            return False
        self._taken_back(place, f"{shown(tried.form, names, self.mark)} = {tried.claimed}", names, right)
        return True

    def mended(self, place: int, first: str) -> None:
        """A step that takes back what was said of a quantity before, and gives its right value; what it follows from
        is believed rightly."""
        names = names_of(self.problem, self.beliefs, place)
        self._taken_back(place, first, names, self.problem.quantities[place].value)

    def answer(self, place: int) -> None:
        """The answer in a step of its own."""
        claimed = self.beliefs[place]
        self.add(place, claimed, "", {}, "", self.rng.choice(_ANSWERS).format(claimed))

    def _taken_back(self, place: int, first: str, names: Mapping[str, int], right: int) -> None:
        quantity = self.problem.quantities[place]
        form = quantity.relation.form
        text = self.rng.choice(CORRECTIONS).format(
            first=first,
            b=quantity.text(quantity.relation.because),
            s=stated(quantity, f"{shown(form, names, self.mark)} = {right}"),
        )
        self.add(place, right, form, names, "", capital(text))


def write_solution(
    rng: random.Random, problem: WorldProblem, fault: str = "", form: Form = "plain"
) -> list[Step] | None:
    """Steps with one fault of that kind, or none; None where this problem or these dice do not allow it.

    ``form`` ``detour`` goes with no fault, ``lucky`` with one of :data:`~genprm.synth.world.faults.ASIDE` in a
    quantity that no step needs, or with ``written``, whose value is right.
    """
    solver = Solver(problem, rng, rng.choice(("*", "*", "×")))
    order, extra = order_of(rng, problem), _not_needed(solver)
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
        faulty = place_of_fault(rng, problem, order, fault)
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
    close(rng, solver)
    return solver.steps


def write_sloppily(rng: random.Random, problem: WorldProblem, kinds: Sequence[str], share: float) -> list[Step]:
    """Steps as a weak policy writes them: any of them may have a fault, or be one that nobody needs."""
    solver = Solver(problem, rng, rng.choice(("*", "*", "×")), terse=0)
    order, extra = order_of(rng, problem), _not_needed(solver)
    if extra and rng.random() < share:
        order.insert(rng.randrange(len(order)), rng.choice(extra))
    for place in order:
        if not solver.worked(place, rng.choice(kinds) if rng.random() < share else ""):
            solver.worked(place)
    close(rng, solver)
    return solver.steps


def _not_needed(solver: Solver) -> list[int]:
    """Quantities that can be worked out, and that the answer does not follow from."""
    return [at for at, q in enumerate(solver.problem.quantities) if at not in solver.needed and not q.given]


def without_computation(rng: random.Random, problem: WorldProblem, step: Step) -> Step:
    """The step with its value alone, where it is as right or wrong by that; else as it is."""
    quantity = problem.quantities[step.place]
    if not step.computation or step.truth.correct != (step.claimed == quantity.value):
        return step
    answer = _ANSWER.search(step.text)
    text = f"{_valued(rng, quantity, step.claimed)}{answer[0] if answer else ''}"
    return replace(step, text=text, computation="")


def revise(rng: random.Random, problem: WorldProblem, steps: Sequence[Step], first_error: int) -> list[Step]:
    """The right solution that begins with the steps before the first error; the others show their computations."""
    solver = Solver(problem, rng, "×" if any("×" in step.computation for step in steps) else "*", terse=0)
    solver.steps = list(steps[:first_error])
    solver.beliefs = {step.place: step.claimed for step in solver.steps}
    for place in order_of(rng, problem, solver.beliefs.keys()):
        solver.worked(place)
    close(rng, solver)
    return solver.steps


def order_of(rng: random.Random, problem: WorldProblem, done: Collection[int] = ()) -> list[int]:
    """The quantities that are still to be worked out, each after its parents."""
    waiting = [at for at in sorted(problem.needed()) if not problem.quantities[at].given and at not in done]
    order: list[int] = []
    while waiting:
        order.append(next_of(rng, problem, waiting))
        waiting.remove(order[-1])
    return order


def next_of(rng: random.Random, problem: WorldProblem, waiting: Sequence[int]) -> int:
    """One of ``waiting`` that follows from none of the others, more often than not the first."""
    ready = [at for at in waiting if not any(parent in waiting for parent in problem.quantities[at].parents)]
    return ready[0] if rng.random() < 0.6 else rng.choice(ready)


def close(rng: random.Random, solver: Solver) -> None:
    """The answer, in the last step or in one of its own."""
    last = solver.steps[-1]
    if "\\boxed" in last.text:
        return
    answer = rng.choice(_ANSWERS).format(last.claimed)
    if rng.random() < 0.25:
        solver.add(last.place, last.claimed, "", {}, "", answer)
    else:
        solver.steps[-1] = Step(f"{last.text} {answer}", last.place, last.claimed, last.computation, last.truth)


def shown(form: str, names: Mapping[str, object], mark: str = "*") -> str:
    """A form with its numbers, as people write it."""
    filled = re.sub(r"\b[a-z]\b", lambda found: str(names[found[0]]), form)
    return filled.replace("**", "^").replace("//", "/").replace("%", "mod").replace("*", mark)


def _valued(rng: random.Random, quantity: Quantity, claimed: int) -> str:
    return capital(rng.choice(VALUED).format(s=stated(quantity, claimed)))


def stated(quantity: Quantity, value: object) -> str:
    return quantity.text(quantity.relation.stated, x=value)


def capital(text: str) -> str:
    return text if text.startswith(("gcd(", "lcm(")) else text[0].upper() + text[1:]


_ANSWERS = ("The answer is $\\boxed{{{}}}$.", "So the answer is $\\boxed{{{}}}$.")
_ANSWER = re.compile(r" (So the|The) answer is \$.*")
STYLES = (
    "{s}.", "{s}.", "{b}, so {s}.", "{b}. So {s}.", "{n}: {e}.", "To find {n}, compute {e}.", "Since {b}, {s}.",
    "Compute {e}, so {v}.", "Now {s}.", "Next, {n}: {e}.", "We get {n} from {e}.", "Here {b}: {e}, so {v}.",
)  # fmt: skip
VALUED = ("So {s}.", "{s}.", "Therefore {s}.")
"""Wordings of a value without its computation."""
_REASONED = tuple(style for style in STYLES if "{b}" in style)
CORRECTIONS = (
    "At first I took {first}. But {b}, so {s}.", "One might say {first}, but that is wrong: {b}, so {s}.",
    "Is it {first}? No: {b}. So {s}.",
)  # fmt: skip
