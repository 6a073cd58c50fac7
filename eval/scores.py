"""Score files of discriminative verifiers -> the ProcessBench metric per model.

A folder holds a JSONL file per split (the stem is its name), with a row per model and solution::

    {"id": "gsm8k-77", "label": 3, "n_steps": 4, "model": "Qwen2.5-Math-7B-PRM800K", "scores": [0.99, 0.97, 0.96, 0.96]}

``scores`` may end at the gold first error: what comes after it cannot change a hit.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from genprm.errors import InputError
from genprm.eval.metrics import MeanF1, Pair, ProcessBenchScore, first_below, harmonic_mean, score_splits
from genprm.rows import Row, describe, read_rows
from genprm.types import NO_ERROR

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class ScoredSolution:
    """What one verifier says of one solution."""

    split: str
    id: str
    model: str
    label: int
    """0-based index of the first wrong step, ``NO_ERROR`` for none."""
    n_steps: int
    scores: tuple[float, ...]
    """A score per step, higher for better, up to the gold first error at least."""


@dataclass(frozen=True, slots=True)
class ModelScore:
    """One verifier over all splits at one threshold."""

    model: str
    threshold: float
    """The first step whose score lies under it is the predicted first error."""
    splits: tuple[ProcessBenchScore, ...]
    mean: MeanF1


def read_scores(path: str | Path) -> list[ScoredSolution]:
    """All rows of a folder of ``.jsonl`` files, or of one file. Raises InputError with file, line and field."""
    path = Path(path)
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise InputError("the folder holds no .jsonl file", str(path))
    found: list[ScoredSolution] = []
    for file in files:
        seen: dict[tuple[str, str], str] = {}
        for row in read_rows(file):
            solution = _scored_solution(row, file.stem)
            key = (solution.model, solution.id)
            if key in seen:
                raise row.error(f"{solution.id!r} was scored by {solution.model} at {seen[key]} already", "id")
            seen[key] = row.where
            found.append(solution)
    return found


def evaluate_scores(path: str | Path, threshold: float = 0.5, *, seed: int = 0) -> list[ModelScore]:
    """The metric of every model in a score file or folder: see :func:`score_models`."""
    return score_models(read_scores(path), threshold, seed=seed)


def score_models(solutions: Iterable[ScoredSolution], threshold: float = 0.5, *, seed: int = 0) -> list[ModelScore]:
    """The metric of every model, the models in the order of their names.

    A threshold that was chosen on the same rows makes the score look better than it is.
    """
    if not math.isfinite(threshold):
        raise ValueError(f"the threshold must be a number, not {threshold}")
    by_model: dict[str, dict[str, list[Pair]]] = {}
    for each in solutions:
        pairs = by_model.setdefault(each.model, {}).setdefault(each.split, [])
        pairs.append((each.label, first_below(each.scores, threshold)))
    return [
        ModelScore(model, threshold, *score_splits(splits, seed=seed)) for model, splits in sorted(by_model.items())
    ]


def f1_at(solutions: Iterable[ScoredSolution], threshold: float) -> float | None:
    """Mean F1 of the splits at a threshold, without intervals; None where a split has but one class."""
    hits: dict[str, tuple[list[bool], list[bool]]] = {}
    for each in solutions:
        right, wrong = hits.setdefault(each.split, ([], []))
        (right if each.label == NO_ERROR else wrong).append(first_below(each.scores, threshold) == each.label)
    if not hits or not all(right and wrong for right, wrong in hits.values()):
        return None
    found = [harmonic_mean(sum(right) / len(right), sum(wrong) / len(wrong)) for right, wrong in hits.values()]
    return sum(found) / len(found)


def print_scores(scores: Iterable[ModelScore], console: "Console | None" = None) -> None:
    """The table of :func:`scores_table`, and the threshold."""
    from rich.console import Console
    from rich.text import Text

    scores = list(scores)
    console = console or Console(highlight=False)
    console.print(scores_table(scores))
    thresholds = ", ".join(f"{threshold:g}" for threshold in sorted({score.threshold for score in scores}))
    console.print(Text(f"F1 in percent; a step is wrong where its score lies below {thresholds}", "dim"))


def scores_table(scores: Iterable[ModelScore]) -> "Table":
    """F1 in percent, a row per model and a column per split, for the terminal."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from genprm.sandbox.text import plain

    scores = list(scores)
    names = sorted({split.split for score in scores for split in score.splits})
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("model", overflow="fold")
    for name in [*names, "mean"]:
        table.add_column(Text(plain(name)), justify="right", overflow="fold")
    for score in scores:
        f1 = {split.split: split.f1 for split in score.splits}
        table.add_row(Text(plain(score.model)), *(_percent(f1.get(name)) for name in names), _percent(score.mean.f1))
    return table


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _scored_solution(row: Row, split: str) -> ScoredSolution:
    label, n_steps = _required_int(row, "label"), _required_int(row, "n_steps")
    if n_steps < 1:
        raise row.error(f"must be at least 1, not {n_steps}", "n_steps")
    if not NO_ERROR <= label < n_steps:
        raise row.error(f"must lie between {NO_ERROR} and {n_steps - 1} for {n_steps} steps, not {label}", "label")
    scores = _scores(row)
    needed = n_steps if label == NO_ERROR else label + 1
    if not needed <= len(scores) <= n_steps:
        raise row.error(f"there are {len(scores)} scores; label {label} of {n_steps} steps needs {needed}", "scores")
    return ScoredSolution(split, _required_text(row, "id"), _required_text(row, "model"), label, n_steps, scores)


def _scores(row: Row) -> tuple[float, ...]:
    items = row.items("scores")
    if items is None:
        raise row.error("is missing", "scores")
    for i, item in enumerate(items):
        if isinstance(item, bool) or not isinstance(item, int | float):
            raise row.error(f"must be a number, not {describe(item)}", f"scores[{i}]")
        if not math.isfinite(item):
            raise row.error(f"must be finite, not {item}", f"scores[{i}]")
    return tuple(map(float, items))


def _required_int(row: Row, name: str) -> int:
    value = row.integer(name)
    if value is None:
        raise row.error("is missing", name)
    return value


def _required_text(row: Row, name: str) -> str:
    value = row.text(name)
    if not value:
        raise row.error("is missing", name)
    return value
