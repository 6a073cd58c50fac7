"""Monte-Carlo values of prefixes: completions from them, counted.

Plans (``genprm.synth.plans``) say how many, and from where. All that a round asks for is in flight at once; what the
next round asks for hangs on the completions by their numbers, never on which of them came first, so that a replay from
a ledger gives the same values.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from genprm.flight import cancelled
from genprm.synth.asking import View, settled_zero, wanted
from genprm.synth.beta import known
from genprm.synth.chain import Moves
from genprm.synth.plans import Plan
from genprm.synth.tree import Completed, Prefix, PrefixTree
from genprm.synth.types import NO_EVIDENCE, Attempt, Estimate, Valued
from genprm.types import Problem, Usage


class Completer(Protocol):
    """Goes on from a prefix to an answer, and compares that."""

    async def complete(self, problem: Problem, steps: Sequence[str], k: int) -> Completed:
        """Completion number ``k``, from 0: always the same one, however often and in whatever order it is asked for."""
        ...


@dataclass(slots=True)
class _Work:
    """An attempt, the tree that its completions go to, and what it has asked for."""

    attempt: Attempt
    tree: PrefixTree
    usage: Usage = Usage()
    grades: Counter[str] = field(default_factory=Counter)

    @property
    def steps(self) -> Prefix:
        return self.attempt.solution.steps

    def view(self) -> View:
        prefixes = [self.steps[:t] for t in range(len(self.steps))]
        tree = self.tree
        return View(
            (*(tree.estimate(prefix) for prefix in prefixes), last_value(self.attempt)),
            [tree.counted(prefix) for prefix in prefixes],
            [tree.tokens(prefix) for prefix in prefixes],
            self.grades.total(),
        )


async def estimate(
    attempt: Attempt, completer: Completer, plan: Plan, *, policy: str = "", moves: Moves | None = None
) -> Valued:
    """The values of one attempt. ``policy`` names who completes; ``moves`` is the prior of adaptive plans.

    Raises what ``completer`` raises, after the completions beside it have been cancelled.
    """
    (valued,) = await estimate_problem([attempt], completer, plan, policy=policy, moves=moves)
    return valued


async def estimate_problem(
    attempts: Sequence[Attempt], completer: Completer, plan: Plan, *, policy: str = "", moves: Moves | None = None
) -> list[Valued]:
    """The values of all attempts at one problem, which share their completions where the plan says so.

    A completion is charged to the attempt that asked for it, the earlier one of two that did so at once.
    """
    reuse = plan.binary or plan.share
    shared = PrefixTree(reuse)
    works = [_Work(attempt, shared if plan.share else PrefixTree(reuse)) for attempt in attempts]
    moves = moves or Moves()
    active = [work for work in works if work.steps]
    while active:
        asked = [(work, wanted(plan, work.view(), moves)) for work in active]
        await _ask(asked, completer)
        active = [work for work, wants in asked if wants]
    return [_valued(work, plan, f"{policy} {plan.name}".strip()) for work in works]


async def _ask(asked: Sequence[tuple[_Work, Mapping[int, int]]], completer: Completer) -> None:
    """Every completion of a round, at once; counted in the order in which they were asked for."""
    calls: dict[tuple[int, Prefix, int], _Work] = {}
    for work, wants in asked:
        for t, count in wants.items():
            prefix = work.steps[:t]
            begun = work.tree.own(prefix)
            for k in range(begun, begun + count):
                calls.setdefault((id(work.tree), prefix, k), work)
    tasks = [
        asyncio.ensure_future(completer.complete(work.attempt.solution.problem, prefix, k))
        for (_, prefix, k), work in calls.items()
    ]
    try:
        for ((_, prefix, _), work), completed in zip(calls.items(), await asyncio.gather(*tasks), strict=True):
            work.tree.add(prefix, completed)
            work.usage += completed.usage
            work.grades[completed.grade] += 1
    finally:
        await cancelled(tasks)


def _valued(work: _Work, plan: Plan, policy: str) -> Valued:
    view = work.view()
    states = [*view.states]
    if work.steps and (zero := settled_zero(plan, view)) is not None:
        states[zero + 1 :] = [known(0)] * (len(states) - zero - 1)
    start, *values = states
    return Valued(work.attempt, start, tuple(values), policy, dict(sorted(work.grades.items())), work.usage)


def last_value(attempt: Attempt) -> Estimate | None:
    """Of the last step, which needs no completion: its answer was compared. None where that gave no evidence."""
    return None if attempt.grade in NO_EVIDENCE else known(int(attempt.right))
