"""What can be asked for. A further route is a further line in ``ROUTES``."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.responses import Response

from genprm.refining import Refinement, Version
from genprm.serving import bodies
from genprm.serving.adapters import openrlhf
from genprm.serving.bodies import (
    Analysed,
    CritiqueRequest,
    RankAnswer,
    RankRequest,
    RefineRequest,
    RewardAnswer,
    RewardRequest,
    ScoreAnswer,
    ScoreRequest,
    Settings,
)
from genprm.serving.cache import Drafted, Judged
from genprm.serving.events import Events, EventStream
from genprm.serving.guard import digest
from genprm.serving.refining import Job, job_of
from genprm.serving.scores import grouped, ranked, scored
from genprm.serving.service import Service, failure, unrefined
from genprm.serving.waiting import Receive, while_wanted
from genprm.types import Critique, Method, Solution, Usage

T = TypeVar("T")
_LARGE = 1 << 14
"""Bytes of a body from which on the event loop is not held up by cutting it into steps."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: on whose behalf, and what is written down of it."""

    service: Service
    client: str
    note: MutableMapping[str, Any]
    receive: Receive

    size: int
    """Bytes of the body."""

    async def aside(self, read: Callable[..., T], *args: Any) -> T:
        """What ``read`` makes of (a part of) the body; in a thread where that takes long."""
        return await asyncio.to_thread(read, *args) if self.size > _LARGE else read(*args)

    def deadline(self, settings: Settings) -> float:
        return min(settings.timeout_s or self.service.options.deadline_s, self.service.options.deadline_s)

    async def critiques(self, solutions: Sequence[Solution], method: Method, deadline_s: float) -> list[Critique]:
        """All of them, for as long as the client waits. Raises Refusal."""
        self.accept(solutions, method, len(solutions))
        done = await self.work_for(self.service.critiques(solutions, method), len(solutions), deadline_s)
        self.spent(_usage(done))
        return done

    async def work_for(self, work: Coroutine[Any, Any, T], places: int, deadline_s: float) -> T:
        """What ``work`` on so many solutions, which were accepted just now, comes to. Raises Refusal."""
        with self.service.gate.admit(places):
            return await while_wanted(work, self.receive, deadline_s, self.service.stopped)

    def spent(self, usage: Usage) -> None:
        self.note["tokens"] = usage.prompt_tokens + usage.completion_tokens

    def accept(self, solutions: Sequence[Solution], method: Method, cost: int) -> None:
        """Write down what it is, and let the client pay for ``cost`` solutions. Raises Refusal (429, 503)."""
        n_steps = sum(len(solution.steps) for solution in solutions)
        self.note.update(solutions=len(solutions), steps=n_steps, n=method.n)
        if self.service.options.log_text:
            self.note["text"] = [{"problem": s.problem.text, "steps": s.steps} for s in solutions]
        else:
            self.note["problem"] = digest(solutions[0].problem.text)
        self.service.require_engine()
        self.service.gate.require_room(len(solutions))  # before it costs anything
        self.service.clients.pay(self.client, cost)


@dataclass(frozen=True, slots=True)
class Route:
    """``answer`` makes what is encoded as the answer (or is one already) of a body that was read as ``body``."""

    path: str
    body: type
    result: type
    summary: str
    answer: Callable[[Asked, Any], Awaitable[Any]]
    example: dict[str, Any]
    refines: bool = False
    """Whether it needs a policy."""


async def critique(asked: Asked, body: CritiqueRequest) -> Critique | Response:
    service = asked.service
    method = bodies.method_of(body, service.critic.method, service.options)
    solution = await asked.aside(bodies.solution_of, body.problem, body.solution, service.options, body.id)
    if body.stream:
        asked.accept([solution], method, 1)
        return await _streamed(asked, body, _events(service, solution, method, body.analysis))
    (done,) = await asked.critiques([solution], method, asked.deadline(body))
    return await _complete(done, body.analysis)


async def _complete(critique: Critique, analysis: bool) -> Critique:
    """In a thread: long texts take their time."""
    return await asyncio.to_thread(bodies.analysed, critique) if analysis else critique


async def _events(service: Service, solution: Solution, method: Method, analysis: bool) -> Events:
    yield "start", {"solution": solution, "method": method}
    async with aclosing(service.follow(solution, method)) as parts:
        async for part in parts:
            if not isinstance(part, Critique):
                yield "step", part
            elif part.failed:
                raise failure(part)
            else:
                yield "critique", await _complete(part, analysis)


async def _streamed(asked: Asked, body: CritiqueRequest | RefineRequest, events: Events) -> EventStream:
    """It has its place, or is refused, before an answer begins."""
    placed = _placed(asked.service, events)
    first = await anext(placed)
    return EventStream(first, placed, asked.deadline(body), asked.service.stopped)


