"""What searches came to, method by method: curves, comparisons with the baseline, failures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from genprm.eval.curves import Cell, Comparison, Point, compare, points
from genprm.eval.paired import Measure, means
from genprm.eval.report import sum_failures
from genprm.searching.paths import Account, Outcome

BASELINE = "best-of-N, outcome"
MAJORITY = "best-of-N, majority"
ANY = "best-of-N, any right"
Q_ALONE = "beam, Q"
_PLAIN = (BASELINE, MAJORITY, ANY, Q_ALONE)
Arm = tuple[str, int]
"""A method at one size."""
Axis = Literal["policy", "total"]
AXES: tuple[Axis, ...] = ("policy", "total")
"""What tokens are counted: those that the policy wrote; or those too that scorer and prover wrote and read
(:attr:`genprm.searching.paths.Account.total`)."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One search for one problem: a line of ``results.jsonl``."""

    id: str
    difficulty: int
    method: str
    size: int
    """N of best-of-N, the width of a beam."""
    right: bool
    """Whether the chosen answer is; without an answer it is not."""
    outcome: Outcome
    account: Account
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class AxisReport:
    """All by one way to count tokens."""

    axis: Axis
    points: tuple[Point, ...]
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """What A adds: accuracy of beam search by Q + alpha A less that by Q alone, at the same width."""

    method: str
    size: int
    gain: Measure


@dataclass(frozen=True, slots=True)
class SearchReport:
    """The content of ``report.json``."""

    problems: int
    axes: tuple[AxisReport, ...]
    baseline: str
    progress: tuple[Progress, ...]
    outcomes: Mapping[str, Mapping[str, int]]
    """Searches by how they ended, of each method."""
    counts: Mapping[str, Mapping[str, int]]
    """What became of proposals, of each method."""
    account: Account
    """Of all searches together, each as if it had been alone."""
    settings: Mapping[str, Any]


def progress_by(prover: str, alpha: float) -> str:
    """The name of beam search by effective reward."""
    return f"beam, Q + {alpha:g} A[{prover}]"


def build_report(trials: Sequence[Trial], settings: Mapping[str, Any]) -> SearchReport:
    """Methods that have not been run on all problems raise ValueError."""
    ids = list(dict.fromkeys(trial.id for trial in trials))
    grouped: dict[Arm, dict[str, Trial]] = {}
    for trial in trials:
        grouped.setdefault((trial.method, trial.size), {})[trial.id] = trial
    methods: dict[str, list[Trial]] = {}
    for trial in trials:
        methods.setdefault(trial.method, []).append(trial)
    for (method, size), own in grouped.items():
        if missing := [name for name in ids if name not in own]:
            raise ValueError(f"{method} at {size} has no trial of {missing[0]}")
    return SearchReport(
        len(ids),
        tuple(_axis(axis, ids, grouped) for axis in AXES),
        BASELINE,
        tuple(_over_q(ids, grouped)),
        {name: sum_failures({trial.outcome: 1} for trial in own) for name, own in methods.items()},
        {name: sum_failures(trial.counts for trial in own) for name, own in methods.items()},
        sum((trial.account for trial in trials if trial.method not in (MAJORITY, ANY)), Account()),
        dict(settings),
    )


def _over_q(ids: Sequence[str], grouped: Mapping[Arm, Mapping[str, Trial]]) -> Iterator[Progress]:
    found = means({arm: [float(own[name].right) for name in ids] for arm, own in grouped.items()})
    for (method, size), own in found.items():
        if method not in _PLAIN and (alone := found.get((Q_ALONE, size))):
            yield Progress(method, size, own.minus(alone))


def _axis(axis: Axis, ids: Sequence[str], grouped: Mapping[Arm, Mapping[str, Trial]]) -> AxisReport:
    cells = [_cell(axis, ids, name, size, own) for (name, size), own in sorted(grouped.items(), key=_order)]
    return AxisReport(axis, tuple(points(cells)), tuple(compare(cells, BASELINE)))


def _order(item: tuple[Arm, Any]) -> tuple[int, str, int]:
    (method, size), _ = item
    return (_PLAIN.index(method) if method in _PLAIN else len(_PLAIN), method, size)


def _cell(axis: Axis, ids: Sequence[str], method: str, size: int, own: Mapping[str, Trial]) -> Cell:
    trials = [own[name] for name in ids]
    right = np.array([float(trial.right) for trial in trials])
    tokens = np.array([float(_tokens(axis, trial.account)) for trial in trials])
    return Cell(method, size, right, np.maximum(tokens, 1.0))  # an engine that fails at once writes nothing


def _tokens(axis: Axis, account: Account) -> int:
    return account.policy.completion_tokens if axis == "policy" else account.total
