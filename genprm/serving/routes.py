"""What can be asked for. A further route is a further line in ``ROUTES``."""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from genprm.serving import bodies
from genprm.serving.adapters import openrlhf
from genprm.serving.bodies import (
    CritiqueRequest,
    RankAnswer,
    RankRequest,
    RewardAnswer,
    RewardRequest,
    ScoreAnswer,
    ScoreRequest,
    Settings,
)
from genprm.serving.events import Events, EventStream
from genprm.serving.guard import digest
from genprm.serving.scores import ranked, scored
from genprm.serving.service import Service, failure
from genprm.serving.waiting import Receive, while_wanted
from genprm.types import Critique, Method, Solution, Usage


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: on whose behalf, and what is written down of it."""

    service: Service
    client: str
    note: MutableMapping[str, Any]
    receive: Receive

    def deadline(self, settings: Settings) -> float:
        return min(settings.timeout_s or self.service.options.deadline_s, self.service.options.deadline_s)

    async def critiques(self, solutions: Sequence[Solution], method: Method, deadline_s: float) -> list[Critique]:
        """All of them, for as long as the client waits. Raises Refusal."""
        self.accept(solutions, method)
        with self.service.gate.admit(len(solutions)):
            work = self.service.critiques(solutions, method)
            done = await while_wanted(work, self.receive, deadline_s, self.service.stopped)
        self.note["tokens"] = sum(c.usage.prompt_tokens + c.usage.completion_tokens for c in done)
        return done

    def accept(self, solutions: Sequence[Solution], method: Method) -> None:
        """Write down what it is, and let the client pay. Raises Refusal (429, 503)."""
        n_steps = sum(len(solution.steps) for solution in solutions)
        self.note.update(solutions=len(solutions), steps=n_steps, n=method.n)
        if self.service.options.log_text:
            self.note["text"] = [{"problem": s.problem.text, "steps": s.steps} for s in solutions]
        else:
            self.note["problem"] = digest(solutions[0].problem.text)
        self.service.require_engine()
        self.service.gate.require_room(len(solutions))  # before it costs anything
        self.service.clients.pay(self.client, len(solutions))


@dataclass(frozen=True, slots=True)
class Route:
    """``answer`` makes what is encoded as the answer (or is one already) of a body that was read as ``body``."""

    path: str
    body: type
    result: type
    summary: str
    answer: Callable[[Asked, Any], Awaitable[Any]]
    example: dict[str, Any]


async def critique(asked: Asked, body: CritiqueRequest) -> Critique | Response:
    service = asked.service
    method = bodies.method_of(body, service.critic.method, service.options)
    solution = bodies.solution_of(body.problem, body.solution, service.options, body.id)
    if body.stream:
        asked.accept([solution], method)
        events = _events(service, solution, method)
        first = await anext(events)  # it has its place, or is refused, before an answer begins
        return EventStream(first, events, asked.deadline(body), service.stopped)
    (done,) = await asked.critiques([solution], method, asked.deadline(body))
    return done


async def _events(service: Service, solution: Solution, method: Method) -> Events:
    with service.gate.admit(1):
        yield "start", {"solution": solution, "method": method}
        async with aclosing(service.follow(solution, method)) as parts:
            async for part in parts:
                if not isinstance(part, Critique):
                    yield "step", part
                elif part.failed:
                    raise failure(part)
                else:
                    yield "critique", part


async def score(asked: Asked, body: ScoreRequest) -> ScoreAnswer:
    options = asked.service.options
    method = bodies.method_of(body, asked.service.critic.method, options)
    done = await asked.critiques(bodies.solutions_of(body.items, options), method, asked.deadline(body))
    return ScoreAnswer([scored(critique, body.by) for critique in done], method, _usage(done))


async def rank(asked: Asked, body: RankRequest) -> RankAnswer:
    options = asked.service.options
    method = bodies.method_of(body, asked.service.critic.method, options)
    items = [bodies.Item(body.problem, candidate, str(n)) for n, candidate in enumerate(body.candidates)]
    done = await asked.critiques(bodies.solutions_of(items, options), method, asked.deadline(body))
    scores = [scored(critique, body.by) for critique in done]
    order = ranked(scores)
    best = order[0] if scores[order[0]].reward is not None else None
    return RankAnswer(best, order, scores, method, _usage(done))


async def reward(asked: Asked, body: RewardRequest) -> RewardAnswer:
    solutions = openrlhf.solutions_of(body, asked.service.options)
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
        Critique,
        "Critique a solution step by step, and run the checks; with stream: true as server-sent events.",
        critique,
        {"problem": PROBLEM, "solution": SOLUTION, "n": 1},
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
