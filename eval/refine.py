"""``genprm eval refine``: the arms, all from the same first solutions, resumable.

Each arm's line in ``results.jsonl`` is an :class:`Entry`; critiques are left out of it but for rewards and feedback.
``resample`` may write as many tokens, up to each turn, as policy and critic have written in the arm ``critic``.
"""

import argparse
import asyncio
import sys
from collections.abc import Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from genprm.answers import same_number
from genprm.commands import Work
from genprm.errors import ConfigError, InputError
from genprm.eval.drawing import pictures
from genprm.eval.refine_report import CRITIC, RefineReport, build_report
from genprm.eval.refine_show import render_report
from genprm.flight import as_they_end
from genprm.problems import posed
from genprm.progress import Tick, progress
from genprm.refine_command import AT_ONCE, RESAMPLE, Kit, config_of_kit, open_kit, plan_of
from genprm.refining import Draft, Refinement, Version
from genprm.rows import Row, read_rows
from genprm.runs import Run, default_folder
from genprm.show import stdout
from genprm.synth.world import examples
from genprm.types import Solution


@dataclass(frozen=True, slots=True)
class Entry:
    """One problem in one arm: a line of ``results.jsonl``."""

    arm: str
    refinement: Refinement


Done = dict[tuple[str, str], Refinement]
"""By arm and id."""


def command(args: argparse.Namespace) -> Work:
    """``genprm eval refine``: 1 where an engine failed."""
    if args.problems < 1:
        raise ConfigError("--problems needs a number above 0")
    plan_of(args)
    return _command(args, _problems(args))


def _problems(args: argparse.Namespace) -> list[Solution]:
    """Problems with their answers, as solutions without a step."""
    if args.data is not None:
        return [_problem(row, at) for at, row in enumerate(read_rows(_file(args.data))[: args.problems])]
    made = examples(args.split, args.problems, difficulty=args.difficulty)
    return [replace(each.solution, steps=(), first_error=None) for each in made]


def _file(path: str) -> Path:
    if not Path(path).is_file():
        raise InputError("there is no such file", path)
    return Path(path)


def _problem(row: Row, at: int) -> Solution:
    found = posed(row, str(at))
    if found.problem.answer is None:
        raise row.error("there is no answer to compare with", "answer")
    return Solution(found.problem, (), found.id)


async def _command(args: argparse.Namespace, problems: Sequence[Solution]) -> int:
    arms = sorted(dict.fromkeys(args.arms), key=lambda arm: (arm == RESAMPLE, arm != CRITIC))
    async with open_kit(args) as kit:
        kit.require(arms)
        config = config_of_kit(kit, problems)
        with Run(Path(args.run) if args.run else default_folder("refine", config), config) as run:
            done = _finished(run, retry_failed=args.retry_failed)
            for arm in arms:
                await _arm(arm, kit, problems, run, done)
            found = {arm: [done[arm, problem.id] for problem in problems] for arm in arms}
            settings = config | {"split": args.data or args.split, "difficulty": args.difficulty}
            report = build_report(found, kit.plan.turns, same_number, settings)
            path = run.write_report(report)
            drawn = pictures(run.folder, lambda plots: plots.figures(report), "refine_plots")
    failed = sum(refinement.failed for each in found.values() for refinement in each)
    _show(report, path, drawn, failed)
    return 1 if failed else 0


def _show(report: RefineReport, path: Path, drawn: str, failed: int) -> None:
    console = stdout()
    console.print(render_report(report))
    console.print(f"{drawn}\nreport: {path}", style="dim", soft_wrap=True, markup=False)
    if failed:
        console.print(f"{failed} refinements failed; the same command with --retry-failed does them again")


def _finished(run: Run, *, retry_failed: bool) -> Done:
    """What the run holds. With a failed one of the critic goes that of ``resample``, which spends as much."""
    done: Done = {}
    for entry in run.read(Entry):
        done[entry.arm, entry.refinement.id] = entry.refinement
    if retry_failed:
        lost = {name for name, refinement in done.items() if refinement.failed}
        lost |= {(RESAMPLE, id) for arm, id in lost if arm == CRITIC}
        done = {name: refinement for name, refinement in done.items() if name not in lost}
    return done


async def _arm(arm: str, kit: Kit, problems: Sequence[Solution], run: Run, done: Done) -> None:
    waiting = [problem for problem in problems if (arm, problem.id) not in done]
    room, firsts = asyncio.Semaphore(AT_ONCE), _firsts(done)

    async def one(problem: Solution) -> Refinement:
        async with room:
            first, budgets = firsts.get(problem.id), _budgets(arm, problem.id, done, kit)
            return await kit.refine(arm, problem.problem, first, problem.id, budgets)

    if len(waiting) < len(problems):
        print(f"going on in {run.folder}: {len(problems) - len(waiting)} are there of {arm}", file=sys.stderr)
    with progress(f"refining, {arm}", len(problems), len(problems) - len(waiting)) as tick:
        await _each([one(problem) for problem in waiting], arm, run, done, tick)


async def _each(work: Sequence[Coroutine[Any, Any, Refinement]], arm: str, run: Run, done: Done, tick: Tick) -> None:
    async with aclosing(as_they_end(work)) as ended:
        async for found in ended:
            refinement = slim(found)
            run.append(Entry(arm, refinement))
            done[arm, refinement.id] = refinement
            tick()


def _firsts(done: Done) -> dict[str, Draft]:
    """The first solutions that some arm has had written, by the problem's id."""
    firsts: dict[str, Draft] = {}
    for (_, id), found in done.items():
        if found.versions and not found.failed:
            first = found.versions[0]
            firsts.setdefault(id, Draft(first.solution.steps, first.state, first.answer, first.error, first.usage))
    return firsts


def _budgets(arm: str, id: str, done: Done, kit: Kit) -> tuple[int, ...]:
    like = done.get((CRITIC, id)) if arm == RESAMPLE else None
    return () if like is None else tuple(like.spent(turn).completion_tokens for turn in range(1, kit.plan.turns + 1))


def slim(refinement: Refinement) -> Refinement:
    """Without the rationales, of which there are hundreds."""
    return replace(refinement, versions=tuple(map(_slim, refinement.versions)))


def _slim(version: Version) -> Version:
    return replace(version, review=version.review and replace(version.review, critique=None))
