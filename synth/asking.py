"""Which completions a plan wants next, by what is known so far. Pure: no arrival order, no clock, no chance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from genprm.synth.chain import Moves, posterior
from genprm.synth.plans import BATCH, Plan
from genprm.synth.types import Estimate

_FIRST = 8
"""Completions a prefix in the first round of an adaptive plan."""
_PILOT = 32
"""Completions of the bare problem from which ``paper`` takes its K."""
_NOTHING = 1e-9
"""A gain that is none."""

Wanted = Mapping[int, int]
"""Completions to ask for, by the number of steps that the prefix has."""


@dataclass(frozen=True, slots=True)
class View:
    """What is known of an attempt of n steps."""

    states: Sequence[Estimate | None]
    """Of the bare problem, and after each step; n + 1. The last is known, or None where its answer has no grade."""
    counted: Sequence[int]
    """Completions of each prefix, lost ones among them; n, as completions go on from unfinished prefixes only."""
    tokens: Sequence[float | None]
    """Mean length of completions from each prefix; n."""
    spent: int = 0
    """Completions that the attempt has asked for."""

    @property
    def n(self) -> int:
        return len(self.counted)


def wanted(plan: Plan, view: View, moves: Moves) -> Wanted:
    """Nothing: the plan is done."""
    if plan.kind == "adaptive":
        asked = _most_telling(plan, view, moves) if plan.binary else _next_round(plan, view, moves)
        return _within(asked, plan.budget, view)
    k = _k(plan, view)
    if plan.kind == "paper" and view.counted[0] < min(_PILOT, k):
        return {0: min(_PILOT, k) - view.counted[0]}
    if plan.binary:
        return _halving(view, k)
    lacking = {t: k - count for t, count in enumerate(view.counted) if count < k}
    # What passes through a deeper prefix is waited for: it need not be asked for there.
    return dict([min(lacking.items())]) if plan.share and lacking else lacking


def settled_zero(plan: Plan, view: View) -> int | None:
    """The first state whose value a plan takes for 0, so that all later ones are 0 too; None: it finds none."""
    if plan.kind == "adaptive" or (plan.kind == "fixed" and not plan.binary):
        return None
    k = _k(plan, view)
    zeros = (t for t in range(view.n) if view.counted[t] >= k and (state := view.states[t]) and not state.right)
    return next(zeros, None)


def _k(plan: Plan, view: View) -> int:
    """Completions a prefix, as far as the budget allows for all of them alike."""
    most = plan.k if plan.budget is None else max(min(plan.k, plan.budget // view.n), 1)
    if plan.kind == "fixed":
        return most
    pass_1 = view.states[0]
    if pass_1 is None or view.counted[0] < min(_PILOT, most):
        return most
    pilot = pass_1.value
    return min(128 if pilot < 0.1 else 64 if pilot < 0.9 else 32, most)


def _halving(view: View, k: int) -> Wanted:
    """The first state of value 0 lies between the last with a right completion and the first without."""
    alive = max((t for t in range(view.n) if (state := view.states[t]) and state.right), default=-1)
    zeros = [t for t in range(alive + 1, view.n) if view.counted[t] >= k]
    if alive < 0 and not zeros:
        return {0: k - view.counted[0]}  # the bare problem comes first: where it has no value, nothing has
    last = view.states[-1]
    if (last is not None and last.value > 0) or (alive < 0 and zeros[0] == 0):
        return {}
    end = min(zeros, default=view.n)
    middle = (alive + end) // 2
    return {middle: k - view.counted[middle]} if alive < middle < end else {}


def _next_round(plan: Plan, view: View, moves: Moves) -> dict[int, int]:
    """Twice as many completions at both ends of every step that is not settled."""
    right = posterior(view.states, plan.scheme, moves).right
    ends = {t for s in _unsettled(right, plan.confidence) for t in (s, s + 1) if t < view.n}
    ends |= {t for t, count in enumerate(view.counted) if count < _FIRST}  # a prior alone settles nothing
    goals = {t: min(max(_FIRST, 2 * view.counted[t]), plan.k) for t in sorted(ends)}
    return {t: goal - view.counted[t] for t, goal in goals.items() if goal > view.counted[t]}


def _most_telling(plan: Plan, view: View, moves: Moves) -> dict[int, int]:
    """A few completions where a token is expected to tell most about the steps that matter and are not settled."""
    # A prior alone settles nothing: every attempt is looked at, from its beginning and from its middle.
    if unseen := [t for t in (0, view.n // 2) if view.counted[t] < min(BATCH, plan.k)]:
        return {t: min(BATCH, plan.k) - view.counted[t] for t in unseen}
    found = posterior(view.states, plan.scheme, moves, BATCH)
    matter = _unsettled(_up_to_error(found.right, plan.confidence), plan.confidence)
    told = found.gain[: view.n, matter].sum(1) if matter else np.zeros(view.n)
    open_ = [t for t in range(view.n) if view.counted[t] < plan.k and told[t] > _NOTHING]
    if not open_:
        return {}
    costs = _costs(view)
    best = max(open_, key=lambda t: (told[t] / costs[t], t))
    return {best: min(BATCH, plan.k - view.counted[best])}


def _unsettled(right: Sequence[float] | np.ndarray, confidence: float) -> list[int]:
    return [s for s, p in enumerate(right) if max(p, 1 - p) < confidence]


def _up_to_error(right: np.ndarray, confidence: float) -> np.ndarray:
    """The steps up to the first that is surely wrong: what comes after it changes no first error."""
    wrong = np.flatnonzero(right <= 1 - confidence)
    return right[: wrong[0] + 1] if len(wrong) else right


def _costs(view: View) -> list[float]:
    """Tokens of a completion from each prefix: as seen there, else by the steps that are left."""
    seen = [tokens / (view.n - t) for t, tokens in enumerate(view.tokens) if tokens]
    a_step = sum(seen) / len(seen) if seen else 1.0
    return [max(tokens or a_step * (view.n - t), 1e-6) for t, tokens in enumerate(view.tokens)]


def _within(asked: dict[int, int], budget: int | None, view: View) -> Wanted:
    left = float("inf") if budget is None else budget - view.spent
    granted = {}
    for t, count in asked.items():
        if (count := int(min(count, left))) > 0:
            granted[t] = count
            left -= count
    return granted
