"""Rows for heads: solutions with values of their steps, from ``genprm synth`` or in a simple form.

A line of the values stage holds, for each solution of a problem, an ``attempt`` and the completions behind each value;
one of the solutions stage the attempts alone, whose outcomes are what is known. The simple form::

    {"problem": "…", "steps": ["…", "…"], "values": [0.9, 0.2], "advantages": [0.1, -0.7], "right": false, "n": 16}

``values`` are P(right) after each step, ``advantages`` lie in [-1, 1], ``right`` says whether the final answer is; at
least one of the three is there, and null stands for a value that is not known. ``n`` completions are behind a value.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from genprm.errors import InputError
from genprm.inputs import solution_from_row
from genprm.provers import best_of
from genprm.rows import Row, describe, read_rows, row_files
from genprm.types import Solution

_NO_EVIDENCE = ("timeout", "failed")


@dataclass(frozen=True, slots=True)
class Target:
    """What a head should say."""

    value: float
    n: float = 1.0
    """Completions behind it."""


@dataclass(frozen=True, slots=True)
class Valuation:
    """A solution and what is known of it."""

    solution: Solution
    where: str
    """File and line, for errors."""
    outcome: Target | None = None
    start: Target | None = None
    """Of the bare problem."""
    process: tuple[Target | None, ...] = ()
    """Of each step, or empty."""
    progress: tuple[Target | None, ...] = ()
    """Likewise, in [-1, 1]."""
    policy: str = ""
    """Who completed."""


@dataclass(frozen=True, slots=True)
class _Estimate:
    right: int
    n: int
    known: bool = False


@dataclass(frozen=True, slots=True)
class _Attempt:
    solution: Solution
    grade: str


@dataclass(frozen=True, slots=True)
class _Valued:
    """What is needed of a line of the values stage."""

    attempt: _Attempt
    start: _Estimate | None
    values: tuple[_Estimate | None, ...]
    policy: str = ""


def read_valuations(sources: Iterable[str | Path]) -> list[Valuation]:
    """All rows of files and folders. Of a solution that was valued again the last line counts; an attempt of which no
    value is known takes nothing away.

    Raises:
        InputError: a row that does not fit, with its file, line and field.
    """
    found: dict[object, Valuation] = {}
    lines = (line for source in sources for line in _rows(Path(source)))
    for row in (part for line in lines for part in _parts(line)):
        synth = "attempt" in row.values
        one = _from_synth(row) if synth else _from_simple(row)
        key = _key(one) if synth else one.where
        if key not in found or any(one.process):
            found[key] = one
    return list(found.values())


def with_prover(rows: Sequence[Valuation], prover: Sequence[Valuation]) -> list[Valuation]:
    """``rows`` with advantages under another policy, by its own values of the same solutions; rows that it did not
    value keep what they have."""
    known = {_key(one): one for one in prover}
    return [replace(row, progress=advantages(known[_key(row)])) if _key(row) in known else row for row in rows]


def with_best_of(rows: Sequence[Valuation], k: int) -> list[Valuation]:
    """``rows`` with advantages under best-of-``k`` of their own policy: Q = 1 - (1 - Q)^k (arXiv 2410.08146)."""
    return [replace(row, progress=advantages(_best_of(row, k))) for row in rows]


def with_outcomes(rows: Sequence[Valuation]) -> list[Valuation]:
    """``rows``, those without any value with the outcome as that of each step: what a solution goes on with is one
    completion behind each of its steps, by the policy that wrote it. Right on average, and one is little to tell Q by:
    many solutions make up for it. For the process head alone; differences of such values are 0."""
    return [
        replace(row, process=(row.outcome,) * len(row.solution.steps)) if row.outcome and not any(row.process) else row
        for row in rows
    ]


def advantages(row: Valuation) -> tuple[Target | None, ...]:
    """A_t = Q_t - Q_{t-1}, that of the first step against the bare problem; None where either is missing. The fewer of
    the completions on both sides are behind it."""
    before = (row.start, *row.process[:-1]) if row.process else ()
    return tuple(
        Target(now.value - then.value, min(now.n, then.n)) if now and then else None
        for then, now in zip(before, row.process, strict=True)
    )


def _best_of(row: Valuation, k: int) -> Valuation:
    def better(target: Target | None) -> Target | None:
        return target and replace(target, value=best_of(target.value, k))

    return replace(row, start=better(row.start), process=tuple(map(better, row.process)))


def _key(one: Valuation) -> tuple[str, ...]:
    return (one.solution.problem.text, *one.solution.steps)


def _rows(path: Path) -> Iterator[Row]:
    """Of a folder all files, or where it is a run its results."""
    if (path / "results.jsonl").is_file():
        path = path / "results.jsonl"
    if not path.exists():
        raise InputError("there is no such file or folder", str(path))
    for file in row_files(path) if path.is_dir() else [path]:
        yield from read_rows(file)


def _parts(row: Row) -> list[Row]:
    """The solutions of a problem, which share a line of a stage; none of one that failed there."""
    if "record" not in row.values:
        return [row]
    if isinstance(row.values["record"], dict):
        return _sampled(Row(f"{row.where}, record", row.values["record"]))
    items = row.items("record") or []
    if not all(isinstance(item, dict) for item in items):
        raise row.error("must be a list of objects", "record")
    return [Row(f"{row.where}, record[{i}]", item) for i, item in enumerate(items)]


def _sampled(row: Row) -> list[Row]:
    """Attempts of which no value is known."""
    found = []
    for i, item in enumerate(row.items("attempts") or []):
        solution = item.get("solution") if isinstance(item, dict) else None
        steps = solution.get("steps") if isinstance(solution, dict) else None
        if not isinstance(steps, list):
            raise row.error("is no solution with its steps", f"attempts[{i}]")
        found.append(
            Row(f"{row.where}, attempts[{i}]", {"attempt": item, "start": None, "values": [None] * len(steps)})
        )
    return found


def _from_synth(row: Row) -> Valuation:
    try:
        valued = msgspec.convert(row.values, _Valued)
    except msgspec.ValidationError as error:
        raise row.error(f"is no line of the values stage: {error}") from None
    attempt, n_steps = valued.attempt, len(valued.attempt.solution.steps)
    if len(valued.values) != n_steps:
        raise row.error(f"there are {len(valued.values)} values for {n_steps} steps", "values")
    return Valuation(
        attempt.solution,
        row.where,
        None if attempt.grade in _NO_EVIDENCE else Target(float(attempt.grade == "right")),
        _target(valued.start),
        tuple(map(_target, valued.values)),
        policy=valued.policy,
    )


def _target(estimate: _Estimate | None) -> Target | None:
    if estimate is None or not (estimate.n or estimate.known):
        return None
    return Target(estimate.right / estimate.n if estimate.n else 0.0, max(estimate.n, 1))


def _from_simple(row: Row) -> Valuation:
    solution = solution_from_row(row)
    right, n = row.boolean("right"), row.integer("n")
    if n is not None and n < 1:
        raise row.error(f"must be at least 1, not {n}", "n")
    process = _numbers(row, "values", 0.0, len(solution.steps), n or 1)
    progress = _numbers(row, "advantages", -1.0, len(solution.steps), n or 1)
    if right is None and not process and not progress:
        raise row.error("there are no values, no advantages, and nothing says whether the answer is right", "values")
    outcome = None if right is None else Target(float(right))
    return Valuation(solution, row.where, outcome, None, process, progress)


def _numbers(row: Row, name: str, low: float, n_steps: int, n: int) -> tuple[Target | None, ...]:
    items = row.items(name)
    if items is None:
        return ()
    if len(items) != n_steps:
        raise row.error(f"there are {len(items)} for {n_steps} steps", name)
    for i, item in enumerate(items):
        number = isinstance(item, int | float) and not isinstance(item, bool)
        if item is not None and not (number and low <= item <= 1):
            raise row.error(f"must be a number between {low:g} and 1, or null, not {describe(item)}", f"{name}[{i}]")
    return tuple(None if item is None else Target(float(item), n) for item in items)


def fingerprint(rows: Sequence[Valuation]) -> bytes:
    """All that training depends on."""
    parts: list[Mapping[str, Any]] = [
        {"key": _key(r), "outcome": r.outcome, "process": r.process, "progress": r.progress} for r in rows
    ]
    return msgspec.json.encode(parts)
