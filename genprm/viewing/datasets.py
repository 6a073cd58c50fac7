"""Rows of an exported dataset, for those who look at lines of JSON. Needs pyarrow (extra ``data``)."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genprm import records
from genprm.errors import InputError, MissingExtra
from genprm.viewing.index import Index

_DEFAULT = "data"
"""The folder of the configuration ``default``."""


def files_of(dataset: Path) -> list[Path]:
    """Its Parquet files, of all configurations and splits."""
    return sorted(dataset.glob("*/*-of-*.parquet"))


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows that are read together."""

    first: int
    """Number of its first row, in all files."""
    path: Path
    number: int
    """In its file."""


@dataclass(slots=True)
class DatasetIndex(Index):
    """Of the folder of a dataset, which is there whole or not at all. The offset of a row is its number in all files.

    Of the rows themselves only the group that was read last is kept.
    """

    _groups: list[_Group] = field(default_factory=list)
    _rows_in_all: int = 0
    _last: tuple[_Group, Sequence[bytes]] | None = None

    def __post_init__(self) -> None:
        """Raises InputError for files that are no Parquet, MissingExtra without pyarrow."""
        self._look()

    def row(self, row: int) -> bytes:
        """The line of a row. Raises InputError where the files are not what they were."""
        offset = self.offsets[row]
        group = self._groups[bisect_right(self._groups, offset, key=lambda each: each.first) - 1]
        try:
            return self._lines_of(group)[offset - group.first]
        except IndexError:
            raise InputError("the file has changed under the reader", str(group.path)) from None

    def lines(self) -> Iterator[tuple[int, bytes]]:
        for row in range(len(self.offsets)):
            yield row, self.row(row)

    def _size(self) -> int:
        return self._rows_in_all

    def _changed(self) -> bool:
        return self._replaced()

    def _replaced(self) -> bool:
        return self._file != _identity(self.path)

    def _forget(self) -> None:
        Index._forget(self)
        self._look()

    def _look(self) -> None:
        self._file, self._last = _identity(self.path), None
        self._groups, self._rows_in_all = _groups(self.path)

    def _new_lines(self) -> Iterator[tuple[int, bytes]]:
        for group in self._groups:
            for offset, line in enumerate(self._lines_of(group), group.first):
                if offset >= self._read:
                    self._read, self._lines = offset + 1, offset + 1
                    yield offset, line

    def _lines_of(self, group: _Group) -> Sequence[bytes]:
        last = self._last  # one look: a request may be answered while the index is made
        if last is None or last[0] != group:
            last = self._last = group, _read_group(group)
        return last[1]


def _identity(dataset: Path) -> tuple[int, int] | None:
    try:
        stat = dataset.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _groups(dataset: Path) -> tuple[list[_Group], int]:
    """The groups of all files, and how many rows there are."""
    groups, rows = [], 0
    for path in files_of(dataset):
        with _opened(path) as file:
            for number in range(file.metadata.num_row_groups):
                groups.append(_Group(rows, path, number))
                rows += file.metadata.row_group(number).num_rows
    return groups, rows


def _read_group(group: _Group) -> list[bytes]:
    """Its rows as lines, with the configuration and the split that they belong to."""
    config, split = group.path.parent.name, group.path.name.rsplit("-", 3)[0]
    where = {"split": split} if config == _DEFAULT else {"config": config, "split": split}
    with _opened(group.path) as file:
        return [records.to_json(where | row) + b"\n" for row in file.read_row_group(group.number).to_pylist()]


def _opened(path: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra("pyarrow", "data", f"reading {path.name}") from error
    try:
        return pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"is not a Parquet file: {str(error).splitlines()[0]}", str(path)) from error
