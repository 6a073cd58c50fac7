"""What the commands do, between the options and the functions that do the work.

Each reads its input at once, before an event loop runs, so that Ctrl-C ends a read that hangs; and returns the rest of
its work.
"""

import argparse
import dataclasses
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from genprm import records
from genprm.api import open_critic
from genprm.critic import Critic
from genprm.errors import ConfigError, EngineLost, InputError
from genprm.inputs import read_solutions
from genprm.runs import Run, config_of_program, default_folder, digest, key
from genprm.sandbox import Limits
from genprm.show import Printer, describe, remarks_on, stdout
from genprm.trajectory import analyse
from genprm.types import Critique, Solution

Work = Coroutine[Any, Any, int]


def critique(args: argparse.Namespace) -> Work:
    """``genprm critique``: 0 where every critique names a first error or says that there is none, else 1."""
    return _critique(args, chosen(args, args.source, args.problem))


async def _critique(args: argparse.Namespace, solutions: list[Solution]) -> int:
    printer = Printer(stdout(), full=args.full)
    missed = 0
    async with critic_of(args) as critic:
        with Run(Path(args.run), config_of(critic, args, solutions)) if args.run else nullcontext() as run:
            done = {key(c.solution): c for c in run.read(Critique)} if run else {}
            done = {name: c for name, c in done.items() if not (args.retry_failed and c.failed)}
            if len(solutions) == 1 and not done and not args.json:
                missed = await _watched(critic, solutions[0], printer, run, args.analysis)
                solutions = []
            async with aclosing(_in_order(critic, solutions, done, run)) as critiques:
                async for result in critiques:
                    missed += result.outcome != "ok"
                    if args.json:
                        record = analyse(result) if args.analysis else result
                        sys.stdout.write(records.to_json(record).decode() + "\n")
                        sys.stdout.flush()
                    else:
                        printer.show(result)
                        if args.analysis:
                            printer.analysis(analyse(result))
    return 1 if missed else 0


async def _watched(
    critic: Critic, solution: Solution, printer: Printer, run: Run | None, analysis: bool = False
) -> int:
    """One critique, each step shown as soon as it is judged."""
    printer.begin(solution)
    # Not as a single critique: an engine that is lost ends the command, and is no result to keep.
    async with aclosing(critic.critique_many([solution], lambda step: printer.step(solution, step))) as critiques:
        result = await anext(critiques)
    printer.end(result)
    if analysis:
        printer.analysis(analyse(result))
    if run:
        run.append(result)
    return result.outcome != "ok"


async def _in_order(
    critic: Critic, solutions: Sequence[Solution], done: dict[str, Critique], run: Run | None
) -> AsyncGenerator[Critique, None]:
    """All critiques in the order of the solutions, many of them in flight."""
    waiting = [solution for solution in solutions if key(solution) not in done]
    ready, left = dict(done), list(reversed(solutions))
    async with aclosing(critic.critique_many(waiting)) as critiques:
        while left:
            if (name := key(left[-1])) in ready:
                left.pop()
                yield ready.pop(name)
            else:
                try:
                    result = await anext(critiques)
                except EngineLost:
                    for name in [key(solution) for solution in reversed(left)]:
                        if name in ready:
                            yield ready[name]
                    raise
                ready[key(result.solution)] = result
                if run:
                    run.append(result)


def eval_processbench(args: argparse.Namespace) -> Work:
    """``genprm eval processbench``: 1 where rows failed."""
    if args.scorer:
        from genprm.eval.processbench_scorers import evaluate

        return evaluate(args, chosen(args, args.data, labelled=True))
    return _eval_processbench(args, chosen(args, args.data, labelled=True))


async def _eval_processbench(args: argparse.Namespace, solutions: list[Solution]) -> int:
    from genprm.eval.drawing import pictures
    from genprm.eval.judging import finished, judge_all
    from genprm.eval.processbench import to_item
    from genprm.eval.report import build_report, print_report

    console = stdout()
    async with critic_of(args) as critic:
        config = config_of(critic, args, solutions)
        with Run(Path(args.run) if args.run else default_folder("processbench", config), config) as run:
            done = finished(run, to_item, retry_failed=args.retry_failed)
            items = await judge_all("judging", solutions, critic, run, to_item, done)
            report = build_report(items, config | {"how": describe(critic.method)})
            path = run.write_report(report)
            drawn = pictures(
                run.folder, lambda plots: {"confusion": plots.positions(items), "reliability": plots.rewards(items)}
            )
    print_report(report, console)
    console.print(drawn, style="dim", soft_wrap=True, markup=False)
    for remark in remarks_on(critic.method):
        console.print(remark, style="dim", soft_wrap=True, markup=False)
    return reported(path, report.failures, console)


