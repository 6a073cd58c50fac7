"""One rationale, from its first call to its verdict: engine and sandbox in turn, a small state machine."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from genprm.checks import Place
from genprm.engines.base import Engine
from genprm.errors import EngineError, EngineLost, PromptTooLong
from genprm.protocols import Conversation, CritiqueProtocol, Execute, Generate
from genprm.sandbox import Result
from genprm.seeds import seed_of
from genprm.types import Check, Completion, Method, Rationale, Sampling, Solution, Usage


class Load:
    """How much is in flight, so that as much is begun as keeps the engine busy, and no more."""

    def __init__(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self.calls = asyncio.Semaphore(concurrency)
        self.changed = asyncio.Event()
        """Set whenever room may have come."""
        self.lost: EngineLost | None = None
        """What was said when the engine went for good."""
        self.n_lost = 0
        """Calls that came to that."""
        self._rationales = 0
        self._checking = 0

    @property
    def room(self) -> bool:
        """Whether more may begin. A rationale whose check runs leaves its place at the engine to another one, but not
        without bound: where the sandbox is the slower of the two, what waits for it would pile up."""
        return self._rationales - self._checking < self.concurrency and self._rationales < 2 * self.concurrency

    def begin(self) -> None:
        self._rationales += 1

    def end(self) -> None:
        self._rationales -= 1
        self.changed.set()

    async def check(self, place: Place, code: str) -> tuple[Result, bool]:
        self._checking += 1
        self.changed.set()
        try:
            return await place.run(code)
        finally:
            self._checking -= 1


@dataclass
class _Account:
    """What one rationale has cost, and run."""

    began: float = field(default_factory=time.perf_counter)
    usage: Usage = Usage()
    checks: tuple[Check, ...] = ()

    def call(self, completion: Completion) -> None:
        self.usage += replace(completion.usage, engine_s=completion.seconds)

    def check(self, code: str, result: Result, reused: bool) -> None:
        self.checks += (Check(code, result, reused),)
        if not reused:
            self.usage += Usage(sandbox_s=result.wall_s)

    def close(self, rationale: Rationale, sample: int) -> Rationale:
        took = time.perf_counter() - self.began
        waiting_s = max(took - self.usage.engine_s - self.usage.sandbox_s, 0.0)
        usage = self.usage + Usage(rationales=1, waiting_s=waiting_s)
        return replace(rationale, sample=sample, checks=self.checks, usage=usage)


class Sampler:
    """Samples rationales with one engine and one protocol; :class:`Load` bounds what is in flight."""

    def __init__(self, engine: Engine, protocol: CritiqueProtocol, method: Method, load: Load) -> None:
        self._engine = engine
        self._protocol = protocol
        self._method = method
        self._load = load

    async def sample(
        self, solution: Solution, step: int, sample: int, earlier: Sequence[str], place: Place
    ) -> tuple[Rationale, Sequence[str]]:
        """The rationale, and those of ``earlier`` that were in its context.

        Where they do not fit the model's window, the older half of them is left out, until the rest fits: so the
        part of a long solution that is cut off moves in a few strides, and a prefix cache stays of use between them.
        Without any of them, and still too long, the outcome is ``too_long``.
        """
        account, begun = _Account(), place.state
        self._load.begin()
        try:
            while True:
                sampling = self._sampling(solution, step, sample)
                talk = self._protocol.rationale(solution, step, earlier, sampling)
                try:
                    rationale = await self._hold(talk, place, account)
                    break
                except PromptTooLong as error:
                    if not earlier:
                        rationale = Rationale(sample, "too_long", error=str(error))
                        break
                    earlier = earlier[(len(earlier) + 1) // 2 :]
                    account.checks = ()
                    place.back_to(begun)
        finally:
            self._load.end()
        return account.close(rationale, sample), earlier

    async def _hold(self, talk: Conversation, place: Place, account: _Account) -> Rationale:
        """Drive one conversation to its end."""
        text = ""
        try:
            request = next(talk)
            while True:
                if isinstance(request, Generate):
                    text = request.prompt.opening
                    request = talk.send(await self._complete(request, account))
                elif isinstance(request, Execute):
                    result, reused = await self._load.check(place, request.code)
                    account.check(request.code, result, reused)
                    request = talk.send(result)
        except StopIteration as end:
            rationale: Rationale = end.value
            return rationale
        except PromptTooLong:
            raise
        except EngineError as error:
            if isinstance(error, EngineLost):
                self._load.lost = error
                self._load.n_lost += 1
            return Rationale(0, "engine_error", text, error=str(error))

    async def _complete(self, request: Generate, account: _Account) -> Completion:
        async with self._load.calls:
            began = time.perf_counter()
            try:
                completion = await self._engine.complete(request.prompt, request.sampling)
            except PromptTooLong:
                raise
            except EngineError:
                account.usage += Usage(calls=1, engine_s=time.perf_counter() - began)
                raise
        account.call(completion)
        return completion

    def _sampling(self, solution: Solution, step: int, sample: int) -> Sampling:
        """The same seed gives the same rationale whatever else is in flight."""
        method = self._method
        sampling = Sampling(method.temperature, method.top_p, method.top_k)
        if method.seed is None:
            return sampling
        return replace(sampling, seed=seed_of(method.seed, solution.source, solution.id, step, sample))
