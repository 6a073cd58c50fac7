"""What a run trains: from rows to a job, from a job to a trainer, and from trained weights to a folder."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from genprm.training.conversations import Conversation
from genprm.training.job import TOKENIZER_ROWS, Job, Rows, checked, find_start
from genprm.training.loop import Collate, Collator, ConversationTrainer, PlannedTrainer
from genprm.training.models import save
from genprm.training.options import Options


class Course(Protocol):
    """A kind of training, with its rows."""

    @property
    def options(self) -> Options: ...

    @property
    def sizes(self) -> tuple[int, int]:
        """Rows to train and to validate on."""
        ...

    @property
    def data(self) -> str:
        """A fingerprint of the rows."""
        ...

    def start(self, kept: Path, scratch: Path) -> Path:
        """The folder of a new model, ``kept`` or made in ``scratch``."""
        ...

    def check(self, start: Path, *, speak: bool) -> Job:
        """Load the model, and turn all rows into examples. Raises ConfigError, InputError."""
        ...

    def collate(self, rows: Rows, pad: int) -> Collate: ...

    def difficulties(self, rows: Rows) -> list[int]: ...

    def trainer(self, **given: Any) -> PlannedTrainer: ...

    def save(self, job: Job, folder: Path) -> None: ...


@dataclass(frozen=True, slots=True)
class ConversationCourse:
    """Critics and policies."""

    options: Options
    rows: Sequence[Conversation]
    valid: Sequence[Conversation]

    @property
    def sizes(self) -> tuple[int, int]:
        return len(self.rows), len(self.valid)

    @property
    def data(self) -> str:
        return f"{_digest(self.rows)} {_digest(self.valid)}"

    def start(self, kept: Path, scratch: Path) -> Path:
        texts = (message.content for row in self.rows[:TOKENIZER_ROWS] for message in row.messages)
        return find_start(self.options, texts, kept, scratch)

    def check(self, start: Path, *, speak: bool) -> Job:
        return checked(self.options, self.rows, self.valid, start, speak=speak)

    def collate(self, rows: Rows, pad: int) -> Collate:
        return Collator(rows.examples, pad, self.options.packing)

    def difficulties(self, rows: Rows) -> list[int]:
        return [example.difficulty for example in rows.examples]

    def trainer(self, **given: Any) -> PlannedTrainer:
        return ConversationTrainer(**given)

    def save(self, job: Job, folder: Path) -> None:
        save(self.options, job.model, job.tokenizer, job.came_in, folder)


def _digest(rows: Sequence[Conversation]) -> str:
    state = hashlib.blake2b(digest_size=8)
    for row in rows:
        state.update(msgspec.json.encode((row.messages, row.difficulty)))
    return state.hexdigest()
