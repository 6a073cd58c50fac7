"""What is true of a step."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from genprm.synth.world.problems import WorldProblem, evaluate
from genprm.types import NO_ERROR


@dataclass(frozen=True, slots=True)
class StepTruth:
    """What is true of a step."""

    correct: bool
    kind: str = ""
    """One of :data:`~genprm.synth.world.faults.KINDS`; empty for a correct step, and where no kind fits (which only
    happens in solutions that were read, see :mod:`genprm.synth.world.reading`)."""
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


def first_error(steps: Sequence[Step]) -> int:
    """Index of the first wrong step, ``NO_ERROR`` for none."""
    return next((at for at, step in enumerate(steps) if not step.truth.correct), NO_ERROR)


def believed(problem: WorldProblem, beliefs: Mapping[int, int], place: int) -> int:
    """What somebody with these beliefs takes a quantity for; what they have not worked out is read from the problem."""
    return beliefs.get(place, problem.quantities[place].value)


def names_of(problem: WorldProblem, beliefs: Mapping[int, int], place: int) -> dict[str, int]:
    """The letters of a quantity's form, by these beliefs."""
    quantity = problem.quantities[place]
    parents = (believed(problem, beliefs, parent) for parent in quantity.parents)
    return {**dict(zip("ab", parents, strict=False)), **quantity.numbers}


def first_wrong(problem: WorldProblem, beliefs: Mapping[int, int], needed: Collection[int]) -> int | None:
    """The place of the first belief that is wrong, of those ``needed``; all that it follows from is right."""
    quantities = problem.quantities
    return min((at for at, value in beliefs.items() if at in needed and quantities[at].value != value), default=None)


def holds(computation: str, claimed: int) -> bool:
    """Whether a computation as people write it gives that value."""
    return evaluate(f"{in_python(computation)} == {claimed}", {}) == 1


def in_python(computation: str) -> str:
    """A computation as people write it, in Python."""
    return computation.replace("×", "*").replace("^", "**").replace("mod", "%")