def reported(path: Path, failures: Mapping[str, int], console: Console) -> int:
    """Say where a report lies and how many rows failed; the exit code."""
    console.print(f"report: {path}", style="dim", soft_wrap=True, markup=False)
    lost = sum(failures.get(f"row {outcome}", 0) for outcome in ("engine_error", "failed"))
    if lost:
        console.print(f"{lost} rows failed; the same command with --retry-failed judges them again", style="yellow")
    return 1 if lost else 0


def eval_scores(args: argparse.Namespace) -> Work:
    """``genprm eval scores``."""
    from genprm.eval.drawing import picture, require_plots
    from genprm.eval.scores import print_scores, read_scores, score_models

    if not 0 <= args.threshold <= 1:
        raise ConfigError(f"the threshold lies between 0 and 1, not at {args.threshold:g}")
    if args.plot:
        require_plots(args.plot)
    solutions = read_scores(args.data)
    scores = score_models(solutions, args.threshold)

    async def shown() -> int:
        console = stdout()
        print_scores(scores, console)
        if args.plot:
            said = picture(args.plot, lambda plots: plots.thresholds(solutions, args.threshold))
            console.print(said, style="dim", soft_wrap=True, markup=False)
        return 0

    return shown()


def schema(args: argparse.Namespace) -> Work:
    """``genprm schema``."""

    async def shown() -> int:
        print(msgspec.json.format(msgspec.json.encode(records.schema()), indent=2).decode(), flush=True)
        return 0

    return shown()


def critic_of(args: argparse.Namespace) -> AbstractAsyncContextManager[Critic]:
    """The critic that the options describe."""
    return open_critic(
        args.engine,
        model=args.model,
        template=args.template,
        engine_options=engine_options_of(args),
        protocol=args.protocol,
        options=options_of(args),
        n=args.n,
        vote=args.vote,
        threshold=args.threshold,
        stop_at_first_error=args.stop_at_first_error,
        context=args.context,
        stopping=args.stopping,
        stop_error=args.stop_error,
        temperature=args.temperature,
        top_p=args.top_p,
        top_k=args.top_k,
        seed=args.seed,
        limits=_limits(args),
        sandbox_level=args.sandbox_level,
        sandbox_policy=args.sandbox_policy,
        concurrency=args.concurrency,
    )


def engine_options_of(args: argparse.Namespace) -> dict[str, str]:
    """The engine's own options."""
    return parse_options(args.engine_option)


def options_of(args: argparse.Namespace) -> dict[str, str]:
    """The fields of the protocol that the options set."""
    return parse_options(args.option)


def config_of(critic: Critic, args: argparse.Namespace, solutions: Sequence[Solution]) -> dict[str, Any]:
    """All that the results depend on, and nothing else: a run goes on only with the same."""
    return {
        **dataclasses.asdict(critic.method),
        "check_cpu_s": args.check_cpu,
        "check_memory_mb": args.check_memory,
        "sandbox_level": args.sandbox_level,
        "sandbox_policy": args.sandbox_policy,
        **config_of_inputs(args, solutions),
    }


def config_of_inputs(args: argparse.Namespace, solutions: Sequence[Solution]) -> dict[str, Any]:
    """What every run depends on beside its method: how its engine was opened, its rows, this program."""
    return {
        "template": args.template,
        # Those of a client say how long it waits and the like.
        "engine_options": [] if "://" in args.engine else sorted(args.engine_option),
        "rows": len(solutions),
        "data": digest(solutions),
        **config_of_program(),
    }


def chosen(
    args: argparse.Namespace, source: str, problem: str | None = None, *, labelled: bool = False
) -> list[Solution]:
    """The rows of ``source`` that ``--split``, ``--id`` and ``--limit`` leave."""
    if args.limit is not None and args.limit < 1:
        raise ConfigError("--limit needs a number above 0")
    left = read_solutions(source, split=args.split, problem=problem, labelled=labelled)
    if args.id:
        left = [solution for solution in left if solution.id in args.id]
        if missing := set(args.id) - {solution.id for solution in left}:
            raise InputError(f"no row has the id {', '.join(sorted(missing))}", source)
    if args.limit is None:
        return left
    seen: Counter[str] = Counter()
    first = []
    for solution in left:
        seen[solution.source] += 1
        if seen[solution.source] <= args.limit:
            first.append(solution)
    return first


def parse_options(options: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUE`` each."""
    return dict(map(_option, options))


def _option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"an option is given as NAME=VALUE, not as {text!r}")
    return name, value


def _limits(args: argparse.Namespace) -> Limits:
    try:
        return Limits(cpu_s=args.check_cpu, memory_mb=args.check_memory)
    except ValueError as error:
        raise ConfigError(str(error)) from None
