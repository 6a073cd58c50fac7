"""``genprm sandbox bench``: how fast checks run in the sandbox, beside plain Python in the same minutes.

All ways of running the checks take turns, round after round, so that a machine that slows down slows them all. What
each prints is compared with what plain Python printed; a difference is the only thing that the exit code tells, as
speeds belong to the machine. The bars are those of a machine with two cores.
"""

import argparse
import json
import platform
from collections.abc import Coroutine, Sequence
from typing import Any

from genprm.sandbox.trials.checks import checked_solutions
from genprm.sandbox.trials.figures import Figure, table
from genprm.sandbox.trials.measure import Bench, Size, cores

QUICK = Size(rounds=2, prints=2_000, openings=40, fresh=6)
FULL = Size(rounds=8, prints=4_000, openings=160, fresh=32)


def command(args: argparse.Namespace) -> Coroutine[Any, Any, int]:
    """``genprm sandbox bench``: 1 where an output differs from that of plain Python, or the soak went wrong."""
    if args.soak:
        from genprm.sandbox.trials.soak import command as soak

        return soak(args)
    return _bench(QUICK if args.quick else FULL, as_json=args.json)


async def _bench(size: Size, *, as_json: bool) -> int:
    solutions, left_out = checked_solutions()
    bench = Bench(solutions, size)
    figures = await bench.measure()
    record = {
        "machine": _machine(),
        "layers": bench.layers,
        "rounds": size.rounds,
        "figures": [figure.record() for figure in figures],
        "outputs": {"compared": bench.outputs.compared, "different": bench.outputs.different},
        "left_out": [f"{solution.name}: {solution.needs} is not installed" for solution in left_out],
    }
    print(json.dumps(record, indent=2) if as_json else _shown(record, figures))
    return 1 if bench.outputs.different else 0


def _machine() -> dict[str, Any]:
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "cores": cores(),
    }


def _shown(record: dict[str, Any], figures: Sequence[Figure]) -> str:
    machine, outputs = record["machine"], record["outputs"]
    lines = [f"{machine['system']} · Python {machine['python']} · {machine['cores']} cores"]
    lines += [f"layer {name}: {'in force' if active else 'MISSING'}" for name, active in record["layers"].items()]
    lines += [f"left out: {text}" for text in record["left_out"]]
    lines += ["", table(figures), ""]
    lines += [f"{outputs['compared']} outputs compared with plain Python, {len(outputs['different'])} different"]
    lines += [f"  {d['where']}: {d['got']!r} instead of {d['expected']!r}" for d in outputs["different"][:20]]
    return "\n".join(lines)
