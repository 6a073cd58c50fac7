"""The same solutions with everything in flight at once, and one call after another: how much faster, and why."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from genprm.critic import Critic
from genprm.engines.base import Engine
from genprm.eval.bench.report import Report, Row
from genprm.eval.bench.sequential import Sequential
from genprm.protocols import CritiqueProtocol
from genprm.sandbox import Sandbox
from genprm.sandbox.trials.figures import Figure
from genprm.types import Method, Solution, StepCritique, Usage

MAXIMA = {"late_s"}
"""Counters that do not add up."""
QUERIES, HITS = "prefix_cache_queries", "prefix_cache_hits"


@dataclass
class Pass:
    """What one way of judging did, and took."""

    steps: int = 0
    rationales: int = 0
    seconds: float = 0.0
    usage: Usage = Usage()
    agreeing: int = 0
    """Rationales that said what most of their step said."""
    outcomes: Counter[str] = field(default_factory=Counter)
    counters: dict[str, float] = field(default_factory=dict)
    """By how much the engine's own counters grew."""
    verdicts: dict[tuple[str, int], bool | None] = field(default_factory=dict)
    """Of every step, by solution and number."""

    def add(self, solution: Solution, step: StepCritique) -> None:
        self.steps += 1
        self.rationales += len(step.rationales)
        self.usage += step.usage
        self.agreeing += max(step.votes.yes, step.votes.no)
        self.outcomes.update(rationale.outcome for rationale in step.rationales)
        self.verdicts[solution.id, step.step] = step.correct

    @property
    def rate(self) -> float:
        """Steps per second."""
        return self.steps / self.seconds

    @property
    def agreement(self) -> float:
        """Share of rationales that said what most of their step said."""
        return self.agreeing / max(self.rationales, 1)

    @property
    def hit_share(self) -> float | None:
        """Of the prompt tokens, those that the prefix cache served, as the engine itself counts."""
        if not self.counters.get(QUERIES):
            return None
        return self.counters.get(HITS, 0.0) / self.counters[QUERIES]


async def all_at_once(critic: Critic, solutions: Sequence[Solution], spec: str = "") -> Pass:
    """Everything in flight, as far as ``critic`` allows."""
    run = Pass()
    async with _measured(run, critic.engine, spec), aclosing(critic.critique_many(solutions)) as critiques:
        async for critique in critiques:
            for step in critique.steps:
                run.add(critique.solution, step)
    return run


async def one_by_one(
    engine: Engine,
    sandbox: Sandbox,
    protocol: CritiqueProtocol,
    method: Method,
    solutions: Sequence[Solution],
    seconds: float,
    spec: str = "",
) -> Pass:
    """One call after another, until all is done or ``seconds`` have passed (then it ends with the step at hand)."""
    run = Pass()
    sequential = Sequential(engine, sandbox, protocol, method)
    began = time.perf_counter()
    async with _measured(run, engine, spec):
        for solution in solutions:
            async with aclosing(sequential.steps(solution)) as steps:
                async for step in steps:
                    run.add(solution, step)
                    if time.perf_counter() - began > seconds:
                        return run
    return run


@asynccontextmanager
async def _measured(run: Pass, engine: Engine, spec: str) -> AsyncIterator[None]:
    before = await counters_of(engine, spec)
    began = time.perf_counter()
    try:
        yield
    finally:
        run.seconds = time.perf_counter() - began
        after = await counters_of(engine, spec)
        run.counters = {name: value - before.get(name, 0.0) for name, value in after.items() if name not in MAXIMA}
        run.counters |= {name: after[name] for name in MAXIMA & after.keys()}


async def counters_of(engine: Engine, spec: str) -> Mapping[str, float]:
    """What the engine counts by itself: of its ``counters`` where it has them, of a server's ``/metrics``; or none."""
    own = getattr(engine, "counters", None)
    if own is not None:
        return dict(own())
    if spec.startswith(("http://", "https://")):
        return await asyncio.to_thread(scraped, spec.partition("#")[0].rstrip("/").removesuffix("/v1") + "/metrics")
    return {}


def scraped(url: str) -> dict[str, float]:
    """Prometheus text, summed over labels, by short names: ``vllm:prompt_tokens_total{…}`` is ``prompt_tokens``."""
    import httpx

    try:
        reply = httpx.get(url, timeout=10)
    except httpx.HTTPError:
        return {}
    found: defaultdict[str, float] = defaultdict(float)
    for line in reply.text.splitlines() if reply.is_success else ():
        name, _, value = line.rpartition(" ")
        name = name.partition("{")[0]
        if name.startswith(("vllm:", "simulated:")):
            found[name.partition(":")[2].removesuffix("_total")] += _float(value)
    return dict(found)


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def compared(title: str, passes: Mapping[str, Pass], bars: Sequence[Figure], how: dict[str, Any]) -> Report:
    """Side by side. Seconds and tokens a step are sums over its rationales."""
    rows = [_row(name, unit, value, [*passes.values()]) for name, unit, value in _FIGURES]
    return Report(title, tuple(passes), tuple(rows), tuple(bars), how)


def speedup(fast: Pass, slow: Pass) -> float | None:
    return fast.rate / slow.rate if slow.steps else None


def same_verdicts(one: Pass, other: Pass) -> tuple[int, int]:
    """Steps that both judged, and those of them on which they agree."""
    both = one.verdicts.keys() & other.verdicts.keys()
    return len(both), sum(one.verdicts[step] == other.verdicts[step] for step in both)


def saved(all_votes: Pass, stopped: Pass) -> float:
    """Of the rationales that all votes took, the share that was not sampled, in percent."""
    return 100 * (1 - stopped.rationales / all_votes.rationales)


def changed(all_votes: Pass, stopped: Pass) -> float:
    """Of the steps, the share that came out differently, in percent."""
    both, same = same_verdicts(all_votes, stopped)
    return 100 * (both - same) / both


def _row(name: str, unit: str, value: Any, passes: Sequence[Pass]) -> Row:
    return Row(name, tuple(value(run) if run.steps else None for run in passes), unit)


_FIGURES = (
    ("steps", "", lambda run: run.steps),
    ("rationales", "", lambda run: run.rationales),
    ("seconds", "s", lambda run: run.seconds),
    ("steps a second", "", lambda run: run.rate),
    ("generated tokens a second", "", lambda run: run.usage.completion_tokens / run.seconds),
    ("prompt tokens a step", "", lambda run: run.usage.prompt_tokens / run.steps),
    ("… of them cached", "", lambda run: run.usage.cached_tokens / run.steps),
    ("generated tokens a step", "", lambda run: run.usage.completion_tokens / run.steps),
    ("engine a step", "s", lambda run: run.usage.engine_s / run.steps),
    ("sandbox a step", "s", lambda run: run.usage.sandbox_s / run.steps),
    ("waiting a step", "s", lambda run: run.usage.waiting_s / run.steps),
    ("engine in all", "s", lambda run: run.usage.engine_s),
    ("sandbox in all", "s", lambda run: run.usage.sandbox_s),
    ("waiting in all", "s", lambda run: run.usage.waiting_s),
    ("prefix cache, by the engine's count", "%", lambda run: run.hit_share and 100 * run.hit_share),
    ("rationales with a verdict of their own", "%", lambda run: 100 * run.outcomes["ok"] / max(run.rationales, 1)),
)
