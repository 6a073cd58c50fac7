"""critique -> revision -> critique, and resampling, which it is measured against.

What counts as better is the reviewer's score; a reviewer that gives none (self-refine) is taken at its word, so that
the last version that can be read leads. Nothing here raises but ``EngineLost``: what goes wrong is a version's state or
the outcome.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from genprm.answers import boxed, same_number
from genprm.flight import together
from genprm.policy import Policy
from genprm.protocols.policy import JOINT
from genprm.refining import Draft, Outcome, Refinement, RefinePlan, Review, Version, changes, endless
from genprm.reviewers import Reviewer
from genprm.types import Problem, Solution, Usage

_UNUSABLE = ("empty", "too_long", "engine_error")
"""States of a first draft that leave nothing to refine."""


First = Solution | Draft | None
"""What is there at the start: somebody's solution, one that a policy was asked for before, or nothing yet."""


async def refine(
    problem: Problem,
    first: First,
    policy: Policy,
    reviewer: Reviewer,
    plan: RefinePlan,
    id: str = "",
    on_version: Callable[[Version], None] | None = None,
) -> Refinement:
    """Refine ``first``, or what the policy writes where there is none; ``on_version`` is told of each version as its
    turn ends.

    Raises:
        ConfigError: a plan that makes no sense.
        EngineLost: an engine has gone, and there is no use in going on.
    """
    plan.require_sound()
    began = time.perf_counter()
    work = _Work(policy, reviewer, plan, problem, id, on_version)
    outcome = await work.run(first)
    versions = tuple(work.versions)
    return Refinement(id, problem, policy.name, reviewer.name, plan, outcome, versions, time.perf_counter() - began)


class _Drafted(NamedTuple):
    """What a turn came to."""

    draft: Draft
    tries: int
    review: Review | None


def _merit(one: _Drafted) -> tuple[bool, bool, float]:
    review = one.review
    if review is None or review.failed:
        return one.draft.state == "ok", False, -1.0
    return True, review.accepted is True, -1.0 if review.score is None else review.score


@dataclass(slots=True)
class _Work:
    """One refinement under way."""

    policy: Policy
    reviewer: Reviewer
    plan: RefinePlan
    problem: Problem
    id: str
    on_version: Callable[[Version], None] | None = None
    versions: list[Version] = field(default_factory=list)

    async def run(self, first: First) -> Outcome:
        draft = await _first(first, self.policy, self.problem, self.id)
        if draft.state in _UNUSABLE:
            self._add(0, draft, None, 1, None)
            return "policy_failed" if draft.state == "engine_error" else "unreadable"
        self._add(0, draft, None, 1, None if endless(draft) else await self._reviewed(draft, 0))
        for turn in range(1, self.plan.turns + 1):
            if ended := self._ended() or await self._turn(turn):
                return ended
        return self._ended() or "turns"

    def _ended(self) -> Outcome | None:
        """Why there is no use in another turn, if there is none."""
        said = self._base.review
        if said is not None and said.failed:
            return "reviewer_failed"
        if said is not None and said.accepted:
            return "accepted"
        if said is not None and not said.feedback:
            return "no_verdict"
        spent = sum((version.spent for version in self.versions), Usage()).completion_tokens
        return "tokens" if self.plan.tokens is not None and spent >= self.plan.tokens else None

    async def _turn(self, turn: int) -> Outcome | None:
        base = self._base
        draft, tries, review = await self._best_of(turn, base)
        self._add(turn, draft, self.versions.index(base) if base.review else None, tries, review)
        if draft.state == "engine_error":
            return "policy_failed"
        if review is not None and review.failed:
            return "reviewer_failed"
        return "unchanged" if draft.state == "repeated" else None

    async def _best_of(self, turn: int, base: Version) -> _Drafted:
        """The draft that the reviewer likes best, the first of equals; with what all of the turn have cost."""
        written = await together(self._drafted(turn, number, base) for number in range(1, self.plan.drafts + 1))
        steps = [draft.steps for draft, _ in written]
        new = [each for at, each in enumerate(written) if each[0].steps not in steps[:at]]
        reviews = await together(self._reviewed_if_ok(draft, turn) for draft, _ in new)
        drafted = [_Drafted(draft, tries, review) for (draft, tries), review in zip(new, reviews, strict=True)]
        best = max(drafted, key=_merit)
        spent = sum((draft.usage for draft, _ in written), Usage())
        reviewing = sum((review.usage for review in reviews if review), Usage())
        review = best.review and replace(best.review, usage=reviewing)
        return _Drafted(replace(best.draft, usage=spent), best.tries, review)

    async def _drafted(self, turn: int, number: int, base: Version) -> tuple[Draft, int]:
        """The first text that can be read and is new, or the last; and how many there were."""
        usage = Usage()
        for attempt in range(1, self.plan.tries + 1):
            draft = await self._written(turn, number, attempt, base)
            usage += draft.usage
            if draft.steps and any(draft.steps == version.solution.steps for version in self.versions):
                draft = replace(draft, state="repeated")
            if draft.state in ("ok", "engine_error", "too_long"):
                break
        return replace(draft, usage=usage), attempt

    async def _written(self, turn: int, number: int, attempt: int, base: Version) -> Draft:
        """A revision of ``base``; of what never came to its end nobody has said anything, it is written afresh."""
        if base.review is None:
            at = ((turn - 1) * self.plan.drafts + number - 1) * self.plan.tries + attempt
            return await self.policy.solve(self.problem, self.id, at)
        keep = max(base.review.first_error or 0, 0) if self.plan.scope == "error" else 0
        name = f"{turn} {attempt}" if number == 1 else f"{turn} {attempt} {number}"
        return await self.policy.revise(base.solution, base.review.feedback, keep, name)

    async def _reviewed_if_ok(self, draft: Draft, turn: int) -> Review | None:
        return await self._reviewed(draft, turn) if draft.state == "ok" else None

    async def _reviewed(self, draft: Draft, turn: int) -> Review:
        return await self.reviewer.review(self._solution(draft), turn)

    @property
    def _base(self) -> Version:
        """What is revised next."""
        reviewed = [version for version in self.versions if version.review is not None]
        leader = self.versions[-1].leader
        if self.plan.base == "last" or leader is None:
            return (reviewed or self.versions)[-1]
        return self.versions[leader]

    def _add(self, turn: int, draft: Draft, base: int | None, tries: int, review: Review | None) -> None:
        solution = self._solution(draft)
        changed = changes(self.versions[base].solution.steps, draft.steps) if base is not None else ()
        version = Version(
            turn, solution, draft.state, None, draft.answer, base, changed, tries, review, draft.usage, draft.error
        )
        self.versions.append(replace(version, leader=self._leader(version)))
        if self.on_version:
            self.on_version(self.versions[-1])

    def _leader(self, version: Version) -> int | None:
        """Which is the best, now that ``version`` has come."""
        at = len(self.versions)
        if not self.versions:
            return at if version.state not in _UNUSABLE else None
        leader = self.versions[-1].leader
        if version.state != "ok" or version.review is None or version.review.failed:
            return leader
        if leader is None:
            return at
        before = self.versions[leader].review
        return at if _better(version.review, before, self.plan.margin) else leader

    def _solution(self, draft: Draft) -> Solution:
        return Solution(self.problem, draft.steps, self.id, generator=self.policy.name)


