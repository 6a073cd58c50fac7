"""``genprm eval processbench --scorer``: the same metric from the step scores of a head or a published reward model.

The first step whose score lies below the threshold is the predicted first error. A step before it without a score
leaves the solution without a prediction, which counts as wrong and is counted apart.
"""

import argparse
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genprm.commands import reported
from genprm.errors import ConfigError
from genprm.eval.metrics import first_below
from genprm.eval.report import Item, build_report, print_report
from genprm.progress import progress
from genprm.runs import Run, config_of_program, default_folder, digest, key
from genprm.scorers import Scorer, Scores, open_scorer, weights_of
from genprm.show import stdout
from genprm.types import Solution

_AT_ONCE = 64
"""Solutions that are scored together; each lot is kept when all of it is done."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of ``results.jsonl``."""

    key: str
    scores: Scores


def evaluate(args: argparse.Namespace, solutions: Sequence[Solution]) -> Coroutine[Any, Any, int]:
    """The command: 1 where solutions could not be scored."""
    if not 0 <= args.threshold <= 1:
        raise ConfigError(f"the threshold lies between 0 and 1, not at {args.threshold:g}")
    return _evaluate(args, solutions)


async def _evaluate(args: argparse.Namespace, solutions: Sequence[Solution]) -> int:
    config = {
        "scorer": args.scorer,
        "weights": weights_of(args.scorer),
        "rows": len(solutions),
        "data": digest(solutions),
        **config_of_program(),
    }
    with Run(Path(args.run) if args.run else default_folder("processbench", config), config) as run:
        async with open_scorer(args.scorer) as scorer:
            found = await _scored(solutions, scorer, run, args.retry_failed)
        items = [to_item(one, found[key(one)], args.threshold) for one in solutions]
        report = build_report(items, config | {"threshold": args.threshold})
        path = run.write_report(report)
    console = stdout()
    print_report(report, console)
    return reported(path, report.failures, console)


async def _scored(solutions: Sequence[Solution], scorer: Scorer, run: Run, retry: bool) -> Mapping[str, Scores]:
    done = {line.key: line.scores for line in run.read(Line)}
    done = {name: scores for name, scores in done.items() if not (retry and scores.error)}
    waiting = [one for one in solutions if key(one) not in done]
    with progress("scoring", len(solutions), len(solutions) - len(waiting)) as tick:
        for at in range(0, len(waiting), _AT_ONCE):
            lot = waiting[at : at + _AT_ONCE]
            for one, scores in zip(lot, await scorer.score(lot), strict=True):
                run.append(Line(key(one), scores))
                done[key(one)] = scores
                tick()
    return done


def to_item(solution: Solution, scores: Scores, threshold: float) -> Item:
    """What the metric needs."""
    assert solution.first_error is not None
    failed = {"row failed": 1} if scores.error else {}
    prediction = None if scores.error else prediction_of(scores.steps, threshold)
    if prediction is None and not scores.error:
        failed = {"row without a score of a step": 1}
    return Item(solution.source, solution.first_error, prediction, failed, scores.usage, scores.usage.engine_s)


def prediction_of(steps: Sequence[float | None], threshold: float) -> int | None:
    """The first step below the threshold; None where one before it has no score, or there is none at all."""
    known = [score for score in steps if score is not None]
    if not known:
        return None
    if len(known) == len(steps):
        return first_below(known, threshold)
    missing = list(steps).index(None)
    before = first_below([score for score in steps[:missing] if score is not None], threshold)
    return before if before >= 0 else None
