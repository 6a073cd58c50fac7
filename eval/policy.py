"""``genprm eval policy``: how often a policy solves generated problems, and mends wrong solutions after a critique.

The critique is the true one, so that what is measured is the policy alone.
"""

import argparse
import asyncio
import random
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rich.table import Table

from genprm.answers import boxed, same_number
from genprm.commands import Work, config_of_inputs, engine_options_of
from genprm.engines import Engine, open_engine
from genprm.engines.base import require_sound
from genprm.errors import ConfigError, EngineLost, EngineRefused, EngineUnavailable
from genprm.eval.drawing import pictures
from genprm.eval.metrics import Interval
from genprm.eval.paired import means
from genprm.eval.report import Bootstrap
from genprm.flight import as_they_end
from genprm.progress import progress
from genprm.runs import Run, default_folder
from genprm.show import stdout
from genprm.synth.world import Example, examples
from genprm.synth.world.rows import asked_to_revise, asked_to_solve
from genprm.types import Finish, Prompt, Sampling

Task = Literal["solve", "revise"]
BOOTSTRAP = Bootstrap(resamples=1000)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One answer of the policy: a line of ``results.jsonl``."""

    id: str
    task: Task
    difficulty: int
    sample: int
    text: str
    right: bool
    """Whether its boxed answer is the same number as that of the problem."""
    finish: Finish | Literal["failed"]
    """``failed``: the engine did; ``text`` says why."""
    tokens: int


@dataclass(frozen=True, slots=True)
class Share:
    """Of right answers, in [0, 1]. Where the engine failed there is no right one."""

    n: int
    """Problems."""
    value: float
    interval: Interval | None
    """Of a bootstrap over the problems."""


@dataclass(frozen=True, slots=True)
class PolicyReport:
    """The content of ``report.json``."""

    solve: Share | None
    revise: Share | None
    solve_by_difficulty: dict[str, Share]
    cut_off: int
    """Answers that ran into the limit of tokens."""
    failed: int
    tokens: float
    """Mean tokens of an answer."""
    bootstrap: Bootstrap
    settings: Mapping[str, Any]
    """All that the answers depend on: engine, sampling, problems, …"""


def command(args: argparse.Namespace) -> Work:
    """``genprm eval policy``: 1 where the engine failed on a prompt."""
    if args.problems < 1 or args.n < 1:
        raise ConfigError("--problems and -n need a number above 0")
    sampling = Sampling(args.temperature, args.top_p, args.top_k, max_tokens=args.max_tokens, seed=args.seed)
    require_sound(sampling)
    return _command(args, sampling, list(examples(args.split, args.problems, difficulty=args.difficulty)))


async def _command(args: argparse.Namespace, sampling: Sampling, problems: Sequence[Example]) -> int:
    async with open_engine(
        args.engine, model=args.model, template=args.template, options=engine_options_of(args)
    ) as engine:
        config = {
            "engine": engine.name,
            "split": args.split,
            "difficulty": args.difficulty,
            "n": args.n,
            "sampling": sampling,
            **config_of_inputs(args, [made.solution for made in problems]),
        }
        with Run(Path(args.run) if args.run else default_folder("policy", config), config) as run:
            attempts = [attempt async for attempt in attempt_all(engine, problems, sampling, args.n, run)]
            report = to_report(attempts, config)
            path = run.write_report(report)
            drawn = pictures(run.folder, lambda plots: {"difficulty": plots.difficulties(report)})
    console = stdout()
    console.print(_table(report))
    console.print(drawn, style="dim", soft_wrap=True, markup=False)
    console.print(f"engine {args.engine} · {args.n} samples a problem · temperature {args.temperature:g} · {path}")
    return 1 if report.failed else 0


async def attempt_all(
    engine: Engine, problems: Sequence[Example], sampling: Sampling, n: int, run: Run, concurrency: int = 64
) -> AsyncIterator[Attempt]:
    """Every right example is to be solved, every wrong one to be mended, ``n`` times; what ``run`` holds is not asked
    again."""
    done = {(attempt.id, attempt.sample): attempt for attempt in run.read(Attempt) if attempt.finish != "failed"}
    waiting = [(made, k) for made in problems for k in range(n) if (made.solution.id, k) not in done]
    room = asyncio.Semaphore(concurrency)

    async def one(made: Example, sample: int) -> Attempt:
        async with room:
            seed = None if sampling.seed is None else random.Random(f"{sampling.seed} {sample}").getrandbits(31)
            return await _attempt(engine, made, sample, replace(sampling, seed=seed))

    for attempt in done.values():
        yield attempt
    if done:
        print(f"going on in {run.folder}: {len(done)} answers are there", file=sys.stderr)
    work = as_they_end(one(made, sample) for made, sample in waiting)
    async with aclosing(work) as ended:
        with progress("solving", len(problems) * n, len(done)) as tick:
            async for attempt in ended:
                run.append(attempt)
                tick()
                yield attempt


async def _attempt(engine: Engine, made: Example, sample: int, sampling: Sampling) -> Attempt:
    task: Task = "revise" if made.kind else "solve"
    messages = asked_to_revise(made) if made.kind else asked_to_solve(made)
    about = (made.solution.id, task, made.difficulty, sample)
    try:
        said = await engine.complete(Prompt(messages, problem=made.solution.problem.text), sampling)
    except EngineLost:
        raise
    except (EngineRefused, EngineUnavailable) as error:
        return Attempt(*about, str(error), False, "failed", 0)
    right = same_number(boxed(said.text), made.solution.problem.answer)
    return Attempt(*about, said.text, right, said.finish, said.usage.completion_tokens)


def to_report(attempts: Sequence[Attempt], settings: Mapping[str, Any]) -> PolicyReport:
    """What the attempts came to; ``settings`` must be JSON-like."""
    solved = [attempt for attempt in attempts if attempt.task == "solve"]
    levels = sorted({attempt.difficulty for attempt in solved})
    return PolicyReport(
        _share(solved),
        _share([attempt for attempt in attempts if attempt.task == "revise"]),
        {str(level): share for level in levels if (share := _share([a for a in solved if a.difficulty == level]))},
        sum(attempt.finish == "length" for attempt in attempts),
        sum(attempt.finish == "failed" for attempt in attempts),
        sum(attempt.tokens for attempt in attempts) / max(len(attempts), 1),
        BOOTSTRAP,
        dict(settings),
    )


def _share(attempts: Sequence[Attempt]) -> Share | None:
    if not attempts:
        return None
    right: dict[str, list[bool]] = {}
    for attempt in attempts:
        right.setdefault(attempt.id, []).append(attempt.right)
    shares = [sum(samples) / len(samples) for samples in right.values()]
    measure = means({"": shares}, seed=BOOTSTRAP.seed, resamples=BOOTSTRAP.resamples)[""].measure()
    return Share(len(shares), sum(shares) / len(shares), measure.interval)


def _table(report: PolicyReport) -> Table:
    table = Table("", "problems", "right answers", "95 %", box=None)
    named = {"solve": report.solve, "revise, after a true critique": report.revise}
    for name, share in named.items():
        _add(table, name, share)
    for level, share in report.solve_by_difficulty.items():
        _add(table, f"solve, difficulty {level}", share)
    return table


def _add(table: Table, name: str, share: Share | None) -> None:
    if share is not None:
        low, high = (share.interval.low, share.interval.high) if share.interval else (share.value, share.value)
        table.add_row(name, str(share.n), f"{share.value:.1%}", f"{low:.1%} to {high:.1%}")
