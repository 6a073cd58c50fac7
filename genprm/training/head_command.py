"""``genprm train head``."""

import argparse
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from genprm.errors import ConfigError
from genprm.training.command import done, require_packages, tell
from genprm.training.head_options import HeadOptions
from genprm.training.options import read_options
from genprm.training.values import Valuation, read_valuations, with_best_of, with_outcomes, with_prover


def train(args: argparse.Namespace) -> Coroutine[Any, Any, int]:
    """Trains here, before an event loop runs: Ctrl-C ends it at once."""
    options = read_options(vars(args), HeadOptions)
    if options.patience and not args.valid:
        raise ConfigError("--patience needs rows to validate on: --valid")
    if options.prover_best_of and args.prover_values:
        raise ConfigError("say either --prover-values or --prover-best-of")
    prover = read_valuations(args.prover_values)
    rows, valid = (_prepared(read_valuations(sources), prover, options) for sources in (args.data, args.valid))
    require_packages(options)
    from genprm.training.heads import HeadCourse
    from genprm.training.run import follow

    course = HeadCourse(options, rows, valid, args.prover or _named(rows, prover, options))
    tell(follow(course, Path(args.output)), args.output)
    return done()


def _prepared(rows: list[Valuation], prover: Sequence[Valuation], options: HeadOptions) -> list[Valuation]:
    if options.prover_best_of:
        rows = with_best_of(rows, options.prover_best_of)
    return with_outcomes(with_prover(rows, prover) if prover else rows)


def _named(rows: Sequence[Valuation], prover: Sequence[Valuation], options: HeadOptions) -> str:
    names = ", ".join(sorted({row.policy for row in prover or rows if row.policy}))
    return f"best of {options.prover_best_of}: {names}" if options.prover_best_of else names if prover else ""
