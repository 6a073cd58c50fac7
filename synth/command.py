"""``genprm synth``: makes data."""

import argparse
import json
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

from genprm.errors import ConfigError
from genprm.runs import write_whole
from genprm.synth.sampling import Sampled
from genprm.synth.stages import records_in
from genprm.synth.world import attempts
from genprm.synth.world.revisions import review_rows, revise_rows
from genprm.synth.world.rows import critic_rows, policy_rows, solution_rows

ROWS: Mapping[str, Callable[..., Iterator[dict[str, Any]]]] = {
    "solutions": solution_rows,
    "critic": critic_rows,
    "policy": policy_rows,
    "revise": revise_rows,
    "review": review_rows,
}


def world(args: argparse.Namespace) -> Coroutine[Any, Any, int]:
    """``genprm synth world``: ``args`` are those of the command line; without ``output`` rows are printed."""
    if args.n < 0 or args.start < 0:
        raise ConfigError("-n and --start are at least 0")
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in _rows(args))
    # At once: work that waits for nothing would keep an event loop from hearing of Ctrl-C.
    if args.output is None:
        sys.stdout.writelines(lines)
    else:
        path = Path(args.output)
        path.parent.mkdir(parents=True, exist_ok=True)
        written = write_whole(path, (line.encode() for line in lines))
        print(f"{path}: {written} rows", file=sys.stderr)
    return _done()


def _rows(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    if args.attempts is None:
        return ROWS[args.rows](args.split, args.n, args.start)
    if args.rows not in attempts.ROWS:
        raise ConfigError(f"--attempts goes with --rows {' or '.join(attempts.ROWS)}")
    folder = Path(args.attempts)
    if not (folder / "results.jsonl").is_file():
        raise ConfigError(f"{folder} is no folder of solutions: it has no results.jsonl")
    found = (attempt for sampled in records_in(folder, Sampled) for attempt in sampled.attempts)
    return attempts.attempt_rows(args.rows, found, args.split, args.n, args.start)


async def _done() -> int:
    return 0
