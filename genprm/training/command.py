"""``genprm train critic`` and ``genprm train policy``."""

import argparse
import sys
from collections.abc import Coroutine
from importlib import util
from pathlib import Path
from typing import Any

from genprm.errors import MissingExtra
from genprm.training.conversations import read_conversations
from genprm.training.options import Options


def train(args: argparse.Namespace) -> Coroutine[Any, Any, int]:
    """Trains before an event loop runs, so that Ctrl-C ends it at once."""
    for package in ("torch", "transformers", "accelerate"):
        if util.find_spec(package) is None:
            raise MissingExtra(package, "train", "genprm train")
    options = _options(args)
    rows = read_conversations(args.data)
    valid = read_conversations(args.valid)
    from genprm.training.run import train as run

    outcome = run(options, rows, valid, Path(args.output))
    loss = "" if outcome.loss is None else f", validation loss {outcome.loss:.4f}"
    print(f"{args.output}: {outcome.updates} updates{loss}", file=sys.stderr)
    return _done()


async def _done() -> int:
    return 0


def _options(args: argparse.Namespace) -> Options:
    names = {name for name in Options.__dataclass_fields__ if hasattr(args, name)}
    return Options(**{name: getattr(args, name) for name in names})
