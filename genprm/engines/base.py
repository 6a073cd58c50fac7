"""The one thing that an engine does."""

import math
from typing import Protocol

from genprm.errors import ConfigError
from genprm.types import Completion, Prompt, Sampling


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
