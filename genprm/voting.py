"""N rationales become a reward and a verdict.

Three rules, and what they do with ties and with votes that are missing:

``mean`` (default; arXiv 2504.00891, eq. 7)
    r_t = mean of P(Yes) over the rationales that gave a verdict on step t; a rationale without log-probabilities counts
    1 or 0. The step is wrong where r_t < threshold. The first error is the first wrong step.
``majority``
    r_t = share of Yes among the verdicts on step t. The step is wrong where r_t < threshold (0.5: a majority of No).
``index`` (as the official critics of ProcessBench vote, arXiv 2412.06559)
    Each sample names one index: its own first step with the verdict No, or none. The index named most often wins.
    Step rewards are those of ``majority``.

**In doubt the step stands.** A reward equal to the threshold is no error; between equally frequent indices "no error"
wins, then the later one.

**What is missing is not guessed.** A rationale without a verdict leaves the mean and the share, and is counted in
``votes.missing``. A sample whose verdict is missing before its first No names no index, and leaves that vote. A step
where all are missing has no reward; a solution whose first error hangs on such a step has no first error, and its
outcome says why.

Rationales of whole solutions (protocol ``judge``) name an index each, so they always vote by ``index``.
"""

from collections import Counter
from collections.abc import Sequence

from genprm.types import NO_ERROR, CritiqueOutcome, Rationale, StepCritique, Vote, Votes


def count(rationales: Sequence[Rationale]) -> Votes:
    """Verdicts by kind."""
    yes = sum(r.verdict is True for r in rationales)
    no = sum(r.verdict is False for r in rationales)
    return Votes(yes, no, len(rationales) - yes - no)


def reward(rationales: Sequence[Rationale], vote: Vote) -> float | None:
    """The reward of one step, in [0, 1]; None where no rationale gave a verdict."""
    given = [value for r in rationales if (value := vote_value(r, vote)) is not None]
    return sum(given) / len(given) if given else None


def vote_value(rationale: Rationale, vote: Vote) -> float | None:
    """What a rationale adds to the mean, in [0, 1]; None where it gave no verdict."""
    if rationale.verdict is None:
        return None
    return float(rationale.verdict) if vote != "mean" or rationale.p_yes is None else rationale.p_yes


def judge_step(step: int, rationales: Sequence[Rationale], vote: Vote, threshold: float) -> StepCritique:
    """What the rationales of one step say together."""
    ordered = tuple(sorted(rationales, key=lambda r: r.sample))
    r = reward(ordered, vote)
    return StepCritique(step, count(ordered), r, None if r is None else r >= threshold, ordered)


def first_error(steps: Sequence[StepCritique], n_steps: int, vote: Vote) -> tuple[int | None, CritiqueOutcome]:
    """The first error of a solution of ``n_steps`` steps and, where there is none to name, why."""
    if vote == "index":
        return _most_named(chain_indices(steps), steps)
    for step in steps:
        if step.correct is None:
            return None, _why_missing(step.rationales)
        if not step.correct:
            return step.step, "ok"
    return (NO_ERROR, "ok") if len(steps) == n_steps else (None, "no_verdict")


def judge_indices(judgements: Sequence[Rationale]) -> tuple[int | None, CritiqueOutcome]:
    """The first error by a vote over rationales of the whole solution."""
    named = [r.first_error for r in judgements]
    winner = most_frequent([index for index in named if index is not None])
    return (winner, "ok") if winner is not None else (None, _why_missing(judgements))


def steps_from_indices(judgements: Sequence[Rationale], n_steps: int) -> tuple[StepCritique, ...]:
    """Steps as rationales of the whole solution see them.

    Each says Yes to the steps before the index that it names, No to that one, and nothing of the steps after it.
    """
    named = [r.first_error for r in judgements]
    steps = []
    for step in range(n_steps):
        yes = sum(index is not None and (index == NO_ERROR or index > step) for index in named)
        no = sum(index == step for index in named)
        r = yes / (yes + no) if yes + no else None
        steps.append(StepCritique(step, Votes(yes, no, len(named) - yes - no), r, None if r is None else r >= 0.5))
    return tuple(steps)


def chain_indices(steps: Sequence[StepCritique]) -> list[int]:
    """The index that each sample names by its own verdicts; samples whose first error is not known are left out."""
    named = []
    for chain in zip(*(step.rationales for step in steps), strict=True):
        for step, rationale in zip(steps, chain, strict=True):
            if rationale.verdict is None:
                break
            if not rationale.verdict:
                named.append(step.step)
                break
        else:
            named.append(NO_ERROR)
    return named


def most_frequent(indices: Sequence[int]) -> int | None:
    """The index named most often; of equals no error wins, then the later one. None for no indices."""
    counts = Counter(indices)
    return max(counts, key=lambda index: (counts[index], index == NO_ERROR, index), default=None)


def _most_named(indices: Sequence[int], steps: Sequence[StepCritique]) -> tuple[int | None, CritiqueOutcome]:
    winner = most_frequent(indices)
    if winner is not None:
        return winner, "ok"
    return None, _why_missing([r for step in steps for r in step.rationales])


def _why_missing(rationales: Sequence[Rationale]) -> CritiqueOutcome:
    outcomes = {r.outcome for r in rationales}
    if "engine_error" in outcomes:
        return "engine_error"
    return "too_long" if "too_long" in outcomes else "no_verdict"
