"""The pipeline as a folder: one folder for each stage, each of them a run that goes on where it was.

DIR/pipeline.toml
DIR/1-solutions/run.json        what was asked for, and a digest of what it was made from
DIR/1-solutions/results.jsonl   a record a line, in the order of the items when the stage is done
DIR/1-solutions/calls.jsonl     every call that the engine answered
DIR/1-solutions/report.json     counts and costs, when the stage is done
DIR/2-values/…
DIR/3-labelers/calls-1.jsonl    where several are asked: by their places in the file
"""

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
from genprm.errors import ConfigError
from genprm.runs import Config, Run, config_of_program, require_fitting
from genprm.synth.config import EngineOf, Pipeline
from genprm.synth.fingerprints import digest_of, digests_of
from genprm.synth.grading import Grader
from genprm.synth.ledger import Recorded
from genprm.synth.stages import Done, Prices, costs, records_in, run_stage

T = TypeVar("T")
Item = TypeVar("Item")
OPTIONAL = ("prover", "labelers", "quality", "consensus")
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

    name: str
    run: Run
    engine: Recorded | None
    prices: Prices
    retry_failed: bool

    async def work_on(
        self,
        items: Sequence[Item],
        work: Callable[[Item], Awaitable[T]],
        type_: type[T],
        *,
        key: Callable[[Item], str],
        at_once: int = 256,
    ) -> list[Done[T]]:
        """See :func:`~genprm.synth.stages.run_stage`."""
        return await run_stage(
            self.name,
            items,
            work,
            self.run,
            type_,
            key=key,
            engine=self.engine,
            prices=self.prices,
            at_once=at_once,
            retry_failed=self.retry_failed,
        )

    @property
    def cost(self) -> dict[str, float]:
        """For a report."""
        return costs(self.engine, self.prices) if self.engine else {}


class Shop:
    """Where the stages of one pipeline are worked on, each after those that it reads."""

    def __init__(
        self,
        folder: Path,
        pipeline: Pipeline,
        stages: Sequence[Stage],
        grader: Grader,
        *,
        retry_failed: bool = False,
    ) -> None:
        self.folder = folder
        self.pipeline = pipeline
        self.grader = grader
        self._retry_failed = retry_failed
        self._stages = {stage.name: stage for stage in stages}
        self._configs: dict[str, Config] = {}

    async def make(self, stage: Stage) -> Report:
        """Run a stage to its end, or find that it is done; its report.

        Raises:
            ConfigError: it was begun with other options or on other data, or what it reads is not there yet.
        """
        for name in stage.reads:
            if has_section(self.pipeline, name):
                self._require_made(self._stages[name], stage)
        report = self.report(stage.name)
        if report is not None and not self._retry_failed:
            require_fitting(self.folder / stage.folder, self._config(stage), "-o")
            return report
        return await self._made(stage)

    def _require_made(self, needed: Stage, stage: Stage) -> None:
        """Also by the options that the file has now: a stage that is run alone would else go on from other ones."""
        if not (self.folder / needed.folder / "report.json").exists():
            raise ConfigError(f"stage {stage.name} needs the results of {needed.name}: run that stage first")
        require_fitting(self.folder / needed.folder, self._config(needed), "-o")

    async def _made(self, stage: Stage) -> Report:
        began = perf_counter()
        counts = await stage.work(self, stage)
        report = {"stage": stage.name, **counts, "seconds": round(perf_counter() - began, 3)}
        with Run(self.folder / stage.folder, self._config(stage), option="-o") as run:
            run.write_report(report)
        return report

    @asynccontextmanager
    async def opened(self, stage: Stage, *, seams: bool = False) -> AsyncIterator[Opened]:
        """The folder of a stage, and its engine around a ledger there."""
        chosen = engine_of(self.pipeline, stage)
        async with AsyncExitStack() as stack:
            run = stack.enter_context(Run(self.folder / stage.folder, self._config(stage), option="-o"))
            engine = None
            if chosen is not None:
                engine = await stack.enter_async_context(recorded(chosen, run.folder / "calls.jsonl", seams=seams))
            yield Opened(stage.name, run, engine, prices_of(chosen), self._retry_failed)

    def read(self, stage: str, type_: type[T]) -> list[T]:
        """See :func:`~genprm.synth.stages.records_in`."""
        return records_in(self.folder / self._stages[stage].folder, type_)

    def report(self, stage: str) -> dict[str, Any] | None:
        """What a stage that is done reported; None for one that is not, or that the pipeline has not."""
        path = self.folder / self._stages[stage].folder / "report.json"
        if not has_section(self.pipeline, stage) or not path.exists():
            return None
        return records.from_json(path.read_bytes(), dict[str, Any], str(path))

    def _config(self, stage: Stage) -> Config:
        """Made once, when those before it are done: it reads all of their results."""
        if stage.name not in self._configs:
            self._configs[stage.name] = config_of(self.folder, self.pipeline, stage, self._stages)
        return self._configs[stage.name]


