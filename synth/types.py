"""The nouns of synthesis, as they go from stage to stage. Frozen, plain data; ``genprm.records`` writes and reads them.

    Attempt      a solution that a policy wrote, and whether its answer is right
    Valued       … with Monte-Carlo values of its prefixes
    Labelled     … with a label for each step, by one scheme
    Taught       … with a teacher's rationale and verdict for each step
    Kept         … and whether the consensus of labels and teacher keeps it

Steps are counted from 0. ``values[t]`` belongs to the state after step ``t``, so that it is Q(s_t, a_t) = V(s_{t+1}) in
the notation of Rewarding Progress (arXiv 2410.08146); ``start`` is V(s_0), that of the bare problem.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from genprm.types import NO_ERROR, Rationale, Solution, Usage

Grade = Literal["right", "wrong", "no_answer", "unparsed", "timeout", "cut_off", "failed"]
"""What comparing a final answer with the reference came to.

- ``right``, ``wrong``: the two are the same, or not.
- ``no_answer``: the text ends without one. ``cut_off``: it ran into the limit of tokens before it had one.
- ``unparsed``: one of the two cannot be read as mathematics, and they differ as text.
- ``timeout``: the comparison took too long and was killed.
- ``failed``: the engine failed for good, so there is no text.

Only ``right`` counts as right. ``timeout`` and ``failed`` are no evidence and are left out of every share; the others
are wrong answers, counted apart.
"""
NO_EVIDENCE: tuple[Grade, ...] = ("timeout", "failed")


@dataclass(frozen=True, slots=True)
class Attempt:
    """A solution that was sampled or imported."""

    solution: Solution
    """``id`` is ``PROBLEM/NUMBER``; ``problem.answer`` is the reference."""
    problem_id: str
    grade: Grade
    answer: str | None = None
    """What it ends in, where that can be read."""
    how: Mapping[str, str] = field(default_factory=dict)
    """Engine, strategy, prompt, temperature, seed: what it would take to sample it again."""
    usage: Usage = Usage()

    @property
    def right(self) -> bool:
        return self.grade == "right"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A probability of success by counting completions."""

    right: int
    n: int
    """Completions with evidence, those of ``right`` among them."""
    low: float
    high: float
    """95 % Wilson interval; (value, value) where ``known``."""
    known: bool = False
    """Not estimated: the last step's answer was compared, or an earlier prefix has no right completion."""
    lost: int = 0
    """Completions without evidence (``NO_EVIDENCE``)."""

    @property
    def value(self) -> float:
        return self.right / self.n if self.n else 0.0


@dataclass(frozen=True, slots=True)
class Valued:
    """An attempt with the values of its prefixes under one policy."""

    attempt: Attempt
    start: Estimate | None
    values: tuple[Estimate | None, ...]
    """One for each step; None where a search did not need it, or where no completion gave evidence."""
    policy: str
    """Engine that completed, and the plan: ``fixed:64``, ``paper``, ``adaptive:0.9+binary``, …"""
    grades: Mapping[str, int] = field(default_factory=dict)
    """Completions by grade."""
    usage: Usage = Usage()


Label = bool | None
"""True: the step is right, False: it is wrong, None: unsure."""


@dataclass(frozen=True, slots=True)
class StepLabel:
    label: Label
    score: float | None = None
    """What the label was cut from: a value, a ratio, an advantage; None where it is not defined."""
    confidence: float | None = None
    """Probability that the label is right by the scheme's own uncertainty, in [0.5, 1]."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """Labels of an attempt's steps by one labeler. Steps after the first wrong one are labelled too, where it can."""

    attempt: Attempt
    labeler: str
    """Such as ``ratio:0.8``, ``hard``, ``soft:0.5``, ``difference:-0.3``, ``advantage:…``, ``judge:nano``."""
    steps: tuple[StepLabel, ...]

    @property
    def first_error(self) -> int | None:
        return first_error(step.label for step in self.steps)


def first_error(labels: Iterable[Label]) -> int | None:
    """Index of the first step labelled wrong, ``NO_ERROR`` for none; None where a step before it is unsure."""
    for index, label in enumerate(labels):
        if label is not True:
            return index if label is False else None
    return NO_ERROR


TeacherOutcome = Literal["ok", "unfinished", "engine_error", "failed"]


@dataclass(frozen=True, slots=True)
class Taught:
    """A teacher's rationales for the steps of a labelled attempt."""

    attempt: Attempt
    teacher: str
    outcome: TeacherOutcome
    rationales: tuple[Rationale, ...] = ()
    """One for each step that it judged, in the genprm protocol's form; its code was run."""
    try_: int = 0
    """Which of the bounded tries this is, from 0."""
    error: str = ""
    usage: Usage = Usage()

    @property
    def verdicts(self) -> tuple[bool | None, ...]:
        """Of the steps that it judged: the first wrong one is the last of them."""
        return tuple(rationale.verdict for rationale in self.rationales)


@dataclass(frozen=True, slots=True)
class Kept:
    """What consensus makes of labels and rationales."""

    id: str
    kept: bool
    steps: tuple[bool, ...]
    """For each step that both judged, whether they agree."""
    reason: str = ""
    """Why it is dropped: ``disagree``, ``unsure``, ``no_verdict``, ``teacher_failed``, …"""
