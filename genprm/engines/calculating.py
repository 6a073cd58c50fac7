"""An engine with a calculator at hand: behind each computation that it writes the value is put there for it."""

from dataclasses import replace

from genprm.calculator import parted, value_of
from genprm.engines.base import Engine
from genprm.seeds import seed_of
from genprm.types import Completion, Message, Prompt, Sampling, Token, Usage

_EQUALS = "="


class Calculating:
    """``calculator:ENGINE``: for those that were trained to leave arithmetic to it (:mod:`genprm.calculator`).

    A text is written in parts. Each ends at an equals sign, and the next goes on behind the value, in a call of its own
    that the engine's prefix cache makes cheap. Where no computation stands before the sign the engine writes on itself.
    An answer that is there already, as text, is read in the same parts, which are those of training.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self.name = name
        self.protocols = engine.protocols
        self._engine = engine

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        """See :class:`~genprm.engines.base.Engine`. Values that were put there are no generated tokens; among
        ``tokens`` they have the log-probability 0."""
        begun = _begun(prompt)
        text, reasoning, seconds, usage = "", "", 0.0, Usage()
        tokens: tuple[Token, ...] = ()
        while True:
            left = sampling.max_tokens - usage.completion_tokens
            asked = replace(after(prompt, text), pieces=_pieces(begun + text))
            part = await self._engine.complete(asked, _part(sampling, usage.calls, left))
            text += part.text
            reasoning += part.reasoning
            seconds += part.seconds
            usage += part.usage
            tokens += part.tokens
            if part.finish != "stop" or not part.text.endswith(_EQUALS) or part.text.endswith(sampling.stop or ("\0",)):
                break
            value = value_of(begun + text)
            if value is not None:
                text += value
                tokens += (Token(value, 0.0),) if part.tokens else ()
            if usage.completion_tokens >= sampling.max_tokens:
                part = replace(part, finish="length")
                break
            prompt = replace(prompt, seam=part.seam)
        return replace(part, text=text, tokens=tokens, usage=usage, seconds=seconds, reasoning=reasoning)

    async def close(self) -> None:
        await self._engine.close()


def after(prompt: Prompt, text: str) -> Prompt:
    """The prompt that goes on where the model has answered ``prompt`` with ``text`` so far."""
    if not text:
        return prompt
    if prompt.opening:
        return replace(prompt, opening=prompt.opening + text)
    # An opening goes on from the last message, so that one has to hold what was written; templates strip blanks at its
    # end, which are left to the opening.
    stem = text[:-1].rstrip()
    return replace(prompt, messages=(*prompt.messages, Message("assistant", stem)), opening=text[len(stem) :])


def _begun(prompt: Prompt) -> str:
    """What the prompt has of the answer already."""
    last = prompt.messages[-1] if prompt.messages else None
    stem = last.content if last and last.role == "assistant" and prompt.opening else ""
    return stem + prompt.opening


def _pieces(text: str) -> tuple[str, ...]:
    return tuple(part for part, _ in parted(text) if part)


def _part(sampling: Sampling, n: int, left: int) -> Sampling:
    """With a seed of its own: the same dice for every part would make them alike."""
    seed = sampling.seed
    if seed is not None and n:
        seed = seed_of(f"{seed} {n}")
    return replace(sampling, seed=seed, max_tokens=left, stop=(*sampling.stop, _EQUALS))
