"""Refinements for many at once: the policy of the server revises, its critic reviews, and each part is told as it is
there."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from genprm.errors import EngineLost
from genprm.flight import cancelled
from genprm.policy import Policy
from genprm.refine import refine
from genprm.refining import Refinement, RefinePlan, Review, Version
from genprm.reviewers import critic_name, read_critique
from genprm.serving.bodies import RefineRequest, method_of, solution_of, turns_of
from genprm.serving.cache import Drafted, Judged
from genprm.serving.errors import Refusal, engine_failed, no_policy
from genprm.serving.log import say_error
from genprm.types import Critique, Method, Problem, Solution

if TYPE_CHECKING:
    from genprm.serving.service import Service

Part = Drafted | Judged | Version | Refinement
Tell = Callable[[Part], None]


@dataclass(frozen=True, slots=True)
class Refiner:
    """What a server revises with, and how where a request does not say."""

    policy: Policy
    plan: RefinePlan


@dataclass(frozen=True, slots=True)
class Job:
    """One refinement that was asked for."""

    refiner: Refiner
    solution: Solution
    """Without steps: the policy writes the first version, too."""
    method: Method
    plan: RefinePlan

    @property
    def cost(self) -> int:
        """Solutions that are judged, at most."""
        return self.plan.turns + 1

    @property
    def content(self) -> tuple[object, ...]:
        """All that the result depends on, but for the name. (The policy's seed is the method's.)"""
        return ("refine", self.solution.problem.text, self.solution.steps, self.method, self.plan)


def job_of(body: RefineRequest, service: "Service") -> Job:
    """Raises Refusal (400, 404, 413)."""
    refiner, options = service.refiner, service.options
    if refiner is None:
        raise no_policy()
    method = method_of(body, service.critic.method, options)
    # Without a solution the problem alone is looked at: it stands in for one step.
    solution = solution_of(body.problem, [body.problem] if body.solution is None else body.solution, options, body.id)
    if body.solution is None:
        solution = replace(solution, steps=())
    plan = replace(refiner.plan, turns=turns_of(body, refiner.plan, options), scope=body.scope or refiner.plan.scope)
    return Job(refiner, solution, method, plan)


async def refined(job: Job, service: "Service") -> AsyncGenerator[Part, None]:
    """Drafts, steps and versions as they come, the refinement at the end.

    Raises:
        Refusal: the policy's engine has gone (502), or the program broke (500).
    """
    said: asyncio.Queue[Part | None] = asyncio.Queue()
    task = asyncio.create_task(_work(job, service, said.put_nowait))
    task.add_done_callback(lambda _: said.put_nowait(None))
    try:
        while (part := await said.get()) is not None:
            yield part
        yield await task
    finally:
        await cancelled([task])


async def _work(job: Job, service: "Service", tell: Tell) -> Refinement:
    reviewer = _Reviewer(job, service, tell)
    problem = Problem(job.solution.problem.text)
    first = job.solution if job.solution.steps else None
    policy = job.refiner.policy.by(job.method.seed)
    try:
        return await refine(problem, first, policy, reviewer, job.plan, on_version=tell)
    except EngineLost as error:
        raise engine_failed(str(error)) from None
    except Exception as error:  # said in the answer, like any other failure
        say_error("broken", error)
        raise Refusal(500, "failed", f"the refinement broke off: {type(error).__name__}: {error}") from None


class _Reviewer:
    """The server's critic with its cache and its queue, whose steps are told as they are judged."""

    def __init__(self, job: Job, service: "Service", tell: Tell) -> None:
        self.name = critic_name(job.method)
        self._job = job
        self._service = service
        self._tell = tell

    async def review(self, solution: Solution, turn: int) -> Review:
        self._tell(Drafted(turn, solution))
        async with aclosing(self._service.follow(solution, self._job.method)) as parts:
            async for part in parts:
                if isinstance(part, Critique):
                    return read_critique(part, self._job.plan.score, self._job.refiner.policy.wording)
                self._tell(Judged(turn, part))
        raise AssertionError("what is followed ends in a critique")
