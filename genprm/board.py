"""The rationales of one solution: steps by samples, each sampled when it is first asked for.

What a rationale sees of the steps before it is the method's ``context``:

``chain``  its own sample's earlier rationales (arXiv 2504.00891, eq. 7)
``first``  those of sample 0, for all samples, as in the published code: one prefix for all votes of a step
``none``   nothing: every step is judged for itself, all of them at once

With ``chain`` and the stopping rule ``exact``, a sample that is asked about step t first writes what it lacks of the
steps before: so its rationales are those that it would have written without stopping, and the verdicts stay the same.
With ``predictive``, which promises less, it goes on from the past of a sample that has one. That saves a third of the
rationales; the price is that a few of them share a past, and that which do depends on what was in flight.
"""

import asyncio
from dataclasses import dataclass, replace

from genprm import voting
from genprm.checks import CheckTree, Place, State
from genprm.flight import cancelled
from genprm.sampler import Sampler
from genprm.sandbox import Sandbox
from genprm.stopping import Rule
from genprm.types import Method, Outcome, Rationale, Solution, StepCritique


@dataclass(frozen=True, slots=True)
class _Past:
    """Where a rationale goes on from."""

    place: Place
    state: State
    """Where ``place`` stood then: it moves on with the rationale that takes it over."""
    earlier: tuple[str, ...] = ()
    failure: tuple[Outcome, str] | None = None
    """Why there is no going on."""


@dataclass(frozen=True, slots=True)
class _Cell:
    rationale: Rationale
    after: _Past


class Board:
    """Close it when the critique is done: what is still being sampled is cancelled."""

    def __init__(self, solution: Solution, method: Method, sampler: Sampler, rule: Rule, sandbox: Sandbox) -> None:
        self._solution = solution
        self._method = method
        self._sampler = sampler
        self._rule = rule
        self._tree = CheckTree(sandbox)
        self._cells: dict[tuple[int, int], asyncio.Task[_Cell]] = {}

    async def judge(self, step: int) -> StepCritique:
        """Sample rationales of ``step`` until its verdict is settled."""
        rationales: list[Rationale] = []
        values: list[float] = []
        while more := self._rule.more(values, len(rationales) - len(values)):
            asked = range(len(rationales), len(rationales) + more)
            rationales += [cell.rationale for cell in await asyncio.gather(*(self._cell(step, s) for s in asked))]
            values = [value for r in rationales if (value := voting.vote_value(r, self._method.vote)) is not None]
        self._rule.learn(values)
        if self._method.context == "first" and step > 0:
            (await self._cell(step - 1, 0)).after.place.leave()
        return self._judged(step, rationales)

    def judged(self, step: int) -> StepCritique:
        """The step by all of its rationales, also those that came in after it was settled."""
        cells = [self._cells[key] for key in sorted(self._cells) if key[0] == step]
        return self._judged(step, [cell.result().rationale for cell in cells if cell.done()])

    async def close(self) -> None:
        try:
            await cancelled(self._cells.values())
        finally:
            await self._tree.close()

    def _judged(self, step: int, rationales: list[Rationale]) -> StepCritique:
        return voting.judge_step(step, rationales, self._method.vote, self._method.threshold)

    def _cell(self, step: int, sample: int) -> "asyncio.Task[_Cell]":
        if (step, sample) not in self._cells:
            self._cells[step, sample] = asyncio.create_task(self._sampled(step, sample))
        return self._cells[step, sample]

    async def _sampled(self, step: int, sample: int) -> _Cell:
        past = await self._past(step, sample)
        if past.failure:
            outcome, error = past.failure
            return _Cell(Rationale(sample, outcome, error=f"not asked: {error}"), past)
        rationale, kept = await self._sampler.sample(self._solution, step, sample, past.earlier, past.place)
        if self._method.context != "none":
            rationale = replace(rationale, left_out=step - len(kept))
        if self._method.context == "none" or (self._method.context == "first" and sample > 0):
            past.place.leave()
        failure = None
        if rationale.outcome in ("engine_error", "too_long"):
            failure = rationale.outcome, f"{rationale.error} (step {step + 1})"
        return _Cell(rationale, _Past(past.place, past.place.state, (*kept, rationale.text), failure))

    async def _past(self, step: int, sample: int) -> _Past:
        if step == 0 or self._method.context == "none":
            place = self._tree.start()
            return _Past(place, place.state)
        own = self._method.context == "chain"
        if own and (self._method.stopping != "predictive" or (step - 1, sample) in self._cells):
            return (await self._cell(step - 1, sample)).after
        other = (await self._cell(step - 1, sample % self._n_asked(step - 1) if own else 0)).after
        return replace(other, place=self._tree.at(other.state))

    def _n_asked(self, step: int) -> int:
        """Samples that were asked about a step: the first ones; at least one."""
        return max(1, sum(asked == step for asked, _ in self._cells))
