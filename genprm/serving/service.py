"""What all requests share: the critic, the queue before it, the cache behind it, and the word that it is time to go."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar

from genprm import records
from genprm.comparing import Comparer
from genprm.critic import Critic
from genprm.engines.base import Engine
from genprm.flight import cancelled
from genprm.refining import Refinement
from genprm.serving.cache import Cache, Flight, Part, Parts
from genprm.serving.errors import Refusal, engine_failed, no_policy
from genprm.serving.limits import Clients, Gate
from genprm.serving.metrics import Metrics
from genprm.serving.options import Options
from genprm.serving.refining import Job, Refiner, refined
from genprm.serving.refining import Part as RefinePart
from genprm.types import Critique, Method, Solution

_AWAY_S = 2.0
"""An engine that has been away for longer is not waited for."""
_MOST_METHODS = 256
_COMPARING_S = 2.0
"""CPU seconds that the comparison of two answers may take."""
P = TypeVar("P")


class Service:
    """Critiques and refinements for many at once. One event loop; critic and policy stay their owner's."""

    def __init__(
        self, critic: Critic, options: Options, metrics: Metrics | None = None, refiner: Refiner | None = None
    ) -> None:
        self.critic = critic
        self.refiner = refiner
        self.options = options
        self.gate = Gate(options.in_flight, options.queue)
        self.clients = Clients(options.key_rate, options.key_burst, options.key_in_flight)
        self.cache = Cache(options.cache_entries, options.cache_bytes, options.cache_s)
        self.metrics = metrics or Metrics()
        self.metrics.watch(self.gate, self.cache, critic.sandbox.stats)
        self.stopping = False
        """New requests are refused."""
        self.stopped = asyncio.Event()
        """Requests that still run are ended."""
        self.comparer = Comparer(limit_s=_COMPARING_S)
        self._critics: OrderedDict[Method, Critic] = OrderedDict()
        self._flights: dict[bytes, Flight[Any]] = {}

    def require_engine(self) -> None:
        """Raises Refusal (503) while the critic's engine is away."""
        _require_there(self.critic.engine, "engine")

    def require_policy(self) -> None:
        """Raises Refusal (404, 503) where there is no policy, and while its engine is away."""
        if self.refiner is None:
            raise no_policy()
        _require_there(self.refiner.policy.engine, "policy's engine")

    async def follow(self, solution: Solution, method: Method) -> AsyncGenerator[Part, None]:
        """Step critiques as they are judged, the critique at the end: from the cache, or from whoever asked first."""
        bare = replace(solution, id="", source="")  # which seeds depend on: what is the same is judged once
        key = _key((solution.problem.text, solution.steps, method))
        kept = self.cache.get(key)
        if isinstance(kept, Critique):
            self.metrics.asked("hit")
            for step in kept.steps:
                yield step
            yield replace(kept, solution=solution)
            return
        async with aclosing(self._flown(key, lambda: self._judged(bare, method, key))) as parts:
            async for part in parts:
                yield replace(part, solution=solution) if isinstance(part, Critique) else part

    async def refining(self, job: Job) -> AsyncGenerator[RefinePart, None]:
        """A refinement, part by part, the whole at the end: as :meth:`follow`. Raises Refusal."""
        key = _key(job.content)
        kept = self.cache.get(key)
        if isinstance(kept, Refinement):
            self.metrics.asked("hit")
            for version in kept.versions:
                yield version
            yield replace(kept, id=job.solution.id)
            return
        bare = replace(job, solution=replace(job.solution, id=""))
        async with aclosing(self._flown(key, lambda: self._refined(bare, key))) as parts:
            async for one in parts:
                yield replace(one, id=job.solution.id) if isinstance(one, Refinement) else one

    async def critique(self, solution: Solution, method: Method) -> Critique:
        """One critique; failures are in it."""
        async with aclosing(self.follow(solution, method)) as parts:
            async for part in parts:
                if isinstance(part, Critique):
                    return part
        raise AssertionError("what is followed ends in a critique")

    async def critiques(self, solutions: Sequence[Solution], method: Method) -> list[Critique]:
        """All of them, in order. Raises Refusal (502) where the engine failed on each."""
        tasks = [asyncio.create_task(self.critique(solution, method)) for solution in solutions]
        try:
            done = list(await asyncio.gather(*tasks))
        finally:
            await cancelled(tasks)
        if all(critique.failed for critique in done):
            raise failure(done[0])
        return done

    async def close(self) -> None:
        """Give up what is still being made."""
        flights = list(self._flights.values())
        await cancelled([flight.task for flight in flights])
        await self.comparer.close()

    async def _flown(self, key: bytes, parts: Callable[[], AsyncGenerator[P, None]]) -> AsyncGenerator[P, None]:
        """What is in the making under ``key``, or is begun now."""
        flight: Flight[P] | None = self._flights.get(key)
        self.metrics.asked("miss" if flight is None else "shared")
        if flight is None:
            flight = self._flights[key] = Flight(parts(), lambda done: self._landed(key, done))
        async with aclosing(flight.follow()) as followed:
            async for part in followed:
                yield part

    async def _refined(self, job: Job, key: bytes) -> AsyncGenerator[RefinePart, None]:
        async with aclosing(refined(job, self)) as parts:
            async for part in parts:
                if isinstance(part, Refinement):
                    self.metrics.refined(part)
                    if not part.failed and job.method.seed is not None:
                        self.cache.put(key, part)
                yield part

    async def _judged(self, solution: Solution, method: Method, key: bytes) -> Parts:
        async with self.gate.slot():
            try:
                async with aclosing(self._by(method).stream(solution)) as parts:
                    async for part in parts:
                        if isinstance(part, Critique):
                            self._made(key, part)
                        yield part
            except Exception as error:  # said in the answer, like any other failure
                broken = Critique(solution, method, "failed", error=f"{type(error).__name__}: {error}")
                self.metrics.made(broken)
                yield broken

    def _made(self, key: bytes, critique: Critique) -> None:
        self.metrics.made(critique)
        if not critique.failed and critique.method.seed is not None:
            self.cache.put(key, critique)

    def _landed(self, key: bytes, flight: Flight[Any]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    def _by(self, method: Method) -> Critic:
        if method == self.critic.method:
            return self.critic
        if (known := self._critics.get(method)) is None:
            known = self._critics[method] = self.critic.by(method)
        self._critics.move_to_end(method)
        while len(self._critics) > _MOST_METHODS:
            self._critics.popitem(last=False)
        return known


def failure(critique: Critique) -> Refusal:
    """What a request is told whose critique failed."""
    if critique.outcome == "engine_error":
        return engine_failed(critique.error)
    return Refusal(500, "failed", f"the critique broke off: {critique.error}")


def unrefined(refinement: Refinement) -> Refusal:
    """What a request is told where an engine failed on the way."""
    last = refinement.versions[-1]
    if last.review is not None and last.review.critique is not None:
        return failure(last.review.critique)
    return engine_failed(last.error)


def _require_there(engine: Engine, what: str) -> None:
    away_s = float(getattr(engine, "away_s", 0.0))  # where it knows
    if away_s > _AWAY_S:
        message = f"the {what} has not answered for {away_s:.0f} s; it is asked again and again"
        raise Refusal(503, "engine_away", message, {"Retry-After": "5"})


def _key(content: tuple[object, ...]) -> bytes:
    """Of content, engine and settings."""
    return hashlib.blake2b(records.to_json(content), digest_size=16).digest()
