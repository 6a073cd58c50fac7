"""``genprm bench``: each part measures one promise of the loop, and prints how each figure was made.

``loop``       a real engine: everything at once against one call after another
``simulated``  the same against a server that answers at the pace of a 7B on one H100
``values``     Monte-Carlo values on that server, or on ``--engine``: all prefixes at once against one after another
``stopping``   what stopping rules save and change, by simulation
``scale``      memory and time of the loop itself, with up to 10,000 solutions
"""

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from genprm.api import open_critic
from genprm.critic import Critic
from genprm.engines import open_engine
from genprm.engines.nano import shipped
from genprm.errors import ConfigError, EngineUnavailable
from genprm.eval.bench import completions, scale, stopping
from genprm.eval.bench.prose import solutions
from genprm.eval.bench.report import Report
from genprm.eval.bench.versus import (
    Pass,
    all_at_once,
    changed,
    compared,
    one_by_one,
    same_verdicts,
    saved,
    speedup,
)
from genprm.eval.drawing import picture, require_plots
from genprm.sandbox.trials.figures import Figure
from genprm.show import stdout
from genprm.synth.world import examples
from genprm.types import Solution, Stopping

SIZES = {"loop": (32, 64), "simulated": (48, 192), "values": (32, 192), "stopping": (0, 0), "scale": (0, 0)}
"""Solutions, and calls in flight, of each part where nothing is said."""
ALL, ONE = "at once", "one by one"
RULES: tuple[Stopping, ...] = ("exact", "predictive")


def command(args: argparse.Namespace) -> Coroutine[Any, Any, int]:
    """``genprm bench PART``: 1 where a bar is not met or a step has no verdict.

    ``args``: ``part``, ``json``, ``n``, ``solutions``, ``steps``, ``concurrency``, ``sequential_s``, ``seed``; for
    ``loop`` also ``engine`` (None: the shipped verifier, in vLLM where it is installed, else in its own engine),
    ``model``, ``template``, ``plot`` (a file); ``steps`` is for ``simulated``.
    """
    if args.part not in SIZES:
        raise ConfigError(f"unknown part {args.part!r}; there are {', '.join(SIZES)}")
    if args.plot:
        require_plots(args.plot)
    args.solutions, args.concurrency = (
        given or usual for given, usual in zip((args.solutions, args.concurrency), SIZES[args.part], strict=True)
    )
    return _command(args)


async def _command(args: argparse.Namespace) -> int:
    report = await _measured(args)
    if args.json:
        print(json.dumps(report.record(), indent=2))
    else:
        report.show(stdout())
    if args.plot:
        _tell(picture(args.plot, lambda plots: plots.throughput(report)))
    return 0 if report.met else 1


async def _measured(args: argparse.Namespace) -> Report:
    match args.part:
        case "loop":
            return await loop(args)
        case "simulated":
            return await simulated(args)
        case "values":
            return await values(args)
        case "stopping":
            return await asyncio.to_thread(stopping.bench, n=args.n, seed=args.seed)
        case _:
            return await scale.bench()


async def loop(args: argparse.Namespace) -> Report:
    """On a real engine, which judges long problems of the generated world."""
    in_vllm = find_spec("vllm") is not None
    spec = args.engine or (f"vllm:{shipped('nano')}" if in_vllm else "nano")
    made = [example.solution for example in examples("test", args.solutions + 1, args.seed, difficulty=5)]
    passes = await _passes(args, spec, made, args.model, args.template)
    # The engine nano writes one token so quickly that there is little to win from many at once.
    bar = {} if spec.startswith("nano") else {"at_least": 5.0}
    bars = [
        Figure("steps a second, to one by one", speedup(passes[ALL], passes[ONE]), "x", **bar),
        Figure("prefix cache", _percent(passes[ALL].hit_share), "%", at_least=85),
        *_stopping(passes),
    ]
    return compared(f"The loop on {spec}", passes, bars, _how(args, passes))


