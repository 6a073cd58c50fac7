"""Solutions completed from any of their prefixes, and graded."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from genprm.engines.base import Engine, require_sound
from genprm.engines.calculating import after
from genprm.errors import EngineError, EngineLost
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
        self._prompt = template(prompt)
        self._step_forcing = step_forcing
        self._sampling = Sampling(temperature, top_p, top_k, max_tokens=max_tokens)
        self._seed = seed
        require_sound(self._sampling)

    async def complete(self, problem: Problem, steps: Sequence[str], k: int) -> Completed:
        """Completion number ``k`` (from 0) after ``steps``, of which there may be none.

        Raises:
            EngineLost: the engine has gone. Its other failures are the completion's grade, ``failed``.
        """
        begun = opening(steps, self._step_forcing)
        try:
            said = await self.engine.complete(self._ask(problem, begun), self._sampled(problem, begun, k))
        except EngineLost:
            raise
        except EngineError as error:
            return Completed(str(error), (), "failed", None, "failed", Usage(calls=1))
        return await self._graded(problem, steps, begun, said)

    async def _graded(self, problem: Problem, steps: Sequence[str], begun: str, said: Completion) -> Completed:
        # Nothing more to say: the answer stands in the prefix.
        ending = said.text if said.text.strip() else "\n\n".join(steps)
        grade, answer = await self._grader.grade(ending, problem.answer or "", said.finish)
        marker = begun.rpartition("\n\n")[2]
        return Completed(said.text, split_steps(marker + said.text), grade, answer, said.finish, said.usage)

    def _ask(self, problem: Problem, begun: str) -> Prompt:
        return after(Prompt(asked(self._prompt, problem.text), problem=problem.text), begun)

    def _sampled(self, problem: Problem, begun: str, k: int) -> Sampling:
        return replace(self._sampling, seed=seed_of(self._seed, problem.text, self._prompt, begun, k))


def seed_of(*parts: object) -> int:
    """A seed of 31 bits that hangs on ``parts`` alone."""
    text = "\0".join(map(str, parts)).encode("utf-8", "replace")
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest()) >> 1
