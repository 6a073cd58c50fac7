"""The nouns of refinement: frozen, plain data. ``genprm.refine`` makes them.

A :class:`Refinement` has :class:`Version` s of a solution, each with the :class:`Review` that it got. After each of
them one version is the best so far, the ``leader``: what a user would get if the work ended there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from genprm.errors import ConfigError
from genprm.types import Critique, Problem, Solution, Usage

Score = Literal["progress", "min", "mean", "product"]
"""How a critique becomes the score of a solution.

``progress`` is the share of the steps before the first error, the reward of that step counting as a part of one; 1 for
a solution that is accepted. The others are of the rewards of all steps. ``min`` cannot tell rejected solutions apart:
the step that was rejected has nearly nothing in each of them, and what is left is noise.
"""
Scope = Literal["whole", "error"]
"""What is written again: the whole solution, or what comes from the faulty step on."""
Base = Literal["best", "last"]
"""Which version is reviewed and revised next."""


@dataclass(frozen=True, slots=True)
class RefinePlan:
    """How a solution is refined."""

    turns: int = 3
    """At most so many revisions."""
    tokens: int | None = None
    """No turn is begun once policy and reviewer have written so many."""
    scope: Scope = "whole"
    base: Base = "best"
    score: Score = "progress"
    margin: float = 0.01
    """A later version leads only when it is accepted, or its score is better by more than this: two that go wrong at
    the same step differ by noise, and where the critic errs the earlier one is the more likely to be right."""
    tries: int = 2
    """Texts that are asked for until one can be read and is new."""
    drafts: int = 1
    """Revisions a turn, side by side; the best by the reviewer is the turn's version."""

    def require_sound(self) -> None:
        """Raises ConfigError."""
        if min(self.turns, self.tries, self.drafts) < 1:
            raise ConfigError("a refinement needs at least one turn, and one draft and one try a turn")
        if self.tokens is not None and self.tokens < 1:
            raise ConfigError("the budget of tokens is at least 1")
        if not 0 <= self.margin < 1:
            raise ConfigError(f"the margin lies between 0 and 1, not at {self.margin:g}")


@dataclass(frozen=True, slots=True)
class Review:
    """What a reviewer says of a solution."""

    accepted: bool | None
    """None: it gave no verdict."""
    first_error: int | None = None
    """0-based index of the first wrong step, ``NO_ERROR``; None where it names none."""
    feedback: str = ""
    """For the policy, in words; empty where it has nothing to say."""
    score: float | None = None
    """Of the whole solution, in [0, 1]; None where the reviewer gives none."""
    rewards: tuple[float | None, ...] = ()
    """One for each step that was judged."""
    error: str = ""
    """Why there is no verdict."""
    failed: bool = False
    """Its engine or program failed, which says nothing of the solution."""
    usage: Usage = Usage()
    critique: Critique | None = None


State = Literal["ok", "no_answer", "cut_off", "empty", "repeated", "too_long", "engine_error"]
"""What became of a draft.

- ``ok``: a solution with an answer in a box. ``no_answer``: one without. ``cut_off``: it ran into the limit of tokens.
- ``empty``: no text. ``repeated``: a solution that was there before, letter by letter.
- ``too_long``: the conversation does not fit the policy's window. ``engine_error``: its engine failed for good.

A draft leads only where it is ``ok``; the first version, which may be anybody's, needs no box.
"""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a policy wrote when it was asked for a solution."""

    steps: tuple[str, ...]
    state: State
    answer: str | None = None
    """What stands in its last box."""
    error: str = ""
    usage: Usage = Usage()


Change = Literal["kept", "changed", "new"]


@dataclass(frozen=True, slots=True)
class Version:
    """A solution on its way."""

    turn: int
    """0 for the first."""
    solution: Solution
    state: State
    leader: int | None
    """Which version is the best so far, this one included; None while there is none."""
    answer: str | None = None
    base: int | None = None
    """Which version it is a revision of; None where it was written afresh."""
    changes: tuple[Change, ...] = ()
    """What became of each step against the version that it revises."""
    tries: int = 1
    """Texts that were asked for until this one."""
    review: Review | None = None
    """None where it was not reviewed: it could not be read or never came to an end, or nobody reviews. Its usage is
    that of all reviews of the turn."""
    usage: Usage = Usage()
    """Of the policy, for all drafts and tries; 0 for a solution that was given."""
    error: str = ""

    @property
    def spent(self) -> Usage:
        """By policy and reviewer."""
        return self.usage + (self.review.usage if self.review else Usage())


Outcome = Literal[
    "accepted",
    "turns",
    "tokens",
    "unchanged",
    "unreadable",
    "no_verdict",
    "reviewer_failed",
    "policy_failed",
    "samples",
]
"""Why a refinement ended.

- ``accepted``: the reviewer found no error in the version that leads.
- ``turns``, ``tokens``: the budget is spent.
- ``unchanged``: the policy wrote nothing new. ``unreadable``: nothing that is a solution, in the first turn of all.
- ``no_verdict``: the reviewer neither accepted nor named an error, and had nothing to say.
- ``reviewer_failed``, ``policy_failed``: an engine failed for good.
- ``samples``: resampling, which has no other end.
"""
FAILED: tuple[Outcome, ...] = ("reviewer_failed", "policy_failed")


@dataclass(frozen=True, slots=True)
class Refinement:
    """All versions of a solution, which one was chosen, and why it ended there."""

    id: str
    problem: Problem
    policy: str
    reviewer: str
    plan: RefinePlan
    outcome: Outcome
    versions: tuple[Version, ...]
    seconds: float = 0.0

    @property
    def chosen(self) -> Version | None:
        return self.at(self.plan.turns)

    @property
    def usage(self) -> Usage:
        return sum((version.spent for version in self.versions), Usage())

    @property
    def failed(self) -> bool:
        """Whether an engine failed, which is nobody's fault: it may be tried again."""
        return self.outcome in FAILED

    @property
    def fresh(self) -> int:
        """Versions that were written afresh in place of one that never came to its end."""
        afresh = (version.turn > 0 and version.base is None for version in self.versions)
        return 0 if self.outcome == "samples" else sum(afresh)

    def at(self, turn: int) -> Version | None:
        """What one would have got after so many turns."""
        leaders = [version.leader for version in self.versions if version.turn <= turn]
        return None if not leaders or leaders[-1] is None else self.versions[leaders[-1]]

    def spent(self, turn: int) -> Usage:
        """By policy and reviewer, up to there."""
        return sum((version.spent for version in self.versions if version.turn <= turn), Usage())


_ROUND = 3


def endless(draft: Draft) -> bool:
    """Whether a solution never came to its end: it was cut off, or says its last step for the third time at least."""
    loops = bool(draft.steps) and draft.steps.count(draft.steps[-1]) >= _ROUND
    return draft.state == "cut_off" or (draft.state == "no_answer" and loops)


def changes(before: Sequence[str], after: Sequence[str]) -> tuple[Change, ...]:
    """What became of each step of ``after``: kept where ``before`` has it, changed where another stood there, new."""
    kept = set(before)
    return tuple("kept" if step in kept else "changed" if at < len(before) else "new" for at, step in enumerate(after))