async def simulated(args: argparse.Namespace) -> Report:
    """On the simulated server."""
    async with serving("--max-sequences", str(args.concurrency)) as url:
        passes = await _passes(args, url, solutions(args.solutions + 1, args.steps, args.seed))
    server = passes[ALL].counters
    idle = server["idle_s"] / (server["idle_s"] + server["busy_s"])
    bars = [
        Figure("steps a second, to one by one", speedup(passes[ALL], passes[ONE]), "x", at_least=50),
        Figure("engine without any request", 100 * idle, "%", at_most=5),
        Figure("requests running, on average", server["sequence_s"] / server["busy_s"]),
        Figure("server behind its clock, most", 1000 * server["late_s"], "ms"),
        Figure("prefix cache", _percent(passes[ALL].hit_share), "%", at_least=85),
        *_stopping(passes),
    ]
    return compared("The loop on a simulated 7B on one H100", passes, bars, _how(args, passes))


async def values(args: argparse.Namespace) -> Report:
    """``-n`` completions of every prefix, on the simulated server or on ``--engine``."""
    async with contextlib.AsyncExitStack() as stack:
        spec = args.engine or await stack.enter_async_context(serving("--max-sequences", str(args.concurrency)))
        engine = await stack.enter_async_context(open_engine(spec, model=args.model, template=args.template))
        made = (
            [example.solution for example in examples("test", args.solutions, args.seed, difficulty=5)]
            if args.engine
            else solutions(args.solutions, args.steps, args.seed)
        )
        return await completions.compare(
            engine, made, k=args.n, concurrency=args.concurrency, seconds=args.sequential_s, max_tokens=512
        )


async def _passes(
    args: argparse.Namespace,
    spec: str,
    solutions: Sequence[Solution],
    model: str | None = None,
    template: str | None = None,
) -> dict[str, Pass]:
    """With the same engine and sandbox: everything at once, then one by one for ``--sequential`` seconds, then at once
    with votes that stop. They vote by majority, so that agreement is what it is among the verdicts. The last one of
    ``solutions`` goes before, so that neither way pays for the first use of anything."""
    *made, other = solutions
    async with open_critic(
        spec,
        model=model,
        template=template,
        n=args.n,
        vote="majority",
        stopping="none",
        seed=args.seed,
        concurrency=args.concurrency,
    ) as critic:
        await critic.critique(other)
        await critic.sandbox.warmed()
        _tell(f"{len(made)} solutions at once")
        passes = {ALL: await all_at_once(critic, made, spec)}
        _tell(f"one by one, for {args.sequential_s:g} s at most")
        passes[ONE] = await one_by_one(
            critic.engine, critic.sandbox, critic.protocol, critic.method, made, args.sequential_s, spec
        )
        for rule in RULES:
            _tell(f"at once, stopping {rule}")
            method = replace(critic.method, stopping=rule)
            stopping = Critic(critic.engine, critic.sandbox, critic.protocol, method, concurrency=args.concurrency)
            passes[rule] = await all_at_once(stopping, made, spec)
    return passes


def _stopping(passes: dict[str, Pass]) -> list[Figure]:
    every, exact, predictive = (passes[name] for name in (ALL, *RULES))
    return [
        Figure("exact: rationales saved", saved(every, exact), "%", at_least=27),
        Figure("exact: verdicts changed", changed(every, exact), "%", at_most=0),
        Figure("predictive: rationales saved", saved(every, predictive), "%", at_least=50),
        Figure("predictive: verdicts changed", changed(every, predictive), "%", at_most=1),
    ]


def _how(args: argparse.Namespace, passes: dict[str, Pass]) -> dict[str, Any]:
    both, same = same_verdicts(passes[ALL], passes[ONE])
    agreed = passes[ALL].agreement
    return {
        "solutions": args.solutions,
        "steps": passes[ALL].steps,
        "votes": f"{args.n} by majority, {100 * agreed:.0f} % agree",
        "in flight": args.concurrency,
        "seed": args.seed,
        "same verdict one by one": f"{same} of {both} steps",
    }


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@asynccontextmanager
async def serving(*options: str) -> AsyncIterator[str]:
    """The simulated server in a process of its own; its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "genprm.eval.bench.simulated", "--until-eof", *options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url = (await process.stdout.readline()).decode().strip()
        if not url:
            raise EngineUnavailable("the simulated server does not start")
        yield url
    finally:
        process.stdin.close()
        await process.wait()
