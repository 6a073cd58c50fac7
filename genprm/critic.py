"""The loop: engine and sandbox in turn, one small state machine per rationale, all of them in flight at once.

A chain is one sample's walk through a solution: a rationale for each step, its own earlier ones in the context, one
sandbox session for all its checks. N chains run side by side; when all of them have spoken on a step, the step is
judged and handed out.
"""

import asyncio
import hashlib
import math
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import get_args

from genprm import voting
from genprm.engines.base import Engine
from genprm.errors import ConfigError, EngineError
from genprm.protocols import Conversation, CritiqueProtocol, Execute, Generate
from genprm.sandbox import Sandbox, Session
from genprm.types import (
    Check,
    Completion,
    Critique,
    CritiqueOutcome,
    Method,
    Rationale,
    Sampling,
    Solution,
    StepCritique,
    Usage,
    Vote,
)


class Critic:
    """Judges solutions with one engine, one protocol and one sandbox, none of which it owns.

    ``method`` is the whole recipe. ``concurrency`` bounds the rationales that are in flight at once over all solutions,
    and so the calls to the engine, the sandbox sessions and the memory. (The rationales of one solution are always
    in flight together, so that more of them than that are too.)
    """

    def __init__(
        self, engine: Engine, sandbox: Sandbox, protocol: CritiqueProtocol, method: Method, *, concurrency: int = 64
    ) -> None:
        _require_sound(method, protocol, concurrency)
        self.engine = engine
        self.sandbox = sandbox
        self.protocol = protocol
        self.method = method
        self.concurrency = concurrency
        self._calls = asyncio.Semaphore(concurrency)

    async def critique(self, solution: Solution, on_step: Callable[[StepCritique], None] | None = None) -> Critique:
        """The critique of one solution; ``on_step`` is told of each step as soon as it is judged.

        Failures are in the critique and not raised, also that of a solution which breaks the program.
        """
        try:
            async with aclosing(self.stream(solution)) as parts:
                async for part in parts:
                    if isinstance(part, Critique):
                        return part
                    if on_step:
                        on_step(part)
        except Exception as error:  # recorded like any other failure, and the run goes on
            return Critique(solution, self.method, "failed", error=f"{type(error).__name__}: {error}")
        raise AssertionError("a stream ends in a critique")

    async def critique_many(self, solutions: Iterable[Solution]) -> AsyncGenerator[Critique, None]:
        """Critiques as they are done, in the order of their ends; no more solutions are held than are in flight."""
        most = -(-self.concurrency // self.method.n)
        waiting = iter(solutions)
        running: set[asyncio.Task[Critique]] = set()
        try:
            while True:
                while len(running) < most and (solution := next(waiting, None)) is not None:
                    running.add(asyncio.create_task(self.critique(solution)))
                if not running:
                    return
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        finally:
            await _cancelled(running)

    async def stream(self, solution: Solution) -> AsyncGenerator[StepCritique | Critique, None]:
        """Each step as soon as it is judged, in order, and the whole critique at the end."""
        started = time.perf_counter()
        if self.protocol.scope == "solution":
            critique = await self._judgements(solution)
            for step in critique.steps:
                yield step
        else:
            steps = []
            async with aclosing(self._steps(solution)) as judged:
                async for step in judged:
                    steps.append(step)
                    yield step
            verdict = voting.first_error(steps, len(solution.steps), self.method.vote)
            critique = self._whole(solution, verdict, steps, [r for step in steps for r in step.rationales])
        yield replace(critique, seconds=time.perf_counter() - started)

    async def _steps(self, solution: Solution) -> AsyncGenerator[StepCritique, None]:
        board = [_Ballot(self.method.n) for _ in solution.steps]
        chains = {asyncio.create_task(self._chain(solution, sample, board)) for sample in range(self.method.n)}
        try:
            for step, ballot in enumerate(board):
                await _first(asyncio.create_task(ballot.full.wait()), chains)
                judged = voting.judge_step(step, ballot.rationales, self.method.vote, self.method.threshold)
                yield judged
                if self.method.stop_at_first_error and judged.correct is not True:
                    return  # wrong, or without a verdict: what comes after cannot change the outcome
                ballot.passed.set()
        finally:
            await _cancelled(chains)

    async def _chain(self, solution: Solution, sample: int, board: Sequence["_Ballot"]) -> None:
        """One sample's walk. An engine that failed for good is not asked again on the steps after."""
        earlier: list[str] = []
        failure = ""
        async with self.sandbox.session() as session:
            for step, ballot in enumerate(board):
                if failure:
                    rationale = Rationale(sample, "engine_error", error=failure)
                else:
                    sampling = self._sampling(solution, step, sample)
                    talk = self.protocol.rationale(solution, step, earlier, sampling)
                    rationale = await self._held(talk, session, sample)
                    failure = rationale.error and f"not asked: {rationale.error} (step {step + 1})"
                ballot.cast(rationale)
                if self.method.stop_at_first_error:
                    await ballot.passed.wait()
                earlier.append(rationale.text)

    async def _held(self, talk: Conversation, session: Session, sample: int) -> Rationale:
        """Drive one conversation to its end: the state machine."""
        began = time.perf_counter()
        usage = Usage()
        checks: tuple[Check, ...] = ()
        engine_s = sandbox_s = 0.0
        text = ""

        def accounted(rationale: Rationale) -> Rationale:
            waiting_s = max(time.perf_counter() - began - engine_s - sandbox_s, 0.0)
            return replace(
                rationale,
                sample=sample,
                checks=checks,
                usage=usage,
                engine_s=engine_s,
                sandbox_s=sandbox_s,
                waiting_s=waiting_s,
            )

        try:
            request = next(talk)
            while True:
                if isinstance(request, Generate):
                    text = request.prompt.opening
                    completion = await self._complete(request)
                    usage += completion.usage
                    engine_s += completion.seconds
                    request = talk.send(completion)
                elif isinstance(request, Execute):
                    result = await session.run(request.code)
                    checks += (Check(request.code, result),)
                    sandbox_s += result.wall_s
                    request = talk.send(result)
        except StopIteration as end:
            rationale: Rationale = end.value
            return accounted(rationale)
        except EngineError as error:
            return accounted(Rationale(sample, "engine_error", text, error=str(error)))

    async def _complete(self, request: Generate) -> Completion:
        async with self._calls:
            return await self.engine.complete(request.prompt, request.sampling)

    async def _judgements(self, solution: Solution) -> Critique:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._judgement(solution, sample)) for sample in range(self.method.n)]
        judgements = tuple(task.result() for task in tasks)
        steps = voting.steps_from_indices(judgements, len(solution.steps))
        return self._whole(solution, voting.judge_indices(judgements), steps, judgements, judgements)

    async def _judgement(self, solution: Solution, sample: int) -> Rationale:
        async with self.sandbox.session() as session:
            talk = self.protocol.rationale(solution, 0, (), self._sampling(solution, 0, sample))
            return await self._held(talk, session, sample)

    def _whole(
        self,
        solution: Solution,
        verdict: tuple[int | None, CritiqueOutcome],
        steps: Sequence[StepCritique],
        sampled: Sequence[Rationale],
        judgements: tuple[Rationale, ...] = (),
    ) -> Critique:
        """The critique that all ``sampled`` rationales, of steps or of the whole, come to."""
        first, outcome = verdict
        return Critique(
            solution,
            self.method,
            outcome,
            first,
            tuple(steps),
            judgements,
            error=next((r.error for r in sampled if r.error), "") if outcome != "ok" else "",
            usage=sum((r.usage for r in sampled), Usage()),
        )

    def _sampling(self, solution: Solution, step: int, sample: int) -> Sampling:
        """The same seed gives the same rationale whatever else is in flight."""
        method = self.method
        sampling = Sampling(method.temperature, method.top_p, method.top_k)
        if method.seed is None:
            return sampling
        text = f"{method.seed}\0{solution.source}\0{solution.id}\0{step}\0{sample}".encode("utf-8", "replace")
        seed = int.from_bytes(hashlib.blake2b(text, digest_size=4).digest()) >> 1
        return replace(sampling, seed=seed)


