"""Solutions completed from any of their prefixes, and graded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from genprm.engines.base import Engine, require_sound
from genprm.engines.calculating import after
from genprm.errors import EngineError, EngineLost
from genprm.seeds import seed_of
from genprm.splitting import split_steps
from genprm.synth.grading import Grader
from genprm.synth.prompts import asked, opening, template
from genprm.synth.types import Grade
from genprm.types import Completion, Finish, Problem, Prompt, Sampling, Usage


@dataclass(frozen=True, slots=True)
class Completed:
    """What followed a prefix."""

    text: str
    """The rest, without the prefix; where the engine failed, why."""
    steps: tuple[str, ...]
    """The rest, cut into steps."""
    grade: Grade
    answer: str | None
    finish: Finish | Literal["failed"]
    usage: Usage


class Completer:
    """Completes prefixes by one policy. Owns neither the engine nor the grader.

    Completion ``k`` of a prefix is the same whoever asks for it, as far as the engine keeps to its seeds; around a
    :class:`~genprm.synth.ledger.Recorded` engine it is paid for once.
    """

    def __init__(
        self,
        engine: Engine,
        grader: Grader,
        *,
        prompt: str = "solve",
        step_forcing: bool = False,
        temperature: float = 0.7,
        top_p: float = 1.0,
        top_k: int = 0,
        max_tokens: int = 1024,
        seed: int = 0,
    ) -> None:
        """``prompt`` is a name of :data:`~genprm.synth.prompts.PROMPTS` or a text with ``{problem}``.

        Raises:
            ConfigError: no prompt has that name, or nothing can be sampled so.
        """
        self.engine = engine
        self._grader = grader
        self.prompt = template(prompt)
        self.step_forcing = step_forcing
        self.sampling = Sampling(temperature, top_p, top_k, max_tokens=max_tokens)
        self.seed = seed
        require_sound(self.sampling)

    async def complete(self, problem: Problem, steps: Sequence[str], k: int) -> Completed:
        """Completion number ``k`` (from 0) after ``steps``, of which there may be none.

        Raises:
            EngineLost: the engine has gone. Its other failures are the completion's grade, ``failed``.
        """
        begun = opening(steps, self.step_forcing)
        try:
            said = await self._asked(problem, begun, k)
        except EngineLost:
            raise
        except EngineError as error:
            return Completed(str(error), (), "failed", None, "failed", Usage(calls=1))
        return await self._graded(problem, steps, begun, said)

    async def write_step(self, problem: Problem, steps: Sequence[str], k: int) -> Completion:
        """The next step alone, number ``k`` of those that are tried, with its log-probabilities. The solution goes on
        where the text ends in ``step_end``.

        Raises:
            EngineError: the engine failed.
        """
        begun = opening(steps, self.step_forcing)
        return await self._asked(problem, begun, k, (self.step_end(len(steps)),), 1)

    def step_end(self, index: int) -> str:
        """What ends step ``index`` where another one follows."""
        return f"\nStep {index + 2}:" if self.step_forcing else "\n\n"

    async def grade(self, problem: Problem, text: str, finish: Finish) -> tuple[Grade, str | None]:
        """How a whole solution compares with the problem's answer, and its own answer."""
        return await self._grader.grade(text, problem.answer or "", finish)

    async def _graded(self, problem: Problem, steps: Sequence[str], begun: str, said: Completion) -> Completed:
        # Nothing more to say: the answer stands in the prefix.
        ending = said.text if said.text.strip() else "\n\n".join(steps)
        grade, answer = await self.grade(problem, ending, said.finish)
        marker = begun.rpartition("\n\n")[2]
        return Completed(said.text, split_steps(marker + said.text), grade, answer, said.finish, said.usage)

    async def _asked(
        self, problem: Problem, begun: str, k: int, stop: tuple[str, ...] = (), logprobs: int = 0
    ) -> Completion:
        prompt = after(Prompt(asked(self.prompt, problem.text), problem=problem.text), begun)
        seed = seed_of(self.seed, problem.text, self.prompt, begun, k)
        return await self.engine.complete(prompt, replace(self.sampling, seed=seed, stop=stop, logprobs=logprobs))
