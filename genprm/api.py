"""The front door: a critic in one call.

    from genprm import critique
    print(critique(problem, solution).first_error)

Inside of asynchronous programs, and for many solutions, keep a critic open::

    async with open_critic("http://localhost:8000/v1", n=8) as critic:
        async for result in critic.critique_many(solutions):
            ...
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from genprm.critic import Critic
from genprm.defaults import ENGINE
from genprm.engines import Engine, open_engine
from genprm.errors import ConfigError
from genprm.protocols import CritiqueProtocol, label, make_protocol
from genprm.sandbox import Level, Limits, Policy, Sandbox, SandboxError
from genprm.splitting import split_steps
from genprm.types import Context, Critique, Method, Problem, Solution, Stopping, Vote


@asynccontextmanager
async def open_critic(
    engine: str = ENGINE,
    *,
    model: str | None = None,
    template: str | None = None,
    engine_options: Mapping[str, str] | None = None,
    protocol: str = "genprm",
    options: Mapping[str, Any] | None = None,
    n: int = 1,
    vote: Vote | None = None,
    threshold: float = 0.5,
    stop_at_first_error: bool = False,
    context: Context = "chain",
    stopping: Stopping | None = None,
    stop_error: float = 0.01,
    temperature: float = 0.6,
    top_p: float = 0.95,
    top_k: int = 20,
    seed: int | None = 0,
    limits: Limits | None = None,
    sandbox_level: Level = "confined",
    sandbox_policy: Policy = "audit",
    concurrency: int = 64,
) -> AsyncIterator[Critic]:
    """A critic with its engine and its sandbox, closed at the end.

    ``engine`` is a string of ``genprm.engines``, ``engine_options`` are the engine's own (words, as on the command
    line), ``protocol`` a name of ``genprm.protocols``, ``options`` its fields.
    ``vote`` is ``mean`` where steps are judged and ``index`` where solutions are; ``stopping`` is ``exact``, and
    ``none`` for the vote ``index``. The rest are the fields of :class:`genprm.types.Method` and
    :class:`~genprm.critic.Critic`.

    Raises:
        ConfigError: an option that does not exist or does not fit, or a machine that cannot confine checks.
        EngineError: the engine cannot be reached, or says no.
    """
    asked = make_protocol(protocol, **(options or {}))
    async with (
        open_engine(engine, model=model, template=template, options=engine_options) as opened,
        Sandbox(limits, level=sandbox_level, policy=sandbox_policy) as sandbox,
    ):
        require_spoken(opened, asked)
        vote = vote or ("mean" if asked.scope == "step" else "index")
        method = Method(
            engine=opened.name,
            protocol=label(asked),
            n=n,
            vote=vote,
            threshold=threshold,
            seed=seed,
            stop_at_first_error=stop_at_first_error,
            context=context,
            stopping=stopping or ("none" if vote == "index" else "exact"),
            stop_error=stop_error,
            temperature=temperature,
            top_p=top_p,
            top_k=top_k,
        )
        critic = Critic(opened, sandbox, asked, method, concurrency=concurrency)
        if asked.executes:
            await require_started(sandbox, " (on the command line: --sandbox-level process)")
        yield critic


def critique(problem: str, solution: str | Sequence[str], *, engine: str = ENGINE, **options: Any) -> Critique:
    """The critique of one solution: a text, cut by the rules of ``genprm.splitting``, or its steps.

    Options are those of :func:`open_critic`. For use outside of an event loop.
    """
    steps = split_steps(solution) if isinstance(solution, str) else tuple(solution)
    if not steps:
        raise ConfigError("the solution is empty")

    async def judged() -> Critique:
        async with open_critic(engine, **options) as critic:
            return await critic.critique(Solution(Problem(problem), steps))

    return asyncio.run(judged())


def require_spoken(engine: Engine, protocol: CritiqueProtocol) -> None:
    """Raises ConfigError where an engine does not follow a protocol."""
    if engine.protocols is not None and protocol.name not in engine.protocols:
        spoken = ", ".join(sorted(engine.protocols)) or "of no critic"
        raise ConfigError(f"engine {engine.name} follows the protocol {spoken}, not {protocol.name}")


async def require_started(sandbox: Sandbox, advice: str = "") -> None:
    """Start now, so that a machine without isolation is an error at once and not a failure of every check.

    Raises:
        ConfigError: it cannot be had; ends in ``advice``.
    """
    try:
        await sandbox.start()
    except SandboxError as error:
        raise ConfigError(f"{error}{advice}") from error
