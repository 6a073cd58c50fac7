"""Where tokens come from. One protocol, one method; chosen by one string.

====================  ==========================================================================
``nano``              the small verifier that ships with genprm, on a CPU (default); ``nano:policy`` the small
                      policy, ``nano:FOLDER`` others
``symbolic``          rules and computation, no weights
``http://host/v1``    any OpenAI-compatible server; ``#model`` at the end, or ``--model``, names the model
``vllm:MODEL``        vLLM in this process; a folder or a name on the hub
``hf:MODEL``          transformers in this process, on a GPU or without one
``scripted:FILE``     answers from a file: tests, documents, dry runs
``calculator:ENGINE`` any of them, its computations done for it (``nano:policy`` has that by itself)
``world:ERR[,…]``     a policy of the embedded world without weights, ``world:teacher`` a teacher in it
====================  ==========================================================================
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib import import_module

from genprm.engines.base import Engine
from genprm.engines.options import keywords
from genprm.errors import ConfigError

ENGINES = (
    "nano[:FOLDER]",
    "symbolic",
    "http(s)://HOST/v1[#MODEL]",
    "vllm:MODEL",
    "hf:MODEL",
    "scripted:FILE",
    "calculator:ENGINE",
    "world:ERR[,mends=M,…]",
    "world:teacher[,errs=P,…]",
)
_ELSEWHERE = {"world": "genprm.synth.world.engines:open_world"}
"""Engines of packages that use this one, as module and function: they are imported when one is asked for."""

__all__ = ["ENGINES", "Engine", "open_engine"]


@asynccontextmanager
async def open_engine(
    spec: str, *, model: str | None = None, template: str | None = None, options: Mapping[str, str] | None = None
) -> AsyncIterator[Engine]:
    """The engine of that name, ready to be asked, closed at the end.

    ``options`` are the engine's own, as words: fields of vLLM's engine arguments for ``vllm:``, keyword arguments of
    :class:`~genprm.engines.hf.HfEngine`, :class:`~genprm.engines.nano.NanoEngine` and
    :class:`~genprm.engines.openai.OpenAIEngine` for ``hf:``, ``nano:`` and ``http:``.

    Raises:
        ConfigError: no engine has that name, or an option does not fit.
        MissingExtra: it needs a package that is not installed.
        EngineError: it cannot be reached or started, or says no.
    """
    engine = await _made(spec, model, template, dict(options or {}))
    try:
        yield engine
    finally:
        await engine.close()


async def _made(spec: str, model: str | None, template: str | None, options: dict[str, str]) -> Engine:
    # Imports are here because each engine brings its own weight.
    kind, _, rest = spec.partition(":")
    if kind == "calculator" and rest:
        from genprm.engines.calculating import Calculating

        return Calculating(await _made(rest, model, template, options), spec)
    if kind.lower() in ("http", "https"):
        from genprm.engines.openai import OpenAIEngine

        url, _, named = spec.partition("#")
        typed = keywords(OpenAIEngine.__init__, options, kind, reserved=("template", "api_key", "on_trouble"))
        return await OpenAIEngine.connect(url, model or named or None, template=template, **typed)
    if model:
        raise ConfigError(f"engine {spec!r} takes no --model")
    if kind == "vllm" and rest:
        from genprm.engines.vllm import VllmEngine

        return await VllmEngine.start(rest, template=template, options=options)
    if kind == "hf" and rest:
        from genprm.engines.hf import HfEngine

        return await HfEngine.load(rest, template=template, **keywords(HfEngine.load, options, kind, ("template",)))
    if kind == "nano":
        from genprm.engines.calculating import Calculating
        from genprm.engines.nano import POLICY, NanoEngine

        typed = keywords(NanoEngine.load, options, kind, ("template",))
        nano = await NanoEngine.load(rest, template=template, **typed)
        return Calculating(nano, spec) if rest == POLICY else nano
    if template or options:
        raise ConfigError(f"engine {spec!r} takes no --template and no options")
    if spec == "symbolic":
        from genprm.engines.symbolic import SymbolicEngine

        return SymbolicEngine()
    if kind == "scripted" and rest:
        from genprm.engines.scripted import ScriptedEngine

        return ScriptedEngine.from_file(rest)
    if kind in _ELSEWHERE and rest:
        module, _, function = _ELSEWHERE[kind].partition(":")
        made: Engine = getattr(import_module(module), function)(rest)
        return made
    raise ConfigError(f"unknown engine {spec!r}; there are {', '.join(ENGINES)}")
