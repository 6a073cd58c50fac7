"""The pipeline as a folder: one folder for each stage, each of them a run that goes on where it was.

DIR/pipeline.toml
DIR/1-solutions/run.json        what was asked for, and a digest of what it was made from
DIR/1-solutions/results.jsonl   a record a line, in the order of the items when the stage is done
DIR/1-solutions/calls.jsonl     every call that the engine answered
DIR/1-solutions/report.json     counts and costs, when the stage is done
DIR/2-values/…
"""

import hashlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

import msgspec

from genprm import records
from genprm.engines import open_engine
from genprm.errors import ConfigError, InputError
from genprm.runs import Run, config_of_program, require_fitting
from genprm.synth.config import EngineOf, Pipeline
from genprm.synth.grading import Grader
from genprm.synth.ledger import Recorded
from genprm.synth.stages import Done, Prices, costs

T = TypeVar("T")
OPTIONAL = ("quality", "consensus")
"""Stages that others read where the pipeline has them, and do without where it has not."""
Counts = dict[str, Any]
Report = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage. It is part of a pipeline that has its section."""

    name: str
    number: int
    reads: tuple[str, ...]
    """Stages whose results it is made from."""
    work: "Callable[[Shop, Stage], Awaitable[Counts]]"

    @property
    def folder(self) -> str:
        return f"{self.number}-{self.name}"


@dataclass(frozen=True, slots=True)
class Opened:
    """What a stage works with."""

    run: Run
    engine: Recorded | None
    prices: Prices


class Shop:
    """Where the stages of one pipeline are worked on."""

    def __init__(self, folder: Path, pipeline: Pipeline, grader: Grader, *, retry_failed: bool = False) -> None:
        self.folder = folder
        self.pipeline = pipeline
        self.grader = grader
        self.retry_failed = retry_failed

    async def make(self, stage: Stage, stages: Mapping[str, Stage]) -> Report:
        """Run a stage to its end, or find that it is done; its report.

        Raises:
            ConfigError: it was begun with other options or on other data, or what it reads is not there yet.
        """
        for name in stage.reads:
            if self._in(name) and not self.has(stages[name]):
                raise ConfigError(f"stage {stage.name} needs the results of {name}: run that stage first")
        path = self.folder / stage.folder / "report.json"
        if path.exists() and not self.retry_failed:
            require_fitting(path.parent, self._config(stage, stages), "-o")
            return self.report(stage) or {}
        return await self._made(stage, stages)

    async def _made(self, stage: Stage, stages: Mapping[str, Stage]) -> Report:
        began = perf_counter()
        self._stages = stages
        counts = await stage.work(self, stage)
        report = {"stage": stage.name, **counts, "seconds": round(perf_counter() - began, 3)}
        with Run(self.folder / stage.folder, self._config(stage, stages), option="-o") as run:
            run.write_report(report)
        return report

    @asynccontextmanager
    async def opened(self, stage: Stage, *, seams: bool = False) -> AsyncIterator[Opened]:
        """The folder of a stage, and its engine around a ledger there."""
        chosen = self.engine_of(stage)
        async with AsyncExitStack() as stack:
            run = stack.enter_context(Run(self.folder / stage.folder, self._config(stage, self._stages), option="-o"))
            engine = None
            if chosen is not None:
                opening = open_engine(
                    chosen.engine, model=chosen.model, template=chosen.template, options=chosen.options
                )
                opened = await stack.enter_async_context(opening)
                engine = Recorded(opened, run.folder / "calls.jsonl", chosen.concurrency, seams=seams)
                stack.push_async_callback(engine.close)
            yield Opened(run, engine, prices_of(chosen))

    def engine_of(self, stage: Stage) -> EngineOf | None:
        name = getattr(getattr(self.pipeline, stage.name), "engine", "")
        return self.pipeline.engine(name) if name else None

    def read(self, stage: str, type_: type[T]) -> list[T]:
        """The records of a stage that is done, without those of items that failed."""
        path = self.folder / self._stages[stage].folder / "results.jsonl"
        with path.open("rb") as lines:
            kept: list[Done[T]] = [
                records.from_json(line, Done[type_], f"{path}:{n}")  # type: ignore[valid-type]
                for n, line in enumerate(lines, 1)
            ]
        return [line.record for line in kept if line.record is not None]

    def has(self, stage: Stage) -> bool:
        return (self.folder / stage.folder / "report.json").exists()

    def report(self, stage: Stage) -> dict[str, Any] | None:
        """What a stage that is done reported."""
        path = self.folder / stage.folder / "report.json"
        return records.from_json(path.read_bytes(), dict[str, Any], str(path)) if path.exists() else None

    def _in(self, name: str) -> bool:
        return getattr(self.pipeline, name) is not None

    def _config(self, stage: Stage, stages: Mapping[str, Stage]) -> dict[str, Any]:
        """All that the results of a stage depend on."""
        chosen = self.engine_of(stage)
        before = [stages[name] for name in stage.reads if self._in(name)]
        return {
            "stage": stage.name,
            "options": msgspec.to_builtins(getattr(self.pipeline, stage.name)),
            "problems": msgspec.to_builtins(self.pipeline.problems) if not before else None,
            "engine": None if chosen is None else _config_of_engine(chosen),
            "grading": msgspec.to_builtins(self.pipeline.grading),
            "seed": self.pipeline.seed,
            "data": {one.name: digest_of(self.folder / one.folder / "results.jsonl") for one in before},
            **config_of_program(),
        }


def prices_of(engine: EngineOf | None) -> Prices:
    return Prices(engine.price_in, engine.price_out) if engine else Prices()


def cost_of(opened: Opened) -> dict[str, float]:
    """For a report."""
    return costs(opened.engine.total, opened.prices) if opened.engine else {}


def digest_of(path: Path) -> str:
    """A fingerprint of a file's content."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", str(path)) from None


