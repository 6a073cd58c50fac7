"""The measurements of the bench: all ways of running the checks take turns, round after round."""

import asyncio
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from genprm.sandbox import Sandbox, Session
from genprm.sandbox.trials import processes
from genprm.sandbox.trials.baseline import PlainPython, fresh_python
from genprm.sandbox.trials.checks import CheckedSolution
from genprm.sandbox.trials.figures import Figure, quantile, spread
from genprm.sandbox.trials.outputs import Outputs, said

SAMPLES = 8
"""Forks of a session that continue from each step."""
_CROWDS = (16, 64)
"""Sessions in flight beyond one per worker."""
_REST_S = 0.03
"""Pause in which a spare that was taken is replaced."""


def cores() -> int:
    """Processors that we may use."""
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    rounds: int
    prints: int
    """``print(1)`` in a live session, over all rounds."""
    openings: int
    """Sessions opened and forked for their latency, over all rounds."""
    fresh: int
    """Fresh Pythons, over all rounds."""


@dataclass
class _Timed:
    """What one way of running checks took, over all rounds."""

    checks: int = 0
    seconds: float = 0.0
    each: list[float] = field(default_factory=list)
    """Seconds of every check."""

    @property
    def rate(self) -> float:
        return self.checks / self.seconds

    @property
    def mean(self) -> float:
        return statistics.fmean(self.each)


