"""``genprm refine``: solutions, refined one beside the other, shown in their order."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from genprm import records
from genprm.commands import Work, chosen, config_of, critic_of, options_of, parse_options
from genprm.critic import Critic
from genprm.engines import open_engine
from genprm.engines.base import require_sound
from genprm.errors import ConfigError
from genprm.flight import in_order
from genprm.policy import Policy
from genprm.protocols import label, make_protocol
from genprm.protocols.genprm import ABLATIONS
from genprm.refine import First, refine, resample
from genprm.refining import Refinement, RefinePlan
from genprm.reviewers import CriticReviewer, Reviewer, SelfReviewer
from genprm.runs import Run
from genprm.show import stdout
from genprm.show_refine import print_refinement
from genprm.types import Problem, Sampling, Solution

AT_ONCE = 64
"""Refinements in flight."""
RESAMPLE = "resample"


@dataclass(frozen=True, slots=True)
class Kit:
    """What refinements are made with."""

    policy: Policy
    critic: Critic
    plan: RefinePlan
    args: argparse.Namespace
    reviewers: dict[str, Reviewer] = field(default_factory=dict)
    """By name; one each, for a critic bounds what it has in flight."""

    def reviewer(self, name: str) -> Reviewer:
        """``critic``, ``no-code`` or ``self``. Raises ConfigError: the protocol has no code to leave out."""
        if name not in self.reviewers:
            self.reviewers[name] = self._reviewer(name)
        return self.reviewers[name]

    def _reviewer(self, name: str) -> Reviewer:
        if name == "self":
            return SelfReviewer(self.policy)
        critic = self.critic if name == "critic" else _without_code(self.critic, self.args)
        return CriticReviewer(critic, score=self.plan.score, wording=self.policy.wording)

    def require(self, names: Sequence[str]) -> None:
        """Raises ConfigError before any work is done."""
        for name in names:
            if name != RESAMPLE:
                self.reviewer(name)

    async def refine(
        self, name: str, problem: Problem, first: First, id: str, budgets: Sequence[int] = ()
    ) -> Refinement:
        """By the reviewer of that name, or by ``resample``. Raises EngineLost."""
        if name == RESAMPLE:
            return await resample(problem, first, self.policy, self.plan, id, budgets)
        return await refine(problem, first, self.policy, self.reviewer(name), self.plan, id)


def _without_code(critic: Critic, args: argparse.Namespace) -> Critic:
    """The same critic, its analysis alone."""
    protocol = make_protocol(args.protocol, **options_of(args), **ABLATIONS["analysis"])
    method = replace(critic.method, protocol=label(protocol))
    return Critic(critic.engine, critic.sandbox, protocol, method, concurrency=args.concurrency)


def plan_of(args: argparse.Namespace) -> RefinePlan:
    """Raises ConfigError."""
    plan = RefinePlan(args.turns, args.tokens, args.scope, args.base, args.score, args.margin, args.tries, args.drafts)
    plan.require_sound()
    require_sound(sampling_of(args))
    return plan


def sampling_of(args: argparse.Namespace) -> Sampling:
    """Of the policy."""
    return Sampling(args.policy_temperature, args.top_p, args.top_k, max_tokens=args.max_tokens, seed=args.seed)


@asynccontextmanager
async def open_kit(args: argparse.Namespace) -> AsyncIterator[Kit]:
    """Both engines and the sandbox, closed at the end."""
    args = _sparing(args)
    async with open_policy(args) as policy, critic_of(args) as critic:
        yield Kit(policy, critic, plan_of(args), args)


def _sparing(args: argparse.Namespace) -> argparse.Namespace:
    """Nobody asks for the steps behind the first error where the score is ``progress``; votes for an index need all."""
    spare = args.score == "progress" and args.vote != "index" and args.protocol != "judge"
    return argparse.Namespace(**{**vars(args), "stop_at_first_error": args.stop_at_first_error or spare})


@asynccontextmanager
async def open_policy(args: argparse.Namespace) -> AsyncIterator[Policy]:
    """The policy that the options describe; its engine is closed at the end."""
    async with open_engine(
        args.policy, model=args.policy_model, template=args.policy_template, options=parse_options(args.policy_option)
    ) as engine:
        yield Policy(engine, sampling_of(args), wording=args.wording, concurrency=args.concurrency)


def config_of_kit(kit: Kit, solutions: Sequence[Solution]) -> dict[str, Any]:
    """All that refinements depend on."""
    args = kit.args
    return {
        **config_of(kit.critic, args, solutions),
        "policy": kit.policy.name,
        "policy_template": args.policy_template,
        "policy_options": [] if "://" in args.policy else sorted(args.policy_option),
        "policy_sampling": kit.policy.sampling,
        "wording": args.wording,
        "plan": asdict(kit.plan),
    }


def command(args: argparse.Namespace) -> Work:
    """``genprm refine``: 0 where every refinement ends in a solution that was accepted or chosen, else 1."""
    plan_of(args)
    return _command(args, _solutions(args))


def _solutions(args: argparse.Namespace) -> list[Solution]:
    if args.source is not None:
        return chosen(args, args.source, args.problem)
    if not args.problem or not args.problem.strip():
        raise ConfigError("there is nothing to refine: name a source, or give --problem TEXT")
    return [Solution(Problem(args.problem), (), "problem")]


async def _command(args: argparse.Namespace, solutions: Sequence[Solution]) -> int:
    console, missed = stdout(), 0
    async with open_kit(args) as kit:
        kit.require([args.reviewer])
        config = {"reviewer": args.reviewer, "fresh": args.fresh, **config_of_kit(kit, solutions)}
        with Run(Path(args.run), config) if args.run else nullcontext() as run:
            async for found in _refined(kit, solutions, run):
                missed += found.outcome not in ("accepted", "samples")
                if args.json:
                    sys.stdout.write(records.to_json(found).decode() + "\n")
                    sys.stdout.flush()
                else:
                    print_refinement(found, console)
    return 1 if missed else 0


async def _refined(kit: Kit, solutions: Sequence[Solution], run: Run | None) -> AsyncIterator[Refinement]:
    """All of them in their order, many in flight; what the run holds is not done again."""
    done = {found.id: found for found in run.read(Refinement)} if run else {}
    done = {id: found for id, found in done.items() if not (kit.args.retry_failed and found.failed)}
    room = asyncio.Semaphore(AT_ONCE)

    async def one(solution: Solution) -> Refinement:
        name = _name(solution)
        if name in done:
            return done[name]
        async with room:
            first = solution if solution.steps and not kit.args.fresh else None
            found = await kit.refine(kit.args.reviewer, solution.problem, first, name)
            if run:
                run.append(found)
            return found

    async with aclosing(in_order(map(one, solutions))) as ended:
        async for found in ended:
            yield found


def _name(solution: Solution) -> str:
    return f"{solution.source}/{solution.id}" if solution.source and solution.source != solution.id else solution.id
