"""Which of the finished solutions it is."""

from collections.abc import Sequence

from genprm.answers import same_number
from genprm.searching.paths import Path
from genprm.searching.plan import Choice
from genprm.searching.scores import Mark


def choose(paths: Sequence[Path], choice: Choice) -> list[Path]:
    """The paths in the order of preference; equal ones, and those without a value, stay in their order at the end."""
    by_value = sorted(paths, key=lambda path: descending(value_of(path.last, choice)))
    if choice != "majority":
        return by_value
    votes = {id(path): _votes(path, by_value) for path in by_value}
    return sorted(by_value, key=lambda path: -votes[id(path)])


def value_of(mark: Mark, choice: Choice) -> float | None:
    """What the choice goes by; a majority's ties go by Q."""
    if choice == "outcome":
        return mark.outcome
    return mark.score if choice == "effective" else mark.q


def descending(value: float | None) -> tuple[bool, float]:
    """A key for sorting: the highest first, those without a value last."""
    return (value is None, -(value or 0.0))


def _votes(path: Path, paths: Sequence[Path]) -> int:
    """How often its answer was given; no answer is no vote."""
    return sum(other.weight for other in paths if _same(path.answer, other.answer))


def _same(one: str | None, other: str | None) -> bool:
    return one is not None and (one == other or same_number(one, other))
