"""Candidates and their scores in a run folder, so that a killed run goes on where it was."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from genprm.candidates import Candidate, Group, sample
from genprm.comparing import Comparer
from genprm.engines.base import Engine
from genprm.flight import together
from genprm.progress import progress
from genprm.rank import Ranked, compared, score_groups
from genprm.runs import Run
from genprm.scorers import weights_of
from genprm.scorers.base import Scorer, Scores
from genprm.types import Sampling

_AT_ONCE = 16
"""Problems that are sampled or scored together; each lot is kept when all of it is done."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of ``results.jsonl``: the candidates of a problem, or what a scorer says of them."""

    id: str
    """Of the problem."""
    scorer: str = ""
    """Empty for a line of candidates."""
    candidates: tuple[Candidate, ...] = ()
    scores: tuple[Scores, ...] = ()
    weights: str = ""
    """Of the scorer (:func:`genprm.scorers.weights_of`)."""


async def sampled(
    groups: Sequence[Group], policy: Engine, n: int, sampling: Sampling, run: Run, concurrency: int = 64
) -> list[Group]:
    """The problems of ``groups`` with ``n`` candidates by the policy; what the run holds is not sampled again, but for
    candidates that it failed on."""
    done = {line.id: line.candidates for line in run.read(Line) if not line.scorer}
    done = {name: some for name, some in done.items() if not any(c.error.startswith("engine_error") for c in some)}
    waiting = [group for group in groups if group.id not in done]
    _going_on(run, len(groups) - len(waiting), len(groups), "problems have candidates")
    with progress("sampling", len(groups), len(groups) - len(waiting)) as tick:
        for lot in _lots(waiting):
            for made in await sample(policy, [(one.id, one.problem) for one in lot], n, sampling, concurrency):
                done[made.id] = made.candidates
                run.append(Line(made.id, candidates=made.candidates))
                tick()
    return [Group(group.id, group.problem, done[group.id]) for group in groups]


async def scored(
    groups: Sequence[Group], scorer: Scorer, run: Run, *, retry_failed: bool = False
) -> list[tuple[Scores, ...]]:
    """What the scorer says of each problem's candidates; what the run holds is not scored again."""
    weights = weights_of(scorer.name)
    done = _scores(run, scorer.name, weights)
    if retry_failed:
        done = {name: some for name, some in done.items() if not any(scores.error for scores in some)}
    waiting = [group for group in groups if group.id not in done]
    _going_on(run, len(groups) - len(waiting), len(groups), f"problems are scored by {scorer.name}")
    with progress(f"scoring by {scorer.name}", len(groups), len(groups) - len(waiting)) as tick:
        for lot in _lots(waiting):
            for group, found in zip(lot, await score_groups(lot, scorer), strict=True):
                done[group.id] = found
                run.append(Line(group.id, scorer.name, scores=found, weights=weights))
                tick()
    return [done[group.id] for group in groups]


def _scores(run: Run, scorer: str, weights: str) -> dict[str, tuple[Scores, ...]]:
    """By problem. Scores of candidates that were sampled again since are of other texts, and heads that were trained
    again say other things."""
    done: dict[str, tuple[Scores, ...]] = {}
    for line in run.read(Line):
        if not line.scorer:
            done.pop(line.id, None)
        elif line.scorer == scorer and line.weights == weights:
            done[line.id] = line.scores
    return done


async def all_compared(groups: Sequence[Group]) -> list[Ranked]:
    """Which answers are the same and which are right, of every problem."""
    comparer = Comparer()
    try:
        return await together(compared(group, comparer) for group in groups)
    finally:
        await comparer.close()


def _lots(groups: Sequence[Group]) -> list[Sequence[Group]]:
    return [groups[at : at + _AT_ONCE] for at in range(0, len(groups), _AT_ONCE)]


def _going_on(run: Run, n: int, total: int, what: str) -> None:
    if n:
        print(f"going on in {run.folder}: {n} of {total} {what}", file=sys.stderr)
