"""Runs attacks inside the sandbox and looks from outside at what they did.

Each attack has a session of its own. Before the sandbox starts, canaries are laid out; beside the attacks lives a
sister session with a secret. After each attack: is a secret in any output, was a canary touched, is a process or a
descriptor left over, did it end in time, is a fresh session still right, and does the sister still know her secret.
What a payload says of itself counts only where its success could not be seen (``Attack.forbidden``).
"""

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from genprm.sandbox.layers import Layer
from genprm.sandbox.limits import Limits
from genprm.sandbox.pool import Level, Sandbox
from genprm.sandbox.result import Result
from genprm.sandbox.session import Session
from genprm.sandbox.trials.attacks.kind import NUMBERS, PRELUDE, SUCCEEDED, Attack
from genprm.sandbox.trials.canaries import Canaries
from genprm.sandbox.trials.processes import cpu_s, descendants, descriptors
from genprm.sandbox.trials.rows import Row, Verdict, stopped_by
from genprm.sandbox.trials.watch import Watch, adopting

LATE_S = 0.25
"""A check may take this much longer than its limit, and as much more as the machine kept the harness itself waiting."""
LIMITS = Limits(cpu_s=0.5, wall_s=1.5, memory_mb=512, output_bytes=8192)
"""Tight, so that hundreds of attacks end within about a minute."""
_SETTLE_S, _STEADY_S, _LOOK_S, _LOOKS = 3.0, 1.0, 0.01, 3
_STUCK_S = 10.0
_IDLE_S = 0.4
_LONGEST_ERROR = 4096
_HONEST = """
import sympy
x = sympy.Symbol('x')
print(1 + 1, sympy.solve(x**2 - 4, x), sum(range(100)), sorted([3, 1, 2]), 'a' + 'b')
"""
_RIGHT = "2 [-2, 2] 4950 [1, 2, 3] ab\n"
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")


@dataclass(frozen=True, slots=True)
class _Trial:
    """One attack as it went."""

    attack: Attack
    results: tuple[Result, ...]
    walls: tuple[float, ...]
    """Seconds of each check by the clock of the harness."""
    busy_s: float = 0.0
    """CPU seconds that were taken while its session had nothing to do."""
    later: Result | None = None


@dataclass(slots=True)
class _Findings:
    """What is wrong after an attack, in words."""

    escaped: list[str]
    late: list[str]
    unhealthy: list[str]

    def verdict(self) -> tuple[Verdict, str]:
        verdicts: tuple[tuple[Verdict, list[str]], ...] = (
            ("ESCAPED", self.escaped),
            ("unhealthy", self.unhealthy),
            ("late", self.late),
        )
        for verdict, why in verdicts:
            if why:
                return verdict, "; ".join(why)
        return "held", ""


