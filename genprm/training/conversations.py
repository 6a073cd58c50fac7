"""Training rows: conversations, read and checked as a whole before anything starts.

A row, as in GenPRM-MATH-Data and TRL (``conversations`` may stand for ``messages``)::

    {"messages": [{"role": "system", "content": "…"}, {"role": "user", …}, {"role": "assistant", …}],
     "id": "…", "difficulty": 3}
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from genprm.errors import InputError
from genprm.rows import Row, describe, is_dataset, is_hub_id, read_hub, read_rows, row_files, split_files
from genprm.types import Message, Role

_FIELDS = ("messages", "conversations")
_ROLES = get_args(Role)


@dataclass(frozen=True, slots=True)
class Conversation:
    """One row."""

    messages: tuple[Message, ...]
    """At least two, the last one the assistant's."""
    where: str
    """Its file and line, for errors."""
    difficulty: int | None = None


def read_conversations(sources: Iterable[str | Path]) -> list[Conversation]:
    """All rows of files (``.jsonl``, ``.json``, ``.parquet``), of folders of them, and of datasets here or on the hub.

    A dataset here is a folder as ``genprm.synth.export`` writes it. Of a dataset ``FOLDER`` or ``OWNER/NAME`` only the
    split ``train`` is read, never in passing what others test with; ``OWNER/NAME:SPLIT`` names another one, or several
    with commas between them.

    Raises:
        InputError: a row that does not fit, with its file, line and field; a source without rows.
        MissingExtra: Parquet or the hub without the extra ``data``.
    """
    return [conversation_from_row(row) for source in sources for row in source_rows(str(source))]


def require_difficulties(rows: Iterable[Conversation]) -> None:
    """Raises InputError for the first row without one: nobody can say how early it should come."""
    for row in rows:
        if row.difficulty is None:
            raise InputError("--curriculum needs the difficulty of every row", row.where, "difficulty")


def source_rows(source: str) -> Iterator[Row]:
    """The rows of one source as they are; see :func:`read_conversations`."""
    path = Path(source)
    name, _, split = source.partition(":")
    if is_dataset(Path(name)):
        for file in split_files(Path(name), split or "train"):
            yield from read_rows(file)
    elif path.is_dir():
        for file in row_files(path):
            yield from read_rows(file)
    elif path.is_file():
        yield from read_rows(path)
    elif is_hub_id(name):
        for rows in read_hub(name, split or "train").values():
            yield from rows
    else:
        raise InputError("there is no such file or folder, and it is not the id of a dataset (owner/name)", source)


def conversation_from_row(row: Row) -> Conversation:
    """Validate one row. Raises InputError."""
    name = next((name for name in _FIELDS if row.values.get(name) is not None), None)
    if name is None:
        raise row.error(f"there are no messages; the row has {', '.join(row.values) or 'nothing'}", "messages")
    items = row.items(name) or []
    messages = tuple(_message(row, item, f"{name}[{i}]") for i, item in enumerate(items))
    _require_order(row, messages, name)
    return Conversation(messages, row.where, row.integer("difficulty"))


def _message(row: Row, item: Any, field: str) -> Message:
    if not isinstance(item, dict):
        raise row.error(f"must be an object with role and content, not {describe(item)}", field)
    role: Any = item.get("role")
    content = item.get("content")
    if role not in _ROLES:
        raise row.error(f"must be one of {', '.join(_ROLES)}, not {describe(role)}", f"{field}.role")
    if not isinstance(content, str):
        raise row.error(f"must be text, not {describe(content)}", f"{field}.content")
    if not content.strip():
        raise row.error("is empty", f"{field}.content")
    return Message(role, content)


def _require_order(row: Row, messages: tuple[Message, ...], name: str) -> None:
    """An optional system message, then user and assistant in turns, and the assistant has the last word."""
    start = 1 if messages and messages[0].role == "system" else 0
    for i, message in enumerate(messages[start:]):
        wanted = "assistant" if i % 2 else "user"
        if message.role != wanted:
            raise row.error(f"must be {wanted} here, not {message.role}", f"{name}[{i + start}].role")
    if len(messages) - start < 2 or messages[-1].role != "assistant":
        raise row.error("must end with a turn of the assistant", name)
