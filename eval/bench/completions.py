"""Monte-Carlo values at once and one after another: what ``genprm synth`` gains by having all prefixes in flight.

*At once*: completions of all prefixes of all solutions, as many in flight as the engine takes. *By prefix*: the manner
of the published pipelines, one prefix after another, with its completions side by side. *One by one*: one call after
another. Prompts, seeds and completions are the same, so that the values are, too.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genprm.engines.base import Engine
from genprm.eval.bench.report import Report, Row
from genprm.sandbox.trials.figures import Figure
from genprm.synth.completing import Completer
from genprm.synth.grading import Grader
from genprm.synth.plans import read_plan
from genprm.synth.types import Attempt
from genprm.synth.values import estimate
from genprm.types import Completion, Prompt, Sampling, Solution

AT_ONCE, BY_PREFIX, ONE = "at once", "by prefix", "one by one"


@dataclass
class Pass:
    """What one manner came to."""

    completions: int = 0
    tokens: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Completions a second."""
        return self.completions / max(self.seconds, 1e-9)


class _Counted:
    """An engine with so many calls in flight at most, which are counted. It does not own the one inside."""

    def __init__(self, engine: Engine, concurrency: int) -> None:
        self.name, self.protocols = engine.name, engine.protocols
        self.done = Pass()
        self._engine = engine
        self._room = asyncio.Semaphore(concurrency)

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        async with self._room:
            written = await self._engine.complete(prompt, sampling)
        self.done.completions += 1
        self.done.tokens += written.usage.completion_tokens
        return written

    async def close(self) -> None:
        """Nothing here is its own."""


async def compare(
    engine: Engine, solutions: Sequence[Solution], *, k: int, concurrency: int, seconds: float, max_tokens: int
) -> Report:
    """``k`` completions of every prefix. The slow manners end after ``seconds``: their rate is known by then."""
    grader = Grader()
    passes: dict[str, Pass] = {}
    try:
        for name, manner, limit, at_most in (
            (AT_ONCE, _at_once, concurrency, None),
            (BY_PREFIX, _by_prefix, concurrency, seconds),
            (ONE, _by_prefix, 1, seconds),
        ):
            counted = _Counted(engine, limit)
            completer = Completer(counted, grader, max_tokens=max_tokens)
            began = time.perf_counter()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(at_most):
                    await manner(completer, solutions, k)
            counted.done.seconds = time.perf_counter() - began
            passes[name] = counted.done
    finally:
        await grader.close()
    return _report(engine.name, passes, {"solutions": len(solutions), "k": k, "in flight": concurrency})


async def _at_once(completer: Completer, solutions: Sequence[Solution], k: int) -> None:
    plan = read_plan(f"fixed:{k}")
    await asyncio.gather(*(estimate(_attempt(each), completer, plan) for each in solutions))


async def _by_prefix(completer: Completer, solutions: Sequence[Solution], k: int) -> None:
    for solution in solutions:
        for t in range(len(solution.steps)):
            prefix = solution.steps[:t]
            await asyncio.gather(*(completer.complete(solution.problem, prefix, number) for number in range(k)))


def _attempt(solution: Solution) -> Attempt:
    return Attempt(solution, solution.id, "right")


def _report(engine: str, passes: Mapping[str, Pass], how: dict[str, Any]) -> Report:
    rows = [
        Row("completions", tuple(run.completions for run in passes.values())),
        Row("seconds", tuple(run.seconds for run in passes.values()), "s"),
        Row("completions a second", tuple(run.rate for run in passes.values())),
        Row("generated tokens a second", tuple(run.tokens / run.seconds for run in passes.values())),
    ]
    fast = passes[AT_ONCE].rate
    # The engine nano writes one token so quickly that there is little to win from many at once.
    bar = {} if engine.startswith("nano") else {"at_least": 10.0}
    bars = [
        Figure("completions a second, to one by one", fast / passes[ONE].rate, "x", **bar),
        Figure("completions a second, to prefix by prefix", fast / passes[BY_PREFIX].rate, "x"),
    ]
    return Report(f"Values of prefixes on {engine}", tuple(passes), tuple(rows), tuple(bars), how)