@asynccontextmanager
async def recorded(chosen: EngineOf, path: Path, *, seams: bool = False) -> AsyncIterator[Recorded]:
    """An engine around a ledger; both are closed at the end."""
    opening = open_engine(chosen.engine, model=chosen.model, template=chosen.template, options=chosen.options)
    async with opening as opened:
        engine = Recorded(opened, path, chosen.concurrency, seams=seams)
        try:
            yield engine
        finally:
            await engine.close()


def config_of(folder: Path, pipeline: Pipeline, stage: Stage, stages: Mapping[str, Stage]) -> Config:
    """All that the results of a stage depend on.

    Raises:
        InputError: the results of a stage before it, or a file that it reads, are not there.
    """
    before = [stages[name] for name in stage.reads if has_section(pipeline, name)]
    made = {one.name: digest_of(folder / one.folder / "results.jsonl") for one in before}
    return {
        "stage": stage.name,
        "options": msgspec.to_builtins(getattr(pipeline, stage.name)),
        "problems": msgspec.to_builtins(pipeline.problems) if not before else None,
        "engine": _config_of_engines(pipeline, stage),
        "grading": {"limit_s": pipeline.grading.limit_s},
        "seed": pipeline.seed,
        "data": made | digests_of(_sources(pipeline, stage)),
        **config_of_program(),
    }


def has_section(pipeline: Pipeline, stage: str) -> bool:
    """Whether a stage is part of the pipeline."""
    return getattr(pipeline, stage) is not None


def engine_of(pipeline: Pipeline, stage: Stage) -> EngineOf | None:
    """What a stage asks, if it asks anybody: solutions that are read need nobody."""
    if stage.name == "solutions" and pipeline.solutions.existing is not None:
        return None
    name = getattr(getattr(pipeline, stage.name), "engine", "")
    return pipeline.engine(name) if name else None


def _sources(pipeline: Pipeline, stage: Stage) -> list[str]:
    """Files, folders and names of data that a stage reads beside the results of others."""
    if stage.name == "quality" and pipeline.quality:
        return list(pipeline.quality.against)
    if stage.name != "solutions":
        return []
    return [
        source for source in (pipeline.problems and pipeline.problems.source, pipeline.solutions.existing) if source
    ]


def prices_of(engine: EngineOf | None) -> Prices:
    return Prices(engine.price_in, engine.price_out) if engine else Prices()


def _config_of_engines(pipeline: Pipeline, stage: Stage) -> dict[str, Any] | None:
    """Of the one that a stage asks, or of those of its labelers by their names."""
    if stage.name == "labelers" and (labelers := pipeline.labelers):
        names = {name for spec in labelers.specs if (name := labelers.engine_name(spec))}
        return {name: _config_of_engine(pipeline.engine(name)) for name in sorted(names)}
    chosen = engine_of(pipeline, stage)
    return None if chosen is None else _config_of_engine(chosen)


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
    grader = Grader(pipeline.grading.workers, pipeline.grading.limit_s)
    shop = Shop(folder, pipeline, stages, grader, retry_failed=retry_failed)
    reports = []
    try:
        for stage in chosen_stages(pipeline, stages, only):
            report = await shop.make(stage)
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
    present = [stage for stage in wanted if has_section(pipeline, stage.name)]
    if only is not None and not present:
        raise ConfigError(f"the pipeline has no section [{only}]")
    for stage in present:
        if lacking := [name for name in stage.reads if not has_section(pipeline, name) and name not in OPTIONAL]:
            raise ConfigError(f"stage {stage.name} needs a section [{lacking[0]}]")
    return present


def require_folder(folder: Path, pipeline: Pipeline, stages: Sequence[Stage], only: str | None = None) -> None:
    """Whether the stages can be run in ``folder``, by what is there; nothing is written.

    Raises:
        ConfigError: a stage was begun there with other options or on other data.
    """
    named = {stage.name: stage for stage in stages}
    for stage in chosen_stages(pipeline, stages, only):
        begun = folder / stage.folder
        if (begun / "run.json").exists():
            require_fitting(begun, config_of(folder, pipeline, stage, named), "-o")


def summary(report: Report) -> str:
    """A report in one line: its numbers, without what is deeper, and what it says ``in_words``."""
    flat = {name: value for name, value in report.items() if isinstance(value, int | float)}
    flat |= {name: value for name, value in report.get("cost", {}).items() if name in ("calls", "completion_tokens")}
    numbers = [f"{name.replace('_', ' ')} {value:g}" for name, value in flat.items()]
    return " · ".join([*numbers, *filter(None, [report.get("in_words")])])
