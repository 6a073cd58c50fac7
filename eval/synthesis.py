"""``genprm eval synthesis``: a synthesis in the world from problems to trained critics, and one page of what it shows.

It runs the pipeline that the experiment names, or goes on with it; holds the labels of several schemes against the
truth, and so the rows before and after consensus; trains a critic for each arm and judges it on held-out problems.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from genprm import records
from genprm.commands import Work
from genprm.errors import InputError, MissingExtra
from genprm.eval.synthesis_critics import Arm, CriticScore, Source, Test, Training, accuracy, rows_of, run_arms
from genprm.eval.synthesis_labels import SchemeScore, mix, percent, score_schemes, truth_of
from genprm.runs import versions, write_whole
from genprm.show import stdout
from genprm.synth.config import Pipeline, read_pipeline, read_toml
from genprm.synth.pipeline import run_pipeline
from genprm.synth.schemes import read_scheme
from genprm.synth.stage_list import STAGES
from genprm.synth.stages import Done
from genprm.synth.types import Taught, Valued

SCHEMES = ("hard", "soft:0.5", "ratio:0.5", "ratio:0.7", "ratio:0.8", "ratio:0.9", "ratio:1", "difference:-0.3")


class Experiment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file of an experiment."""

    pipeline: str
    """A file of ``genprm synth run`` on problems of the world, beside this one."""
    train: Training
    critics: dict[str, Arm]
    """The first one is what the others are compared with."""
    schemes: tuple[str, ...] = SCHEMES
    """Of labels; the first one is what the others are compared with."""
    test: Test = Test()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class SynthesisReport:
    """The content of ``report.json``. Shares lie in [0, 1]."""

    summary: str
    stages: tuple[dict[str, Any], ...]
    schemes: tuple[SchemeScore, ...]
    consensus: tuple[tuple[str, str, str], ...]
    """What, solutions, and their verdicts that are true, in percent."""
    critics: tuple[CriticScore, ...]
    settings: Mapping[str, Any]


def command(args: argparse.Namespace) -> Work:
    """``genprm eval synthesis``."""
    path = Path(args.experiment)
    experiment = read_experiment(path)
    source = path.parent / experiment.pipeline
    pipeline = read_pipeline(source)
    if find_spec("matplotlib") is None:
        raise MissingExtra("matplotlib", "plot", "the page of results")
    folder = Path(args.output) if args.output else Path("runs") / f"synthesis-{path.stem}"
    return _command(experiment, pipeline, folder, labels_only=args.labels_only)


def read_experiment(path: Path) -> Experiment:
    """Raises InputError for what cannot be read, or says something that is not known."""
    try:
        experiment = msgspec.convert(read_toml(path), Experiment)
    except msgspec.ValidationError as error:
        message, _, field = str(error).partition(" - at `$.")
        raise InputError(message, str(path), field.rstrip("`")) from None
    for scheme in (*experiment.schemes, *(arm.labels for arm in experiment.critics.values())):
        read_scheme(scheme)
    return experiment


async def _command(experiment: Experiment, pipeline: Pipeline, folder: Path, *, labels_only: bool) -> int:
    from genprm.eval.synthesis_page import write_page  # matplotlib is an extra

    reports = await run_pipeline(folder / "pipeline", pipeline, STAGES)
    sources, valued = _sources(folder / "pipeline")
    truths = [truth for each in valued if (truth := truth_of(each.attempt)) is not None]
    known = [each for each in valued if truth_of(each.attempt) is not None]
    schemes = score_schemes(known, truths, experiment.schemes, experiment.seed)
    arms = {} if labels_only else experiment.critics
    critics = await run_arms(arms, sources, experiment.train, experiment.test, folder / "critics", experiment.seed)
    report = SynthesisReport(
        summary=_summary(known, mix(truths)),
        stages=tuple(_stage(each) for each in reports),
        schemes=tuple(schemes),
        consensus=_consensus(experiment, sources),
        critics=tuple(critics),
        settings={**msgspec.to_builtins(experiment), "versions": versions()},
    )
    write_whole(folder / "report.json", [msgspec.json.format(records.to_json(report), indent=2), b"\n"])
    page, *_ = write_page(report, folder)
    _print(report)
    print(f"page: {page}", file=sys.stderr)
    return 0


def _sources(folder: Path) -> tuple[list[Source], list[Valued]]:
    """Values and rationales of the same attempts, as far as they can be read; and all values."""
    stages = {stage.name: stage.folder for stage in STAGES}
    valued = [each for group in _read(folder / stages["values"], tuple[Valued, ...]) for each in group]
    by_id = {each.attempt.solution.id: each for each in valued}
    sources = []
    for taught in _read(folder / stages["rationales"], Taught):
        truth = truth_of(taught.attempt)
        if truth is not None:
            sources.append(Source(by_id[taught.attempt.solution.id], taught, truth))
    return sources, valued


def _read(folder: Path, type_: Any) -> list[Any]:
    path = folder / "results.jsonl"
    with path.open("rb") as lines:
        done = [records.from_json(line, Done[type_], f"{path}:{n}") for n, line in enumerate(lines, 1)]
    return [each.record for each in done if each.record is not None]


def _summary(valued: Sequence[Valued], found: Mapping[str, int]) -> str:
    problems = len({each.attempt.problem_id for each in valued})
    right = sum(each.attempt.right for each in valued)
    return (
        f"{len(valued):,} solutions of {problems:,} problems, {right:,} with the right answer; judged are "
        f"{found['steps']:,} steps up to the first error in truth, {found['wrong']:,} of them wrong."
    )


def _stage(report: Mapping[str, Any]) -> dict[str, Any]:
    cost = report.get("cost", {})
    outcome = report.get("kept", report.get("rows", report.get("solutions", report.get("values", ""))))
    return {
        "stage": report["stage"],
        "in": report.get("problems", report.get("solutions", "")),
        "out": outcome,
        "calls": cost.get("calls", 0),
        "tokens": cost.get("completion_tokens", 0),
        "seconds": report["seconds"],
    }


def _consensus(experiment: Experiment, sources: Sequence[Source]) -> tuple[tuple[str, str, str], ...]:
    """The teacher's verdicts before and after each filter of the experiment."""
    arms = {"every solution": Arm(consensus="none")} | {
        f"kept by {arm.labels}, {arm.consensus}": arm for arm in experiment.critics.values() if arm.consensus != "none"
    }
    rows = {name: rows_of(arm, sources) for name, arm in arms.items()}
    return tuple((name, f"{len(found):,}", f"{100 * accuracy(found):.1f} %") for name, found in rows.items())


def _print(report: SynthesisReport) -> None:
    console = stdout()
    console.print(report.summary)
    table = Table(box=None, pad_edge=False)
    for name in ("labels", "all steps", "right", "wrong", "gain"):
        table.add_column(name)
    for score in report.schemes:
        table.add_row(
            score.scheme, *map(percent, (score.accuracy, score.right, score.wrong)), percent(score.gain, sign=True)
        )
    console.print(table)
    for line in report.consensus:
        console.print("  ".join(line))
    if report.critics:
        critics = Table(box=None, pad_edge=False)
        for name in ("critic", "rows", "true verdicts", "F1", "behind the first"):
            critics.add_column(name)
        for each in report.critics:
            accurate = f"{100 * each.label_accuracy:.1f}"
            critics.add_row(
                each.name, f"{each.rows:,}", accurate, percent(each.f1), percent(each.difference, sign=True)
            )
        console.print(critics)
