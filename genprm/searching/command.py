"""``genprm search``: look for the solution of problems, and show how it was found."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from genprm import records
from genprm.answers import same_number
from genprm.commands import Work
from genprm.errors import ConfigError
from genprm.flight import in_order
from genprm.problems import Posed, read_problems
from genprm.runs import Run, config_of_program, digest
from genprm.sandbox.text import plain
from genprm.scorers import weights_of
from genprm.searching.opening import Opener, needs_answers
from genprm.searching.paths import SearchResult
from genprm.searching.plan import SearchPlan
from genprm.searching.policy import StepPolicy
from genprm.searching.scores import Mark, StepScore
from genprm.searching.tree import Search
from genprm.show import stdout
from genprm.types import Solution

SIDE_BY_SIDE = 8
"""Problems whose searches run at once; the calls of all share one limit."""


@dataclass(frozen=True, slots=True)
class Found:
    """A line of ``results.jsonl``, and of ``--json``."""

    id: str
    result: SearchResult


def command(args: argparse.Namespace) -> Work:
    """``genprm search``: 1 where no finished solution was found for a problem."""
    if args.limit is not None and args.limit < 1:
        raise ConfigError("--limit needs a number above 0")
    plan = plan_of(args)
    problems = read_problems(args.source, args.limit)
    scorer = scorer_of(args)
    for named in problems:
        if named.problem.answer is None and needs_answers(scorer, args.prover):
            raise ConfigError(f"completions are graded by the answer, which problem {named.id!r} does not have")
    return _command(args, plan, scorer, problems)


def plan_of(args: argparse.Namespace) -> SearchPlan:
    """The plan that the options describe. Raises ConfigError for one that is none."""
    return SearchPlan(
        algorithm=args.algorithm,
        beam=args.beam,
        expand=args.expand,
        choice=args.choice,
        floor=args.floor,
        enough=args.enough,
        max_steps=args.max_steps,
        step_tokens=args.step_tokens,
        solution_tokens=args.solution_tokens,
        max_tokens=args.max_tokens,
        seed=args.seed,
    )


def scorer_of(args: argparse.Namespace) -> str:
    """``--scorer SPEC``, or ``--engine SPEC`` for a critic."""
    if bool(args.scorer) == bool(args.engine):
        raise ConfigError("say one of --scorer SPEC and --engine SPEC (a critic over that engine)")
    return args.scorer or f"critic:{args.engine}"


def opener_of(args: argparse.Namespace, stack: AsyncExitStack) -> Opener:
    return Opener(
        stack, args.temperature, args.top_p, args.top_k, args.concurrency, args.solution_tokens, seed=args.seed
    )


async def _command(args: argparse.Namespace, plan: SearchPlan, scorer: str, problems: Sequence[Posed]) -> int:
    console, missed = stdout(), 0
    config = _config(args, plan, scorer, problems)
    async with AsyncExitStack() as stack:
        opener = opener_of(args, stack)
        policy = await opener.policy(args.policy)
        score = await opener.score(scorer, args.prover, args.alpha, args.policy)
        with Run(Path(args.run), config) if args.run else nullcontext() as run:
            done = {found.id: found for found in run.read(Found)} if run else {}
            async for found in _in_order(problems, policy, score, plan, done, run):
                opener.forget(found.result.problem)
                missed += found.result.outcome != "finished"
                if args.json:
                    sys.stdout.write(records.to_json(found).decode() + "\n")
                    sys.stdout.flush()
                else:
                    show(found, console)
    return 1 if missed else 0


def _config(args: argparse.Namespace, plan: SearchPlan, scorer: str, problems: Sequence[Posed]) -> dict[str, Any]:
    return {
        "policy": args.policy,
        "scorer": scorer,
        "weights": [weights_of(spec or "") for spec in (scorer, args.prover)],
        "prover": args.prover,
        "alpha": str(args.alpha),  # JSON has no infinity
        "sampling": {name: getattr(args, name) for name in ("temperature", "top_p", "top_k")},
        **asdict(plan),
        "data": digest(Solution(named.problem, (str(named.problem.answer),), named.id) for named in problems),
        **config_of_program(),
    }


async def _in_order(
    problems: Sequence[Posed],
    policy: StepPolicy,
    score: StepScore,
    plan: SearchPlan,
    done: Mapping[str, Found],
    run: Run | None,
) -> AsyncIterator[Found]:
    """Several searches at once, their results in the order of the problems."""
    room = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(named: Posed) -> Found:
        if named.id in done:
            return done[named.id]
        async with room:
            found = Found(named.id, await Search(named.problem, policy, score, plan).run())
        if run:
            run.append(found)
        return found

    async with aclosing(in_order(map(one, problems))) as ended:
        async for found in ended:
            yield found


# --- on the terminal -----------------------------------------------------------------------------------------------


def show(found: Found, console: Console) -> None:
    """The solution with the scores of its steps, and what it cost."""
    result = found.result
    console.print(Text(plain(f"{found.id} · {result.plan.algorithm} by {result.score}"), "dim"), soft_wrap=True)
    for i, step in enumerate(result.steps):
        mark = result.marks[i] if i < len(result.marks) else Mark()
        console.print(Text(plain(f"\nStep {i + 1}{_figures(mark)}"), "bold"), soft_wrap=True)
        console.print(Text(plain(step)), soft_wrap=True)
    console.print(Text(plain(f"\n{_conclusion(result)}")), soft_wrap=True)
    console.print(_costs(result))
    console.print(Text(plain(_counts(result)), "dim"), soft_wrap=True)


def _figures(mark: Mark) -> str:
    named = {"Q": mark.q, "A": mark.advantage, "score": mark.score, "outcome": mark.outcome}
    return "".join(f" · {name} {value:.3f}" for name, value in named.items() if value is not None)


def _conclusion(result: SearchResult) -> str:
    if result.outcome == "nothing":
        return "No step was found."
    if result.outcome == "unfinished":
        return "No path came to its end; this is the best of those that did not."
    known = result.problem.answer
    verdict = "" if known is None else ", which is right" if same_number(result.answer, known) else ", which is wrong"
    of = f"one of {len(result.candidates)} finished" if len(result.candidates) > 1 else "the only one finished"
    return f"Answer: {result.answer or 'none in a box'}{verdict} ({of})."


def _costs(result: SearchResult) -> Table:
    table = Table("", "calls", "tokens read", "tokens written", box=None)
    for name in ("policy", "scorer", "prover"):
        usage = getattr(result.account, name)
        table.add_row(name, f"{usage.calls:,}", f"{usage.prompt_tokens:,}", f"{usage.completion_tokens:,}")
    return table


def _counts(result: SearchResult) -> str:
    counted = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in result.counts.items())
    return f"{result.rounds} rounds: {counted}"
