"""``genprm eval synthesis``: a synthesis in the world from problems to trained critics, and one page of what it shows.

It runs the pipeline that the experiment names, or goes on with it; holds the labels of several schemes against the
truth, and so the rows before and after consensus; trains a critic for each arm and judges it on held-out problems.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from genprm import records
from genprm.commands import Work
from genprm.errors import ConfigError, InputError, MissingExtra
from genprm.eval.paired import Measure
from genprm.eval.synthesis_critics import (
    Arm,
    CriticScore,
    FilterScore,
    Source,
    Test,
    Training,
    run_arms,
    score_filters,
)
from genprm.eval.synthesis_labels import (
    SchemeScore,
    Threshold,
    Truth,
    best_threshold,
    mix,
    percent,
    score_schemes,
    truth_of,
)
from genprm.runs import versions, write_whole
from genprm.show import stdout
from genprm.synth.config import Pipeline, read_pipeline, read_toml
from genprm.synth.pipeline import run_pipeline
from genprm.synth.schemes import read_scheme
from genprm.synth.stage_items import Values, id_of
from genprm.synth.stage_list import STAGES
from genprm.synth.stages import records_in
from genprm.synth.types import Taught, Valued

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
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
    threshold: Threshold | None
    """Of relative progress; None where the usual one is not among the schemes."""
    consensus: tuple[FilterScore, ...]
    critics: tuple[CriticScore, ...]
    settings: Mapping[str, Any]


def command(args: argparse.Namespace) -> Work:
    """``genprm eval synthesis``."""
    path = Path(args.experiment)
    experiment = read_experiment(path)
    source = path.parent / experiment.pipeline
    pipeline = read_pipeline(source)
    _require_world(pipeline, str(source))
    if find_spec("matplotlib") is None:
        raise MissingExtra("matplotlib", "plot", "the page of results")
    folder = Path(args.output) if args.output else Path("runs") / f"synthesis-{path.stem}"
    return _command(experiment, pipeline, folder, labels_only=args.labels_only)


def read_experiment(path: Path) -> Experiment:
    """Raises InputError for what cannot be read, or says something that is not known."""
    experiment = read_toml(path, Experiment)
    if not experiment.schemes:
        raise InputError("there is no scheme of labels", str(path), "schemes")
    for number, scheme in enumerate(experiment.schemes):
        _require_scheme(scheme, path, f"schemes[{number}]")
    for name, arm in experiment.critics.items():
        if not _NAME.fullmatch(name):
            raise InputError("a critic is named by letters, digits, _, . and -", str(path), f"critics.{name}")
        _require_scheme(arm.labels, path, f"critics.{name}.labels")
    return experiment


def _require_scheme(scheme: str, path: Path, field: str) -> None:
    try:
        read_scheme(scheme)
    except ConfigError as error:
        raise InputError(str(error), str(path), field) from None


def _require_world(pipeline: Pipeline, path: str) -> None:
    """The truth of steps is known in the world alone, and critics need values and rationales."""
    if pipeline.problems is None or not pipeline.problems.source.startswith("world:"):
        raise InputError("an experiment needs problems of the world, as world:train:0-500", path, "problems.source")
    for section in ("values", "labels", "rationales"):
        if getattr(pipeline, section) is None:
            raise InputError(f"an experiment needs a section [{section}]", path, section)


async def _command(experiment: Experiment, pipeline: Pipeline, folder: Path, *, labels_only: bool) -> int:
    from genprm.eval.synthesis_page import write_page  # matplotlib is an extra

    reports = await run_pipeline(folder / "pipeline", pipeline, STAGES)
    sources, known, truths = _made(folder / "pipeline")
    if not known:
        raise ConfigError("the pipeline has no solution in the world's language to hold labels against")
    schemes = score_schemes(known, truths, experiment.schemes, experiment.seed)
    arms = {} if labels_only else experiment.critics
    critics = await run_arms(arms, sources, experiment.train, experiment.test, folder / "critics", experiment.seed)
    report = SynthesisReport(
        summary=_summary(known, mix(truths)),
        stages=tuple(_stage(each) for each in reports),
        schemes=tuple(schemes),
        threshold=best_threshold(known, truths, schemes, experiment.seed),
        consensus=tuple(score_filters(experiment.critics.values(), sources, experiment.seed)),
        critics=tuple(critics),
        settings={**msgspec.to_builtins(experiment), "versions": versions()},
    )
    write_whole(folder / "report.json", [msgspec.json.format(records.to_json(report), indent=2), b"\n"])
    page, *_ = write_page(report, folder)
    _print(report)
    print(f"page: {page}", file=sys.stderr)
    return 0


def _made(folder: Path) -> tuple[list[Source], list[Valued], list[Truth]]:
    """What arms choose from; and the values of all attempts in the world's language, with what is true of them."""
    stages = {stage.name: folder / stage.folder for stage in STAGES}
    valued = [each for values in records_in(stages["values"], Values) for each in values]
    told = {id_of(each.attempt): (each, truth) for each in valued if (truth := truth_of(each.attempt)) is not None}
    taught = records_in(stages["rationales"], Taught)
    sources = [Source(told[name][0], each, told[name][1]) for each in taught if (name := id_of(each.attempt)) in told]
    return sources, [each for each, _ in told.values()], [truth for _, truth in told.values()]


def _summary(valued: Sequence[Valued], found: Mapping[str, int]) -> str:
    problems = len({each.attempt.problem_id for each in valued})
    right = sum(each.attempt.right for each in valued)
    return (
        f"{len(valued):,} solutions of {problems:,} problems, {right:,} with the right answer; judged are "
        f"{found['steps']:,} steps up to the first error in truth, {found['wrong']:,} of them wrong."
    )


def _stage(report: Mapping[str, Any]) -> dict[str, Any]:
    cost = report.get("cost", {})
    came = f"{report['problems']:,} problems" if "problems" in report else report.get("solutions", "")
    left = report.get("kept", report.get("rows", report.get("solutions", "")))
    return {
        "stage": report["stage"],
        "in": came,
        "out": left,
        "calls": cost.get("calls", 0),
        "tokens": cost.get("completion_tokens", 0),
        "seconds": report["seconds"],
    }


def _print(report: SynthesisReport) -> None:
    console = stdout()
    console.print(report.summary)
    console.print(_grid(("labels", "all steps", "right", "wrong", "gain"), map(_scheme, report.schemes)))
    filters = ((each.name, f"{each.solutions:,}", percent(each.accuracy)) for each in report.consensus)
    console.print(_grid(("consensus", "solutions", "true verdicts"), filters))
    if report.critics:
        console.print(
            _grid(("critic", "rows", "true verdicts", "F1", "behind the first"), map(_critic, report.critics))
        )


def _scheme(score: SchemeScore) -> list[str]:
    right, wrong = (percent(Measure(each.value, None)) for each in (score.right, score.wrong))
    return [score.scheme, percent(score.accuracy), right, wrong, percent(score.gain, sign=True)]


def _critic(score: CriticScore) -> list[str]:
    accurate = f"{100 * score.label_accuracy:.1f}"
    return [score.name, f"{score.rows:,}", accurate, percent(score.f1), percent(score.difference, sign=True)]


def _grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for number, name in enumerate(head):
        table.add_column(name, no_wrap=True, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    return table
