"""Rationales by a teacher: for each step of an attempt, with code that was run, in the protocol ``genprm``'s form.

Two manners. ``whole``: the teacher goes through the solution in one text (:mod:`genprm.protocols.teacher`). ``steps``:
it judges a step at a time, as a critic does, by the protocol ``genprm`` or ``chat``. Either ends at the first step that
it takes for wrong.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from genprm.checks import CheckTree
from genprm.critic import Critic
from genprm.engines.base import Engine
from genprm.errors import ConfigError
from genprm.protocols import label, make_protocol
from genprm.protocols.genprm import format_output
from genprm.protocols.teacher import Block, Part, TeacherProtocol, rationale_text, read_lesson
from genprm.sampler import Load, Sampler
from genprm.sandbox import Sandbox
from genprm.seeds import seed_of
from genprm.synth.types import Attempt, Taught, TeacherOutcome
from genprm.types import NO_ERROR, Check, Critique, Method, Rationale, Solution, Usage

Manner = Literal["whole", "steps"]


@dataclass(frozen=True, slots=True)
class Teaching:
    """How rationales are asked for."""

    manner: Manner = "whole"
    tries: int = 1
    """At most so many texts for a solution: the first that is whole is taken."""
    max_tokens: int = 8192
    """Of one text in manner ``whole``, of one step's rationale in manner ``steps``."""
    max_calls: int = 40
    """Of one text in manner ``whole``; the protocol's own in manner ``steps``."""
    protocol: Literal["genprm", "chat"] = "genprm"
    """Of manner ``steps``."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Fields of that protocol, as words."""
    temperature: float = 0.6
    top_p: float = 0.95
    top_k: int = 20
    seed: int | None = 0

    def __post_init__(self) -> None:
        if self.tries < 1:
            raise ConfigError(f"a teacher needs at least one try, not {self.tries}")


async def teach(attempt: Attempt, engine: Engine, sandbox: Sandbox, teaching: Teaching | None = None) -> Taught:
    """The first whole text of at most ``teaching.tries``, or the last one; ``usage`` is that of all of them.

    Failures are in its ``outcome``. Raises EngineLost where the engine has gone for good.
    """
    teaching = teaching or Teaching()
    usage = Usage()
    for number in range(teaching.tries):
        if teaching.manner == "whole":
            taught = await _whole(attempt, engine, sandbox, teaching, number)
        else:
            taught = await _steps(attempt, engine, sandbox, teaching, number)
        usage += taught.usage
        if taught.outcome == "ok":
            break
    return replace(taught, usage=usage)


async def _whole(attempt: Attempt, engine: Engine, sandbox: Sandbox, teaching: Teaching, number: int) -> Taught:
    protocol = TeacherProtocol(teaching.max_tokens, teaching.max_calls)
    load = Load(1)
    sampler = Sampler(engine, protocol, _method(engine, label(protocol), teaching, vote="index"), load)
    tree = CheckTree(sandbox)
    try:
        written, _ = await sampler.sample(attempt.solution, 0, number, (), tree.start())
    except Exception as error:  # recorded like any other failure, and the run goes on
        return _failed(attempt, engine, number, error)
    finally:
        await tree.close()
    if load.lost:
        raise load.lost
    steps = tuple(_rationales(attempt.solution, written)) if written.outcome == "ok" else ()
    return Taught(attempt, engine.name, _outcome(written), steps, number, written.error, written.usage)


async def _steps(attempt: Attempt, engine: Engine, sandbox: Sandbox, teaching: Teaching, number: int) -> Taught:
    protocol = make_protocol(teaching.protocol, **{"max_tokens": teaching.max_tokens, **teaching.options})
    seed = teaching.seed
    method = _method(engine, label(protocol), teaching, stop_at_first_error=True)
    method = replace(method, seed=seed if seed is None or not number else seed_of(f"{seed} {number}"))
    critic = Critic(engine, sandbox, protocol, method, concurrency=1)
    critiques = [critique async for critique in critic.critique_many([attempt.solution])]
    critique = critiques[0]
    own = teaching.protocol == "genprm"
    rationales = tuple(r if own else _in_form(step.step, r) for step in critique.steps for r in step.rationales)
    return Taught(attempt, engine.name, _ended(critique), rationales, number, critique.error, critique.usage)


def _method(engine: Engine, protocol: str, teaching: Teaching, **fields: Any) -> Method:
    return Method(
        engine.name,
        protocol,
        seed=teaching.seed,
        temperature=teaching.temperature,
        top_p=teaching.top_p,
        top_k=teaching.top_k,
        **fields,
    )


def _rationales(solution: Solution, written: Rationale) -> Iterator[Rationale]:
    """Those of the steps up to the first wrong one, cut from the text of a whole solution."""
    lesson = read_lesson(written.text, len(solution.steps))
    checks = list(written.checks)
    for part in lesson.parts:
        own = tuple(_taken(checks, block.code) for block in part.blocks)
        if lesson.first_error == NO_ERROR or part.step <= (lesson.first_error or 0):
            yield _rationale(part, own, yes=part.step != lesson.first_error)


def _taken(checks: list[Check], code: str) -> Check:
    """The next check that ran this code; code before the first heading belongs to no step."""
    while checks[0].code != code:
        del checks[0]
    return checks.pop(0)


def _rationale(part: Part, checks: tuple[Check, ...], yes: bool) -> Rationale:
    text = rationale_text(part.step, part.analysis, part.blocks, part.said, yes)
    return Rationale(0, "ok", text, part.analysis, checks, yes)


def _in_form(step: int, rationale: Rationale) -> Rationale:
    """A rationale of another protocol in the form of ``genprm``; as it is where it has no verdict."""
    if rationale.verdict is None:
        return rationale
    blocks = [Block(check.code, format_output(check.result)) for check in rationale.checks]
    text = rationale_text(step, rationale.analysis, blocks, [""] * len(blocks), rationale.verdict)
    return replace(rationale, text=text)


def _outcome(written: Rationale) -> TeacherOutcome:
    if written.outcome == "ok":
        return "ok"
    return "engine_error" if written.outcome == "engine_error" else "unfinished"


def _ended(critique: Critique) -> TeacherOutcome:
    outcomes: dict[str, TeacherOutcome] = {"ok": "ok", "engine_error": "engine_error", "failed": "failed"}
    return outcomes.get(critique.outcome, "unfinished")


def _failed(attempt: Attempt, engine: Engine, number: int, error: Exception) -> Taught:
    return Taught(attempt, engine.name, "failed", (), number, f"{type(error).__name__}: {error}")
