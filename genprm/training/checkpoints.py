"""Checkpoints and the journal of a run that may be killed at any moment, while it writes one of them too."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One that was written to its end."""

    folder: Path
    updates: int
    """Done when it was written."""
    waited: int
    """Validations in a row without a better loss, as early stopping counts them."""


def last_whole(folder: Path, *, tidy: bool) -> Checkpoint | None:
    """The last checkpoint in ``folder`` whose ``trainer_state.json``, which is written last, can be read.

    ``tidy``: what was begun after it is deleted; only one process may do so.
    """
    found = [(int(path.name.rpartition("-")[2]), path) for path in folder.glob("checkpoint-*") if _numbered(path)]
    for _, path in sorted(found, reverse=True):
        if checkpoint := _read(path):
            return checkpoint
        if tidy:
            shutil.rmtree(path)
    return None


def cut_journal(path: Path, updates: int) -> None:
    """Leave out what was recorded after so many updates: it will be written again.

    Records are objects with a field ``update``, one a line, in their order.
    """
    size = 0
    with path.open("r+b") as file:
        for line in file:
            if msgspec.json.decode(line)["update"] > updates:
                break
            size += len(line)
        file.truncate(size)


def _numbered(path: Path) -> bool:
    return path.is_dir() and re.fullmatch(r"checkpoint-[0-9]+", path.name) is not None


def _read(folder: Path) -> Checkpoint | None:
    """None where it breaks off."""
    try:  # with the reader that transformers has, for numbers that are none
        state: dict[str, Any] = json.loads((folder / "trainer_state.json").read_bytes())
    except (OSError, ValueError):
        return None
    stopping = state.get("stateful_callbacks", {}).get("EarlyStoppingCallback", {})
    waited = stopping.get("attributes", {}).get("early_stopping_patience_counter", 0)
    return Checkpoint(folder, state["global_step"], waited)
