"""Where the rows of a file stand, and what they are in brief. Their texts stay in the file.

A file is read once, from its first byte to its last, and further when it has grown; rows are then read by their offset.
What is kept of a row is a few hundred bytes, whatever its length.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from genprm import records
from genprm.errors import InputError
from genprm.trajectory import analyse
from genprm.types import NO_ERROR, Critique
from genprm.viewing.summaries import KIND_OF_ERROR, OUTCOME, Facets, Summary, facets_of, summary_of

BROKEN = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError, AttributeError, ValueError)
"""What a line that is no record raises when it is summed up."""
_NAMED = 20
"""Broken lines that are named; more are counted."""


@dataclass(slots=True)
class Index:
    """Of one file of rows. Reading goes on in a thread; what is there already can be asked for."""

    path: Path
    rows: list[Summary] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    """Of the line that counts for each row."""
    by_key: dict[str, list[int]] = field(default_factory=dict)
    kinds: dict[int, Facets] = field(default_factory=dict)
    """Kinds of error by row: they need the whole critique, and come after all rows are there."""
    broken: list[int] = field(default_factory=list)
    """Numbers of lines, from 1, that are no records."""
    n_broken: int = 0
    torn: bool = False
    """Whether the last line has no end: a run that was killed, or goes on."""
    done: bool = False
    _read: int = 0
    _lines: int = 0
    _analysed: int = 0
    _file: tuple[int, int] | None = None
    """Which file it is, by device and number."""
    _names: dict[str, int] = field(default_factory=dict)
    _busy: threading.Lock = field(default_factory=threading.Lock)

    @property
    def progress(self) -> float:
        """Share of the file that has been read."""
        size = self._size()
        return min(self._read / size, 1.0) if size else 1.0

    @property
    def settled(self) -> bool:
        """Whether there is no more to come: rows and kinds of error."""
        return self.done and self._analysed == len(self.rows)

    def refresh(self) -> None:
        """Begin to read what is new, in a thread; nothing where one reads already."""
        if not self._busy.locked() and (not self.done or self._changed()):
            threading.Thread(target=self.read, daemon=True).start()

    def read(self) -> None:
        """Read what is new, here and now."""
        with self._busy:
            if self._replaced():
                self._forget()
            with suppress(FileNotFoundError):  # whoever asks for a row is told
                for offset, line in self._new_lines():
                    self._add(offset, line)
            self.done = True
            self._analyse()

    def row(self, row: int) -> bytes:
        """The line of a row. Raises InputError where the file is not what it was."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offsets[row])
                line = file.readline()
        except OSError as error:
            raise InputError(f"cannot be read any more: {error.strerror}", str(self.path)) from None
        if not line.endswith(b"\n"):
            raise InputError("the file has changed under the reader", str(self.path))
        return line

    def record(self, row: int) -> Any:
        """Raises InputError."""
        return records.from_json(self.row(row), Any, f"{self.path}, row {row}")

    def facets(self, row: int) -> Facets:
        return (*self.rows[row].facets, *self.kinds.get(row, ()))

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Rows and their lines, in the order of the file."""
        with self.path.open("rb") as file:
            for row, offset in sorted(enumerate(self.offsets), key=lambda each: each[1]):
                file.seek(offset)
                yield row, file.readline()

    def _size(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def _changed(self) -> bool:
        return self._replaced() or self._size() > self._read + (1 if self.torn else 0)

    def _replaced(self) -> bool:
        """Another file by the same name, or the same one cut short."""
        try:
            stat = self.path.stat()
        except OSError:
            return False
        return (stat.st_dev, stat.st_ino) != (self._file or (stat.st_dev, stat.st_ino)) or stat.st_size < self._read

    def _forget(self) -> None:
        for kept in (self.rows, self.offsets, self.by_key, self.kinds, self.broken, self._names):
            kept.clear()
        self.n_broken = self._read = self._lines = self._analysed = 0
        self.torn = False

    def _new_lines(self) -> Iterator[tuple[int, bytes]]:
        with self.path.open("rb") as file:
            stat = os.fstat(file.fileno())
            self._file = (stat.st_dev, stat.st_ino)
            file.seek(self._read)
            self.torn = False
            for line in file:
                if not line.endswith(b"\n"):
                    self.torn = True
                    return
                offset, self._read, self._lines = self._read, self._read + len(line), self._lines + 1
                yield offset, line

    def _add(self, offset: int, line: bytes) -> None:
        if not line.strip():
            return
        try:
            summary = summary_of(line)
        except BROKEN:
            self.n_broken += 1
            if len(self.broken) < _NAMED:
                self.broken.append(self._lines)
            return
        row = self._names.get(summary.name) if summary.name else None
        if row is not None:  # judged again: the last line counts
            self.rows[row], self.offsets[row] = summary, offset
            self.kinds.pop(row, None)
            return
        row = len(self.rows)
        self.offsets.append(offset)
        self.rows.append(summary)
        if summary.name:
            self._names[summary.name] = row
        self.by_key.setdefault(summary.key, []).append(row)

    def _analyse(self) -> None:
        """Kinds of error, in the time that nobody else wants."""
        for row in range(self._analysed, len(self.rows)):
            if self._names_an_error(row):
                self.kinds[row] = self._kinds(row)
                time.sleep(0)
            self._analysed = row + 1

    def _names_an_error(self, row: int) -> bool:
        said = dict(self.rows[row].facets)
        return OUTCOME in said and "protocol" in said and said.get("first error", "").startswith("step")

    def _kinds(self, row: int) -> Facets:
        try:
            critique = records.from_json(self.row(row), Critique)
        except InputError:
            return ()
        first = critique.first_error
        return facets_of(
            (KIND_OF_ERROR, fault.kind.replace("_", " "))
            for fault in analyse(critique).faults
            if first not in (None, NO_ERROR) and fault.step == first
        )
