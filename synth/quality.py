"""Which attempts are kept, and why the others are not: every dropped one has one reason, the first that applies."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from genprm.answers import boxed
from genprm.errors import ConfigError
from genprm.synth.decontamination import Evaluation
from genprm.synth.diversity import Coverage, CoverageCount, Diversity, by_problem
from genprm.synth.near_duplicates import LEAST_THRESHOLD, NearDuplicates, Signature, signature
from genprm.synth.text_stats import (
    Hashes,
    codes,
    distinct_share,
    has_mathematics,
    has_open_fence,
    has_unprinted,
    is_boilerplate,
    longest_loop,
    ngrams,
    repetitions,
    text_digest,
    tokens,
)
from genprm.synth.types import Attempt

Reason = Literal[
    "too_few_steps", "too_many_steps", "too_short", "too_long", "empty_step", "short_step", "long_step",
    "not_text", "boilerplate", "open_fence", "no_mathematics", "no_answer", "repeated_steps", "repeated_pattern",
    "contaminated", "near_duplicate", "near_duplicate_elsewhere",
]  # fmt: skip
REASONS: tuple[Reason, ...] = get_args(Reason)
"""In the order in which they are asked; ``docs/datasets.md`` says what each is."""

_ANSWER = re.compile(r"\banswer\b|####|\\boxed|\d", re.IGNORECASE)
_LOOP_TIMES = 4
_PAIR = 2


@dataclass(frozen=True, slots=True)
class QualityOptions:
    """The bounds are inclusive: what lies on one is kept."""

    least_steps: int = 1
    most_steps: int = 64
    least_chars: int = 20
    """Of a whole solution, the blanks around its steps left out."""
    most_chars: int = 20_000
    least_step_chars: int = 2
    most_step_chars: int = 6_000
    least_distinct_steps: float = 0.7
    """Share of a solution's steps that differ from each other."""
    repeat_words: int = 8
    most_repeated: float = 0.5
    """Share of the n-grams of ``repeat_words`` words that stood before in the same solution."""
    least_loop: int = 40
    """Words of a stretch that says the same four times in a row or more: from so many on it is a loop."""
    ngram: int = 5
    """Words of the n-grams that two solutions are compared by."""
    near: float = 0.8
    """Jaccard index from which on two solutions are near-duplicates; at least 0.7. 1: the same n-grams."""
    across: bool = True
    """Compare solutions of different problems too."""

    def __post_init__(self) -> None:
        if not LEAST_THRESHOLD <= self.near <= 1:
            raise ConfigError(f"near-duplicates are found from a Jaccard index of {LEAST_THRESHOLD} on, up to 1")
        if min(self.ngram, self.repeat_words, self.least_loop) < 1:
            raise ConfigError("n-grams and loops have at least one word")


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one attempt."""

    id: str
    reason: Reason | None
    """None: it is kept."""
    detail: str = ""
    """The figure that is out of bounds, the other attempt's id, the evaluation problem."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What was found of all attempts, in their order."""

    findings: tuple[Finding, ...]
    dropped: Mapping[Reason, int]
    """By reason, all of them in the order in which they are asked, 0 where none."""
    diversity: Mapping[str, Diversity]
    """Of the kept attempts, by problem."""
    coverage: Coverage
    """Of the kept attempts."""

    @property
    def kept(self) -> tuple[int, ...]:
        """Places of the kept attempts."""
        return tuple(at for at, finding in enumerate(self.findings) if finding.reason is None)

    @property
    def shares(self) -> Mapping[Reason, float]:
        return {reason: count / max(len(self.findings), 1) for reason, count in self.dropped.items()}


def assess(
    attempts: Iterable[Attempt], options: QualityOptions | None = None, evaluation: Evaluation | None = None
) -> Assessment:
    """Judge every attempt, and count why.

    One pass in the given order: of near-duplicates the first is kept. Of kept attempts some 4 KB each are held, of
    dropped ones their finding alone. The same attempts in the same order give the same assessment everywhere.

    Args:
        evaluation: problems that nothing may be trained on; None: not asked.
    """
    judge = _Judge(options or QualityOptions(), evaluation)
    findings = tuple(map(judge.find, attempts))
    counts = Counter(finding.reason for finding in findings)
    return Assessment(
        findings,
        {reason: counts[reason] for reason in REASONS},
        {name: count.result() for name, count in judge.problems.items()},
        judge.coverage.result(judge.problems.values()),
    )


_Found = tuple[Reason, str]


