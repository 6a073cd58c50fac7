"""Several solutions of one problem: read from files, or sampled from a policy.

A row holds a problem with its candidates, or one candidate; rows of the same problem belong together::

    {"question": "…", "gt": "39", "candidates": [{"solution": "…", "completion": "39", "correct": true}, …]}
    {"problem": "…", "answer": "39", "steps": ["…", "…"], "final_answer": "39", "correct": true}

``problem`` or ``question``; ``answer``, ``gt`` or ``reference`` for what is right, where it is known. A candidate has
``steps``, or a text as ``solution``, ``response`` or ``completion``; its answer is ``final_answer``, or ``completion``
beside a ``solution``, or what the text ends in (:func:`genprm.answers.final_answer`).
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from genprm.answers import final_answer
from genprm.engines.base import Engine
from genprm.errors import EngineError, EngineLost, InputError
from genprm.flight import together
from genprm.protocols.policy import solve
from genprm.rows import Row, describe, is_hub_id, read_hub, read_rows, row_files
from genprm.seeds import seed_of
from genprm.splitting import split_steps
from genprm.types import Problem, Prompt, Sampling, Solution

_PROBLEM, _REFERENCE = ("problem", "question"), ("answer", "gt", "reference")
_TEXT = ("solution", "response", "completion")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One solution of several. Its ``solution.id`` is ``PROBLEM/NUMBER``."""

    solution: Solution
    answer: str | None = None
    """What it ends in; None where that cannot be read."""
    right: bool | None = None
    """Whether that is the reference; None where nobody has said."""
    tokens: int = 0
    """Spent on writing it; 0 where that is not known."""
    error: str = ""
    """Why it cannot be scored: it is empty, or the policy failed."""


@dataclass(frozen=True, slots=True)
class Group:
    """A problem and its candidates."""

    id: str
    problem: Problem
    candidates: tuple[Candidate, ...]


def read_groups(source: str) -> list[Group]:
    """All problems of a file, a folder of files, or a dataset on the hub, in the order of their first rows.

    Raises:
        InputError: a row that does not fit, with its file, line and field.
    """
    rows: dict[str, list[Row]] = {}
    references: dict[str, str | None] = {}
    for row in _rows(source):
        text = row.text(*_PROBLEM)
        if not text or not text.strip():
            raise row.error("there is no text of the problem", "problem")
        listed = row.items("candidates")
        rows.setdefault(text, []).extend([row] if listed is None else _listed(row, listed))
        references[text] = references.get(text) or _reference(row)
    return [_group(n, Problem(text, references[text]), own) for n, (text, own) in enumerate(rows.items())]


def _rows(source: str) -> Iterator[Row]:
    path = Path(source)
    if path.is_dir():
        for file in row_files(path):
            yield from read_rows(file)
    elif path.exists():
        yield from read_rows(path)
    elif is_hub_id(source):
        for rows in read_hub(source).values():
            yield from rows
    else:
        raise InputError("there is no such file or folder, and it is not the id of a dataset (owner/name)", source)


def _listed(row: Row, items: Sequence[Any]) -> Iterator[Row]:
    for i, item in enumerate(items):
        if not isinstance(item, dict):
            raise row.error(f"must be an object, not {describe(item)}", f"candidates[{i}]")
        yield Row(f"{row.where}, candidates[{i}]", item)


def _reference(row: Row) -> str | None:
    return _said(row, row.first(*_REFERENCE), "answer")


def _said(row: Row, value: Any, field: str) -> str | None:
    """An answer is text; some files have numbers."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        raise row.error(f"must be text or a number, not {describe(value)}", field)
    return None if value is None else str(value).strip() or None


def _group(n: int, problem: Problem, rows: Sequence[Row]) -> Group:
    candidates = (_candidate(row, problem, f"{n}/{k}") for k, row in enumerate(rows))
    return Group(str(n), problem, tuple(candidates))


def _candidate(row: Row, problem: Problem, name: str) -> Candidate:
    listed, text = row.items("steps"), row.text(*_TEXT) or ""
    if listed is not None and not all(isinstance(step, str) for step in listed):
        raise row.error("must be texts", "steps")
    steps = split_steps(text) if listed is None else tuple(step for step in listed if step.strip())
    given = row.values.get("final_answer")
    if given is None and row.values.get("solution") is not None:
        given = row.values.get("completion")
    answer = final_answer("\n\n".join(steps)) if given is None else _said(row, given, "final_answer")
    solution = Solution(problem, steps, id=name, generator=row.text("model", "generator") or "")
    tokens = row.integer("tokens") or 0
    return Candidate(solution, answer, row.boolean("correct"), tokens, "" if steps else "empty")


async def sample(
    engine: Engine, problems: Iterable[tuple[str, Problem]], n: int, sampling: Sampling, concurrency: int = 64
) -> list[Group]:
    """``n`` solutions of each problem by a policy; the same seed gives the same. Where the engine fails, a candidate
    has an error. Raises EngineLost where it has gone."""
    room = asyncio.Semaphore(concurrency)

    async def one(name: str, problem: Problem, k: int) -> Candidate:
        async with room:
            return await _sampled(engine, Solution(problem, (), id=f"{name}/{k}"), sampling)

    async def group(name: str, problem: Problem) -> Group:
        return Group(name, problem, tuple(await together(one(name, problem, k) for k in range(n))))

    return await together(group(name, problem) for name, problem in problems)


async def _sampled(engine: Engine, empty: Solution, sampling: Sampling) -> Candidate:
    text = empty.problem.text
    try:
        said = await engine.complete(Prompt(solve(text), problem=text), _seeded(sampling, empty.id))
    except EngineLost:
        raise
    except EngineError as error:
        return Candidate(empty, error=f"engine_error: {error}")
    steps = split_steps(said.text)
    solution = replace(empty, steps=steps, generator=engine.name)
    tokens = said.usage.completion_tokens
    return Candidate(solution, final_answer(said.text), None, tokens, "" if steps else "empty")


def _seeded(sampling: Sampling, name: str) -> Sampling:
    return sampling if sampling.seed is None else replace(sampling, seed=seed_of(sampling.seed, name))
