"""What the commands do, between the options and the functions that do the work."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console

from genprm import records
from genprm.api import open_critic
from genprm.critic import Critic
from genprm.errors import ConfigError, InputError
from genprm.inputs import read_solutions
from genprm.progress import progress
from genprm.runs import Run, default_folder, digest, key
from genprm.sandbox import Limits
from genprm.show import Printer, describe
from genprm.types import Critique, Sampling, Solution


async def critique(args: argparse.Namespace) -> int:
    """``genprm critique``: 0 where every critique names a first error or says that there is none, else 1."""
    solutions = chosen(args, read_solutions(args.source, split=args.split, problem=args.problem))
    printer = Printer(Console(highlight=False), full=args.full)
    async with critic_of(args) as critic:
        with Run(Path(args.run), config_of(critic, args, solutions)) if args.run else nullcontext() as run:
            done = {key(c.solution): c for c in run.read(Critique)} if run else {}
            failed = 0
            for solution in solutions:
                result = done.get(key(solution))
                if result is None:
                    result = await _shown(critic, solution, None if args.json else printer)
                    if run:
                        run.append(result)
                elif not args.json:
                    _show(result, printer)
                if args.json:
                    print(records.to_json(result).decode(), flush=True)
                failed += result.outcome != "ok"
    return 1 if failed else 0


async def eval_processbench(args: argparse.Namespace) -> int:
    """``genprm eval processbench``."""
    from genprm.eval import processbench
    from genprm.eval.report import build_report, print_report

    solutions = processbench.labelled(chosen(args, read_solutions(args.data, split=args.split)))
    console = Console(highlight=False)
    async with critic_of(args) as critic:
        config = config_of(critic, args, solutions)
        folder = Path(args.run) if args.run else default_folder("processbench", config)
        with Run(folder, config) as run:
            done = len(processbench.finished(run, retry_failed=args.retry_failed))
            if done:
                print(f"going on in {folder}: {done} of {len(solutions)} rows are judged", file=sys.stderr)
            with progress("judging", len(solutions), done) as tick:
                items = await processbench.evaluate(
                    solutions, critic, run, retry_failed=args.retry_failed, on_item=lambda _: tick()
                )
            report = build_report(items, config | {"how": describe(critic.method)})
            path = run.write_report(report)
    print_report(report, console)
    console.print(f"report: {path}", style="dim", soft_wrap=True)
    if lost := sum(report.failures.get(f"row {outcome}", 0) for outcome in processbench.RETRIED):
        console.print(f"{lost} rows failed; the same command with --retry-failed judges them again", style="yellow")
    return 0


async def eval_scores(args: argparse.Namespace) -> int:
    """``genprm eval scores``."""
    from genprm.eval.scores import evaluate_scores, print_scores

    print_scores(evaluate_scores(args.data, args.threshold), Console(highlight=False))
    return 0


def critic_of(args: argparse.Namespace) -> AbstractAsyncContextManager[Critic]:
    """The critic that the options describe."""
    return open_critic(
        args.engine,
        model=args.model,
        template=args.template,
        protocol=args.protocol,
        options=dict(map(_option, args.option)),
        n=args.n,
        vote=args.vote,
        threshold=args.threshold,
        stop_at_first_error=args.stop_at_first_error,
        sampling=Sampling(args.temperature, args.top_p, args.top_k),
        seed=args.seed,
        limits=_limits(args),
        sandbox_level=args.sandbox_level,
        concurrency=args.concurrency,
    )


def config_of(critic: Critic, args: argparse.Namespace, solutions: Sequence[Solution]) -> dict[str, Any]:
    """All that the results depend on, and nothing else: a run goes on only with the same."""
    method = dataclasses.asdict(critic.method)
    for set_by_protocol in ("max_tokens", "stop", "logprobs", "seed"):
        del method["sampling"][set_by_protocol]
    return {
        **method,
        "check_cpu_s": args.check_cpu,
        "check_memory_mb": args.check_memory,
        "sandbox_level": args.sandbox_level,
        "rows": len(solutions),
        "data": digest(solutions),
    }


def chosen(args: argparse.Namespace, solutions: Sequence[Solution]) -> list[Solution]:
    """The rows that ``--id`` and ``--limit`` leave."""
    if args.limit is not None and args.limit < 1:
        raise ConfigError("--limit needs a number above 0")
    left = list(solutions)
    if args.id:
        left = [solution for solution in left if solution.id in args.id]
        if missing := set(args.id) - {solution.id for solution in left}:
            raise InputError(f"no row has the id {', '.join(sorted(missing))}", getattr(args, "source", args.data))
    if args.limit is None:
        return left
    seen: dict[str, int] = {}
    for solution in left:
        seen[solution.source] = seen.get(solution.source, 0) + 1
    return [s for source in seen for s in [s for s in left if s.source == source][: args.limit]]


async def _shown(critic: Critic, solution: Solution, printer: Printer | None) -> Critique:
    """The critique; with a printer, each step is shown as soon as it is judged."""
    if printer is None:
        return await critic.critique(solution)
    printer.begin(solution)
    async with aclosing(critic.stream(solution)) as parts:
        async for part in parts:
            if isinstance(part, Critique):
                printer.end(part)
                return part
            printer.step(solution, part)
    raise AssertionError("a stream ends in a critique")


def _show(result: Critique, printer: Printer) -> None:
    printer.begin(result.solution)
    for step in result.steps:
        printer.step(result.solution, step)
    printer.end(result)


def _option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--option needs NAME=VALUE, not {text!r}")
    return name, value


def _limits(args: argparse.Namespace) -> Limits:
    try:
        return Limits(cpu_s=args.check_cpu, memory_mb=args.check_memory)
    except ValueError as error:
        raise ConfigError(str(error)) from None