class _Judge:
    def __init__(self, options: QualityOptions, evaluation: Evaluation | None) -> None:
        self._options, self._evaluation = options, evaluation
        self._hits: dict[str, str | None] = {}
        self._seen = _Seen(options)
        self.problems = by_problem()
        self.coverage = CoverageCount()

    def find(self, attempt: Attempt) -> Finding:
        said = codes(tokens(text_of(attempt)))
        found = self._alone(attempt, said) or self._contaminated(attempt)
        if found is None:
            shingles = np.unique(ngrams(said, self._options.ngram))
            made = signature(shingles)
            found = self._seen.like(attempt, shingles, made)
            if found is None:
                self._seen.add(attempt, shingles, made)
                self.problems[attempt.problem_id].add(attempt, made, ngrams(said, _PAIR))
                self.coverage.add(attempt)
        reason, detail = found or (None, "")
        return Finding(attempt.solution.id, reason, detail)

    def _alone(self, attempt: Attempt, said: Hashes) -> _Found | None:
        """What a solution shows by itself."""
        steps = attempt.solution.steps
        return (
            length_fault(steps, self._options)
            or content_fault(attempt)
            or distinct_fault(steps, self._options)
            or pattern_fault(said, self._options)
        )

    def _contaminated(self, attempt: Attempt) -> _Found | None:
        if self._evaluation is None:
            return None
        text = attempt.solution.problem.text
        name = text_digest(text)
        if name not in self._hits:
            hit = self._evaluation.hit(text)
            self._hits[name] = f"{hit.where}: {hit.words}" if hit else None
        where = self._hits[name]
        return ("contaminated", where) if where is not None else None


class _Seen:
    """The solutions that were kept."""

    def __init__(self, options: QualityOptions) -> None:
        self._across = options.across
        self._index = NearDuplicates(options.near)
        self._names: list[tuple[str, str]] = []

    def like(self, attempt: Attempt, shingles: Hashes, made: Signature) -> _Found | None:
        elsewhere = None
        for number in self._index.like(shingles, made):
            problem, name = self._names[number]
            if problem == attempt.problem_id:
                return "near_duplicate", name
            elsewhere = elsewhere or name
        return ("near_duplicate_elsewhere", elsewhere) if elsewhere and self._across else None

    def add(self, attempt: Attempt, shingles: Hashes, made: Signature) -> None:
        self._index.add(shingles, made)
        self._names.append((attempt.problem_id, attempt.solution.id))


# --- what one solution shows by itself -----------------------------------------------------------------------------


def text_of(attempt: Attempt) -> str:
    return "\n\n".join(attempt.solution.steps)


def length_fault(steps: Sequence[str], options: QualityOptions) -> _Found | None:
    """Steps, then characters of the whole, then of each step."""
    sizes = [len(step.strip()) for step in steps]
    whole, shortest, longest = sum(sizes), min(sizes, default=0), max(sizes, default=0)
    bounds: tuple[tuple[bool, Reason, int], ...] = (
        (len(steps) < options.least_steps, "too_few_steps", len(steps)),
        (len(steps) > options.most_steps, "too_many_steps", len(steps)),
        (whole < options.least_chars, "too_short", whole),
        (whole > options.most_chars, "too_long", whole),
        (shortest == 0, "empty_step", sizes.index(0) if 0 in sizes else 0),
        (shortest < options.least_step_chars, "short_step", shortest),
        (longest > options.most_step_chars, "long_step", longest),
    )
    return next(((reason, str(figure)) for out, reason, figure in bounds if out), None)


def content_fault(attempt: Attempt) -> _Found | None:
    text = text_of(attempt)
    faults: tuple[tuple[Callable[[], bool], Reason], ...] = (
        (lambda: has_unprinted(text), "not_text"),
        (lambda: is_boilerplate(text), "boilerplate"),
        (lambda: has_open_fence(text), "open_fence"),
        (lambda: not has_mathematics(text), "no_mathematics"),
        (lambda: not _ends_in_answer(attempt), "no_answer"),
    )
    return next(((reason, "") for holds, reason in faults if holds()), None)


def distinct_fault(steps: Sequence[str], options: QualityOptions) -> _Found | None:
    share = distinct_share(steps)
    return ("repeated_steps", f"{share:.2f}") if share < options.least_distinct_steps else None


def pattern_fault(said: Hashes, options: QualityOptions) -> _Found | None:
    """``said``: the tokens of the whole solution, as numbers."""
    found = ngrams(said, options.repeat_words)
    again = repetitions(found)
    if again > options.most_repeated * len(found):
        return "repeated_pattern", f"{again / len(found):.2f}"
    if again <= options.least_loop // 2 - options.repeat_words:  # a loop repeats more: no need to look for one
        return None
    loop = longest_loop(said, _LOOP_TIMES)
    return ("repeated_pattern", f"{loop} words") if loop >= options.least_loop else None


def _ends_in_answer(attempt: Attempt) -> bool:
    """Whether whoever graded it found one, or a box stands anywhere, or the last step speaks of one or has a number."""
    if attempt.grade in ("no_answer", "cut_off"):
        return False
    last = attempt.solution.steps[-1]
    return attempt.answer is not None or boxed(text_of(attempt)) is not None or bool(_ANSWER.search(last))
