"""Label schemes against the truth of the world: which of them says of a step what is so, and at which threshold.

Judged are the steps up to the first one that is wrong in truth: what comes after follows from it. Intervals are
bootstraps over problems, since the steps of one problem stand or fall together; differences are paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from genprm.eval.paired import Estimate, Measure
from genprm.resampling import times_drawn
from genprm.synth.labels import label
from genprm.synth.schemes import Scheme, read_scheme
from genprm.synth.types import Attempt, Label, Valued
from genprm.synth.world.reading import read_problem, read_solution

RESAMPLES = 2000
USUAL = 0.8
"""Threshold of arXiv 2504.00891."""
Truth = tuple[bool, ...]
"""Of the steps up to the first one that is wrong in truth."""


@dataclass(frozen=True, slots=True)
class SchemeScore:
    """How well one scheme labels. Shares lie in [0, 1]; steps that it leaves open are in none but ``unsure``."""

    scheme: str
    steps: int
    accuracy: Measure
    right: Measure
    """Share of right steps that are labelled right."""
    wrong: Measure
    """Share of wrong steps that are labelled wrong."""
    first_error: Measure
    """Share of attempts whose first error is labelled as it is in truth."""
    unsure: float
    """Share of steps without a label."""
    gain: Measure
    """Accuracy, less that of the first scheme; None where one of the two labels no step."""


def truth_of(attempt: Attempt) -> Truth | None:
    """What is true of its steps; None where it is no solution in the world's language."""
    problem = read_problem(attempt.solution.problem.text)
    if problem is None:
        return None
    steps: list[bool] = []
    for step in read_solution(problem, attempt.solution.steps):
        if step is None:
            return None
        steps.append(step.truth.correct)
        if not step.truth.correct:
            break
    return tuple(steps)


def score_schemes(
    valued: Sequence[Valued], truths: Sequence[Truth], schemes: Sequence[str | Scheme], seed: int = 0
) -> list[SchemeScore]:
    """Each scheme (at least one) on the same attempts (at least one); gains are those over the first one."""
    tallies = [_tally(valued, truths, scheme) for scheme in schemes]
    times = times_drawn(len(tallies[0].first), RESAMPLES, seed)
    base = _share(tallies[0].right + tallies[0].wrong, times)
    return [_score(tally, base, times) for tally in tallies]


@dataclass(frozen=True, slots=True)
class _Tally:
    """Counts by problem, hits first: arrays of shape (problems, 2)."""

    scheme: str
    right: np.ndarray
    wrong: np.ndarray
    first: np.ndarray
    unsure: int


def _tally(valued: Sequence[Valued], truths: Sequence[Truth], scheme: str | Scheme) -> _Tally:
    places: dict[str, int] = {}
    counts = np.zeros((3, len({each.attempt.problem_id for each in valued}), 2))
    unsure = 0
    name = ""
    for each, truth in zip(valued, truths, strict=True):
        at = places.setdefault(each.attempt.problem_id, len(places))
        found = label(each, scheme)
        name = found.labeler
        for true, step in zip(truth, found.steps, strict=False):
            if step.label is None:
                unsure += 1
            else:
                counts[0 if true else 1, at] += (step.label == true, 1)
        counts[2, at] += (_says(truth, [step.label for step in found.steps]), 1)
    return _Tally(name, counts[0], counts[1], counts[2], unsure)


def _says(truth: Truth, labels: Sequence[Label]) -> bool:
    """Whether the labels come to the first error that the truth has."""
    return list(labels[: len(truth)]) == list(truth)


def _score(tally: _Tally, base: Estimate, times: np.ndarray) -> SchemeScore:
    both = tally.right + tally.wrong
    steps, accuracy = int(both[:, 1].sum()), _share(both, times)
    return SchemeScore(
        scheme=tally.scheme,
        steps=steps,
        accuracy=accuracy.measure(),
        right=_share(tally.right, times).measure(),
        wrong=_share(tally.wrong, times).measure(),
        first_error=_share(tally.first, times).measure(),
        unsure=tally.unsure / max(steps + tally.unsure, 1),
        gain=accuracy.minus(base),
    )


def _share(counts: np.ndarray, times: np.ndarray) -> Estimate:
    """Hits among trials, of all problems and of each resample; nothing where there is no trial, NaN where a resample
    has drawn none."""
    hits, n = counts.sum(0)
    if not n:
        return Estimate(None, ())
    totals = times @ counts
    shares = np.full(len(totals), np.nan)
    np.divide(totals[:, 0], totals[:, 1], out=shares, where=totals[:, 1] > 0)
    return Estimate(float(hits / n), shares.tolist())


def share_by_problem(counts: Mapping[str, tuple[int, int]], seed: int = 0) -> Measure:
    """A share of hits and its interval, from the hits and the trials of each problem."""
    if not counts:
        return Measure(None, None)
    return _share(np.asarray(list(counts.values()), dtype=float), times_drawn(len(counts), RESAMPLES, seed)).measure()


@dataclass(frozen=True, slots=True)
class Threshold:
    """The relative progress, among the schemes, that labels best, beside the published threshold."""

    best: str
    usual: str
    gain: Measure
    """Accuracy of ``best``, less that of ``usual``; ``best`` was chosen on the same solutions."""


def best_threshold(
    valued: Sequence[Valued], truths: Sequence[Truth], scores: Sequence[SchemeScore], seed: int = 0
) -> Threshold | None:
    """None where ``ratio:0.8`` is not among the schemes. Of equals the usual one is the best."""
    ratios = [score for score in scores if read_scheme(score.scheme).kind == "ratio"]
    usual = next((score for score in ratios if read_scheme(score.scheme).threshold == USUAL), None)
    if usual is None:
        return None
    best = max(ratios, key=lambda score: (score.accuracy.value or 0.0, score is usual))
    _, compared = score_schemes(valued, truths, (usual.scheme, best.scheme), seed)
    return Threshold(best.scheme, usual.scheme, compared.gain)


def mix(truths: Sequence[Truth]) -> Mapping[str, int]:
    """How many steps are judged, and how many of them are wrong."""
    steps = [step for truth in truths for step in truth]
    return {"steps": len(steps), "wrong": len(steps) - sum(steps)}


def percent(measure: Measure, sign: bool = False) -> str:
    """``97.4 (96.9 to 97.8)``; a dash where there is nothing."""
    if measure.value is None:
        return "–"
    form = "{:+.1f}" if sign else "{:.1f}"
    said = form.format(100 * measure.value)
    if measure.interval is None:
        return said
    ends = " to ".join(form.format(100 * end) for end in (measure.interval.low, measure.interval.high))
    return f"{said} ({ends})"
