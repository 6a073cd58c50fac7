"""Input as people have it -> solutions.

A row of a file, ProcessBench-style::

    {"id": "gsm8k-0", "generator": "Qwen2-7B-Instruct", "problem": "…", "steps": ["…", "…"], "label": 1}

``label`` is the 0-based index of the first wrong step, -1 for none, absent where nobody has said. ``question`` may
stand for ``problem``, and one text as ``solution``, ``response`` or ``completion`` for ``steps``: it is cut by
:func:`genprm.splitting.split_steps`. A row without an id gets ``{file stem}-{n}``, n from 0. Other fields are ignored.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from genprm.errors import InputError
from genprm.rows import (
    ROW_SUFFIXES,
    TEXT_SUFFIXES,
    Row,
    decode_json,
    decode_text,
    describe,
    is_hub_id,
    read_hub,
    read_rows,
    read_text,
    row_files,
)
from genprm.splitting import split_answer, split_document, split_steps
from genprm.types import NO_ERROR, Problem, Solution

_PROBLEM = ("problem", "question")
_SOLUTION = ("solution", "response", "completion")

_Placed = tuple[str, Solution]  # where it stands, for errors


def read_solutions(
    source: str | Path, *, split: str | None = None, problem: str | None = None, labelled: bool = False
) -> list[Solution]:
    """Read and validate everything in ``source``, before any of it is handed out.

    Args:
        source: one of

            - a ``.json`` (a list, one object, ``{"data": [...]}``), ``.jsonl`` or ``.parquet`` file of rows;
            - a ``.txt``, ``.md`` or ``.markdown`` file with one problem and its solution, cut by
              :func:`genprm.splitting.split_document` and then into steps;
            - a folder of files of rows, each of them a split that is named by its stem;
            - ``-``: stdin, and likewise a file without an extension: JSON where the first character is ``{`` or ``[``,
              text otherwise;
            - an id on the Hugging Face hub such as ``Qwen/ProcessBench``. What exists on disk is never taken for one.
        split: the part to read, several with commas between them; all by default. A single file is its own only
            split.
        problem: the problem's text, for sources that hold only its solution.
        labelled: every row must have a label.

    Returns:
        At least one solution; ``Solution.source`` is the split, the ids within a split differ.

    Raises:
        InputError: what cannot be read, with its place and field.
        MissingExtra: Parquet or the hub without the extra ``data``.
    """
    try:
        solutions = list(_read(str(source), split, problem))
    except OSError as error:  # the file system has its own ideas of what a path is
        raise InputError(f"cannot be read: {error.strerror}", str(source)[:100]) from None
    if not solutions:
        raise InputError("there are no rows", "stdin" if source == "-" else str(source))
    _require_distinct_ids(solutions)
    for where, solution in solutions:
        if labelled and solution.first_error is None:
            raise InputError("there is no label", where, "label")
    return [solution for _, solution in solutions]


def _read(source: str, split: str | None, problem: str | None) -> Iterator[_Placed]:
    path = Path(source)
    if not source:  # Path("") is the current folder
        raise InputError("there is no source: a file, a folder, - or the id of a dataset")
    if source == "-":
        _choose({"stdin"}, split, "stdin")
        text = decode_text(sys.stdin.buffer.read(), "stdin")
        yield from _sniffed(text, "stdin", "stdin", problem)
    elif path.is_dir():
        files = _files(path)
        for name in _choose(files, split, source):
            yield from _rows(read_rows(files[name]), name, problem)
    elif path.exists():
        _choose({path.stem}, split, source)
        yield from _read_file(path, problem)
    elif is_hub_id(source):
        for name, rows in read_hub(source, split).items():
            yield from _rows(rows, name, problem)
    else:
        raise InputError("there is no such file or folder, and it is not the id of a dataset (owner/name)", source)


def _files(folder: Path) -> dict[str, Path]:
    """The files of rows in a folder, by stem."""
    files: dict[str, Path] = {}
    for path in row_files(folder):
        if path.stem in files:
            raise InputError(
                f"two files for the split {path.stem!r}: {files[path.stem].name}, {path.name}", str(folder)
            )
        files[path.stem] = path
    return files


def _choose(names: Iterable[str], split: str | None, source: str) -> list[str]:
    there = list(names)
    wanted = [name.strip() for name in split.split(",")] if split else there
    for name in wanted:
        if name not in there:
            raise InputError(f"there is no split {name!r}, only {', '.join(there)}", source)
    return wanted


def _read_file(path: Path, problem: str | None) -> Iterator[_Placed]:
    suffix = path.suffix.lower()
    if suffix in ROW_SUFFIXES:
        yield from _rows(read_rows(path), path.stem, problem)
    elif suffix in TEXT_SUFFIXES:
        yield _document(read_text(path), str(path), path.stem, problem)
    elif not suffix:
        yield from _sniffed(read_text(path), str(path), path.stem, problem)
    else:
        known = ", ".join(ROW_SUFFIXES + TEXT_SUFFIXES)
        raise InputError(f"the extension {suffix!r} is not known; known are {known}", str(path))


def _sniffed(text: str, where: str, stem: str, problem: str | None) -> Iterator[_Placed]:
    if text.lstrip()[0] in "{[":
        yield from _rows(decode_json(text, where), stem, problem)
    else:
        yield _document(text, where, stem, problem)


# --- one text, one row ---------------------------------------------------------------------------------------------


def _document(text: str, where: str, stem: str, problem: str | None) -> _Placed:
    if problem is None:
        found, body = split_document(text)
    else:
        found = problem
        twice, body = split_answer(text)
        if twice:
            raise InputError("the text has a problem of its own, and another was given", where)
    if not found or not found.strip():
        raise InputError("there is no problem: begin with 'Problem: …' and 'Solution: …', or give the problem", where)
    steps = split_steps(body)
    if not steps:
        raise InputError("there is a problem but no solution; a blank line or 'Solution:' goes between them", where)
    return where, Solution(Problem(found.strip()), steps, id=stem, source=stem)


def _rows(rows: Iterable[Row], stem: str, problem: str | None) -> Iterator[_Placed]:
    for number, row in enumerate(rows):
        yield row.where, solution_from_row(row, id=f"{stem}-{number}", source=stem, problem=problem)


def solution_from_row(row: Row, *, id: str = "", source: str = "", problem: str | None = None) -> Solution:
    """Validate one row. ``id`` and ``problem`` stand in where the row has none of its own."""
    text = row.text(*_PROBLEM)
    if text is None:
        text = problem
    elif problem is not None:
        raise row.error("the row has a problem of its own, and another was given", "problem")
    if text is None or not text.strip():
        raise row.error("there is no text of the problem", "problem")
    row.boolean("final_answer_correct")  # not kept, but a wrong type tells of a shifted column
    steps = _steps(row)
    return Solution(
        problem=Problem(text),
        steps=steps,
        id=_id(row) or id,
        first_error=_label(row, len(steps)),
        source=source,
        generator=row.text("generator") or "",
    )


def _id(row: Row) -> str | None:
    """Text; many files count their rows instead."""
    given = row.values.get("id")
    return str(given) if isinstance(given, int) and not isinstance(given, bool) else row.text("id")


def _steps(row: Row) -> tuple[str, ...]:
    steps = row.items("steps")
    if steps is None:
        text = row.text(*_SOLUTION)
        if text is None:
            fields = ", ".join(row.values) or "nothing"
            raise row.error(f"there are no steps and no {' or '.join(_SOLUTION)}; the row has {fields}", "steps")
        steps = list(split_steps(text))
    for i, step in enumerate(steps):
        if not isinstance(step, str):
            raise row.error(f"must be text, not {describe(step)}", f"steps[{i}]")
    if not "".join(steps).strip():
        raise row.error("there is no step", "steps")
    return tuple(steps)


def _label(row: Row, steps: int) -> int | None:
    label = row.integer("label")
    if label is not None and not NO_ERROR <= label < steps:
        raise row.error(f"must lie between {NO_ERROR} and {steps - 1} for {steps} steps, not {label}", "label")
    return label


def _require_distinct_ids(solutions: Iterable[_Placed]) -> None:
    """Within a split: an id may stand in several."""
    seen: dict[tuple[str, str], str] = {}
    for where, solution in solutions:
        name = (solution.source, solution.id)
        if name in seen:
            raise InputError(f"{solution.id!r} is the id of {seen[name]} already", where, "id")
        seen[name] = where
