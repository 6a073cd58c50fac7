"""A policy: an engine that is asked for solutions, for reviews of its own ones, and for better ones."""

import asyncio
import copy
from collections.abc import Sequence
from dataclasses import replace

from genprm.answers import boxed
from genprm.engines.base import Engine, require_sound
from genprm.errors import ConfigError, EngineError, EngineLost, PromptTooLong
from genprm.protocols.policy import JOINT, Wording, continued, review, revise, solve
from genprm.refining import Draft, State
from genprm.seeds import seed_of
from genprm.splitting import split_steps
from genprm.types import Completion, Problem, Prompt, Sampling, Solution, Usage


class Policy:
    """Asks one engine, which it does not own. ``concurrency`` bounds the calls that are in flight at once.

    The same seed gives the same text, whatever else is in flight: it is mixed with the problem's id and with what is
    asked for (``sampling.seed``; None: not seeded).
    """

    def __init__(
        self, engine: Engine, sampling: Sampling | None = None, *, wording: Wording = "paragraph", concurrency: int = 64
    ) -> None:
        self.engine = engine
        self.name = engine.name
        self.sampling = sampling or Sampling(max_tokens=1024, seed=0)
        self.wording = wording
        require_sound(self.sampling)
        if concurrency < 1:
            raise ConfigError("at least one call at a time is needed")
        self._calls = asyncio.Semaphore(concurrency)

    def by(self, seed: int | None) -> "Policy":
        """The same policy with another seed. Its engine is the same, and so is the bound on what is in flight."""
        other = copy.copy(self)
        other.sampling = replace(self.sampling, seed=seed)
        return other

    async def solve(self, problem: Problem, id: str = "", sample: int = 0) -> Draft:
        """A solution of its own. Raises EngineLost."""
        return await self._draft(Prompt(solve(problem.text), problem=problem.text), f"{id}\0solve {sample}")

    async def revise(self, solution: Solution, feedback: str, keep: int, at: str) -> Draft:
        """A better one than ``solution``, whose first ``keep`` steps stay; ``at`` names the call. Raises EngineLost."""
        problem, prefix = solution.problem.text, JOINT.join(solution.steps[:keep])
        asked = revise(problem, JOINT.join(solution.steps), feedback, self.wording)
        prompt = continued(asked, prefix, problem)
        return await self._draft(prompt, f"{solution.id}\0revise {at}", solution.steps[:keep])

    async def review(self, solution: Solution, at: str) -> Completion:
        """What it says of its own solution, in plain words. Raises EngineError."""
        asked = review(solution.problem.text, JOINT.join(solution.steps))
        return await self._complete(Prompt(asked, problem=solution.problem.text), f"{solution.id}\0review {at}")

    async def _draft(self, prompt: Prompt, name: str, kept: Sequence[str] = ()) -> Draft:
        try:
            said = await self._complete(prompt, name)
        except EngineLost:
            raise
        except PromptTooLong as error:
            return Draft((), "too_long", error=str(error))
        except EngineError as error:
            return Draft((), "engine_error", error=str(error), usage=Usage(calls=1))
        return _read(said, kept)

    async def _complete(self, prompt: Prompt, name: str) -> Completion:
        async with self._calls:
            return await self.engine.complete(prompt, replace(self.sampling, seed=self._seed(name)))

    def _seed(self, name: str) -> int | None:
        return None if self.sampling.seed is None else seed_of(self.sampling.seed, name)


def _read(said: Completion, kept: Sequence[str]) -> Draft:
    usage = replace(said.usage, engine_s=said.seconds)
    written = split_steps(said.text)
    if not written:
        return Draft((), "empty", usage=usage)
    answer = boxed(said.text)
    state: State = "ok" if answer else "cut_off" if said.finish == "length" else "no_answer"
    return Draft((*kept, *written), state, answer, usage=usage)
