"""What a run needs, read and checked before anything is written."""

import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genprm.engines.hf import window_of
from genprm.engines.hf_tokenizer import HfTokenizer
from genprm.engines.rendering import Renderer
from genprm.errors import ConfigError, InputError
from genprm.training.conversations import Conversation
from genprm.training.encoding import Encoder, Example, encode_all
from genprm.training.models import load_for_training, make_new
from genprm.training.options import Options

TOKENIZER_ROWS = 4000
"""Rows that the tokenizer of a new model is learned from."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Those that fit."""

    examples: Sequence[Any]
    """What the trainer's batches are made of; ``len`` of one is its tokens."""
    left_out: int
    """Rows that are longer than the model's window, or than ``max_length``."""


@dataclass(frozen=True, slots=True)
class Job:
    """A model, and rows that it can read."""

    model: Any
    tokenizer: Any
    came_in: str
    """The type that the weights came in."""
    rows: Rows
    valid: Rows


def find_start(options: Options, texts: Iterable[str], kept: Path, scratch: Path) -> Path:
    """The folder of the new model before its first update: ``kept`` where there is one, for a run that goes on must not
    begin elsewhere; else it is made in ``scratch``, its tokenizer learned from ``texts``."""
    if options.new is None or kept.is_dir():
        return kept
    make_new(options, texts, scratch / "start")
    return scratch / "start"


def keep_start(made: Path, kept: Path) -> None:
    """In one move, so that a folder that is there is whole."""
    if made != kept:
        partial = kept.with_name(f".{kept.name}")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(made, partial)
        partial.rename(kept)


def checked(
    options: Options, rows: Sequence[Conversation], valid: Sequence[Conversation], start: Path, *, speak: bool
) -> Job:
    """Load the model and turn all rows into tokens. ``speak``: say on standard error how many rows are left out.

    Raises:
        ConfigError: the model cannot be loaded or has no window.
        InputError: a row does not fit the chat template, or none of the rows (to train, to validate on) the window.
    """
    model, tokenizer, came_in = load_for_training(options, start)
    window = window_for(options, model)
    encoder = Encoder(Renderer(HfTokenizer(tokenizer)), options.task, calculator=options.calculator)

    def encoded(some: Sequence[Conversation]) -> Iterator[Example]:
        return encode_all(encoder, some, options.seed)

    return Job(
        model,
        tokenizer,
        came_in,
        fitting(encoded(rows), len(rows), "rows", window, speak),
        fitting(encoded(valid), len(valid), "rows to validate on", window, speak),
    )


def fitting(examples: Iterable[Any], n: int, what: str, window: int, speak: bool) -> Rows:
    """Those of ``n`` examples that are no longer than the window. Raises InputError where none is."""
    kept = [example for example in examples if len(example) <= window]
    if n and not kept:
        raise InputError(f"none of the {n} {what} has at most {window} tokens")
    left_out = n - len(kept)
    if left_out and speak:
        print(f"genprm: {left_out} of {n} {what} have more than {window} tokens, and are left out", file=sys.stderr)
    return Rows(kept, left_out)


def window_for(options: Options, model: Any) -> int:
    """In tokens; what the model has no positions for is no use to it."""
    known = [length for length in (options.max_length, window_of(model)) if length is not None]
    if not known:
        raise ConfigError("the model does not say how long its window is; say it with --max-length")
    return min(known)
