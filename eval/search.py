"""``genprm eval search``: what search by a verifier gets out of tokens, against best-of-N by the outcome.

Methods: best-of-N by the outcome (the baseline), by majority, and as far as anybody could get (any right one); beam
search by Q, and by Q + alpha * A for every prover and alpha. All are run on the same generated problems.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from genprm.answers import same_number
from genprm.commands import Work
from genprm.errors import ConfigError
from genprm.eval.drawing import pictures
from genprm.eval.search_report import ANY, BASELINE, MAJORITY, Q_ALONE, Trial, build_report, progress_by
from genprm.eval.search_show import render_report
from genprm.flight import together
from genprm.progress import progress
from genprm.runs import Run, config_of_program, default_folder, digest
from genprm.scorers import weights_of
from genprm.searching import paths
from genprm.searching.choosing import choose
from genprm.searching.command import opener_of
from genprm.searching.opening import Opener
from genprm.searching.paths import Account, Candidate, SearchResult
from genprm.searching.plan import SearchPlan
from genprm.searching.policy import StepPolicy
from genprm.searching.scores import StepScore
from genprm.searching.tree import Search
from genprm.seeds import seed_of
from genprm.show import stdout
from genprm.synth.world import Example, examples
from genprm.types import Problem

SIDE_BY_SIDE = 4
"""Problems at once; the calls of all share one limit."""


@dataclass(frozen=True, slots=True)
class Arm:
    """A way to search, at one size."""

    method: str
    size: int
    """N of best-of-N, the width of a beam."""
    plan: SearchPlan
    score: StepScore


def command(args: argparse.Namespace) -> Work:
    """``genprm eval search``."""
    for name in ("best_of", "beams"):
        if min(getattr(args, name)) < 1:
            raise ConfigError(f"--{name.replace('_', '-')} needs numbers above 0")
    if args.problems < 1 or min(args.alpha) <= 0:
        raise ConfigError("--problems and --alpha need numbers above 0; Q alone (alpha 0) is always there")
    plan = SearchPlan(expand=args.expand, max_steps=args.max_steps, step_tokens=args.step_tokens, seed=args.seed)
    plan = replace(plan, solution_tokens=args.solution_tokens, choice=args.choice, floor=args.floor)
    return _command(args, plan, list(examples(args.split, args.problems, difficulty=args.difficulty)))


async def _command(args: argparse.Namespace, plan: SearchPlan, problems: Sequence[Example]) -> int:
    config = _config(args, problems)
    async with AsyncExitStack() as stack:
        opener = opener_of(args, stack)
        policy = await opener.policy(args.policy)
        arms = await _arms(args, plan, opener)
        with Run(Path(args.run) if args.run else default_folder("search", config), config) as run:
            trials = await _trials(problems, policy, arms, opener, run)
            report = build_report(trials, {**config, "provers": args.prover, "alphas": list(map(str, args.alpha))})
            path = run.write_report(report)
            drawn = pictures(run.folder, lambda plots: plots.figures(report), "search_plots")
    console = stdout()
    console.print(render_report(report))
    console.print(f"{drawn}\nreport: {path}", style="dim", soft_wrap=True, markup=False)
    return 0


def _config(args: argparse.Namespace, problems: Sequence[Example]) -> dict[str, Any]:
    """What each trial depends on; which trials there are may grow from one start to the next."""
    names = ("policy", "scorer", "outcome", "split", "difficulty", "expand", "choice", "floor", "max_steps")
    sampling = ("step_tokens", "solution_tokens", "temperature", "top_p", "top_k", "seed")
    return {
        **{name: getattr(args, name) for name in (*names, *sampling)},
        "weights": [weights_of(spec or "") for spec in (args.scorer, args.outcome)],
        "data": digest(made.solution for made in problems),
        **config_of_program(),
    }


async def _arms(args: argparse.Namespace, plan: SearchPlan, opener: Opener) -> list[Arm]:
    outcome = await opener.score(args.outcome or args.scorer, None, 0.0, args.policy)
    by = replace(plan, algorithm="best-of-n", choice="outcome" if args.outcome else "last", floor=None)
    arms = [Arm(BASELINE, n, replace(by, expand=n), outcome) for n in sorted(set(args.best_of))]
    scores = {Q_ALONE: await opener.score(args.scorer, None, 0.0, args.policy)}
    for prover in args.prover:
        for alpha in args.alpha:
            scores[progress_by(prover, alpha)] = await opener.score(args.scorer, prover, alpha, args.policy)
    beams = sorted(set(args.beams))
    return arms + [Arm(name, b, replace(plan, beam=b), score) for name, score in scores.items() for b in beams]


async def _trials(
    problems: Sequence[Example], policy: StepPolicy, arms: Sequence[Arm], opener: Opener, run: Run
) -> list[Trial]:
    wanted = {(made.solution.id, arm.method, arm.size) for made in problems for arm in arms}
    done = {(trial.id, trial.method, trial.size): trial for trial in run.read(Trial)}
    n_done = len(wanted & done.keys())
    if n_done:
        print(f"going on in {run.folder}: {n_done} of {len(wanted)} searches are there", file=sys.stderr)
    room = asyncio.Semaphore(SIDE_BY_SIDE)
    with progress("searching", len(wanted), n_done) as tick:

        async def one(made: Example) -> None:
            problem = made.solution.problem
            async with room:
                for arm in arms:
                    if (made.solution.id, arm.method, arm.size) in done:
                        continue
                    result = await Search(problem, policy, arm.score, arm.plan).run()
                    for trial in to_trials(made, arm, result):
                        run.append(trial)
                        done[trial.id, trial.method, trial.size] = trial
                    tick()
                opener.forget(problem)

        await together(one(made) for made in problems)
    ids = {made.solution.id: made for made in problems}
    kept = {(arm.method, arm.size) for arm in arms} | {
        (method, arm.size) for method in (MAJORITY, ANY) for arm in arms if arm.method == BASELINE
    }
    return [trial for trial in done.values() if trial.id in ids and (trial.method, trial.size) in kept]


def to_trials(made: Example, arm: Arm, result: SearchResult) -> list[Trial]:
    """What a search came to. Of best-of-N, what a majority of the same solutions, and anybody at best, would have
    chosen too, which cost no scorer; the baseline comes last, for with it the search counts as done."""
    problem = result.problem
    about = (made.solution.id, made.difficulty)
    right = _right(problem, result.answer)
    own = Trial(*about, arm.method, arm.size, right, result.outcome, result.account, result.counts)
    if arm.method != BASELINE:
        return [own]
    bare = replace(own, account=Account(policy=result.account.policy), counts={})
    majority = choose(_by_lot(result.candidates), "majority")
    voted = bool(majority) and _right(problem, majority[0].answer)
    best = any(_right(problem, each.answer) for each in result.candidates)
    return [replace(bare, method=MAJORITY, right=voted), replace(bare, method=ANY, right=best), own]


def _by_lot(candidates: Sequence[Candidate]) -> list[paths.Path]:
    """Without their marks, nor in the order that the outcome put them in: no scorer breaks the ties of a majority."""
    bare = [paths.Path(steps=each.steps, weight=each.weight) for each in candidates]
    return sorted(bare, key=lambda path: seed_of(*path.steps))


def _right(problem: Problem, answer: str | None) -> bool:
    return same_number(answer, problem.answer)
