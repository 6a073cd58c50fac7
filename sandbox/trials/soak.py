"""``genprm sandbox bench --soak N``: many sessions at once, some of them hostile, and nobody may notice.

Paths (the checks of one solution in one session) run in an order drawn from a seed, 64 in flight. Some are forked
midway; some end in a hostile check; where that takes the process down, the session starts the solution over. Every
honest output is compared with that of plain Python. With ``kill`` the warm process is killed now and then: that, and
nothing else, excuses a lost path, which is then run again.
"""

import argparse
import asyncio
import gc
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from genprm.sandbox import Limits, Result, Sandbox, SandboxError, Session
from genprm.sandbox.trials import processes
from genprm.sandbox.trials.baseline import PlainPython
from genprm.sandbox.trials.checks import CheckedSolution, checked_solutions
from genprm.sandbox.trials.figures import Figure, quantile, table
from genprm.sandbox.trials.hostile import ESCAPED, HOSTILE, Hostile
from genprm.sandbox.trials.outputs import Outputs, said

IN_FLIGHT = 64
LIMITS = Limits(cpu_s=1.0, wall_s=5.0, memory_mb=512)
_HOSTILE = 0.05
_FORKED = 0.1
_KILL_EVERY_S = (3.0, 8.0)
_HEALED_S = 3.0
"""How long a kill can still be felt by paths that begin after it."""
_ATTEMPTS = 20
_SETTLE_S = 1.0
_GONE_S, _LOOK_S = 5.0, 0.05
_MOST_GROWTH_MB = 16.0
"""What allocators keep, and not a leak."""
_MOST_WAIT_S = 60.0


def command(args: argparse.Namespace) -> Coroutine[Any, Any, int]:
    """1 where anything was wrong."""
    return _soak(args.soak, seed=args.seed, kill=args.kill, as_json=args.json)


async def _soak(checks: int, *, seed: int, kill: bool, as_json: bool) -> int:
    solutions, _ = checked_solutions()
    plain = await PlainPython.start(solutions)
    await plain.close()
    soak = Soak(solutions, Outputs(solutions, plain.first), seed=seed, kill=kill)
    await soak.run(checks)
    figures = soak.figures()
    if as_json:
        print(json.dumps({"figures": [f.record() for f in figures], "wrong": soak.tally.wrong}, indent=2))
    else:
        print(table(figures))
        for what, count in soak.tally.ends.most_common():
            print(f"  {count:6} x {what}")
        for text in soak.tally.wrong[:20]:
            print(f"WRONG: {text}")
    return 0 if soak.clean else 1


@dataclass(frozen=True, slots=True)
class Path:
    """One session's work."""

    solution: CheckedSolution
    forked_at: int | None
    """The step before which a fork goes its own way."""
    hostile: Hostile | None

    @property
    def checks(self) -> int:
        steps = len(self.solution.checks)
        again = steps if self.hostile is not None and self.hostile.fatal else 0
        return steps + (0 if self.forked_at is None else steps - self.forked_at) + (self.hostile is not None) + again


def paths(solutions: Sequence[CheckedSolution], checks: int, rng: random.Random) -> list[Path]:
    """Paths of at least ``checks`` checks together, one check in twenty hostile."""
    planned: list[Path] = []
    total = hostile = 0
    while total < checks:
        solution = rng.choice(solutions)
        forked_at = rng.randrange(1, len(solution.checks)) if rng.random() < _FORKED else None
        bad = rng.choice(HOSTILE) if hostile < _HOSTILE * total else None
        planned.append(path := Path(solution, forked_at, bad))
        total += path.checks
        hostile += bad is not None
    rng.shuffle(planned)
    return planned


@dataclass
class Tally:
    """What happened."""

    honest: int = 0
    hostile: int = 0
    forks: int = 0
    kills: int = 0
    lost: int = 0
    """Paths that a kill took with it."""
    waits: list[float] = field(default_factory=list)
    """Seconds from asking to the result that were not spent on the check itself."""
    ends: Counter[str] = field(default_factory=Counter)
    """Endings of the hostile checks."""
    wrong: list[str] = field(default_factory=list)


