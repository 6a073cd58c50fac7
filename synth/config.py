"""``pipeline.toml``: what is made of which problems, and how. Read strictly: what is not known is an error."""

import dataclasses
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from genprm.engines.base import require_sound
from genprm.errors import ConfigError, InputError
from genprm.records import misfit
from genprm.rows import read_text
from genprm.synth.consensus import Mode, Unsure
from genprm.synth.conversations import Code, Verdicts
from genprm.synth.export import ExportOptions
from genprm.synth.labelers.specs import Spec, read_labelers
from genprm.synth.plans import Plan, read_plan
from genprm.synth.prompts import template
from genprm.synth.quality import QualityOptions
from genprm.synth.rationales import Teaching
from genprm.synth.sampling import Rounds, Strategy
from genprm.synth.schemes import Advantage, read_cut
from genprm.types import Sampling

T = TypeVar("T")
_Positive = Annotated[int, msgspec.Meta(ge=1)]
_Price = Annotated[float, msgspec.Meta(ge=0)]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table of the file."""


class EngineOf(Section, frozen=True):
    """``[engines.NAME]``: an engine, how much it takes at once, what it costs."""

    engine: str
    """As on the command line: ``nano:policy``, ``http://host:8000/v1``, …"""
    model: str | None = None
    template: str | None = None
    options: dict[str, str] = {}
    concurrency: _Positive = 64
    """Calls in flight."""
    tokens_per_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Generated, all calls together: for ``--plan``."""
    price_in: _Price = 0.0
    """Of a million tokens read."""
    price_out: _Price = 0.0
    """Of a million tokens written."""


class ProblemsOf(Section, frozen=True):
    """``[problems]``: where they come from; see :mod:`genprm.synth.problems`."""

    source: str
    split: str | None = None
    limit: _Positive | None = None
    fields: dict[str, str] = {}


class SolutionsOf(Section, frozen=True):
    """``[solutions]``: sampled by ``engine``, or read from ``existing`` (then the rest but ``both`` is not used)."""

    engine: str = ""
    existing: str | None = None
    split: str | None = None
    limit: _Positive | None = None
    fields: dict[str, str] = {}
    strategies: Annotated[tuple[Strategy, ...], msgspec.Meta(min_length=1)] = (Strategy(),)
    rounds: Rounds = Rounds()
    max_tokens: _Positive = 1024
    both: bool = True
    """Go on with problems alone that have right and wrong solutions."""


class ValuesOf(Section, frozen=True):
    """``[values]``: by completions of ``engine``."""

    engine: str
    plan: str = "adaptive:0.9+binary"
    settles: str = "ratio:0.8"
    """The labels that an adaptive plan is to settle."""
    budget: _Positive | None = None
    """Completions of a solution, at most."""
    prompt: str = "solve"
    step_forcing: bool = False
    temperature: float = 0.7
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: _Positive = 1024


class ProverOf(ValuesOf, frozen=True):
    """``[prover]``: the values of the same attempts under another policy, for the labels ``advantage:T``."""

    plan: str = "fixed:16"
    """One that asks at every prefix, as that of the values has to then."""


class LabelsOf(Section, frozen=True):
    """``[labels]``: cut from the values; and what others say of the same steps."""

    scheme: str = "ratio:0.8+chain"
    """``+chain`` where the plan of the values does not ask at every prefix."""
    alpha: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """Of an advantage: its weight in the score."""
    best_of: _Positive | None = None
    """Of an advantage: the prover is the best of so many of its samples."""
    labelers: tuple[str, ...] = ()
    """Further ones, to compare with; see :mod:`genprm.synth.labelers.specs`."""
    by: Literal["scheme", "majority"] = "scheme"
    """Whose labels go on: those of the scheme, or of most labelers, the scheme among them."""


class LabelersOf(Section, frozen=True):
    """What stage ``labelers`` works by: no table of the file, but those of ``[labels]`` and what they need."""

    names: tuple[str, ...]
    values: ValuesOf | None
    """How the policy of those that complete is asked."""

    @property
    def specs(self) -> tuple[Spec, ...]:
        return read_labelers(self.names)

    def engine_name(self, spec: Spec) -> str:
        """The name of what a labeler asks; empty where it asks nobody that is called."""
        if spec.kind == "judge":
            return spec.of
        return self.values.engine if spec.completes and self.values else ""

    def plan(self, spec: Spec) -> Plan:
        """Of rollouts: for the labels that the values are for."""
        assert self.values is not None
        return read_plan(spec.of, self.values.settles)


class QualityOf(Section, frozen=True):
    """``[quality]``: what is worth a teacher's time; ``bounds`` are the fields of
    :class:`~genprm.synth.quality.QualityOptions`."""

    bounds: dict[str, Any] = {}
    against: tuple[str, ...] = ()
    """Evaluation sets that nothing may be trained on: files, folders."""


class RationalesOf(Section, frozen=True):
    """``[rationales]``: by a teacher; ``options`` are the fields of :class:`~genprm.synth.rationales.Teaching`."""

    engine: str
    options: dict[str, Any] = {}


class ConsensusOf(Section, frozen=True):
    """``[consensus]``: of labels and teacher."""

    mode: Mode = "solution"
    unsure: Unsure = "drop"


class ExportOf(Section, frozen=True):
    """``[export]``: a dataset; ``options`` are the fields of :class:`~genprm.synth.export.ExportOptions`."""

    verdicts: Verdicts = "teacher"
    code: Code = "run"
    options: dict[str, Any] = {}


class GradingOf(Section, frozen=True):
    """``[grading]``: of final answers."""

    workers: _Positive = 2
    limit_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0


class Assumed(Section, frozen=True):
    """``[plan]``: what ``--plan`` takes where nothing has been measured yet."""

    tokens: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Of a solution."""
    steps: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Of a solution."""
    draws: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Of a problem, until there are right and wrong solutions."""
    tokens_per_rationale: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Of the rationale of a step."""


class Pipeline(Section, frozen=True):
    """The file."""

    problems: ProblemsOf | None = None
    solutions: SolutionsOf = SolutionsOf()
    values: ValuesOf | None = None
    prover: ProverOf | None = None
    labels: LabelsOf | None = None
    quality: QualityOf | None = None
    rationales: RationalesOf | None = None
    consensus: ConsensusOf | None = None
    export: ExportOf | None = None
    engines: dict[str, EngineOf] = {}
    grading: GradingOf = GradingOf()
    plan: Assumed = Assumed()
    seed: int = 0

    @property
    def labelers(self) -> LabelersOf | None:
        """The further labelers of ``[labels]``, a stage of their own."""
        if self.labels is None or not self.labels.labelers:
            return None
        completes = any(spec.completes for spec in read_labelers(self.labels.labelers))
        return LabelersOf(self.labels.labelers, self.values if completes else None)

    def engine(self, name: str) -> EngineOf:
        """The engine of that name; an engine that is not in ``[engines]`` is opened as it is written."""
        return self.engines.get(name) or EngineOf(name)


def read_pipeline(path: Path) -> Pipeline:
    """The content of a file.

    Raises:
        InputError: it cannot be read, or says something that is not known; names the file and the field.
    """
    pipeline = read_toml(path, Pipeline)
    _require_sound(pipeline, str(path))
    _require_known(pipeline, str(path))
    return pipeline


def read_toml(path: Path, type_: type[T]) -> T:
    """Raises InputError for a file that is not there, is no TOML, or says something that is not known."""
    try:
        return msgspec.convert(tomllib.loads(read_text(path)), type_)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"is not TOML: {error}", str(path)) from None
    except msgspec.ValidationError as error:
        raise misfit(error, str(path)) from None


def options_of(given: Mapping[str, Any], type_: type[T], where: str, field: str, **own: Any) -> T:
    """A dataclass of options from a table, and from what is not the user's to say.

    Raises:
        InputError: a field that it does not have, or a value that does not fit.
    """
    known = {one.name for one in dataclasses.fields(type_)} - own.keys()  # type: ignore[arg-type]
    if unknown := given.keys() - known:
        raise InputError(
            f"there is no such option; there are {', '.join(sorted(known))}", where, f"{field}.{min(unknown)}"
        )
    try:
        return msgspec.convert({**given, **own}, type_)
    except (msgspec.ValidationError, ConfigError) as error:
        raise InputError(str(error), where, field) from None


def _require_known(pipeline: Pipeline, path: str) -> None:
    """What the stages have options and schemes for."""
    if pipeline.quality:
        options_of(pipeline.quality.bounds, QualityOptions, path, "quality.bounds")
    if pipeline.rationales:
        options_of(pipeline.rationales.options, Teaching, path, "rationales.options", seed=pipeline.seed)
    if pipeline.export:
        options_of(pipeline.export.options, ExportOptions, path, "export.options", replace=True, stages=())
    try:
        for asked in (pipeline.values, pipeline.prover):
            if asked:
                read_plan(asked.plan, asked.settles, asked.budget)
        if pipeline.labels:
            _require_labels(pipeline, pipeline.labels)
    except ConfigError as error:
        raise InputError(str(error), path) from None


def _require_labels(pipeline: Pipeline, labels: LabelsOf) -> None:
    """Raises ConfigError."""
    advantage = isinstance(read_cut(labels.scheme, labels.alpha, labels.best_of), Advantage)
    if pipeline.prover and not advantage:
        raise ConfigError(f"[prover] is for labels.scheme advantage:T, and it is {labels.scheme!r}")
    for section, values in (("values", pipeline.values), ("prover", pipeline.prover)):
        if advantage and values and read_plan(values.plan).binary:
            raise ConfigError(
                f"an advantage needs the value of every prefix, and {section}.plan {values.plan!r} leaves some out"
            )
    specs = read_labelers(labels.labelers)
    if labels.by == "majority" and len(specs) < 2:
        raise ConfigError("a majority needs two labels.labelers at least beside the scheme")
    if pipeline.values is None and (lacking := [spec.name for spec in specs if spec.completes]):
        raise ConfigError(f"labeler {lacking[0]!r} completes as [values] says, and there is no such section")


def _require_sound(pipeline: Pipeline, path: str) -> None:
    """What a type does not say."""
    solutions = pipeline.solutions
    if (pipeline.problems is None) == (solutions.existing is None):
        raise InputError("solutions are sampled for [problems], or read with solutions.existing: one of both", path)
    if solutions.existing is None and not solutions.engine:
        raise InputError("solutions are sampled by an engine", path, "solutions.engine")
    for number, strategy in enumerate(solutions.strategies):
        sampling = Sampling(strategy.temperature, strategy.top_p, strategy.top_k)
        _checked(path, f"solutions.strategies[{number}]", strategy.prompt, sampling)
    for section, values in (("values", pipeline.values), ("prover", pipeline.prover)):
        if values:
            _checked(path, section, values.prompt, Sampling(values.temperature, values.top_p, values.top_k))


def _checked(path: str, field: str, prompt: str, sampling: Sampling) -> None:
    try:
        template(prompt)
        require_sound(sampling)
    except ConfigError as error:
        raise InputError(str(error), path, field) from None