async def _placed(service: Service, events: Events) -> Events:
    """With a place in the queue, from the first event on."""
    with service.gate.admit(1):
        async with aclosing(events):
            async for event in events:
                yield event


async def refine(asked: Asked, body: RefineRequest) -> Refinement | Response:
    service = asked.service
    job = await asked.aside(job_of, body, service)
    asked.accept([job.solution], job.method, job.cost)
    events = _refining(service, job)
    if body.stream:
        return await _streamed(asked, body, events)
    done = await asked.work_for(_last(events), 1, asked.deadline(body))
    asked.spent(done.usage)
    return done


async def _refining(service: Service, job: Job) -> Events:
    start = {"problem": job.solution.problem, "policy": job.refiner.policy.name}
    yield "start", {**start, "plan": job.plan, "method": job.method}
    async with aclosing(service.refining(job)) as parts:
        async for part in parts:
            if isinstance(part, Refinement) and part.failed:
                raise unrefined(part)
            yield _NAMES[type(part)], part


_NAMES: dict[type, str] = {Drafted: "draft", Judged: "step", Version: "version", Refinement: "refinement"}


async def _last(events: Events) -> Refinement:
    async with aclosing(events):
        async for _, record in events:
            if isinstance(record, Refinement):
                return record
    raise AssertionError("what is followed ends in a refinement")


async def score(asked: Asked, body: ScoreRequest) -> ScoreAnswer:
    options = asked.service.options
    method = bodies.method_of(body, asked.service.critic.method, options)
    solutions = await asked.aside(bodies.solutions_of, body.items, options)
    done = await asked.critiques(solutions, method, asked.deadline(body))
    return ScoreAnswer([scored(critique, body.by) for critique in done], method, _usage(done))


async def rank(asked: Asked, body: RankRequest) -> RankAnswer:
    options = asked.service.options
    method = bodies.method_of(body, asked.service.critic.method, options)
    items = [bodies.Item(body.problem, candidate, str(n)) for n, candidate in enumerate(body.candidates)]
    solutions = await asked.aside(bodies.solutions_of, items, options)
    asked.accept(solutions, method, 1 if body.way == "majority" else len(solutions))
    work = _ranked(asked.service, solutions, method, body)
    answer = await asked.work_for(work, len(solutions), asked.deadline(body))
    asked.spent(answer.usage)
    return answer


async def _ranked(service: Service, solutions: Sequence[Solution], method: Method, body: RankRequest) -> RankAnswer:
    done = [] if body.way == "majority" else await service.critiques(solutions, method)
    candidates = await grouped(solutions, service.comparer)
    return ranked(candidates, done, body.by, body.way, method)


async def reward(asked: Asked, body: RewardRequest) -> RewardAnswer:
    solutions = await asked.aside(openrlhf.solutions_of, body, asked.service.options)
    done = await asked.critiques(solutions, asked.service.critic.method, asked.service.options.deadline_s)
    return openrlhf.answer_of([scored(critique, "min") for critique in done])


def _usage(done: Sequence[Critique]) -> Usage:
    return sum((critique.usage for critique in done), Usage())


PROBLEM = "A loaf costs 4 dollars. How much do 37 loaves cost, at 25% off?"
SOLUTION = "Step 1: 37 * 4 = 148 dollars.\n\nStep 2: 25% off leaves 148 * 0.75 = 101 dollars."
RIGHT = "Step 1: 37 * 4 = 148 dollars.\n\nStep 2: 25% off leaves 148 * 0.75 = 111 dollars."

ROUTES: tuple[Route, ...] = (
    Route(
        "/v1/critique",
        CritiqueRequest,
        Analysed,
        "Critique a solution step by step, and run the checks; with stream: true as server-sent events.",
        critique,
        {"problem": PROBLEM, "solution": SOLUTION, "n": 1},
    ),
    Route(
        "/v1/refine",
        RefineRequest,
        Refinement,
        "Critique and revision in turn, where the server has a policy; with stream: true as server-sent events.",
        refine,
        {"problem": PROBLEM, "solution": SOLUTION, "turns": 2, "n": 1},
        refines=True,
    ),
    Route(
        "/v1/score",
        ScoreRequest,
        ScoreAnswer,
        "Step rewards alone, of many solutions.",
        score,
        {"items": [{"problem": PROBLEM, "solution": SOLUTION, "id": "a"}], "by": "min"},
    ),
    Route(
        "/v1/rank",
        RankRequest,
        RankAnswer,
        "The best of several candidate solutions of one problem.",
        rank,
        {"problem": PROBLEM, "candidates": [SOLUTION, RIGHT]},
    ),
    Route(
        "/get_reward",
        RewardRequest,
        RewardAnswer,
        "OpenRLHF's remote reward URL.",
        reward,
        {"query": [f"{PROBLEM}\n{SOLUTION}"], "prompts": [f"{PROBLEM}\n"], "labels": ["111"]},
    ),
)
