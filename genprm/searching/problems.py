"""Problems as people have them."""

import sys
from dataclasses import dataclass
from pathlib import Path

from genprm.errors import InputError
from genprm.rows import ROW_SUFFIXES, Row, decode_text, read_rows, read_text
from genprm.types import Problem


@dataclass(frozen=True, slots=True)
class Named:
    """A problem, and what names it in a run."""

    id: str
    problem: Problem


def read_problems(source: str, limit: int | None = None) -> list[Named]:
    """From a ``.json``, ``.jsonl`` or ``.parquet`` file of rows with ``problem`` or ``question``, and ``answer`` and
    ``id`` where they are known; from any other file, or ``-`` for standard input, the text of one problem.

    Raises:
        InputError: what cannot be read, with its place and field.
    """
    path = Path(source)
    if source != "-" and path.suffix.lower() in ROW_SUFFIXES:
        found = [_named(row, f"{path.stem}-{i}") for i, row in enumerate(read_rows(path)[:limit])]
        _require_distinct(found, source)
        return found
    text = decode_text(sys.stdin.buffer.read(), "stdin") if source == "-" else read_text(path)
    return [Named("stdin" if source == "-" else path.stem, Problem(text.strip()))]


def _named(row: Row, otherwise: str) -> Named:
    text = row.text("problem", "question")
    if not text or not text.strip():
        raise row.error("there is no problem", "problem")
    return Named(str(row.values.get("id") or otherwise), Problem(text.strip(), row.text("answer")))


def _require_distinct(found: list[Named], source: str) -> None:
    seen: set[str] = set()
    for each in found:
        if each.id in seen:
            raise InputError(f"two rows have the id {each.id!r}", source, "id")
        seen.add(each.id)
