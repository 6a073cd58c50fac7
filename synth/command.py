"""``genprm synth``: makes data."""

import argparse
import json
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

from genprm.errors import ConfigError
from genprm.runs import write_whole
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
    """``genprm synth world``: ``args`` are ``split``, ``rows``, ``n``, ``start`` and ``output`` (None: print)."""
    if args.n < 0 or args.start < 0:
        raise ConfigError("-n and --start are at least 0")
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS[args.rows](args.split, args.n, args.start))
    # At once: work that waits for nothing would keep an event loop from hearing of Ctrl-C.
    if args.output is None:
        sys.stdout.writelines(lines)
    else:
        path = Path(args.output)
        path.parent.mkdir(parents=True, exist_ok=True)
        written = write_whole(path, (line.encode() for line in lines))
        print(f"{path}: {written} rows", file=sys.stderr)
    return _done()


async def _done() -> int:
    return 0
