"""How different the attempts at a problem are, and how much of what there is a set of attempts covers."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from genprm.synth.near_duplicates import Signature, mean_distance
from genprm.synth.text_stats import Hashes
from genprm.synth.types import NO_EVIDENCE, Attempt
from genprm.types import NO_ERROR

_TENTHS = 10


@dataclass(frozen=True, slots=True)
class Diversity:
    """Of the attempts at one problem."""

    attempts: int
    right: int
    distance: float | None
    """Mean over pairs of 1 - Jaccard of word n-grams, estimated by MinHash; None for one attempt."""
    distinct_2: float | None
    """Different pairs of neighbouring words among all (distinct-2, Li et al., arXiv 1510.03055); None without any."""
    answers: int
    """Different final answers, as text."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How a property is spread over its bins."""

    bins: Mapping[str, int]
    evenness: float | None
    """Entropy of the shares over that of an even spread, in [0, 1]; None where nothing is known."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a set of attempts covers."""

    both: float | None
    """Share of problems with right and wrong attempts; None without a problem."""
    answers: Spread
    """Problems by the number of different answers: 1, 2, 3, 4+."""
    error_positions: Spread
    """Attempts whose first wrong step is known, by where it stands: tenths of the solution."""
    lengths: Spread
    """Attempts by steps: 1-2, 3-4, 5-8, 9-16, 17+."""
    difficulty: Spread
    """Problems by the share of right attempts: 0, to 0.25, to 0.5, to 0.75, below 1, 1."""


class DiversityCount:
    """Takes the attempts at one problem in turn; keeps a signature of each, and the n-grams of all."""

    def __init__(self) -> None:
        self.right = self.attempts = self.graded = 0
        self.answers: set[str] = set()
        self._signatures: list[Signature] = []
        self._pairs: set[int] = set()
        self._all_pairs = 0

    def add(self, attempt: Attempt, made: Signature, pairs: Hashes) -> None:
        self.attempts += 1
        self.right += attempt.right
        self.graded += _is_graded(attempt)
        if attempt.answer is not None:
            self.answers.add(attempt.answer.strip())
        self._signatures.append(made)
        self._pairs.update(pairs.tolist())
        self._all_pairs += len(pairs)

    def result(self) -> Diversity:
        share = len(self._pairs) / self._all_pairs if self._all_pairs else None
        distance = mean_distance(np.array(self._signatures))
        return Diversity(self.attempts, self.right, distance, share, len(self.answers))


class CoverageCount:
    """Takes attempts in turn; ``result`` needs the counts by problem."""

    def __init__(self) -> None:
        self._positions: Counter[str] = Counter()
        self._lengths: Counter[str] = Counter()

    def add(self, attempt: Attempt) -> None:
        first, steps = attempt.solution.first_error, len(attempt.solution.steps)
        self._lengths[_within(steps, _LENGTHS)] += 1
        if first is not None and first != NO_ERROR:
            self._positions[_TENTH_NAMES[first * _TENTHS // steps]] += 1

    def result(self, problems: Iterable[DiversityCount]) -> Coverage:
        counts = list(problems)
        both = [0 < count.right < count.graded for count in counts]
        answers = Counter("4+" if len(c.answers) > 3 else str(len(c.answers)) for c in counts if c.answers)
        passed = Counter(_difficulty(c.right / c.graded) for c in counts if c.graded)
        return Coverage(
            both=sum(both) / len(both) if both else None,
            answers=_spread(answers, ("1", "2", "3", "4+")),
            error_positions=_spread(self._positions, _TENTH_NAMES),
            lengths=_spread(self._lengths, [name for _, name in _LENGTHS]),
            difficulty=_spread(passed, _SHARES),
        )


def _is_graded(attempt: Attempt) -> bool:
    """Whether its answer was compared: one that cannot be read where there is no reference was not."""
    compared = attempt.grade != "unparsed" or attempt.solution.problem.answer is not None
    return compared and attempt.grade not in NO_EVIDENCE


def by_problem() -> defaultdict[str, DiversityCount]:
    return defaultdict(DiversityCount)


_LENGTHS = ((2, "1-2"), (4, "3-4"), (8, "5-8"), (16, "9-16"), (math.inf, "17+"))
_SHARES = ("0", "0-0.25", "0.25-0.5", "0.5-0.75", "0.75-1", "1")
_TENTH_NAMES = tuple(f"{at / 10:.1f}-{(at + 1) / 10:.1f}" for at in range(_TENTHS))


def _within(value: float, bins: Sequence[tuple[float, str]]) -> str:
    return next(name for limit, name in bins if value <= limit)


def _difficulty(share: float) -> str:
    if share in (0, 1):
        return _SHARES[-1] if share else _SHARES[0]
    return _SHARES[1 + min(int(share * 4), 3)]


def _spread(counts: Mapping[str, int], names: Sequence[str]) -> Spread:
    bins = {name: counts.get(name, 0) for name in names}
    total = sum(bins.values())
    shares = [count / total for count in bins.values() if count]
    evenness = -sum(share * math.log(share) for share in shares) / math.log(len(bins)) if total else None
    return Spread(bins, None if evenness is None else abs(evenness))