class Suite:
    """A sandbox among canaries. Needs the main thread (it listens to a signal) and Linux (it reads ``/proc``)."""

    def __init__(self, level: Level = "confined", limits: Limits = LIMITS) -> None:
        self.limits = limits
        self.canaries = Canaries()
        self.left: list[str] = []
        """What was still there after the sandbox was closed."""
        self._sandbox = Sandbox(limits=limits, level=level)
        self._stack = contextlib.AsyncExitStack()
        self._names: dict[str, object] = {}
        self._others: set[int] = set()
        self._cores = len(os.sched_getaffinity(0))

    async def __aenter__(self) -> "Suite":
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(adopting())
            self._others = descendants()
            stack.enter_context(self.canaries)
            stack.callback(self._clear_up)
            await stack.enter_async_context(self._sandbox)
            await self._sandbox.start()
            self._names = self.canaries.names() | {"NR": NUMBERS}
            await self._raise_sister()
            for _ in range(2 * self._cores):  # what is made at the first use is made now
                await self._honest()
            await self._sandbox.warmed()
            self._processes = await _steady(lambda: len(descendants() - self._others))
            self._descriptors = descriptors()
            self._watch = Watch(self.limits.memory_mb)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    @property
    def layers(self) -> tuple[Layer, ...]:
        return self._sandbox.layers

    async def run(self, attacks: Iterable[Attack]) -> AsyncIterator[Row]:
        """The rows of these attacks as they come in. Of those that wait for a limit, one a core runs at once.

        One that is late is run again by itself: if it is in time then, something else had kept the machine busy.
        """
        for batch in _batches(attacks, self._cores):
            for row, attack in zip(await self._rows(batch), batch, strict=True):
                if row.verdict == "late":
                    [row] = await self._rows([attack])
                yield row

    async def _rows(self, batch: Sequence[Attack]) -> list[Row]:
        """Attacks that run at once."""
        with self._watch as watch:
            trials = await asyncio.gather(*(self._trial(attack) for attack in batch))
        outside = [*watch.seen, *self.canaries.disturbed(), *await self._leftovers(), *await self._sister_is_well()]
        if outside and len(batch) > 1:
            outside.append("by it or one that ran beside it")
        unhealthy = await self._health()
        return [self._row(trial, outside, unhealthy, watch.lag_s) for trial in trials]

    # --- inside ----------------------------------------------------------------------------------------------------

    async def _trial(self, attack: Attack) -> _Trial:
        results, walls = [], []
        busy_s = 0.0
        async with self._sandbox.session() as session, contextlib.AsyncExitStack() as forks:
            for code in attack.checks:
                began = time.monotonic()
                results.append(await self._bounded(session.run(self._with_names(code))))
                walls.append(time.monotonic() - began)
            for _ in range(attack.forks):
                began = time.monotonic()
                results.append(await self._bounded(self._fork(session, forks)))
                walls.append(time.monotonic() - began)
            if attack.idle:
                busy_s = await self._idle()
        later = None
        if attack.later:
            async with self._sandbox.session() as session:
                later = await self._bounded(session.run(self._with_names(attack.later)))
        return _Trial(attack, tuple(results), tuple(walls), busy_s, later)

    async def _fork(self, session: Session, forks: contextlib.AsyncExitStack) -> Result:
        return await (await forks.enter_async_context(await session.fork())).run("print(1)")

    async def _idle(self) -> float:
        """Seconds of CPU time that our processes take for nothing, once every limit has passed."""
        await asyncio.sleep(self.limits.cpu_s + LATE_S)
        before = cpu_s(descendants())
        await asyncio.sleep(_IDLE_S)
        after = cpu_s(descendants())
        return sum(after[pid] - before[pid] for pid in before.keys() & after.keys())

    async def _bounded(self, run: Coroutine[Any, Any, Result]) -> Result:
        """A check that the sandbox does not end is ended here, and late."""
        try:
            async with asyncio.timeout(self.limits.wall_s + _STUCK_S):
                return await run
        except TimeoutError:
            return Result("timeout", error="nothing ended it")

    def _with_names(self, code: str) -> str:
        return PRELUDE + "".join(f"{name} = {value!r}\n" for name, value in self._names.items()) + code

    async def _honest(self) -> Result:
        async with self._sandbox.session() as session:
            return await self._bounded(session.run(_HONEST))

    async def _raise_sister(self) -> None:
        """The session beside the attacks. Its process number is the one that a payload would have to use."""
        self._sister = self._sandbox.session()
        secret = self.canaries.secrets["sister"]
        told = await self._sister.run(f"import os\nsecret = {secret!r}\nprint(os.getpid(), id(secret))")
        pid, address = map(int, told.stdout.split()) if told.status == "ok" else (0, 0)
        self._names |= {"SISTER": pid, "ADDRESS": address}

    # --- outside ---------------------------------------------------------------------------------------------------

    async def _sister_is_well(self) -> list[str]:
        told = await self._bounded(self._sister.run("print(secret)"))
        if told.stdout == self.canaries.secrets["sister"] + "\n":
            return []
        self._sister.close()
        await self._raise_sister()
        return [f"the sister session was harmed ({told.error or 'she says something else'})"]

    async def _leftovers(self) -> list[str]:
        """Processes that are more than before, once the sandbox had time to clear up."""
        await self._sandbox.warmed()  # while its reserve is short, one more would not be seen
        count = await _settled(lambda: len(descendants() - self._others), self._processes)
        more, self._processes = count - self._processes, max(count, self._processes)
        return [f"{more} processes are left over"] if more > 0 else []

    async def _health(self) -> list[str]:
        problems = []
        told = await self._honest()
        if (told.status, told.stdout) != ("ok", _RIGHT):
            problems.append(f"an honest check gave {told.status}: {told.stdout or told.error}")
        if (count := await _settled(descriptors, self._descriptors)) > self._descriptors:
            problems.append(f"{count - self._descriptors} descriptors are left open")
            self._descriptors = count
        return problems

    def _row(self, trial: _Trial, outside: list[str], unhealthy: list[str], lag_s: float) -> Row:
        attack, results = trial.attack, trial.results
        all_results = results if trial.later is None else (*results, trial.later)
        escaped = [*self._said(attack, all_results), *outside]
        if trial.later is not None and SUCCEEDED in trial.later.stdout:
            escaped.append("another session found what it left")
        verdict, why = _Findings(escaped, list(self._late(trial, lag_s)), unhealthy).verdict()
        return Row(
            kind=attack.kind,
            name=attack.name,
            outcome=", ".join(result.status for result in results),
            stopped_by=stopped_by(attack, results),
            verdict=verdict,
            why=why,
            error=next((result.error for result in reversed(results) if result.error), "")[:200],
            cpu_s=max(result.cpu_s for result in results),
            wall_s=max(trial.walls),
        )

    def _said(self, attack: Attack, results: Sequence[Result]) -> Iterator[str]:
        """What its output gives away."""
        for result in results:
            text = "\n".join((result.stdout, result.error, result.traceback))
            yield from self.canaries.told(text)
            if _CONTROLS.search(text):
                yield "control characters came out"
            if len(result.stdout.encode()) > self.limits.output_bytes:
                yield "more output came out than the limit"
            if max(len(result.error), len(result.traceback)) > _LONGEST_ERROR:
                yield "an error without bounds came out"
        if attack.forbidden and any(SUCCEEDED in result.stdout for result in results):
            yield "it did what no check may do"
        if attack.judge and (problem := attack.judge(results)):
            yield problem

    def _late(self, trial: _Trial, lag_s: float) -> Iterator[str]:
        for result, wall in zip(trial.results, trial.walls, strict=True):
            if (over := result.cpu_s - self.limits.cpu_s) > LATE_S:
                yield f"{over:.2f} s of CPU time over the limit"
            if (over := wall - self.limits.wall_s) > LATE_S + lag_s:
                yield f"{over:.2f} s over the wall limit"
        if trial.busy_s > _IDLE_S / 2:
            yield "it goes on computing after its reply"

    def _clear_up(self) -> None:
        """After the sandbox was closed nothing of it may be left."""
        end = time.monotonic() + _SETTLE_S
        while (left := descendants() - self._others) and time.monotonic() < end:
            time.sleep(0.02)
        for pid in left:
            self.left.append(f"process {pid} outlived the sandbox")
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.left += self.canaries.disturbed()


