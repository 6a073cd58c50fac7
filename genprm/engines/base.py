"""The one thing that an engine does."""

import math
from dataclasses import replace
from typing import Protocol

from genprm.errors import ConfigError
from genprm.types import Completion, Message, Prompt, Sampling


class Engine(Protocol):
    """Where tokens come from.

    A new engine is one class with these members; ``genprm.engines.open_engine`` finds it by its name.
    """

    name: str
    """The string that it was chosen by, such as ``symbolic``."""

    protocols: frozenset[str] | None
    """The names of the protocols that it can follow; None: it continues any text."""

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        """Continue ``prompt.opening``. Many calls are in flight at once; cancelling one frees what it holds.

        Raises:
            EngineUnavailable: it cannot be reached, or still fails after every retry.
            EngineRefused: it answered no, for good.
        """
        ...

    async def close(self) -> None:
        """Give back what it holds. Safe to call twice."""
        ...


def require_sound(sampling: Sampling) -> None:
    """Raises ConfigError for what no engine can sample by."""
    if not (0 <= sampling.temperature < math.inf and 0 < sampling.top_p <= 1 and sampling.top_k >= 0):
        raise ConfigError("sampling needs temperature >= 0, 0 < top_p <= 1 and top_k >= 0")
    if sampling.max_tokens < 1:
        raise ConfigError(f"sampling needs room for a token, not max_tokens = {sampling.max_tokens}")


def after(prompt: Prompt, text: str) -> Prompt:
    """The prompt that goes on behind ``text``, which the engine wrote, or could have written, in answer to it."""
    if not text:
        return prompt
    if prompt.opening:
        return replace(prompt, opening=prompt.opening + text)
    # An opening goes on from the last message, so that one has to hold what was written; templates strip blanks at its
    # end, which are left to the opening.
    stem = text[:-1].rstrip()
    return replace(prompt, messages=(*prompt.messages, Message("assistant", stem)), opening=text[len(stem) :])
