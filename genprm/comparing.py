"""Whether two answers are the same: as numbers, as text, and by Math-Verify in processes that can be killed.

What a model wrote may take a computer algebra system for ever (``9^{9^{9^{9}}}``), or all of the memory. So it is never
compared in this process, and where the time is up the process that compares is killed and another one started.
"""

import asyncio
import json
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, cast, get_args

from genprm.answers import is_number, normalised, same_number
from genprm.errors import ConfigError
from genprm.flight import cancelled

Likeness = Literal["same", "different", "unparsed", "timeout"]
"""``unparsed``: not both can be read as mathematics, and they differ as text. ``timeout``: the comparison was killed,
for its time or its memory."""

_WORDS = re.compile(r"[^\d\\^_=+*/]*[A-Za-z]{3}[^\d\\^_=+*/]*")
"""Text that is no mathematics: read as such, its letters would be factors, and "form" the same as "from"."""
_START_S = 60.0
_SLACK = 4
"""Seconds of wall-clock time for each CPU second that a comparison may take, on a loaded machine."""
_KEPT = 1 << 16
_said_without = False


class Comparer:
    """Compares answers. The processes are started when they are needed; equal questions are asked once."""

    def __init__(self, workers: int = 2, limit_s: float = 5.0) -> None:
        """``limit_s``: CPU seconds that one comparison may take.

        Raises:
            ConfigError: no worker, or no time.
        """
        if workers < 1 or not limit_s > 0:
            raise ConfigError("comparing answers needs a worker at least, and a limit above 0 seconds")
        self._limit_s = limit_s
        self._available = find_spec("math_verify") is not None
        self._idle: asyncio.LifoQueue[_Worker] = asyncio.LifoQueue()
        self._workers = [_Worker(limit_s) for _ in range(workers)]
        for worker in self._workers:
            self._idle.put_nowait(worker)
        self._known: dict[tuple[str, str], asyncio.Task[Likeness]] = {}

    async def compare(self, one: str, other: str) -> Likeness:
        """How ``one`` compares with ``other``, the reference."""
        if any(same_number(read, other) for read in (one, _without_percent(one))) or normalised(one) == normalised(
            other
        ):
            return "same"
        if is_number(one) and is_number(other):
            return "different"
        if _WORDS.fullmatch(normalised(one)) or _WORDS.fullmatch(normalised(other)):
            return "same" if normalised(one).casefold() == normalised(other).casefold() else "different"
        if not self._available:
            _say_without()
            return "unparsed"
        return await self._asked(one, other)

    async def equivalent_groups(self, answers: Sequence[str | None]) -> list[int]:
        """A number for each answer, from 0: the same for those that are the same as the first of their group. No answer
        is in group -1."""
        first: list[str] = []
        group: dict[str | None, int] = {None: -1}
        for answer in answers:
            if answer is None or answer in group:
                continue
            likeness = [await self.compare(answer, other) for other in first]
            group[answer] = likeness.index("same") if "same" in likeness else len(first)
            if group[answer] == len(first):
                first.append(answer)
        return [group[answer] for answer in answers]

    async def close(self) -> None:
        """Ends the workers. Safe to call twice."""
        await cancelled(task for task in self._known.values() if not task.done())
        for worker in self._workers:
            await worker.stop()

    async def _asked(self, one: str, other: str) -> Likeness:
        key = (one, other)
        if key not in self._known:
            if len(self._known) >= _KEPT:
                self._known = {asked: task for asked, task in self._known.items() if not task.done()}
            self._known[key] = asyncio.create_task(self._worked(one, other))
        return await asyncio.shield(self._known[key])

    async def _worked(self, one: str, other: str) -> Likeness:
        worker = await self._idle.get()
        try:
            return await worker.ask(one, other)
        finally:
            self._idle.put_nowait(worker)


class _Worker:
    """One process, started when it is asked for the first time, and again after each death."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._process: asyncio.subprocess.Process | None = None

    async def ask(self, one: str, other: str) -> Likeness:
        try:
            process = self._process or await self._start()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps([one, other]).encode() + b"\n")
            async with asyncio.timeout(self._limit_s * _SLACK):
                said = (await process.stdout.readline()).decode().strip()
        except (TimeoutError, ConnectionError):
            said = ""
        except BaseException:
            await self.stop()
            raise
        if said in get_args(Likeness):
            return cast(Likeness, said)
        await self.stop()
        return "timeout"

    async def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.communicate()

    async def _start(self) -> asyncio.subprocess.Process:
        path = Path(__file__).with_name("comparing_worker.py")
        pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        # -P: the folder of the file is no place to import from, it has a types.py of its own.
        command = (sys.executable, "-P", str(path), str(self._limit_s))
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=nowhere)
        self._process = process
        assert process.stdout
        async with asyncio.timeout(_START_S):
            ready = await process.stdout.readline()
        if ready != b"ready\n":
            await self.stop()
            raise ConfigError("Math-Verify is installed, but a process with it does not start")
        return process


def _without_percent(answer: str) -> str:
    """A percentage as the number that references often give instead: 10 for 10 %. (Math-Verify knows it as 0.1.)"""
    return answer.rstrip().removesuffix("%").removesuffix("\\").rstrip()


def _say_without() -> None:
    global _said_without
    if not _said_without:
        _said_without = True
        print(
            "genprm: without Math-Verify answers are compared as numbers and as text only: pip install 'genprm[synth]'",
            file=sys.stderr,
        )
