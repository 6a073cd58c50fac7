"""What there is to look at in a folder: one part for an evaluation or a dataset, one for every stage of a synthesis."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from genprm.errors import InputError, MissingExtra
from genprm.rows import is_dataset
from genprm.viewing.datasets import DatasetIndex
from genprm.viewing.index import Index

_NAME = "results.jsonl"
_SAYS = "holds no results.jsonl, nor stages of a synthesis that do, nor a dataset: it is no run of genprm"


@dataclass(frozen=True, slots=True)
class Part:
    """One file of rows, and what was said of it."""

    name: str
    index: Index
    folder: Path

    def pictures(self) -> list[Path]:
        return sorted(self.folder.glob("*.png"))


@dataclass(frozen=True, slots=True)
class Viewed:
    """A run that is open."""

    folder: Path
    parts: tuple[Part, ...]

    @property
    def name(self) -> str:
        return self.folder.absolute().stem

    def part(self, number: int) -> Part:
        """Raises InputError."""
        if not 0 <= number < len(self.parts):
            raise InputError(f"there is no part {number + 1}", str(self.folder))
        return self.parts[number]


def open_run(path: str | Path) -> Viewed:
    """A run folder, a folder with stages, a dataset, or a ``.jsonl`` file. No row is read yet.

    Raises:
        InputError: it is none of these.
        MissingExtra: a dataset without pyarrow.
    """
    path = Path(path)
    if path.is_file():
        if path.suffix != ".jsonl":
            raise InputError("is no folder of a run, and no .jsonl file", str(path))
        return Viewed(path, (Part(path.stem, Index(path), path.parent),))
    if not path.is_dir():
        raise InputError("there is no such folder", str(path))
    if is_dataset(path):
        return Viewed(path, (Part("rows", DatasetIndex(path), path),))
    folders = [path] if (path / _NAME).is_file() else sorted(p.parent for p in path.glob(f"[0-9]-*/{_NAME}"))
    if not folders:
        raise InputError(_SAYS, str(path))
    return Viewed(path, tuple(Part(f.name if f != path else "results", _index(f), f) for f in folders))


def _index(folder: Path) -> Index:
    """Of a run; what an export has made is its dataset, which without pyarrow has no rows to show."""
    if is_dataset(folder / "dataset"):
        with suppress(MissingExtra):
            return DatasetIndex(folder / "dataset")
    return Index(folder / _NAME)


def settings(folder: Path) -> dict[str, Any]:
    """The configuration and versions in ``run.json``, as they are; empty where it cannot be read."""
    return _object(folder / "run.json")


def summary(folder: Path) -> dict[str, Any]:
    """``report.json``; empty where there is none."""
    return _object(folder / "report.json")


def _object(path: Path) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def made_by(made: dict[str, Any]) -> str:
    """How a run was made, in a line, by what its ``run.json`` has of it."""
    config = made.get("config")
    config = config if isinstance(config, dict) else {}
    named = ("engine", "protocol", "policy", "scorer", "n", "vote", "threshold", "split")
    said = [f"{name} {config[name]}" for name in named if isinstance(config.get(name), str | int | float)]
    return " · ".join([*said, *([str(made["began"])] if isinstance(made.get("began"), str) else [])])
