"""``genprm eval bon``: what a scorer is worth for choosing among N solutions, next to votes over their answers.

Candidates come from a file, or a policy solves problems, those of a file or of the world. The run folder keeps
candidates and scores, so that a killed run goes on, and a further ``--scorer`` adds to what a run has.
"""

import argparse
import dataclasses
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group as Parts
from rich.table import Table
from rich.text import Text

from genprm.candidates import Group
from genprm.errors import ConfigError
from genprm.eval.bon_report import MAJORITY, PASS, BonReport, build
from genprm.eval.drawing import pictures
from genprm.eval.report import made, share, table
from genprm.rank_command import config_of, groups_of, with_candidates
from genprm.rank_run import all_compared, scored
from genprm.runs import Run, default_folder
from genprm.sandbox.text import plain
from genprm.scorers import open_scorer
from genprm.show import stdout
from genprm.synth.world import examples


def command(args: argparse.Namespace) -> Coroutine[Any, Any, int]:
    """``genprm eval bon``: 1 where a scorer or the policy failed on a candidate."""
    if len(set(args.scorer)) < len(args.scorer):
        raise ConfigError("every --scorer is named once")
    if args.resamples < 1:
        raise ConfigError("--resamples needs a number above 0")
    return _command(args, groups_of(args) if args.source else _world(args))


def _world(args: argparse.Namespace) -> list[Group]:
    if not args.policy:
        raise ConfigError("problems of the world have no candidates; say --policy, such as nano:policy, or name a file")
    if args.problems < 1 or args.n < 1:
        raise ConfigError("--problems and -n need a number above 0")
    chosen = [made.solution for made in examples(args.split, args.problems)]
    return [Group(one.id, one.problem, ()) for one in chosen][: args.limit]


async def _command(args: argparse.Namespace, groups: Sequence[Group]) -> int:
    config = config_of(args, groups)
    found = {}
    with Run(Path(args.run) if args.run else default_folder("bon", config), config) as run:
        groups = await with_candidates(args, groups, run)
        ranked = await all_compared(groups)
        for spec in args.scorer:
            async with open_scorer(spec) as scorer:
                scores = await scored(groups, scorer, run, retry_failed=args.retry_failed)
            found[spec] = [dataclasses.replace(one, scores=own) for one, own in zip(ranked, scores, strict=True)]
        report = build(ranked, found, config | {"scorers": args.scorer}, resamples=args.resamples)
        path = run.write_report(report)
        drawn = pictures(run.folder, lambda plots: plots.figures(report), "bon_plots")
    console = stdout()
    console.print(render(report))
    console.print(f"{drawn}\nreport: {path}", style="dim", soft_wrap=True, markup=False)
    return int(any(name.endswith(("failed", "without a score")) for own in report.failures.values() for name in own))


def render(report: BonReport) -> Parts:
    """All of it as tables."""
    parts: list[Any] = [_accuracy(report), Text(f"{report.problems} problems; percent, 95 % intervals", "dim"), ""]
    if report.differences:
        parts += [_differences(report), ""]
    if report.votes:
        parts += [_votes(report), ""]
    if report.steps:
        parts += [_steps(report), ""]
    for name, count in report.left_out.items():
        parts.append(Text(f"left out: {name}: {count}", "yellow"))
    for scorer, found in report.failures.items():
        parts += [Text(plain(f"{scorer or 'candidates'}: {name}: {n}"), "yellow") for name, n in found.items()]
    return Parts(*parts, *made(report.settings))


def _accuracy(report: BonReport) -> Table:
    ns = sorted({point.n for point in report.points})
    shown = table("method", *(f"N = {n}" for n in ns), "written", "read")
    for method in dict.fromkeys(point.method for point in report.points):
        own = {point.n: point for point in report.points if point.method == method}
        last = own[max(own)]
        cells = [share(own[n].accuracy.value, own[n].accuracy.interval if n == last.n else None) for n in ns]
        style = "bold" if method in (MAJORITY, PASS) else ""
        shown.add_row(Text(plain(method), style), *cells, f"{last.written:,.0f}", f"{last.read:,.0f}")
    return shown


def _differences(report: BonReport) -> Table:
    """At the two greatest N."""
    ns = sorted({one.n for one in report.differences})[-2:]
    shown = table("difference", *(f"N = {n}" for n in ns))
    pairs = dict.fromkeys((one.method, one.against) for one in report.differences)
    for method, against in pairs:
        own = {one.n: one.difference for one in report.differences if (one.method, one.against) == (method, against)}
        cells = [share(own[n].value, own[n].interval) for n in ns]
        shown.add_row(Text(plain(f"{method} − {against}")), *cells)
    return shown


def _steps(report: BonReport) -> Table:
    shown = table(
        "right steps above wrong ones", "of any solutions", "behind the same steps", "steps", "wrong", "pairs"
    )
    for one in report.steps:
        cells = [share(measure.value, measure.interval) for measure in (one.auroc, one.siblings)]
        shown.add_row(Text(plain(one.scorer)), *cells, f"{one.right + one.wrong:,}", f"{one.wrong:,}", f"{one.pairs:,}")
    return shown


def _votes(report: BonReport) -> Table:
    votes = sorted({point.votes for point in report.votes})
    shown = table("votes a step", *map(str, votes), "gain")
    for method in dict.fromkeys(point.method for point in report.votes):
        own = {point.votes: point for point in report.votes if point.method == method}
        gain = own[max(own)].gain
        cells = [share(own[n].accuracy.value, None) if n in own else Text("") for n in votes]
        shown.add_row(Text(plain(method)), *cells, share(gain.value, gain.interval))
    return shown
