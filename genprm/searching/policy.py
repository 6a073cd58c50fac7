"""What writes the steps."""

import asyncio
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from genprm.engines.base import Engine, require_sound
from genprm.engines.calculating import after
from genprm.errors import EngineError, EngineLost, PromptTooLong
from genprm.protocols.policy import solve
from genprm.types import Problem, Prompt, Sampling, Seam, Usage

SEPARATOR = "\n\n"
"""Between two steps: a blank line."""
End = Literal["step", "end", "cut_off", "too_long", "engine_error"]
"""Why a proposal ends: at a separator, where the policy had nothing more to say, at the limit of tokens; or there is
none, because the path does not fit the model's window, or the engine failed."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a policy wrote behind a path."""

    text: str
    """As it was written, the separator at its end too; for failures, what went wrong."""
    end: End
    usage: Usage = Usage()
    seam: Seam | None = None


class StepPolicy(Protocol):
    """Writes one more step."""

    name: str

    async def propose(
        self, problem: Problem, text: str, seam: Seam | None, *, seed: int, max_tokens: int, whole: bool = False
    ) -> Written:
        """The next step behind ``text`` (a path as the policy wrote it, empty at first), or all that is left of the
        solution. Many calls are in flight at once.

        Raises:
            EngineLost: there is no use in asking it anything more. Other failures are a :class:`Written`.
        """
        ...


class EnginePolicy:
    """An engine as a policy: it is asked as ``genprm.protocols.policy`` does, one step is a completion up to a blank
    line."""

    def __init__(
        self,
        engine: Engine,
        *,
        temperature: float = 0.7,
        top_p: float = 1.0,
        top_k: int = 0,
        concurrency: int = 64,
    ) -> None:
        """``concurrency``: calls in flight, over all searches that use this policy. Raises ConfigError for a sampling
        that is none."""
        self.name = engine.name
        self._engine = engine
        self._sampling = Sampling(temperature, top_p, top_k)
        self._room = asyncio.Semaphore(concurrency)
        require_sound(self._sampling)

    async def propose(
        self, problem: Problem, text: str, seam: Seam | None, *, seed: int, max_tokens: int, whole: bool = False
    ) -> Written:
        """See :class:`StepPolicy`."""
        prompt = replace(after(Prompt(solve(problem.text), problem=problem.text), text), seam=seam)
        stop = () if whole else (SEPARATOR,)
        sampling = replace(self._sampling, seed=seed, max_tokens=max_tokens, stop=stop)
        try:
            async with self._room:
                said = await self._engine.complete(prompt, sampling)
        except EngineLost:
            raise
        except PromptTooLong as error:
            return Written(str(error), "too_long", Usage(calls=1))
        except EngineError as error:
            return Written(str(error), "engine_error", Usage(calls=1))
        if said.finish == "length":
            return Written(said.text, "cut_off", said.usage, said.seam)
        ended: End = "end" if whole or not said.text.endswith(SEPARATOR) else "step"
        return Written(said.text, ended, said.usage, said.seam)


def cut(text: str) -> tuple[str, ...]:
    """A text of the policy as its steps."""
    return tuple(step.strip() for step in text.split(SEPARATOR) if step.strip())
