"""``genprm train critic`` and ``genprm train policy``."""

import argparse
import sys
from collections.abc import Coroutine
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genprm.errors import ConfigError, MissingExtra
from genprm.training.conversations import read_conversations, require_difficulties
from genprm.training.options import Options, read_options

if TYPE_CHECKING:
    from genprm.training.run import Report


def train(args: argparse.Namespace) -> Coroutine[Any, Any, int]:
    """Trains here, before an event loop runs: Ctrl-C ends it at once."""
    options = read_options(vars(args), Options)
    if options.patience and not args.valid:
        raise ConfigError("--patience needs rows to validate on: --valid")
    rows, valid = read_conversations(args.data), read_conversations(args.valid)
    if options.curriculum:
        require_difficulties(rows)
    require_packages(options)
    from genprm.training import run

    report = run.train(options, rows, valid, Path(args.output))
    tell(report, args.output)
    return done()


def require_packages(options: Options) -> None:
    """Raises MissingExtra."""
    for package in ("torch", "transformers", "accelerate", *(["peft"] if options.lora else [])):
        if util.find_spec(package) is None:
            raise MissingExtra(package, "train", "genprm train")


def tell(report: "Report | None", output: str) -> None:
    """How it ended, on standard error."""
    if report:
        loss = "" if report.valid_loss is None else f", validation loss {report.valid_loss:.4f}"
        print(f"{output}: {report.updates} updates{loss}", file=sys.stderr)


async def done() -> int:
    return 0