def _better(review: Review, before: Review | None, margin: float) -> bool:
    """Whether a later version takes the lead. One that is accepted does, and so does any over one without a score:
    nobody can compare them."""
    if review.accepted or before is None or before.score is None:
        return True
    return review.score is not None and review.score > before.score + margin


async def _first(first: First, policy: Policy, problem: Problem, id: str, sample: int = 0) -> Draft:
    if isinstance(first, Draft):
        return first
    return await policy.solve(problem, id, sample) if first is None else given(first)


def given(solution: Solution) -> Draft:
    """A solution that is there already."""
    if not "".join(solution.steps).strip():
        return Draft((), "empty")
    answer = boxed(JOINT.join(solution.steps))
    return Draft(solution.steps, "ok" if answer else "no_answer", answer)


# --- resampling ----------------------------------------------------------------------------------------------------


async def resample(
    problem: Problem,
    first: First,
    policy: Policy,
    plan: RefinePlan,
    id: str = "",
    budgets: Sequence[int] = (),
) -> Refinement:
    """Fresh solutions instead of revisions, and a majority among their answers: what the same tokens buy without a
    reviewer.

    ``budgets``: for each turn, of the tokens that may be written up to its end; without them ``plan.tokens``, and
    without that one sample a turn. The leader is the first with the most frequent answer; of equally frequent answers
    the one that came first counts.
    """
    plan.require_sound()
    began = time.perf_counter()
    budgets = budgets or ((plan.tokens,) * plan.turns if plan.tokens else ())
    versions: list[Version] = []
    outcome: Outcome = "samples"
    for turn in range(plan.turns + 1):
        while outcome == "samples" and _affordable(versions, turn, budgets):
            draft = await _first(None if versions else first, policy, problem, id, len(versions))
            solution = Solution(problem, draft.steps, id, generator=policy.name)
            version = Version(turn, solution, draft.state, None, draft.answer, usage=draft.usage, error=draft.error)
            versions.append(version)
            versions[-1] = replace(version, leader=majority(versions))
            outcome = "policy_failed" if draft.state == "engine_error" else outcome
    return Refinement(id, problem, policy.name, "resample", plan, outcome, tuple(versions), time.perf_counter() - began)


def _affordable(versions: Sequence[Version], turn: int, budgets: Sequence[int]) -> bool:
    """Whether another sample is drawn in this turn. The first solution is turn 0, and free where it was given."""
    if not versions or turn == 0 or not budgets:
        return len(versions) <= turn if versions else True
    if len(versions) >= MOST_SAMPLES:
        return False
    return sum(version.usage.completion_tokens for version in versions) < budgets[turn - 1]


MOST_SAMPLES = 1000
"""A policy that writes nothing would never use up its tokens."""


def majority(versions: Sequence[Version]) -> int | None:
    """The first version with the most frequent answer, as number or as text; without any the first that has a text."""
    firsts: list[int] = []
    votes: Counter[int] = Counter()
    for at, version in enumerate(versions):
        if version.answer:
            alike = next((f for f in firsts if _same(versions[f].answer, version.answer)), None)
            if alike is None:
                firsts.append(alike := at)
            votes[alike] += 1
    if votes:
        return max(firsts, key=lambda f: (votes[f], -f))
    return next((at for at, version in enumerate(versions) if version.solution.steps), None)


def _same(one: str | None, other: str) -> bool:
    return one == other or same_number(one, other)
