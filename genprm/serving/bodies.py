"""What requests and answers look like. Field by field: ``docs/serving.md``."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from genprm import records
from genprm.errors import InputError
from genprm.refining import Refinement, RefinePlan, Scope
from genprm.serving.errors import Refusal, bad_request
from genprm.serving.options import SETTINGS, Options
from genprm.splitting import split_steps
from genprm.trajectory import Analysis, analyse
from genprm.types import Critique, CritiqueOutcome, Method, Problem, Solution, Usage

By = Literal["min", "mean", "last", "product"]
"""How step rewards become the reward of a solution; min: a chain is as strong as its weakest step."""
Way = Literal["best", "weighted", "majority"]
"""How one of several is chosen: by its reward, by the votes of equal answers with rewards as weights, or by votes
alone, for which nothing is judged."""
Text = Annotated[str, Meta(description="Plain text, with LaTeX if you like.")]
Steps = Annotated[
    str | list[str],
    Meta(description="The solution: a text, which is cut into steps by markers or paragraphs, or steps."),
]
T = TypeVar("T")


class Settings(Struct, forbid_unknown_fields=True, kw_only=True):
    """What a request may choose; what it leaves out is the server's."""

    n: Annotated[int, Meta(ge=1, le=1 << 16, description="Rationales a step.")] | None = None
    threshold: Annotated[float, Meta(ge=0, le=1, description="A step is wrong below it.")] | None = None
    stop_at_first_error: bool | None = None
    stopping: Literal["exact", "none"] | None = None
    seed: Annotated[int, Meta(ge=0, le=(1 << 31) - 1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    timeout_s: Annotated[float, Meta(ge=1, description="Answer within this time, or 504.")] | None = None


class CritiqueRequest(Settings, kw_only=True):
    problem: Text
    solution: Steps
    id: str = ""
    stream: Annotated[bool, Meta(description="Answer with server-sent events: start, step …, critique or error.")] = (
        False
    )
    analysis: Annotated[bool, Meta(description="Of each faulty step: kind, severity, suggestion.")] = False


class RefineRequest(Settings, kw_only=True):
    """Without a solution the policy writes the first one, too."""

    problem: Text
    solution: Steps | None = None
    turns: Annotated[int, Meta(ge=1, le=1 << 16, description="Revisions, at most.")] | None = None
    scope: Annotated[Scope, Meta(description="Written again: the whole, or from the faulty step on.")] | None = (
        msgspec.field(name="from", default=None)
    )
    id: str = ""
    stream: Annotated[
        bool, Meta(description="Answer with server-sent events: start, draft, step, version …, refinement or error.")
    ] = False


class Item(Struct, forbid_unknown_fields=True):
    """One solution of a batch."""

    problem: Text
    solution: Steps
    id: str = ""


class ScoreRequest(Settings, kw_only=True):
    items: Annotated[list[Item], Meta(min_length=1)]
    by: By = "min"


class RankRequest(Settings, kw_only=True):
    problem: Text
    candidates: Annotated[list[Steps], Meta(min_length=1)]
    by: By = "min"
    way: Way = "best"


class RewardRequest(Struct):
    """As OpenRLHF asks at its remote reward URL. What else it may send is left alone."""

    query: Annotated[str | list[str], Meta(description="Prompt and response in one text, each.")]
    prompts: Annotated[str | list[str], Meta(description="The prompts alone.")] = ()  # type: ignore[assignment]
    labels: Any = None


class Scored(Struct):
    """One solution's scores."""

    id: str
    outcome: CritiqueOutcome
    first_error: int | None
    reward: float | None
    """Of the solution, by ``by``; null where a step that counts has none."""
    rewards: list[float | None]
    """Of each step, in [0, 1]; null where it was not judged or no rationale gave a verdict."""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Analysed(Critique):
    """A critique with what it comes to, where that was asked for."""

    analysis: Analysis | None = None


def analysed(critique: Critique) -> Analysed:
    return Analysed(
        **{field.name: getattr(critique, field.name) for field in fields(critique)}, analysis=analyse(critique)
    )


class ScoreAnswer(Struct):
    scores: list[Scored]
    method: Method
    usage: Usage


class RankAnswer(Struct):
    best: int | None
    """Index of the best candidate, null where there is nothing to choose by."""
    tied: int
    """Candidates, or answers where they vote, that were as good before the tie was broken."""
    order: list[int]
    """The chosen one, then from the best reward to the worst; those without a reward come last."""
    answers: list[int]
    """For each candidate the group of those with the same answer; -1 where none can be read."""
    scores: list[Scored]
    """Empty where nothing was judged."""
    method: Method
    usage: Usage


class RewardAnswer(Struct):
    rewards: list[float]
    scores: list[float]
    extra_logs: dict[str, list[float]]


def read(body: bytes, type_: type[T]) -> T:
    """Raises Refusal (400) with one sentence that names the field."""
    try:
        return records.from_json(body, type_, "body")
    except InputError as error:
        raise bad_request(str(error)) from None


def solution_of(
    problem: str, solution: str | Sequence[str], options: Options, id: str = "", field: str = ""
) -> Solution:
    """Raises Refusal (400, 413) for what is empty or too long."""
    steps = split_steps(solution) if isinstance(solution, str) else tuple(solution)
    if not problem.strip():
        raise bad_request(f"body, field {field}problem: it is empty")
    if not steps or not all(step.strip() for step in steps):
        raise bad_request(f"body, field {field}solution: it is empty, or a step of it is")
    if len(steps) > options.max_steps:
        raise _too_large(f"field {field}solution has {len(steps)} steps, of at most {options.max_steps}")
    longest = max(len(problem), len(id), *map(len, steps))
    if longest > options.max_chars:
        raise _too_large(f"a text of {longest} characters is longer than {options.max_chars}")
    return Solution(Problem(problem), steps, id=id)


def solutions_of(items: Sequence[Item], options: Options) -> list[Solution]:
    """Raises Refusal (400, 413), naming the item."""
    if len(items) > options.max_solutions:
        raise _too_large(f"{len(items)} solutions are more than {options.max_solutions}")
    return [solution_of(x.problem, x.solution, options, x.id, f"items[{n}].") for n, x in enumerate(items)]


def method_of(asked: Settings, method: Method, options: Options) -> Method:
    """The server's method with what the request chose. Raises Refusal (400) for what it may not choose."""
    chosen = {name: value for name in SETTINGS if (value := getattr(asked, name)) is not None}
    for name in chosen:
        if name not in options.settable and chosen[name] != getattr(method, name):
            raise bad_request(f"body, field {name}: this server does not let requests choose it")
    if chosen.get("n", 1) > max(options.max_n, method.n):
        raise bad_request(f"body, field n: at most {max(options.max_n, method.n)} rationales a step")
    return replace(method, **chosen)


def turns_of(asked: RefineRequest, plan: RefinePlan, options: Options) -> int:
    """Raises Refusal (400) for more than the server allows."""
    most = max(options.max_turns, plan.turns)
    if (asked.turns or 1) > most:
        raise bad_request(f"body, field turns: at most {most} revisions")
    return asked.turns or plan.turns


def _too_large(message: str) -> Refusal:
    return Refusal(413, "too_large", message)


def encode(answer: Any) -> bytes:
    return records.to_json(answer)


def schemas() -> tuple[dict[str, Any], dict[str, Any]]:
    """JSON Schemas for OpenAPI: a reference by type's name, and the components that they refer to."""
    requests = (CritiqueRequest, RefineRequest, ScoreRequest, RankRequest, RewardRequest)
    types = (*requests, Analysed, Refinement, ScoreAnswer, RankAnswer, RewardAnswer)
    out, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    return dict(zip((t.__name__ for t in types), out, strict=True)), components
