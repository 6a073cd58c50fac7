"""Rows -> a Hugging Face dataset: Parquet files by configuration and split, and a card.

    README.md                               the card
    data/train-00000-of-00002.parquet       the configuration ``default``
    NAME/train-00000-of-00001.parquet       any other

The same rows give the same bytes (with the same pyarrow), in whatever order they come. The folder appears whole or not
at all.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec

from genprm import records
from genprm.errors import ConfigError, MissingExtra
from genprm.runs import write_whole
from genprm.synth.card import Card, Counts, Stage, folder_of, write_card
from genprm.synth.dataset_rows import Row, columns
from genprm.synth.schema import parquet_schema

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*")
_BATCH = 256


@dataclass(frozen=True, slots=True)
class ExportOptions:
    name: str = "Step-by-step critiques"
    """Title of the card."""
    licence: str = "other"
    """As the hub names it: ``apache-2.0``, ``mit``, …"""
    shares: Mapping[str, float] = field(default_factory=lambda: {"train": 0.9, "validation": 0.05, "test": 0.05})
    """Of the problems, by split; they add up to 1."""
    rows_per_file: int = 10_000
    seed: int = 0
    """Of the choice of splits: the same seed puts a problem into the same split in every dataset."""
    stages: Sequence[Stage] = ()
    """What each stage of the making took and left, for the card."""
    made: str = ""
    """How it was made, in Markdown, for the card."""
    replace: bool = False
    """Take the place of a dataset that is there."""

    def __post_init__(self) -> None:
        if not self.shares or abs(sum(self.shares.values()) - 1) > 1e-9 or min(self.shares.values()) < 0:
            raise ConfigError("the shares of the splits are at least 0 and add up to 1")
        for name in self.shares:
            _require_name(name, "a split")
        if self.rows_per_file < 1:
            raise ConfigError("a file holds at least one row")


@dataclass(frozen=True, slots=True)
class Exported:
    folder: Path
    rows: Mapping[str, Mapping[str, int]]
    """By configuration and split."""


def export(rows: Iterable[Row], folder: Path, options: ExportOptions | None = None) -> Exported:
    """Write a dataset. Memory does not grow with the length of the rows: they wait in a file beside the folder.

    Raises:
        ConfigError: the folder is there and is not to be replaced, two rows of a configuration share an id, there are
            no rows.
        MissingExtra: pyarrow is not there.
        OSError: such as a full disk; nothing is left behind.
    """
    options = options or ExportOptions()
    _require_pyarrow()
    if folder.exists() and not options.replace:
        raise ConfigError(f"{folder} is there already; name another folder")
    if folder.exists() and not (folder.is_dir() and (not any(folder.iterdir()) or (folder / "README.md").exists())):
        raise ConfigError(f"{folder} is no dataset, and is not replaced")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _whole(folder) as partial, tempfile.TemporaryFile(dir=folder.parent) as spool:
        places, card = _spool(rows, spool, options)
        for (config, split), found in groupby(places, key=lambda place: (place.config, place.split)):
            _write_split(partial / folder_of(config), split, list(found), spool, options.rows_per_file)
        write_whole(partial / "README.md", [write_card(card).encode()])
    return Exported(folder, {config: {s: c.rows for s, c in splits.items()} for config, splits in card.counts.items()})


def split_of(problem_digest: str, shares: Mapping[str, float], seed: int = 0) -> str:
    """The only split in which a problem may stand, by its digest and the seed alone."""
    drawn = int.from_bytes(hashlib.blake2b(f"{seed} {problem_digest}".encode(), digest_size=8).digest()) / 2**64
    for name, share in shares.items():
        drawn -= share
        if drawn < 0:
            return name
    return next(name for name in reversed(list(shares)) if shares[name])  # the shares add up to a hair less than 1


class _Place(NamedTuple):
    """Where a row waits; sorted as rows are written."""

    config: str
    split: str
    problem: str
    id: str
    offset: int
    length: int


def _spool(rows: Iterable[Row], spool: IO[bytes], options: ExportOptions) -> tuple[list[_Place], Card]:
    places: list[_Place] = []
    counts: dict[str, dict[str, Counts]] = {}
    offset = 0
    for row in rows:
        if row.config != "default":
            _require_name(row.config, "a configuration")
        values = columns(row)
        split = split_of(values["problem_digest"], options.shares, options.seed)
        line = records.to_json(values)
        spool.write(line)
        places.append(_Place(row.config, split, values["problem_digest"], row.id, offset, len(line)))
        offset += len(line)
        counts.setdefault(row.config, {}).setdefault(split, Counts()).add(values)
    if not places:
        raise ConfigError("there are no rows to export")
    _require_distinct(places)
    spool.flush()
    ordered = {name: {s: counts[name][s] for s in options.shares if s in counts[name]} for name in sorted(counts)}
    card = Card(options.name, options.licence, ordered, options.stages, options.made, options.seed)
    return sorted(places), card


def _require_distinct(places: Sequence[_Place]) -> None:
    seen: set[tuple[str, str]] = set()
    for place in places:
        if (place.config, place.id) in seen:
            raise ConfigError(f"two rows of the configuration {place.config} have the id {place.id!r}")
        seen.add((place.config, place.id))


def _write_split(folder: Path, split: str, places: Sequence[_Place], spool: IO[bytes], rows_per_file: int) -> None:
    import pyarrow
    import pyarrow.parquet

    folder.mkdir(exist_ok=True)
    schema = parquet_schema()
    files = -(-len(places) // rows_per_file)
    for number in range(files):
        path = folder / f"{split}-{number:05}-of-{files:05}.parquet"
        part = places[number * rows_per_file : (number + 1) * rows_per_file]
        with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
            for at in range(0, len(part), _BATCH):
                writer.write_table(pyarrow.Table.from_pylist(_rows(spool, part[at : at + _BATCH]), schema=schema))


def _rows(spool: IO[bytes], places: Sequence[_Place]) -> list[dict[str, Any]]:
    found = []
    for place in places:
        spool.seek(place.offset)
        found.append(msgspec.json.decode(spool.read(place.length)))
    return found


def _require_name(name: str, what: str) -> None:
    if not _NAME.fullmatch(name) or name == "data":
        raise ConfigError(f"{what} is named by letters, digits and _, and not data: {name!r} does not do")


def _require_pyarrow() -> None:
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise MissingExtra("pyarrow", "synth", "writing a dataset") from error


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A folder to write in that takes its place when all is well, and is gone otherwise."""
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    try:
        partial.mkdir()
        yield partial
        if folder.exists():
            folder.rename(old)
        partial.rename(folder)
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        for left in (partial, old):
            shutil.rmtree(left, ignore_errors=True)