async def _settled(count: Callable[[], int], most: int) -> int:
    """The count once it is at most ``most`` for a while, or what it mostly is after a longer one.

    A single look may fall between the end of one process and the start of the one that takes its place.
    """
    looks = [count()]
    for _ in range(int(_SETTLE_S / _LOOK_S)):
        if len(looks) >= _LOOKS and max(looks[-_LOOKS:]) <= most:
            break
        await asyncio.sleep(_LOOK_S)
        looks.append(count())
    return sorted(looks[-_LOOKS:])[_LOOKS // 2]


async def _steady(count: Callable[[], int]) -> int:
    """The count once it has stayed the same for a while."""
    last, same = count(), 0
    for _ in range(int(3 * _SETTLE_S / _LOOK_S)):
        await asyncio.sleep(_LOOK_S)
        last, same = (last, same + 1) if count() == last else (count(), 0)
        if same * _LOOK_S > _STEADY_S:
            break
    return last


def _batches(attacks: Iterable[Attack], size: int) -> Iterator[list[Attack]]:
    """One by one, but those that run into a limit of time ``size`` at once."""
    waiting: list[Attack] = []
    for attack in attacks:
        if not attack.slow:
            yield [attack]
            continue
        waiting.append(attack)
        if len(waiting) == size:
            yield waiting
            waiting = []
    if waiting:
        yield waiting