def _config_of_engine(engine: EngineOf) -> dict[str, Any]:
    # Those of a client say how long it waits and the like.
    options = {} if "://" in engine.engine else engine.options
    return {"engine": engine.engine, "model": engine.model, "template": engine.template, "options": options}


async def run_pipeline(
    folder: Path, pipeline: Pipeline, stages: Sequence[Stage], only: str | None = None, *, retry_failed: bool = False
) -> list[Report]:
    """Run the stages that the pipeline has, or one of them; their reports.

    Raises:
        ConfigError: a stage that there is not, or that does not fit what is in the folder.
        EngineLost, WriteError: the same call goes on from there.
    """
    named = {stage.name: stage for stage in stages}
    grader = Grader(pipeline.grading.workers, pipeline.grading.limit_s)
    shop = Shop(folder, pipeline, grader, retry_failed=retry_failed)
    reports = []
    try:
        for stage in chosen_stages(pipeline, stages, only):
            report = await shop.make(stage, named)
            print(f"{stage.folder}: {summary(report)}", file=sys.stderr, flush=True)
            reports.append(report)
    finally:
        await grader.close()
    return reports


def chosen_stages(pipeline: Pipeline, stages: Sequence[Stage], only: str | None = None) -> list[Stage]:
    """Those with a section, or the one that is asked for.

    Raises:
        ConfigError: there is no such stage, or no section for it.
    """
    wanted = [stage for stage in stages if stage.name == only or only is None]
    present = [stage for stage in wanted if getattr(pipeline, stage.name) is not None]
    if only is not None and not present:
        raise ConfigError(f"the pipeline has no section [{only}]")
    sections = {stage.name for stage in stages if getattr(pipeline, stage.name) is not None}
    for stage in present:
        if lacking := [name for name in stage.reads if name not in sections and name not in OPTIONAL]:
            raise ConfigError(f"stage {stage.name} needs a section [{lacking[0]}]")
    return present


def summary(report: Report) -> str:
    """A report in one line: its numbers, without what is deeper."""
    flat = {name: value for name, value in report.items() if isinstance(value, int | float)}
    flat |= {name: value for name, value in report.get("cost", {}).items() if name in ("calls", "completion_tokens")}
    return " · ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in flat.items())
