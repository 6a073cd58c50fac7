"""``genprm sandbox run`` and ``genprm sandbox attack``: the sandbox by itself, from the command line."""

import argparse
import dataclasses
import json
import sys
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from genprm.errors import ConfigError, InputError
from genprm.progress import progress
from genprm.sandbox import Layer, Limits, Result, Sandbox, SandboxError
from genprm.sandbox.text import plain
from genprm.sandbox.trials.attacks import ATTACKS, KINDS, Attack
from genprm.sandbox.trials.rows import Row, Verdict
from genprm.sandbox.trials.suite import Suite
from genprm.show import stdout

Work = Coroutine[Any, Any, int]
_STYLES: dict[Verdict, str] = {"held": "green", "late": "yellow", "unhealthy": "bold red", "ESCAPED": "bold red"}


def run(args: argparse.Namespace) -> Work:
    """``genprm sandbox run``: 0 where the code ran to its end, 1 where it did not."""
    try:
        limits = Limits(cpu_s=args.cpu, wall_s=max(15.0, 3 * args.cpu), memory_mb=args.memory)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return _run(args, _read(args.file), limits)


async def _run(args: argparse.Namespace, code: str, limits: Limits) -> int:
    sandbox = Sandbox(limits=limits, level=args.sandbox_level, policy=args.sandbox_policy, warm=False)
    try:
        async with sandbox, sandbox.session() as session:
            result = await session.run(code)
    except SandboxError as error:
        raise ConfigError(f"the sandbox: {error}") from None
    if args.json:
        print(json.dumps(dataclasses.asdict(result), ensure_ascii=False))
    else:
        _tell(result)
    return 0 if result.status == "ok" else 1


def _tell(result: Result) -> None:
    """Its output as it is; everything else beside it."""
    sys.stdout.write(result.stdout)
    sys.stdout.flush()
    for line in filter(None, [*result.traceback.split("\n"), result.error]):
        print(line, file=sys.stderr)
    for remark in result.policy:
        print(f"policy: {remark}", file=sys.stderr)
    if result.flags:
        print(f"flags: {', '.join(result.flags)}", file=sys.stderr)


def _read(file: str) -> str:
    data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InputError("not UTF-8", "stdin" if file == "-" else file) from None


def attack(args: argparse.Namespace) -> Work:
    """``genprm sandbox attack``: 0 where everything held, else 1."""
    if unknown := set(args.kinds or ()) - set(KINDS):
        raise ConfigError(f"no class of attacks is called {', '.join(sorted(unknown))}; there are: {', '.join(KINDS)}")
    return _attack(args, [attack for attack in ATTACKS if not args.kinds or attack.kind in args.kinds])


async def _attack(args: argparse.Namespace, attacks: Sequence[Attack]) -> int:
    began = time.monotonic()
    suite = Suite(args.sandbox_level)
    rows = []
    try:
        async with suite:
            with progress("attacking", len(attacks)) as tick:
                async for row in suite.run(attacks):
                    rows.append(row)
                    tick(f"{row.kind}: {row.name}")
            layers = suite.layers
    except SandboxError as error:
        raise ConfigError(f"the sandbox: {error}") from None
    seconds = time.monotonic() - began
    if args.json:
        print(json.dumps(_record(rows, layers, suite.left, seconds), ensure_ascii=False, indent=1))
    else:
        _show(rows, layers, suite.left, seconds)
    return 0 if not suite.left and all(row.verdict == "held" for row in rows) else 1


def _record(rows: Sequence[Row], layers: Sequence[Layer], left: Sequence[str], seconds: float) -> dict[str, Any]:
    return {
        "layers": [dataclasses.asdict(layer) for layer in layers],
        "counts": Counter(row.verdict for row in rows),
        "left": list(left),
        "seconds": round(seconds, 2),
        "attacks": [dataclasses.asdict(row) for row in rows],
    }


def _show(rows: Sequence[Row], layers: Sequence[Layer], left: Sequence[str], seconds: float) -> None:
    """The table: on a terminal with colour and fitted to it, in a pipe plain and as wide as it is."""
    console = stdout()
    cells = [[plain(text) for text in (r.kind, r.name, r.outcome, r.stopped_by)] for r in rows]
    if console.is_terminal:
        table = Table(
            "class", "attack", "outcome", "stopped by", "verdict", box=None, header_style="bold", padding=(0, 1)
        )
        for row, texts in zip(rows, cells, strict=True):
            table.add_row(*map(Text, texts), Text(row.verdict, _STYLES[row.verdict]))
        console.print(table)
    else:
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for row, texts in zip(rows, cells, strict=True):
            line = "  ".join(text.ljust(width) for text, width in zip(texts, widths, strict=True))
            console.print(Text(f"{line}  {row.verdict}"), soft_wrap=True)
    for row in rows:
        if row.why:
            console.print(
                Text(plain(f"{row.verdict}: {row.kind}, {row.name}: {row.why}"), _STYLES[row.verdict]), soft_wrap=True
            )
    for what in left:
        console.print(Text(plain(f"left over: {what}"), "bold red"), soft_wrap=True)
    missing = [layer.name for layer in layers if not layer.active]
    counts = Counter(row.verdict for row in rows)
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in _STYLES if counts[verdict])
    console.print(
        Text(f"{len(rows)} attacks in {seconds:.1f} s: {said}. Layers missing here: {', '.join(missing) or 'none'}."),
        soft_wrap=True,
    )
