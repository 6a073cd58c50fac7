"""Plain Python as the bench uses it: warm processes that are asked for a pass, and a fresh one for every check."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from genprm.sandbox.trials.checks import CheckedSolution

_SCRIPT = Path(__file__).with_name("plain.py")
_LINE_BYTES = 1 << 22
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Run = tuple[float, str]
"""Seconds of a check, and what it printed."""


def environment() -> dict[str, str]:
    """What makes plain Python print the same every time, and use one core as a session does."""
    return os.environ | dict.fromkeys(_THREADS, "1") | {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1"}


class PlainPython:
    """One warm process that runs all checks with ``exec``."""

    def __init__(self, process: asyncio.subprocess.Process, first: list[Run]) -> None:
        self._process = process
        self.first = first
        """The first pass, in which the checks were new to it."""

    @classmethod
    async def start(cls, solutions: Sequence[CheckedSolution]) -> Self:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            str(_SCRIPT),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment(),
            limit=_LINE_BYTES,
        )
        order = json.dumps([solution.checks for solution in solutions])
        return cls(process, await _ask(process, order))

    async def run_all(self) -> list[Run]:
        """One more pass through all checks."""
        return await _ask(self._process, "")

    async def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.kill()
        await self._process.wait()


async def _ask(process: asyncio.subprocess.Process, line: str) -> list[Run]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(line.encode() + b"\n")
    runs = json.loads(await process.stdout.readline())
    return [(seconds, printed) for seconds, printed in runs]


async def fresh_python(code: str) -> Run:
    """``python -c``, from start to end."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", code, stdout=asyncio.subprocess.PIPE, env=environment()
    )
    printed, _ = await process.communicate()
    return time.perf_counter() - began, printed.decode()
