"""``genprm eval provers``: how well provers tell the steps of a policy apart, and whether they agree with it.

States are prefixes of solutions that the policy writes to generated problems; at each it proposes steps, and every
engine completes each of them. The measures are those of :mod:`genprm.provers`.
"""

import argparse
import asyncio
import random
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from genprm.commands import Work
from genprm.errors import ConfigError
from genprm.eval.drawing import pictures
from genprm.eval.report import made, table
from genprm.flight import together
from genprm.progress import progress
from genprm.provers import Figure, Values, alignment, best_of_counts, distinguishability, mean
from genprm.runs import Run, config_of_program, default_folder, digest
from genprm.searching.command import opener_of
from genprm.searching.completions import completed, right_number
from genprm.searching.opening import whole
from genprm.searching.policy import SEPARATOR, StepPolicy, cut
from genprm.seeds import seed_of
from genprm.show import stdout
from genprm.synth.world import Example, examples
from genprm.types import Solution, Usage

SIDE_BY_SIDE = 8
STEP_TOKENS = 256
Half = tuple[int, int]
"""Right completions and all that are evidence, of one half."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """A step that the policy proposed at a state, with what became of it."""

    step: str
    weight: int
    counts: Mapping[str, tuple[Half, Half]]
    """By engine."""


@dataclass(frozen=True, slots=True)
class State:
    """A line of ``results.jsonl``."""

    id: str
    number: int
    """Of the state of its problem."""
    steps: tuple[str, ...]
    proposals: tuple[Proposed, ...]
    lost: int
    """Proposals that are no step: cut off, empty, failed."""
    usage: Usage


@dataclass(frozen=True, slots=True)
class Measured:
    """One prover."""

    prover: str
    value: Figure
    """Mean value of the steps."""
    distinguishability: Figure
    alignment: Figure


@dataclass(frozen=True, slots=True)
class ProverReport:
    """The content of ``report.json``."""

    provers: tuple[Measured, ...]
    states: int
    lost: int
    usage: Usage
    settings: Mapping[str, Any]


def command(args: argparse.Namespace) -> Work:
    """``genprm eval provers``."""
    for name in ("problems", "states", "steps"):
        if getattr(args, name) < 1:
            raise ConfigError(f"--{name} needs a number above 0")
    if args.k < 2 or args.k % 2:
        raise ConfigError("-k needs an even number: values are compared by halves of the completions")
    for spec in args.prover:
        prover_of(spec, args.policy)
    return _command(args, list(examples(args.split, args.problems, difficulty=args.difficulty)))


def prover_of(spec: str, policy: str) -> tuple[str, int]:
    """The engine that completes, and of how many completions the best counts: ``bo:4`` is the best of four of the
    policy, ``bo:4:ENGINE`` of another engine, anything else an engine."""
    kind, _, rest = spec.partition(":")
    if kind != "bo":
        return spec, 1
    number, _, engine = rest.partition(":")
    return engine or policy, whole(number, f"prover {spec!r}")


async def _command(args: argparse.Namespace, problems: Sequence[Example]) -> int:
    engines = list(dict.fromkeys([args.policy, *(prover_of(spec, args.policy)[0] for spec in args.prover)]))
    names = ("policy", "split", "difficulty", "states", "steps", "k", "temperature", "top_p", "top_k", "seed")
    config = {
        **{name: getattr(args, name) for name in (*names, "solution_tokens")},
        "engines": engines,
        "data": digest(made.solution for made in problems),
        **config_of_program(),
    }
    async with AsyncExitStack() as stack:
        opener = opener_of(args, stack)
        policies = {spec: await opener.policy(spec) for spec in engines}
        with Run(Path(args.run) if args.run else default_folder("provers", config), config) as run:
            states = await _states(args, problems, policies, run)
            report = to_report(states, args.prover, args.policy, config)
            path = run.write_report(report)
            drawn = pictures(run.folder, lambda plots: {"provers": plots.provers(report)}, "search_plots")
    console = stdout()
    console.print(_table(report), *made(report.settings), sep="\n")
    console.print(f"{drawn}\nreport: {path}", style="dim", soft_wrap=True, markup=False)
    return 0


async def _states(
    args: argparse.Namespace, problems: Sequence[Example], policies: Mapping[str, StepPolicy], run: Run
) -> list[State]:
    done = {(state.id, state.number): state for state in run.read(State)}
    names = [(made, number) for made in problems for number in range(args.states)]
    waiting = [(made, number) for made, number in names if (made.solution.id, number) not in done]
    if done:
        print(f"going on in {run.folder}: {len(done)} of {len(names)} states are there", file=sys.stderr)
    room = asyncio.Semaphore(SIDE_BY_SIDE)
    with progress("states", len(names), len(done)) as tick:

        async def one(made: Example, number: int) -> State:
            async with room:
                state = await _state(args, made, number, policies)
            run.append(state)
            tick()
            return state

        found = await together(one(made, number) for made, number in waiting)
    done.update({(state.id, state.number): state for state in found})
    return [done[made.solution.id, number] for made, number in names]


async def _state(args: argparse.Namespace, made: Example, number: int, policies: Mapping[str, StepPolicy]) -> State:
    """One state: a solution of the policy up to a place by chance, and what goes on from there."""
    problem, policy = made.solution.problem, policies[args.policy]
    seed = seed_of("state", args.seed, problem.text, number)
    said = await policy.propose(problem, "", None, seed=seed, max_tokens=args.solution_tokens, whole=True)
    steps = cut(said.text) if said.end in ("end", "cut_off") else ()
    steps = steps[: random.Random(seed).randrange(max(len(steps), 1))]
    text = "".join(f"{step}{SEPARATOR}" for step in steps)
    written = await together(
        policy.propose(problem, text, None, seed=seed_of(seed, i), max_tokens=STEP_TOKENS) for i in range(args.steps)
    )
    weights: dict[str, int] = {}
    for each in written:
        if each.end in ("step", "end") and (step := each.text.strip()):
            weights[step] = weights.get(step, 0) + 1
    usage = sum((each.usage for each in written), said.usage)
    counts = await together(_counted(args, Solution(problem, (*steps, step)), policies) for step in weights)
    proposals = tuple(Proposed(step, weights[step], each) for step, (each, _) in zip(weights, counts, strict=True))
    spent = sum((each for _, each in counts), usage)
    return State(made.solution.id, number, steps, proposals, args.steps - sum(weights.values()), spent)


async def _counted(
    args: argparse.Namespace, solution: Solution, policies: Mapping[str, StepPolicy]
) -> tuple[dict[str, tuple[Half, Half]], Usage]:
    """Right completions of a path, by engine and half."""
    found, spent = {}, Usage()
    for spec, policy in policies.items():
        grades, usage = await completed(
            policy, right_number, solution, args.k, max_tokens=args.solution_tokens, seed=args.seed
        )
        found[spec] = (_half(grades[: args.k // 2]), _half(grades[args.k // 2 :]))
        spent += usage
    return found, spent


def _half(grades: Sequence[bool | None]) -> Half:
    evidence = [grade for grade in grades if grade is not None]
    return sum(evidence), len(evidence)


# --- the report ----------------------------------------------------------------------------------------------------


def to_report(
    states: Sequence[State], provers: Sequence[str], policy: str, settings: Mapping[str, Any]
) -> ProverReport:
    """The measures of all provers on the same states, those of the policy itself first."""
    own = values(states, policy, 1)
    problems = [state.id for state in states]
    measured = []
    for spec in dict.fromkeys([policy, *provers]):
        theirs = values(states, *prover_of(spec, policy))
        held = ~np.isnan(theirs)
        n = held.sum(axis=(1, 2))
        means = np.where(n > 0, theirs.sum(axis=(1, 2), where=held) / np.maximum(n, 1), np.nan)
        told = (means, distinguishability(theirs), alignment(theirs, own))
        measured.append(Measured(spec, *(mean(each, problems) for each in told)))
    lost = sum(state.lost for state in states)
    usage = sum((state.usage for state in states), Usage())
    return ProverReport(tuple(measured), len(states), lost, usage, dict(settings))


def values(states: Sequence[State], engine: str, k: int) -> Values:
    """Best-of-k values of all proposals under an engine, of shape (states, steps, 2); a step that was proposed twice
    stands there twice."""
    rows = [[each for each in state.proposals for _ in range(each.weight)] for state in states]
    found = np.full((len(rows), max(map(len, rows), default=0), 2), np.nan)
    for i, row in enumerate(rows):
        for j, proposed in enumerate(row):
            halves = [best_of_counts(right, n, k) for right, n in proposed.counts[engine]]
            found[i, j] = [np.nan if value is None else value for value in halves]
    return found


def _table(report: ProverReport) -> Table:
    shown = table("prover", "mean value", "distinguishability", "alignment")
    for each in report.provers:
        shown.add_row(each.prover, *map(_figure, (each.value, each.distinguishability, each.alignment)))
    return shown


def _figure(figure: Figure) -> str:
    if figure.value is None:
        return "n/a"
    return f"{figure.value:.4f} {figure.low:.4f}–{figure.high:.4f}"
