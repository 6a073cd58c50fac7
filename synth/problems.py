"""Where problems come from: the generated world, files of rows, datasets.

    world:train:0-500        problems 0 to 499 of that split of the world; world:train:0-500:3 of difficulty 3
    gsm8k/train.jsonl        a file of rows, a folder of them, or the id of a dataset

A row is read as by :func:`genprm.problems.posed`; other names of its fields are told by ``fields``.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from genprm.errors import InputError
from genprm.problems import NAMES, Posed, posed, require_distinct
from genprm.rows import Row, is_hub_id, read_hub, read_rows, row_files
from genprm.synth.world import Split, examples
from genprm.synth.world.problems import DIFFICULTIES

Fields = Mapping[str, str]
_NAMES: Mapping[str, tuple[str, ...]] = {**NAMES, "steps": ("steps",), "generator": ("generator", "model"), "each": ()}
"""The fields of a row, and the names that they go by. ``each``: a list in the row, of which every element is a solution
with fields of its own beside those of the row."""
_WORLD = re.compile(r"world:(?P<split>[^:]*):(?P<start>\d+)-(?P<stop>\d+)(?::(?P<difficulty>\d+))?")


@dataclass(frozen=True, slots=True)
class Problems:
    """What a source holds."""

    posed: tuple[Posed, ...]
    repeated: int = 0
    """Rows left out because an earlier one has the same text."""
    unanswered: int = 0
    """Rows left out because there is no reference answer to compare with."""


def read_problems(
    source: str, *, split: str | None = None, limit: int | None = None, fields: Fields | None = None
) -> Problems:
    """The problems of a source, or the first ``limit`` ones, each with a reference answer.

    Raises:
        InputError: what cannot be read, with its place and field.
        MissingExtra: Parquet or a dataset without the extra ``data``.
    """
    names = names_of(fields, source)
    rows = (posed(row, name, part, names) for row, name, part in placed_rows(source, split))
    first: dict[str, Posed] = {}
    repeated = unanswered = 0
    for one in _world(source) if source.startswith("world:") else rows:
        if len(first) == limit:
            break
        unanswered += one.problem.answer is None
        repeated += one.problem.text in first
        if one.problem.answer is not None:
            first.setdefault(one.problem.text, one)
    if not first:
        raise InputError("there is no problem with a reference answer", source)
    require_distinct(list(first.values()), source)
    return Problems(tuple(first.values()), repeated, unanswered)


def names_of(fields: Fields | None, source: str) -> dict[str, tuple[str, ...]]:
    """The names that each field goes by. Raises InputError for a field that there is not."""
    if unknown := set(fields or {}) - _NAMES.keys():
        raise InputError(f"no such field; there are {', '.join(_NAMES)}", source, f"fields.{min(unknown)}")
    return {field: (fields[field],) if fields and field in fields else names for field, names in _NAMES.items()}


def placed_rows(source: str, split: str | None = None) -> Iterator[tuple[Row, str, str]]:
    """The rows of a file, a folder or a dataset, each with a name by its place, and its part."""
    for part, rows in _read_source(source, split):
        for number, row in enumerate(rows):
            yield row, f"{part}-{number}", part


def _read_source(source: str, split: str | None) -> list[tuple[str, list[Row]]]:
    """The rows of a file, a folder or a dataset, by part."""
    path = Path(source)
    if path.is_dir():
        files = [file for file in row_files(path) if split is None or file.stem == split]
        if not files:
            raise InputError(f"there is no split {split!r}", source)
        return [(file.stem, read_rows(file)) for file in files]
    if path.exists():
        return [(path.stem, read_rows(path))]
    if is_hub_id(source):
        return list(read_hub(source, split).items())
    raise InputError("there is no such file or folder, and it is neither world:… nor the id of a dataset", source)


def _world(source: str) -> Iterator[Posed]:
    asked = _WORLD.fullmatch(source)
    if asked is None or asked["split"] not in get_args(Split) or int(asked["start"]) >= int(asked["stop"]):
        raise InputError("the world's problems are asked for as world:train:0-500 or world:train:0-500:3", source)
    level = int(asked["difficulty"]) if asked["difficulty"] else None
    if level is not None and level not in DIFFICULTIES:
        raise InputError(f"there is no difficulty {level}, only {min(DIFFICULTIES)} to {max(DIFFICULTIES)}", source)
    start = int(asked["start"])
    for made in examples(cast(Split, asked["split"]), int(asked["stop"]) - start, start, level):
        yield Posed(made.solution.id, made.solution.problem, "world")
