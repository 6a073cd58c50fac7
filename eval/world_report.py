"""The report on a critic in the world: the metric, what it hangs on, what votes and each part of the critic are worth.

An *arm* is the critic with something switched off, or as it is. All intervals are bootstraps over problems; that
samples would come out differently another time is not in them. Gains and differences are paired: both sides are
resampled on the same problems.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeVar

from genprm.eval.metrics import Pair, ProcessBenchScore, confusion, score_split
from genprm.eval.paired import Estimate, Hits, Measure, estimate
from genprm.eval.report import Bootstrap, SplitReport, split_report
from genprm.eval.world_votes import PASS_1, Judged, Point, Size, curve, hits, hold_smaller
from genprm.synth.world import Example
from genprm.types import NO_ERROR, Method

T = TypeVar("T")
RESAMPLES = 4_000

WHOLE = "all votes"
"""The critic by its own rule, in the list of differences."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What one arm came to: the critiques of the examples, in their order, and how they were made."""

    judged: Sequence[Judged]
    method: Method
    how: str
    """The recipe in words."""

    @property
    def n_votes(self) -> int:
        """Votes of every step, some of which are critics of fewer; 0 where they are not, or where none were given."""
        whole = any(each.values for each in self.judged)
        return self.method.n if whole and hold_smaller(self.method) else 0


@dataclass(frozen=True, slots=True)
class Means:
    """What one problem cost on average."""

    rationales: float
    calls: float
    prompt_tokens: float
    completion_tokens: float
    completion_tokens_per_rationale: float
    seconds: float
    """From the first call to the last verdict; problems overlap in time."""


@dataclass(frozen=True, slots=True)
class Arm:
    name: str
    how: str
    whole: SplitReport
    """With all votes, by the critic's own rule."""
    kinds: tuple[ProcessBenchScore, ...]
    """Of wrong solutions, by the kind of their first error."""
    forms: tuple[ProcessBenchScore, ...]
    difficulties: tuple[ProcessBenchScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    """[label][prediction], both counted from step 0, then no error; predictions then: none. Numbers of problems."""
    pass_1: Measure | None
    """None where some of the votes are no smaller critic, as ``genprm.eval.world_votes`` says."""
    votes: tuple[Point, ...]
    means: Means


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better ``name`` is than ``against``."""

    name: str
    against: str
    measure: str
    """``Pass@1``, or ``all votes`` by the critic's own rule."""
    difference: Measure


@dataclass(frozen=True, slots=True)
class WorldReport:
    """The content of ``report.json``. Shares lie in [0, 1]."""

    arms: tuple[Arm, ...]
    differences: tuple[Difference, ...]
    """Of each arm to each after it."""
    bootstrap: Bootstrap
    settings: Mapping[str, Any]


def build_report(
    examples: Sequence[Example],
    trials: Mapping[str, Trial],
    settings: Mapping[str, Any],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> WorldReport:
    """Everything about all arms; ``seed`` and ``resamples`` are those of the statistics."""
    wrong = [example.solution.first_error != NO_ERROR for example in examples]
    drawn = {name: _drawn(trial, wrong, seed, resamples) for name, trial in trials.items()}
    arms = [_arm(name, examples, trial, drawn[name], seed, resamples) for name, trial in trials.items()]
    return WorldReport(tuple(arms), _differences(drawn), Bootstrap(resamples=resamples, seed=seed), dict(settings))


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Estimates of one arm, with the draws that differences are made of."""

    whole: Estimate
    votes: Mapping[Size, Estimate]
    """Empty where nothing can be said of them."""
    columns: Mapping[Size, Sequence[Hits]]


def _drawn(trial: Trial, wrong: Sequence[bool], seed: int, resamples: int) -> _Drawn:
    def drawn(columns: Mapping[T, Sequence[Hits]]) -> dict[T, Estimate]:
        return estimate(wrong, columns, seed=seed, resamples=resamples)  # with one seed all draws are paired

    whole = [each.item.prediction == each.item.label for each in trial.judged]
    columns = hits(trial.judged, trial.n_votes, trial.method.threshold, seed) if trial.n_votes else {}
    return _Drawn(drawn({WHOLE: [whole]})[WHOLE], drawn(columns) if columns else {}, columns)


def _arm(name: str, examples: Sequence[Example], trial: Trial, drawn: _Drawn, seed: int, resamples: int) -> Arm:
    whole = split_report(name, [each.item for each in trial.judged], seed, resamples)

    def by(what: Callable[[Example], str]) -> tuple[ProcessBenchScore, ...]:
        return _groups(examples, trial.judged, what, seed, resamples)

    n_steps = max((len(example.solution.steps) for example in examples), default=0)
    return Arm(
        name=name,
        how=trial.how,
        whole=whole,
        kinds=by(lambda example: example.kind),
        forms=by(lambda example: example.form),
        difficulties=by(lambda example: str(example.difficulty)),
        confusion=confusion([(each.item.label, each.item.prediction) for each in trial.judged], n_steps),
        pass_1=drawn.votes[PASS_1].measure() if drawn.votes else None,
        votes=curve(drawn.votes, drawn.columns) if drawn.votes else (),
        means=_means(whole),
    )


def _groups(
    examples: Sequence[Example],
    judged: Sequence[Judged],
    what: Callable[[Example], str],
    seed: int,
    resamples: int,
) -> tuple[ProcessBenchScore, ...]:
    """The metric by group, in the order of their names; what belongs to none is left out."""
    pairs: dict[str, list[Pair]] = {}
    for example, each in zip(examples, judged, strict=True):
        if name := what(example):
            pairs.setdefault(name, []).append((each.item.label, each.item.prediction))
    return tuple(score_split(pairs[name], name, seed=seed, resamples=resamples) for name in sorted(pairs))


def _means(whole: SplitReport) -> Means:
    n, usage = max(whole.score.n, 1), whole.usage
    return Means(
        rationales=usage.rationales / n,
        calls=usage.calls / n,
        prompt_tokens=usage.prompt_tokens / n,
        completion_tokens=usage.completion_tokens / n,
        completion_tokens_per_rationale=usage.completion_tokens / max(usage.rationales, 1),
        seconds=whole.seconds / n,
    )


def _differences(drawn: Mapping[str, _Drawn]) -> tuple[Difference, ...]:
    found = []
    for (name, one), (against, other) in combinations(drawn.items(), 2):
        if one.votes and other.votes:
            found.append(Difference(name, against, "Pass@1", one.votes[PASS_1].minus(other.votes[PASS_1])))
        found.append(Difference(name, against, WHOLE, one.whole.minus(other.whole)))
    return tuple(found)