class _Lost(Exception):
    """A kill took the session."""


class Soak:
    """One run of the soak."""

    def __init__(
        self, solutions: Sequence[CheckedSolution], outputs: Outputs, *, seed: int = 0, kill: bool = False
    ) -> None:
        self.tally = Tally()
        self._solutions = solutions
        self._outputs = outputs
        self._rng = random.Random(seed)
        self._kill = kill
        self._last_kill = float("-inf")
        self._growth: dict[str, float | None] = {}
        self._left: dict[str, int] = {}
        self._seconds = 0.0
        self._measured = 0

    @property
    def clean(self) -> bool:
        """Whether nothing was wrong."""
        return not self.tally.wrong and all(figure.met is not False for figure in self.figures())

    async def run(self, checks: int) -> None:
        """Run at least ``checks`` checks."""
        planned = paths(self._solutions, checks, self._rng)
        processes_before, descriptors_before = processes.descendants(), processes.descriptors()
        sandbox = Sandbox(limits=LIMITS)
        try:
            await sandbox.start()
            await self._work(sandbox, planned, processes_before)
        finally:
            await sandbox.close()
        self._left["processes"] = await _left(processes_before)
        self._left["descriptors"] = processes.descriptors() - descriptors_before

    async def _work(self, sandbox: Sandbox, planned: list[Path], others: set[int]) -> None:
        first = planned[: len(planned) // 10]
        await self._all(sandbox, first)  # what grows once, grows here
        host, ours = await _memory(sandbox, others)
        began, before = time.monotonic(), len(self.tally.waits)
        killer = asyncio.create_task(self._kill_now_and_then(others)) if self._kill else None
        try:
            await self._all(sandbox, planned[len(first) :])
        finally:
            if killer is not None:
                killer.cancel()
                with suppress(asyncio.CancelledError):
                    await killer
        self._seconds = time.monotonic() - began
        self._measured = len(self.tally.waits) - before
        host_after, ours_after = await _memory(sandbox, others)
        self._growth["host"] = host_after - host
        self._growth["sandbox"] = None if ours is None or ours_after is None else ours_after - ours

    async def _all(self, sandbox: Sandbox, planned: list[Path]) -> None:
        waiting = list(reversed(planned))

        async def place() -> None:
            while waiting:
                await self._path(sandbox, waiting.pop())
                if len(waiting) % 500 == 0 and waiting:
                    print(f"{len(waiting)} paths left, {len(self.tally.wrong)} wrong", file=sys.stderr)

        async with asyncio.TaskGroup() as places:
            for _ in range(IN_FLIGHT):
                places.create_task(place())

    # --- one path -----------------------------------------------------------------------------------------------------

    async def _path(self, sandbox: Sandbox, path: Path) -> None:
        for _ in range(_ATTEMPTS):
            began = time.monotonic()
            try:
                async with sandbox.session() as session:
                    await self._attempt(session, path, began)
                return
            except _Lost:
                self.tally.lost += 1
            except SandboxError as error:
                if not self._killed_since(began):
                    self.tally.wrong.append(f"{path.solution.name}: the sandbox raised: {error}")
                    return
                self.tally.lost += 1
        self.tally.wrong.append(f"{path.solution.name}: lost {_ATTEMPTS} times")

    async def _attempt(self, session: Session, path: Path, began: float) -> None:
        for step in range(len(path.solution.checks)):
            if step == path.forked_at:
                await self._forked(session, path.solution, step, began)
            await self._honest(session, path.solution, step, began)
        if path.hostile is None:
            return
        await self._misbehave(session, path.hostile, began)
        if path.hostile.fatal:
            for step in range(len(path.solution.checks)):
                await self._honest(session, path.solution, step, began, fresh=step == 0)

    async def _forked(self, session: Session, solution: CheckedSolution, step: int, began: float) -> None:
        async with await session.fork() as fork:
            self.tally.forks += 1
            for later in range(step, len(solution.checks)):
                await self._honest(fork, solution, later, began)

    async def _honest(
        self, session: Session, solution: CheckedSolution, step: int, began: float, *, fresh: bool = False
    ) -> None:
        """``fresh``: the session was left without a process, and may say so."""
        result = await self._timed(session, solution.checks[step])
        lost = result.status == "crashed" or ("state_lost" in result.flags and not fresh)
        if lost and self._killed_since(began):
            raise _Lost
        self.tally.honest += 1
        before = len(self._outputs.different)
        self._outputs.compare("soak", solution, step, said(result))
        if len(self._outputs.different) > before:
            different = self._outputs.different[-1]
            self.tally.wrong.append(f"{different['where']}: {different['got']!r}, flags {result.flags}")

    async def _misbehave(self, session: Session, hostile: Hostile, began: float) -> None:
        result = await self._timed(session, hostile.code)
        if result.status == "crashed" and self._killed_since(began):
            raise _Lost
        self.tally.hostile += 1
        self.tally.ends[f"{hostile.name}: {result.status}"] += 1
        if result.status not in hostile.ends or ESCAPED in result.stdout:
            self.tally.wrong.append(f"hostile {hostile.name!r} ended as {result.status}: {result.stdout[:80]!r}")

    async def _timed(self, session: Session, code: str) -> Result:
        asked = time.monotonic()
        result = await session.run(code)
        self.tally.waits.append(time.monotonic() - asked - result.wall_s)
        return result

    # --- kills --------------------------------------------------------------------------------------------------------

    async def _kill_now_and_then(self, others: set[int]) -> None:
        while True:
            await asyncio.sleep(self._rng.uniform(*_KILL_EVERY_S))
            chosen = sorted(processes.with_children(processes.descendants() - others))
            if chosen:
                self._last_kill = time.monotonic()
                self.tally.kills += 1
                with suppress(ProcessLookupError):
                    os.kill(self._rng.choice(chosen), signal.SIGKILL)

    def _killed_since(self, moment: float) -> bool:
        return self._last_kill > moment - _HEALED_S

    # --- the figures --------------------------------------------------------------------------------------------------

    def figures(self) -> list[Figure]:
        tally = self.tally
        return [
            Figure("honest checks", tally.honest),
            Figure("hostile checks", tally.hostile),
            Figure("forks of sessions", tally.forks),
            Figure("kills of the warm process", tally.kills),
            Figure("paths lost to kills, run again", tally.lost),
            Figure("wrong results", len(tally.wrong), at_most=0),
            Figure("processes left", self._left["processes"], at_most=0),
            Figure("descriptors left", self._left["descriptors"], at_most=0),
            Figure("growth of the host", self._growth["host"], "MB", at_most=_MOST_GROWTH_MB),
            Figure("growth of the sandbox at rest", self._growth["sandbox"], "MB", at_most=_MOST_GROWTH_MB),
            Figure("checks", self._measured / self._seconds, "checks/s"),
            Figure("wait for a core, p99", quantile(tally.waits, 0.99), "s"),
            Figure("wait for a core, longest", max(tally.waits), "s", at_most=_MOST_WAIT_S),
        ]


async def _memory(sandbox: Sandbox, others: set[int]) -> tuple[float, float | None]:
    """MB of the host and of the sandbox, when nothing runs."""
    async with sandbox.session() as session:  # it may be gone, and start again only now
        await session.run("print(1)")
    await asyncio.sleep(_SETTLE_S)
    gc.collect()
    return processes.resident_mb(), processes.shared_out_mb(processes.descendants() - others)


async def _left(others: set[int]) -> int:
    """Processes that are still there after a while."""
    for _ in range(int(_GONE_S / _LOOK_S)):
        if not processes.descendants() - others:
            return 0
        await asyncio.sleep(_LOOK_S)
    return len(processes.descendants() - others)
