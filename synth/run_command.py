"""``genprm synth run`` and the commands of its single stages."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from genprm.commands import Work
from genprm.errors import ConfigError
from genprm.runs import write_whole
from genprm.show import stdout
from genprm.synth.config import Pipeline, read_pipeline
from genprm.synth.pipeline import Report, require_folder, run_pipeline
from genprm.synth.plan import make_plan, render
from genprm.synth.stage_list import STAGES

COPY = "pipeline.toml"


def run(args: argparse.Namespace) -> Work:
    """``genprm synth run``: 1 where items failed."""
    source = Path(args.pipeline)
    pipeline = read_pipeline(source)
    folder = Path(args.output) if args.output else Path("runs") / f"synth-{source.stem}"
    if args.plan:
        return _planned(pipeline, folder)
    require_folder(folder, pipeline, STAGES, args.stage)  # before its copy takes the place of the one that fits
    _keep_copy(source, folder)
    return _run(folder, pipeline, args.stage, args.retry_failed)


def stage(args: argparse.Namespace) -> Work:
    """``genprm synth STAGE DIR/pipeline.toml``: that stage alone, in the folder of the file."""
    source = Path(args.pipeline)
    if source.is_dir():
        source /= COPY
    pipeline = read_pipeline(source)
    if args.plan:
        return _planned(pipeline, source.parent)
    return _run(source.parent, pipeline, args.stage, args.retry_failed)


async def _planned(pipeline: Pipeline, folder: Path) -> int:
    table, assumptions = render(make_plan(pipeline, folder))
    console = stdout()
    console.print(table)
    for line in assumptions:
        console.print(f"  {line}", style="dim", soft_wrap=True, markup=False)
    return 0


async def _run(folder: Path, pipeline: Pipeline, only: str | None, retry_failed: bool) -> int:
    reports = await run_pipeline(folder, pipeline, STAGES, only, retry_failed=retry_failed)
    print(f"pipeline: {folder}", file=sys.stderr)
    return 1 if _failed(reports) else 0


def _failed(reports: Sequence[Report]) -> int:
    return sum(int(report.get("failed", 0)) for report in reports)


def _keep_copy(source: Path, folder: Path) -> None:
    """In the folder, so that single stages can be run there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if source.resolve() != (folder / COPY).resolve():
            write_whole(folder / COPY, [source.read_bytes()])
    except OSError as error:
        raise ConfigError(f"no pipeline can be kept in {folder}: {error.strerror}") from None