class Bench:
    """One run of the bench."""

    def __init__(self, solutions: Sequence[CheckedSolution], size: Size) -> None:
        self._solutions = solutions
        self._size = size
        self._workers = cores()
        self._timed: defaultdict[str, _Timed] = defaultdict(_Timed)
        self._latency: defaultdict[str, list[float]] = defaultdict(list)
        self._private: list[float] = []
        self._first: list[float] = []
        self.layers: dict[str, bool] = {}

    async def measure(self) -> list[Figure]:
        async with self._plain() as plain, self._sandbox(spares=None) as sandbox, self._sandbox(spares=0) as lean:
            self.layers = {layer.name: layer.active for layer in sandbox.layers}
            self._first = [seconds for process in plain for seconds, _ in process.first]
            await asyncio.gather(sandbox.warmed(), lean.warmed())
            self.outputs = Outputs(self._solutions, plain[0].first)
            await self._memory(lean)
            async with sandbox.session() as live, sandbox.session() as node:
                for code in self._solutions[2].checks:
                    await node.run(code)
                for number in range(self._size.rounds):
                    print(f"round {number + 1} of {self._size.rounds}", file=sys.stderr)
                    await self._round(number, plain, sandbox)
                    await self._latencies(sandbox, lean, live, node)
        return self._figures()

    @asynccontextmanager
    async def _plain(self) -> AsyncIterator[list[PlainPython]]:
        plain = await asyncio.gather(*(PlainPython.start(self._solutions) for _ in range(self._workers)))
        try:
            yield plain
        finally:
            for process in plain:
                await process.close()

    @asynccontextmanager
    async def _sandbox(self, spares: int | None) -> AsyncIterator[Sandbox]:
        sandbox = Sandbox(workers=self._workers, spares=spares)
        try:
            await self._clock("ready", sandbox.start)
            yield sandbox
        finally:
            await sandbox.close()

    async def _clock(self, name: str, work: Callable[[], Awaitable[Any]]) -> None:
        began = time.perf_counter()
        await work()
        self._latency[name].append(time.perf_counter() - began)

    # --- throughput ---------------------------------------------------------------------------------------------------

    async def _round(self, number: int, plain: Sequence[PlainPython], sandbox: Sandbox) -> None:
        await self._in_process("plain 1", plain[:1])
        await self._in_flight(sandbox, 1)
        if self._workers > 1:
            await self._in_process(f"plain {self._workers}", plain)
            await self._in_flight(sandbox, self._workers)
        for in_flight in _CROWDS:
            await self._in_flight(sandbox, in_flight)
        await self._samples(sandbox)
        await self._fresh_pythons(number)

    async def _in_process(self, name: str, plain: Sequence[PlainPython]) -> None:
        timed = self._timed[name]
        began = time.perf_counter()
        passes = await asyncio.gather(*(process.run_all() for process in plain))
        timed.seconds += time.perf_counter() - began
        for runs in passes:
            timed.checks += len(runs)
            timed.each += [seconds for seconds, _ in runs]
            self.outputs.compare_all("plain Python again", self._solutions, runs)

    async def _in_flight(self, sandbox: Sandbox, in_flight: int) -> None:
        """Every solution in a session of its own, so often that the last ones, run alone, weigh little."""
        waiting = list(self._solutions) * (
            3 if in_flight <= self._workers else -(-2 * in_flight // len(self._solutions))
        )
        timed = self._timed[f"sessions {in_flight}"]
        crowded = in_flight > self._workers

        async def place() -> None:
            while waiting:
                solution = waiting.pop()
                async with sandbox.session() as session:
                    for step, code in enumerate(solution.checks):
                        began = time.perf_counter()
                        result = await session.run(code)
                        elapsed = time.perf_counter() - began
                        timed.each.append(result.wall_s if crowded else elapsed)
                        timed.checks += 1
                        self.outputs.compare(f"{in_flight} in flight", solution, step, said(result))

        began = time.perf_counter()
        async with asyncio.TaskGroup() as places:
            for _ in range(in_flight):
                places.create_task(place())
        timed.seconds += time.perf_counter() - began

    async def _samples(self, sandbox: Sandbox) -> None:
        """At every step, forks run the step from the state that the session is in, and the first of them goes on."""
        waiting = list(self._solutions)
        timed = self._timed["samples"]

        async def sample(node: Session, solution: CheckedSolution, step: int, stays: bool) -> Session:
            began = time.perf_counter()
            fork = await node.fork()
            result = await fork.run(solution.checks[step])
            if not stays:
                fork.close()
            timed.each.append(time.perf_counter() - began)
            timed.checks += 1
            self.outputs.compare("forked", solution, step, said(result))
            return fork

        async def place() -> None:
            while waiting:
                solution = waiting.pop()
                node = sandbox.session()
                for step in range(len(solution.checks)):
                    samples = (sample(node, solution, step, number == 0) for number in range(SAMPLES))
                    first, *_ = await asyncio.gather(*samples)
                    node.close()
                    node = first
                node.close()

        began = time.perf_counter()
        async with asyncio.TaskGroup() as places:
            for _ in range(self._workers):
                places.create_task(place())
        timed.seconds += time.perf_counter() - began

    async def _fresh_pythons(self, number: int) -> None:
        """A few, spread evenly over the checks and the rounds: each takes as long as a hundred checks in a session."""
        checks = [(solution, step) for solution in self._solutions for step in range(len(solution.checks))]
        stride = len(checks) / self._size.fresh
        for index in range(number, self._size.fresh, self._size.rounds):
            solution, step = checks[int(index * stride) % len(checks)]
            replayed = list(accumulate(solution.checks))[step]
            seconds, printed = await fresh_python(replayed)
            self._timed["fresh"].each.append(seconds)
            self.outputs.compare_replayed("fresh Python", solution, step, printed)

    # --- latency and memory -------------------------------------------------------------------------------------------

    async def _latencies(self, sandbox: Sandbox, lean: Sandbox, live: Session, node: Session) -> None:
        """One at a time, each when the processes of the one before are gone and the reserve is full again."""
        rounds = self._size.rounds
        await asyncio.sleep(_REST_S)
        for _ in range(self._size.prints // rounds):
            await self._clock("print", lambda: live.run("print(1)"))
        for _ in range(self._size.openings // rounds):
            await asyncio.sleep(_REST_S)
            await self._clock("on demand", lambda: _open(lean))
            await asyncio.sleep(_REST_S)
            await self._clock("spare", lambda: _open(sandbox))
            await asyncio.sleep(_REST_S)
            await self._fork(node)

    async def _fork(self, node: Session) -> None:
        began = time.perf_counter()
        async with await node.fork() as fork:
            forked = time.perf_counter()
            await fork.run("print(1)")
            ended = time.perf_counter()
        self._latency["fork"].append(forked - began)
        self._latency["fork and print"].append(ended - began)

    async def _memory(self, lean: Sandbox) -> None:
        """Of live sessions after their three steps."""
        before = processes.descendants()
        async with AsyncExitStack() as sessions:
            for solution in self._solutions:
                session = await sessions.enter_async_context(lean.session())
                for step, code in enumerate(solution.checks):
                    self.outputs.compare("for memory", solution, step, said(await session.run(code)))
            sizes = [processes.private_mb(pid) for pid in processes.descendants() - before]
        self._private = [size for size in sizes if size is not None]

    # --- the figures --------------------------------------------------------------------------------------------------

    def _figures(self) -> list[Figure]:
        return [*self._throughput(), *self._latency_figures(), *self._memory_figures()]

    def _throughput(self) -> list[Figure]:
        alone, together = f"sessions {1}", f"sessions {self._workers}"
        plain, plain_together = "plain 1", f"plain {self._workers}"
        timed = self._timed
        fresh = statistics.fmean(timed["fresh"].each)
        figures = [
            Figure("plain Python, warm, checks new to it, mean", 1000 * statistics.fmean(self._first), "ms"),
            *spread("plain Python, warm, checks known to it", timed[plain].each, 0.5, 0.9, 0.99),
            Figure(
                f"plain Python, warm, checks known, {self._workers} processes", timed[plain_together].rate, "checks/s"
            ),
            Figure("fresh python -c, mean", 1000 * fresh, "ms"),
        ]
        for in_flight in sorted({1, self._workers, *_CROWDS}):
            bar = 180 if in_flight == self._workers else None
            way = timed[f"sessions {in_flight}"]
            figures.append(Figure(f"sessions, {in_flight} in flight", way.rate, "checks/s", at_least=bar))
            figures += spread(f"sessions, {in_flight} in flight", way.each, 0.5, 0.9, 0.99)
        ratio_together = timed[together].mean / timed[plain_together].mean
        ratio_new = timed[alone].mean / statistics.fmean(self._first)
        return [
            *figures,
            Figure("sessions to plain Python, checks new to both", ratio_new, "x"),
            Figure(
                "sessions to plain Python that knows the checks", timed[alone].mean / timed[plain].mean, "x", at_most=2
            ),
            Figure(f"the same, {self._workers} in flight", ratio_together, "x", at_most=2),
            Figure("fresh python -c to sessions, 1 in flight", fresh / timed[alone].mean, "x", at_least=30),
            Figure(f"{SAMPLES} samples forked per step", timed["samples"].rate, "samples/s", at_least=150),
        ]

    def _latency_figures(self) -> list[Figure]:
        def at(name: str, text: str, q: float, at_most: float | None) -> Figure:
            return Figure(f"{text}, p{q * 100:g}", 1000 * quantile(self._latency[name], q), "ms", at_most=at_most)

        return [
            at("print", "print(1) in a live session", 0.5, 0.1),
            at("print", "print(1) in a live session", 0.99, 0.5),
            at("on demand", "new session and print(1), on demand", 0.5, 4),
            at("spare", "new session and print(1), from a spare", 0.5, 1),
            at("fork", "fork of a session", 0.5, 3),
            at("fork and print", "fork of a session and print(1)", 0.5, None),
            Figure("pool ready", max(self._latency["ready"]), "s", at_most=2),
        ]

    def _memory_figures(self) -> list[Figure]:
        median = statistics.median(self._private) if self._private else None
        most = max(self._private, default=None)
        return [
            Figure("private memory of a live session, median", median, "MB", at_most=10),
            Figure("private memory of a live session, most", most, "MB"),
        ]


async def _open(sandbox: Sandbox) -> None:
    async with sandbox.session() as session:
        await session.run("print(1)")
