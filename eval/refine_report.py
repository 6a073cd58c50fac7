"""What refinement is worth: accuracy after each turn, what a turn gains and loses, and against what it costs.

All arms start from the same first solutions, and a bootstrap over the problems draws the same ones for all of them, so
that what makes a problem hard counts on every side of a difference.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genprm.eval.paired import Estimate, Measure, means
from genprm.eval.report import Bootstrap
from genprm.refining import Refinement
from genprm.types import Usage

CRITIC = "critic"
"""The arm that the others are compared with."""
BOOTSTRAP = Bootstrap(resamples=2000)
Right = Callable[[str, str | None], bool]
"""Whether an answer is that of the problem."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one would have got after so many turns, on the mean of the problems."""

    turn: int
    accuracy: Measure
    """Share of problems whose leading version has the right answer."""
    rise: Measure
    """Accuracy over that of the start."""
    gained: int
    """Problems whose leader was wrong a turn before, and is right."""
    lost: int
    """Right before, wrong now."""
    written: float
    """Tokens that policy and reviewer have written up to here, a problem."""
    read: float
    """Tokens of their prompts."""


@dataclass(frozen=True, slots=True)
class ArmReport:
    name: str
    turns: tuple[Turn, ...]
    accepted_right: int
    """Problems whose reviewer accepted the last leader, and it is right."""
    accepted_wrong: int
    """… and it is wrong: nothing can be refined there."""
    outcomes: Mapping[str, int]
    states: Mapping[str, int]
    """Versions by state, over all problems."""
    usage: Usage
    fresh: int = 0
    """Versions that were written afresh, because the one before never came to its end."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The critic's rise and another arm's, after the last turn."""

    other: str
    difference: Measure
    """Of the two rises; the start is the same, so this is the difference of the accuracies too."""
    ratio: float | None
    """The critic's rise over the other's; None where the other does not rise."""


@dataclass(frozen=True, slots=True)
class RefineReport:
    """The content of ``report.json``."""

    problems: int
    arms: tuple[ArmReport, ...]
    comparisons: tuple[Comparison, ...]
    bootstrap: Bootstrap
    settings: Mapping[str, Any]


def build_report(
    arms: Mapping[str, Sequence[Refinement]], turns: int, right: Right, settings: Mapping[str, Any]
) -> RefineReport:
    """What the refinements came to; every arm has the same problems in the same order."""
    hits = {
        (name, turn): [_right(refinement, turn, right) for refinement in found]
        for name, found in arms.items()
        for turn in range(turns + 1)
    }
    known = means(hits, seed=BOOTSTRAP.seed, resamples=BOOTSTRAP.resamples)
    reports = tuple(_arm(name, found, turns, hits, known) for name, found in arms.items())
    n = len(next(iter(arms.values()), ()))
    return RefineReport(n, reports, _compared(list(arms), turns, known), BOOTSTRAP, dict(settings))


_Hits = Mapping[tuple[str, int], Sequence[bool]]
_Known = Mapping[tuple[str, int], Estimate]


def _right(refinement: Refinement, turn: int, right: Right) -> bool:
    version = refinement.at(turn)
    return version is not None and version.answer is not None and right(version.answer, refinement.problem.answer)


def _arm(name: str, found: Sequence[Refinement], turns: int, hits: _Hits, known: _Known) -> ArmReport:
    last = hits[name, turns]
    accepted = [own for own, refinement in zip(last, found, strict=True) if refinement.outcome == "accepted"]
    return ArmReport(
        name,
        tuple(_turn(name, turn, found, hits, known) for turn in range(turns + 1)),
        sum(accepted),
        len(accepted) - sum(accepted),
        Counter(refinement.outcome for refinement in found),
        Counter(version.state for refinement in found for version in refinement.versions),
        sum((refinement.usage for refinement in found), Usage()),
        sum(refinement.fresh for refinement in found),
    )


def _turn(name: str, turn: int, found: Sequence[Refinement], hits: _Hits, known: _Known) -> Turn:
    now, before = hits[name, turn], hits[name, max(turn - 1, 0)]
    spent = [refinement.spent(turn) for refinement in found]
    n = max(len(found), 1)
    return Turn(
        turn,
        known[name, turn].measure(),
        known[name, turn].minus(known[name, 0]),
        sum(b and not a for a, b in zip(before, now, strict=True)),
        sum(a and not b for a, b in zip(before, now, strict=True)),
        sum(usage.completion_tokens for usage in spent) / n,
        sum(usage.prompt_tokens for usage in spent) / n,
    )


def _compared(names: Sequence[str], turns: int, known: _Known) -> tuple[Comparison, ...]:
    if CRITIC not in names:
        return ()
    rises = {name: known[name, turns].less(known[name, 0]) for name in names}
    return tuple(_comparison(name, rises[CRITIC], rises[name]) for name in names if name != CRITIC)


def _comparison(name: str, critic: Estimate, other: Estimate) -> Comparison:
    rises = other.value is not None and other.value > 0 and critic.value is not None
    ratio = (critic.value or 0.0) / (other.value or 1.0) if rises else None
    return Comparison(name, critic.minus(other), ratio)
