"""Many solutions on an engine that costs nothing: what the loop itself takes, in memory and in time."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import aclosing

import msgspec

from genprm.critic import Critic
from genprm.engines.scripted import Rule, ScriptedEngine
from genprm.errors import GenPRMError
from genprm.eval.bench.prose import solutions
from genprm.eval.bench.report import Report, Row
from genprm.protocols.genprm import GenPRMProtocol
from genprm.sandbox import Sandbox
from genprm.sandbox.trials.figures import Figure
from genprm.types import Completion, Method, Prompt, Sampling, Solution

_STEPS, _VOTES = 3, 2
_VERDICT = "It agrees.\n</verify>\n<output>\n**Judgement**: $\\boxed{Yes}$\n</output>\n"
_CHECK = "value = 3 * 4\nprint(value)\n```\n"


class Case(msgspec.Struct, frozen=True):
    """How much to judge, and how."""

    solutions: int
    concurrency: int
    execute: bool = False
    delay_s: float = 0.005
    """Of every answer, so that as many calls are in flight as may be."""


class Outcome(msgspec.Struct, frozen=True):
    """What that took."""

    steps: int
    calls: int
    seconds: float
    cpu_ms: float
    """CPU milliseconds of a call to the engine, the engine's own left out."""
    grown_mb: float
    """By how much the most memory exceeds that before the first solution."""
    most_mb: float


class _Timed(ScriptedEngine):
    """Adds up its own CPU time, which is not the loop's."""

    def __init__(self, delay_s: float, execute: bool) -> None:
        code = _CHECK if execute else _CHECK + _VERDICT
        last, checks = Rule(when="[Code Output]", text=_VERDICT), Rule(when="```python\n", text=code)
        super().__init__([last, checks, Rule(text="Fine.\n</analyze>\n")])
        self._delay_s = delay_s
        self.cpu_s = 0.0

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        began = time.process_time()
        try:
            return await super().complete(prompt, sampling)
        finally:
            self.cpu_s += time.process_time() - began


def judge(case: Case) -> Outcome:
    """Judge ``case`` in this process. Its memory is only its own if nothing was judged here before."""
    return asyncio.run(_judged(case))


async def _judged(case: Case) -> Outcome:
    engine = _Timed(case.delay_s, case.execute)
    method = Method(engine.name, "genprm", n=_VOTES)
    async with Sandbox() as sandbox:
        critic = Critic(engine, sandbox, GenPRMProtocol(execute=case.execute), method, concurrency=case.concurrency)
        async for _ in critic.critique_many(_made(8)):  # what is loaded at the first use is not growth
            pass
        before, calls, cpu_s, engine_s = _rss_mb(), engine.calls, time.process_time(), engine.cpu_s
        began, steps = time.perf_counter(), 0
        async with aclosing(critic.critique_many(_made(case.solutions))) as critiques:
            async for critique in critiques:
                steps += len(critique.steps)
        seconds = time.perf_counter() - began
        spent = time.process_time() - cpu_s - (engine.cpu_s - engine_s)
    asked = engine.calls - calls
    return Outcome(steps, asked, seconds, 1000 * spent / asked, _most_mb() - before, _most_mb())


def _made(n: int) -> Iterator[Solution]:
    """Made when they are asked for, so that the memory seen is the critic's."""
    for seed in range(n):
        (solution,) = solutions(1, _STEPS, seed)
        yield solution


def _rss_mb() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _most_mb() -> float:
    """Of this program: what ``getrusage`` says may be that of the process that started it."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:")) / 1024


async def apart(case: Case) -> Outcome:
    """``judge`` in a process of its own."""
    command = (sys.executable, "-m", "genprm.eval.bench.scale", msgspec.json.encode(case).decode())
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise GenPRMError(f"the process that judges {case.solutions} solutions ended with {process.returncode}")
    return msgspec.json.decode(said, type=Outcome)


CASES = (Case(1_000, 64), Case(10_000, 64), Case(1_000, 1_024), Case(10_000, 1_024), Case(300, 64, execute=True))


async def bench(cases: tuple[Case, ...] = CASES) -> Report:
    """All cases, one after another; the bars compare those without checks."""
    outcomes = [await apart(case) for case in cases]
    names = tuple(f"{c.solutions:,}/{c.concurrency:,}{' checks' if c.execute else ''}" for c in cases)
    rows = (
        Row("steps", tuple(o.steps for o in outcomes)),
        Row("calls", tuple(o.calls for o in outcomes)),
        Row("seconds", tuple(o.seconds for o in outcomes)),
        Row("CPU a call", tuple(o.cpu_ms for o in outcomes), "ms"),
        Row("memory grown by", tuple(o.grown_mb for o in outcomes), "MB"),
        Row("memory at most", tuple(o.most_mb for o in outcomes), "MB"),
    )
    how = {"columns": "solutions/concurrency", "steps": _STEPS, "votes": _VOTES, "an answer takes": "5 ms"}
    return Report("Scale, on the scripted engine", names, rows, tuple(_bars(cases, outcomes)), how)


def _bars(cases: tuple[Case, ...], outcomes: list[Outcome]) -> Iterator[Figure]:
    plain = [(case, outcome) for case, outcome in zip(cases, outcomes, strict=True) if not case.execute]
    yield Figure("CPU a call, without checks", max(o.cpu_ms for _, o in plain), "ms", at_most=0.5)
    for wide in sorted({case.concurrency for case, _ in plain}):
        sized = sorted((case.solutions, o.grown_mb) for case, o in plain if case.concurrency == wide)
        (few, less), (many, more) = sized[0], sized[-1]
        if few < many:
            name = f"memory of {many:,} solutions beyond that of {few:,}, {wide:,} in flight"
            yield Figure(name, more - less, "MB", at_most=10)


if __name__ == "__main__":
    print(msgspec.json.encode(judge(msgspec.json.decode(sys.argv[1], type=Case))).decode())
