"""Where tokens come from. One protocol, one method; chosen by one string.

====================  ==========================================================================
``symbolic``          rules and computation, no weights (default)
``http://host/v1``    any OpenAI-compatible server; ``#model`` at the end, or ``--model``, names the model
``scripted:FILE``     answers from a file: tests, documents, dry runs
====================  ==========================================================================
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from genprm.engines.base import Engine
from genprm.errors import ConfigError

ENGINES = ("symbolic", "http(s)://HOST/v1[#MODEL]", "scripted:FILE")

__all__ = ["ENGINES", "Engine", "open_engine"]


@asynccontextmanager
async def open_engine(spec: str, *, model: str | None = None, template: str | None = None) -> AsyncIterator[Engine]:
    """The engine of that name, ready to be asked, closed at the end.

    Raises:
        ConfigError: no engine has that name, or an option does not fit.
        EngineError: it cannot be reached, or says no.
    """
    engine = await _made(spec, model, template)
    try:
        yield engine
    finally:
        await engine.close()


async def _made(spec: str, model: str | None, template: str | None) -> Engine:
    # Imports are here because each engine brings its own weight.
    kind, _, rest = spec.partition(":")
    if kind.lower() in ("http", "https"):
        from genprm.engines.openai import OpenAIEngine

        url, _, named = spec.partition("#")
        return await OpenAIEngine.connect(url, model or named or None, template=template)
    if model or template:
        raise ConfigError(f"engine {spec!r} takes no --model or --template")
    if spec == "symbolic":
        from genprm.engines.symbolic import SymbolicEngine

        return SymbolicEngine()
    if kind == "scripted" and rest:
        from genprm.engines.scripted import ScriptedEngine

        return ScriptedEngine.from_file(rest)
    raise ConfigError(f"unknown engine {spec!r}; there are {', '.join(ENGINES)}")
