"""``genprm synth``: makes data."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from genprm.errors import ConfigError
from genprm.synth.world.examples import SPLITS
from genprm.synth.world.rows import critic_rows, policy_rows, solution_rows

ROWS: Mapping[str, Callable[..., Iterator[dict[str, Any]]]] = {
    "critic": critic_rows,
    "policy": policy_rows,
    "solutions": solution_rows,
}


async def world(args: argparse.Namespace) -> int:
    """``genprm synth world``: ``args`` are ``split``, ``rows``, ``n``, ``start`` and ``output`` (None: print)."""
    if args.split not in SPLITS:
        raise ConfigError(f"unknown split {args.split!r}; there are {', '.join(SPLITS)}")
    if args.rows not in ROWS:
        raise ConfigError(f"unknown rows {args.rows!r}; there are {', '.join(ROWS)}")
    if args.n < 0 or args.start < 0:
        raise ConfigError("-n and --start are at least 0")
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS[args.rows](args.split, args.n, args.start))
    if args.output is None:
        sys.stdout.writelines(lines)
        return 0
    written = write_whole(Path(args.output), lines)
    print(f"{args.output}: {written} rows", file=sys.stderr)
    return 0


def write_whole(path: Path, lines: Iterator[str]) -> int:
    """Write a file that is there whole or not at all; how many lines it has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    making = path.with_name(f".{path.name}.{os.getpid()}")
    count = 0
    try:
        with making.open("w", encoding="utf-8") as file:
            for line in lines:
                file.write(line)
                count += 1
        making.rename(path)
    finally:
        with suppress(FileNotFoundError):
            making.unlink()
    return count
