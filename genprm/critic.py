"""The loop over solutions and steps: all rationales in flight at once, as many solutions as keep the engine busy.

One rationale is ``genprm.sampler``'s, what it sees of the steps before is ``genprm.board``'s, when a step has votes
enough is ``genprm.stopping``'s, and what they come to is ``genprm.voting``'s.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import get_args

from genprm import voting
from genprm.board import Board
from genprm.checks import CheckTree
from genprm.engines.base import Engine, require_sound
from genprm.errors import ConfigError
from genprm.flight import cancelled
from genprm.protocols import CritiqueProtocol
from genprm.sampler import Load, Sampler
from genprm.sandbox import Sandbox
from genprm.stopping import make_rule
from genprm.types import (
    Context,
    Critique,
    CritiqueOutcome,
    Method,
    Rationale,
    Sampling,
    Solution,
    StepCritique,
    Stopping,
    Usage,
    Vote,
)


class Critic:
    """Judges solutions with one engine, one protocol and one sandbox, none of which it owns.

    ``method`` is the whole recipe. ``concurrency`` bounds the calls to the engine that are in flight at once, and with
    them the solutions, the sandbox sessions and the memory.
    """

    def __init__(
        self, engine: Engine, sandbox: Sandbox, protocol: CritiqueProtocol, method: Method, *, concurrency: int = 64
    ) -> None:
        _require_sound(method, protocol, concurrency)
        self.engine = engine
        self.sandbox = sandbox
        self.protocol = protocol
        self.method = method
        self._load = Load(concurrency)
        self._rule = make_rule(method)
        self._sampler = Sampler(engine, protocol, method, self._load)

    def by(self, method: Method, engine: Engine | None = None) -> "Critic":
        """A critic that judges by another method, or asks another engine. All else is the same, and so is the bound on
        what is in flight, which both share."""
        engine = engine or self.engine
        other = Critic(engine, self.sandbox, self.protocol, method)
        other._load = self._load
        other._sampler = Sampler(engine, self.protocol, method, self._load)
        return other

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

    async def critique_many(
        self, solutions: Iterable[Solution], on_step: Callable[[StepCritique], None] | None = None
    ) -> AsyncGenerator[Critique, None]:
        """Critiques as they are done, in the order of their ends; no more solutions are held than are in flight.

        Raises:
            EngineLost: the engine has gone. What lacks rationales for that is not handed out, so that it is judged
                again.
        """
        load, waiting, exhausted = self._load, iter(solutions), False
        running: set[asyncio.Task[Critique]] = set()
        done: list[asyncio.Task[Critique]] = []

        def finished(task: asyncio.Task[Critique]) -> None:
            done.append(task)
            load.changed.set()

        n_lost = load.n_lost
        try:
            while running or not exhausted:
                while not exhausted and not done and (load.room or not running):
                    if (solution := next(waiting, None)) is None:
                        exhausted = True
                        break
                    running.add(task := asyncio.create_task(self.critique(solution, on_step)))
                    task.add_done_callback(finished)
                    await _begun()
                while done:
                    running.discard(task := done.pop())
                    critique = task.result()
                    if load.n_lost == n_lost or not _lacks_rationales(critique):
                        yield critique
                if load.lost and load.n_lost > n_lost:
                    raise load.lost
                load.changed.clear()
                if running and not (load.room and not exhausted):
                    await load.changed.wait()
        finally:
            await cancelled(running)

    async def stream(self, solution: Solution) -> AsyncGenerator[StepCritique | Critique, None]:
        """Each step as soon as it is judged, in order, and the whole critique at the end.

        With ``context`` chain a step may gather further rationales after it was judged, where its samples are asked
        about later steps. They are in the whole critique.
        """
        started = time.perf_counter()
        if self.protocol.scope == "solution":
            critique = await self._judgements(solution)
            for step in critique.steps:
                yield step
        else:
            board = Board(solution, self.method, self._sampler, self._rule, self.sandbox)
            try:
                async with aclosing(self._steps(board, len(solution.steps))) as judged:
                    n_judged = 0
                    async for step in judged:
                        n_judged += 1
                        yield step
                steps = [board.judged(step) for step in range(n_judged)]
            finally:
                await board.close()
            verdict = voting.first_error(steps, len(solution.steps), self.method.vote)
            critique = self._whole(solution, verdict, steps, [r for step in steps for r in step.rationales])
        yield replace(critique, seconds=time.perf_counter() - started)

    async def _steps(self, board: Board, n_steps: int) -> AsyncGenerator[StepCritique, None]:
        if self.method.stop_at_first_error:
            for step in range(n_steps):
                judged = await board.judge(step)
                yield judged
                if judged.correct is not True:
                    return  # wrong, or without a verdict: what comes after cannot change the outcome
            return
        waiting = [asyncio.create_task(board.judge(step)) for step in range(n_steps)]
        try:
            for task in waiting:
                yield await task
        finally:
            await cancelled(waiting)

    async def _judgements(self, solution: Solution) -> Critique:
        tree = CheckTree(self.sandbox)
        tasks = [
            asyncio.create_task(self._sampler.sample(solution, 0, sample, (), tree.start()))
            for sample in range(self.method.n)
        ]
        try:
            judgements = tuple(rationale for rationale, _ in await asyncio.gather(*tasks))
        finally:
            await cancelled(tasks)
            await tree.close()
        steps = voting.steps_from_indices(judgements, len(solution.steps))
        return self._whole(solution, voting.judge_indices(judgements), steps, judgements, judgements)

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


def _require_sound(method: Method, protocol: CritiqueProtocol, concurrency: int) -> None:
    if method.n < 1 or concurrency < 1:
        raise ConfigError("at least one rationale and one call at a time are needed")
    if not 0 <= method.threshold <= 1:
        raise ConfigError(f"the threshold lies between 0 and 1, not at {method.threshold:g}")
    require_sound(Sampling(method.temperature, method.top_p, method.top_k))
    for what, value, known in (
        ("vote", method.vote, get_args(Vote)),
        ("context", method.context, get_args(Context)),
        ("stopping rule", method.stopping, get_args(Stopping)),
    ):
        if value not in known:
            raise ConfigError(f"unknown {what} {value!r}; there are {', '.join(known)}")
    if not 0 < method.stop_error < 1:
        raise ConfigError(f"the error of a stopping rule lies between 0 and 1, not at {method.stop_error:g}")
    if method.vote == "index" and method.stopping != "none":
        raise ConfigError("a vote over first-error indices needs every rationale of every step: it cannot stop early")
    if method.vote == "index" and method.stop_at_first_error:
        raise ConfigError("a vote over first-error indices needs every step: it cannot stop at the first error")
    if protocol.scope == "solution" and (method.vote != "index" or method.threshold != 0.5):
        raise ConfigError(f"protocol {protocol.name} names indices: it votes by index, without a threshold")


def _lacks_rationales(critique: Critique) -> bool:
    """Whether the engine failed somewhere in it."""
    sampled = [*critique.judgements, *(rationale for step in critique.steps for rationale in step.rationales)]
    return critique.failed or any(rationale.outcome == "engine_error" for rationale in sampled)


async def _begun() -> None:
    """Let a task that was just made get as far as its first calls: its rationales count from there on."""
    for _ in range(4):
        await asyncio.sleep(0)