class _Ballot:
    """The rationales of one step as they come in."""

    def __init__(self, n: int) -> None:
        self.rationales: list[Rationale] = []
        self.full = asyncio.Event()
        self.passed = asyncio.Event()
        self._n = n

    def cast(self, rationale: Rationale) -> None:
        self.rationales.append(rationale)
        if len(self.rationales) == self._n:
            self.full.set()


def _require_sound(method: Method, protocol: CritiqueProtocol, concurrency: int) -> None:
    if method.n < 1 or concurrency < 1:
        raise ConfigError("at least one rationale and one call at a time are needed")
    if not 0 <= method.threshold <= 1:
        raise ConfigError(f"the threshold lies between 0 and 1, not at {method.threshold:g}")
    if not (0 <= method.temperature < math.inf and 0 < method.top_p <= 1 and method.top_k >= 0):
        raise ConfigError("sampling needs temperature >= 0, 0 < top_p <= 1 and top_k >= 0")
    if method.vote not in get_args(Vote):
        raise ConfigError(f"unknown vote {method.vote!r}; there are {', '.join(get_args(Vote))}")
    if method.vote == "index" and method.stop_at_first_error:
        raise ConfigError("a vote over first-error indices needs every step: it cannot stop at the first error")
    if protocol.scope == "solution" and (method.vote != "index" or method.threshold != 0.5):
        raise ConfigError(f"protocol {protocol.name} names indices: it votes by index, without a threshold")


async def _first(wanted: "asyncio.Task[object]", chains: set[asyncio.Task[None]]) -> None:
    """Wait for ``wanted``, unless a chain breaks first: then its exception is raised here."""
    pending: set[asyncio.Task[object]] = {wanted, *chains}
    try:
        while not wanted.done():
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        wanted.cancel()


async def _cancelled(tasks: Iterable["asyncio.Task[object]"]) -> None:
    """Cancel, and wait until all of them have given back what they held."""
    for task in (tasks := list(tasks)):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
