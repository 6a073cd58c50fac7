"""Where step scores come from: the generative critic, trained heads, published reward models.

==================  ======================================================================================
``critic:ENGINE``   the generative critic over any engine of ``genprm.engines``: the rewards of the steps
``head:FOLDER``     heads that ``genprm train head`` wrote: outcome, process, progress
``prm:MODEL``       a published discriminative reward model, a folder or a name on the hub
==================  ======================================================================================
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from genprm.engines.options import keywords
from genprm.errors import ConfigError
from genprm.scorers.base import Scorer, Scores

SCORERS = ("critic:ENGINE", "head:FOLDER", "prm:MODEL")

__all__ = ["SCORERS", "Scorer", "Scores", "open_scorer"]


@asynccontextmanager
async def open_scorer(
    spec: str, *, options: Mapping[str, str] | None = None, critic: Mapping[str, Any] | None = None
) -> AsyncIterator[Scorer]:
    """The scorer of that name, closed at the end.

    ``options`` are those of a model, as words: keyword arguments of :func:`genprm.scorers.head.load` and
    :func:`genprm.scorers.prm.load`; ``critic`` are keyword arguments of :func:`genprm.api.open_critic`.

    Raises:
        ConfigError: no scorer has that name, the model cannot be loaded, or an option does not fit.
        MissingExtra: it needs a package that is not installed.
        EngineError: the critic's engine cannot be reached.
    """
    async with AsyncExitStack() as stack:
        scorer = await _made(spec, dict(options or {}), dict(critic or {}), stack)
        stack.push_async_callback(scorer.close)
        yield scorer


async def _made(spec: str, options: dict[str, str], critic: dict[str, Any], stack: AsyncExitStack) -> Scorer:
    # Imports are here because torch is heavy.
    kind, _, rest = spec.partition(":")
    if kind == "critic" and rest:
        from genprm.api import open_critic
        from genprm.scorers.critic import CriticScorer

        if options:
            raise ConfigError(f"scorer {spec!r} takes no options of a model")
        return CriticScorer(spec, await stack.enter_async_context(open_critic(rest, **critic)))
    if kind == "head" and rest:
        from genprm.scorers import head

        return head.load(rest, **keywords(head.load, options, kind))
    if kind == "prm" and rest:
        from genprm.scorers import prm

        return prm.load(rest, **keywords(prm.load, options, kind))
    raise ConfigError(f"unknown scorer {spec!r}; there are {', '.join(SCORERS)}")
