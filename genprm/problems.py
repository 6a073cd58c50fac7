"""Problems as people have them: rows of many kinds, or one text."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from genprm.answers import final_answer
from genprm.errors import InputError
from genprm.rows import ROW_SUFFIXES, Row, decode_text, read_rows, read_text
from genprm.splitting import split_problem
from genprm.types import Problem

Names = Mapping[str, Sequence[str]]
NAMES: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "unique_id", "idx"),
    "problem": ("problem", "question"),
    "answer": ("answer", "gt", "reference", "final_answer"),
    "solution": ("solution", "response", "completion", "text"),
}
"""The fields of a row, and the names that they go by."""


@dataclass(frozen=True, slots=True)
class Posed:
    """A problem with a name."""

    id: str
    problem: Problem
    source: str = ""


def read_problems(source: str, limit: int | None = None) -> list[Posed]:
    """From a ``.json``, ``.jsonl`` or ``.parquet`` file of rows (:func:`posed`); from any other file, or ``-`` for
    standard input, the text of one problem, without a solution that a title parts from it (:func:`split_problem`).

    Raises:
        InputError: what cannot be read, with its place and field.
    """
    path = Path(source)
    if source != "-" and path.suffix.lower() in ROW_SUFFIXES:
        found = [posed(row, f"{path.stem}-{i}") for i, row in enumerate(read_rows(path)[:limit])]
        require_distinct(found, source)
        return found
    text = split_problem(decode_text(sys.stdin.buffer.read(), "stdin") if source == "-" else read_text(path))
    if not text:
        raise InputError("there is no problem, only a title or a solution", "stdin" if source == "-" else source)
    return [Posed("stdin" if source == "-" else path.stem, Problem(text))]


def posed(row: Row, otherwise: str, source: str = "", names: Names = NAMES) -> Posed:
    """The problem of a row, named ``otherwise`` where the row has no name. Its answer is None where the row has none.

    An answer that is a whole solution, as in GSM8K, or a ``solution`` beside no ``answer``, counts for what it ends in.

    Raises:
        InputError: there is no text of the problem, or a field is not what it should be.
    """
    text = row.text(*names["problem"])
    if not text or not text.strip():
        raise row.error("there is no text of the problem", names["problem"][0])
    return Posed(_name_of(row, names) or otherwise, Problem(text, _reference(row, names)), source)


def _name_of(row: Row, names: Names) -> str | None:
    """The id of a row: text, or a number."""
    given = row.first(*names["id"])
    return None if given is None else str(given)


def require_distinct(found: Sequence[Posed], source: str) -> None:
    """Raises InputError for two problems of one name."""
    seen: set[str] = set()
    for each in found:
        if each.id in seen:
            raise InputError(f"two problems have the id {each.id!r}", source, "id")
        seen.add(each.id)


def _reference(row: Row, names: Names) -> str | None:
    for field in ("answer", "solution"):
        given = row.first(*names[field])
        if isinstance(given, int | float) and not isinstance(given, bool):
            return str(given)
        text = row.text(*names[field])
        if text and text.strip():
            whole = field == "solution" or "####" in text or "\n\n" in text
            if found := final_answer(text) if whole else text.strip():
                return found
    return None
