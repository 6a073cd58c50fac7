"""Where step scores come from: the generative critic, trained heads, published reward models.

==================  ======================================================================================
``critic:ENGINE``   the generative critic over any engine of ``genprm.engines``: the rewards of the steps
``head:FOLDER``     heads that ``genprm train head`` wrote: outcome, process, progress
``prm:MODEL``       a published discriminative reward model, a folder or a name on the hub
==================  ======================================================================================

Options go behind the name: ``critic:nano,n=8``, ``prm:MODEL,layout=qwen,device=cuda``.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from genprm.engines.options import keywords
from genprm.errors import ConfigError
from genprm.scorers.base import Scorer, Scores

SCORERS = ("critic:ENGINE", "head:FOLDER", "prm:MODEL")

__all__ = ["SCORERS", "Scorer", "Scores", "open_scorer", "weights_of"]


@asynccontextmanager
async def open_scorer(spec: str, *, growing: bool = False) -> AsyncIterator[Scorer]:
    """The scorer of that name, closed at the end.

    ``growing``: solutions will be scored again with further steps, as in a search, so that a critic keeps what it said
    of their first steps.

    The options behind the name are keyword arguments of :func:`genprm.api.open_critic`,
    :func:`genprm.scorers.head.load` and :func:`genprm.scorers.prm.load`.

    Raises:
        ConfigError: no scorer has that name, the model cannot be loaded, or an option does not fit.
        MissingExtra: it needs a package that is not installed.
        EngineError: the critic's engine cannot be reached.
    """
    name, behind = _parted(spec)
    async with AsyncExitStack() as stack:
        scorer = await _made(name, behind, growing, stack)
        scorer.name = spec
        stack.push_async_callback(scorer.close)
        yield scorer


def weights_of(spec: str) -> str:
    """A digest of the heads in the folder that ``head:FOLDER`` names, so that scores of heads that have been trained
    anew since are not taken for theirs; empty for other scorers."""
    kind, _, folder = _parted(spec)[0].partition(":")
    path = Path(folder).expanduser() / "heads.safetensors"
    if kind != "head" or not path.is_file():
        return ""
    return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()


def _parted(spec: str) -> tuple[str, dict[str, str]]:
    """The name, and the options behind it. A comma that no option follows belongs to the name."""
    parts = spec.split(",")
    at = len(parts)
    while at > 1 and "=" in parts[at - 1]:
        at -= 1
    pairs = (part.partition("=") for part in parts[at:])
    return ",".join(parts[:at]), {name.strip(): value for name, _, value in pairs}


async def _made(spec: str, options: dict[str, str], growing: bool, stack: AsyncExitStack) -> Scorer:
    # Imports are here because torch is heavy.
    kind, _, rest = spec.partition(":")
    if kind == "critic" and rest:
        from genprm.api import open_critic
        from genprm.scorers.critic import CriticScorer

        typed = keywords(open_critic, options, spec, reserved=("engine_options", "options", "limits"))
        critic = await stack.enter_async_context(open_critic(rest, **typed))
        return CriticScorer(spec, critic, growing=growing)
    if kind == "head" and rest:
        from genprm.scorers import head

        return await asyncio.to_thread(head.load, rest, **keywords(head.load, options, kind))
    if kind == "prm" and rest:
        from genprm.scorers import prm

        return await asyncio.to_thread(prm.load, rest, **keywords(prm.load, options, kind))
    raise ConfigError(f"unknown scorer {spec!r}; there are {', '.join(SCORERS)}")
