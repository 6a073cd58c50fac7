"""What a search holds while it runs, and what it leaves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from genprm.answers import boxed
from genprm.searching.plan import SearchPlan
from genprm.searching.policy import SEPARATOR
from genprm.searching.scores import Mark
from genprm.types import Problem, Seam, Solution, Usage


@dataclass(frozen=True, slots=True)
class Path:
    """A solution as far as it goes."""

    group: int = 0
    """The subtree that it belongs to."""
    steps: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()
    """One for each step, once they are judged."""
    text: str = ""
    """As the policy wrote it."""
    seam: Seam | None = None
    done: bool = False
    weight: int = 1
    """How often it was proposed."""

    @property
    def last(self) -> Mark:
        return self.marks[-1] if self.marks else Mark()

    @property
    def answer(self) -> str | None:
        return boxed(self.steps[-1]) if self.steps else None

    def solution(self, problem: Problem) -> Solution:
        return Solution(problem, self.steps)

    def grown(self, steps: Sequence[str], text: str, seam: Seam | None, done: bool) -> "Path":
        """This path and more steps; ``text`` is what the policy wrote."""
        return replace(self, steps=(*self.steps, *steps), text=self.text + text, seam=seam, done=done, weight=1)


def spelt(step: str) -> str:
    """A step by its words: what equal steps have in common."""
    return " ".join(step.split())


@dataclass(frozen=True, slots=True)
class Account:
    """What a search cost, apart by who was paid."""

    policy: Usage = Usage()
    scorer: Usage = Usage()
    prover: Usage = Usage()

    def __add__(self, other: "Account") -> "Account":
        return Account(self.policy + other.policy, self.scorer + other.scorer, self.prover + other.prover)

    @property
    def generated(self) -> int:
        """Tokens that were written, by all three."""
        return sum(each.completion_tokens for each in (self.policy, self.scorer, self.prover))

    @property
    def total(self) -> int:
        """Those, and the tokens that scorer and prover read anew: a head writes nothing, and a pass over a token costs
        as much as writing one."""
        read = sum(each.prompt_tokens - each.cached_tokens for each in (self.scorer, self.prover))
        return self.generated + read


@dataclass(frozen=True, slots=True)
class Candidate:
    """A solution that a search could choose."""

    steps: tuple[str, ...]
    marks: tuple[Mark, ...]
    answer: str | None
    finished: bool
    weight: int = 1
    """How often the policy wrote it."""


Outcome = Literal["finished", "unfinished", "nothing"]
"""``unfinished``: no path came to its end, this is the best of those that did not. ``nothing``: there is no step."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    problem: Problem
    outcome: Outcome
    steps: tuple[str, ...]
    marks: tuple[Mark, ...]
    """One for each step, as far as it was judged."""
    answer: str | None
    """What the last step has in its box."""
    candidates: tuple[Candidate, ...]
    """All that came to their end, the chosen one first."""
    account: Account
    counts: Mapping[str, int]
    """Proposals, and what became of them: see ``docs/search.md``."""
    rounds: int
    policy: str
    score: str
    plan: SearchPlan

    @property
    def text(self) -> str:
        return SEPARATOR.join(self.steps)
