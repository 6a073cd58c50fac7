"""``genprm eval labels``: how far labelers can be believed, against labels by people, and how far they agree.

Two kinds of data: human ratings (PRM800K), which labelers that need no model are measured on; and score files of
verifiers (``genprm.eval.scores``), of which each row's gold label tells the truth of its steps: those before the first
error are right, that one is wrong, and what comes after it is left out.
"""

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Any

from genprm.api import open_critic
from genprm.commands import Work
from genprm.errors import ConfigError, InputError
from genprm.eval.calibration import Binning, Calibration, Scored, calibrate
from genprm.eval.labels_show import render_report
from genprm.eval.prm800k import Rated, problems_of, read_ratings
from genprm.eval.scores import ScoredSolution, read_scores
from genprm.progress import progress
from genprm.runs import Run, config_of_program, default_folder, digest
from genprm.show import stdout
from genprm.synth.agreement import Agreement, Labels, agree
from genprm.synth.labelers import Labeler
from genprm.synth.labelers.heuristics import Heuristics
from genprm.synth.labelers.judge import Judge
from genprm.synth.types import Attempt, Labelled


@dataclass(frozen=True, slots=True)
class LabelReport:
    """The content of ``report.json``."""

    solutions: int
    calibrations: tuple[Calibration, ...]
    """Of each labeler or verifier: its scores as probabilities that a step is right."""
    agreement: Agreement
    """Of their labels with one another; people's are one more labeler, ``gold``."""
    settings: Mapping[str, Any]


def command(args: argparse.Namespace) -> Work:
    """``genprm eval labels``."""
    if args.bins < 2 or args.resamples < 0 or (args.limit is not None and args.limit < 1):
        raise ConfigError("--bins needs 2 at least, --limit 1, --resamples 0")
    path = Path(args.data)
    kind = args.kind or ("ratings" if path.name.endswith(".gz") or "prm800k" in path.name else "scores")
    if kind == "scores":
        rows = read_scores(path)
        _require_probabilities(rows, str(path))
        return _scores(args, rows)
    return _ratings(args, read_ratings(_only_file(path) if path.is_dir() else path, args.limit))


def _require_probabilities(rows: Sequence[ScoredSolution], path: str) -> None:
    for row in rows:
        if found := next((score for score in row.scores if not 0 <= score <= 1), None):
            raise InputError(f"{row.model} gives {row.id!r} {found:g}: only shares can be calibrated", path, "scores")


def _only_file(folder: Path) -> Path:
    found = sorted([*folder.glob("*.jsonl.gz"), *folder.glob("*.jsonl")])
    if len(found) != 1:
        raise ConfigError(f"{folder} holds {len(found)} files of ratings; name one of them")
    return found[0]


async def _ratings(args: argparse.Namespace, rated: Sequence[Rated]) -> int:
    data = digest(each.solution for each in rated)
    settings = {
        **_settings(args),
        "data": data,
        "problems": problems_of(rated),
        "neutral": args.neutral,
        "labelers": args.labelers,
    }
    with Run(_folder(args, settings), settings) as run:
        labelled = await _label_all(args.labelers, rated, run)
        truth = [[_truth(rating, args.neutral) for rating in each.ratings] for each in rated]
        graded = [
            [rating if known is not None else None for rating, known in zip(each.ratings, row, strict=True)]
            for each, row in zip(rated, truth, strict=True)
        ]
        names = [each.solution.id for each in rated]
        right_from = 1 if args.neutral == "wrong" else 0
        scored = {name: _scored(graded, found, names) for name, found in labelled.items()}
        calibrations = [_calibrated(args, name, items, right_from) for name, items in scored.items()]
        labels = {
            name: [
                [s.label if t is not None else None for s, t in zip(one.steps, row, strict=True)]
                for one, row in zip(found, truth, strict=True)
            ]
            for name, found in labelled.items()
        }
        return _report(args, run, len(rated), calibrations, {"gold": truth, **labels}, settings)


async def _scores(args: argparse.Namespace, rows: Sequence[ScoredSolution]) -> int:
    settings = {**_settings(args), "rows": len(rows), "threshold": args.threshold}
    with Run(_folder(args, settings), settings) as run:
        by_model: dict[str, dict[str, ScoredSolution]] = {}
        for row in rows:
            by_model.setdefault(row.model, {})[f"{row.split}/{row.id}"] = row
        calibrations = [
            _calibrated(args, model, [item for name, row in solutions.items() for item in _steps_of(name, row)], 1)
            for model, solutions in sorted(by_model.items())
        ]
        shared = sorted(set.intersection(*(set(solutions) for solutions in by_model.values())))
        labels: dict[str, list[Labels]] = {"gold": [_gold(next(iter(by_model.values()))[name]) for name in shared]}
        for model, solutions in sorted(by_model.items()):
            labels[model] = [_cut(solutions[name], args.threshold) for name in shared]
        return _report(args, run, len(shared), calibrations, labels, settings)


async def _label_all(names: Sequence[str], rated: Sequence[Rated], run: Run) -> dict[str, list[Labelled]]:
    """By each labeler, of each solution; what ``run`` holds is not asked again."""
    done = {(found.labeler, found.attempt.solution.id): found for found in run.read(Labelled)}
    found: dict[str, list[Labelled]] = {}
    async with open_critic("symbolic") as critic:
        made: dict[str, Labeler] = {"heuristics": Heuristics(), "judge": Judge(critic)}
        for name in names:
            found[made[name].name] = await _label(made[name], rated, run, done)
    return found


async def _label(
    labeler: Labeler, rated: Sequence[Rated], run: Run, done: Mapping[tuple[str, str], Labelled]
) -> list[Labelled]:
    room = asyncio.Semaphore(16)

    async def one(each: Rated) -> Labelled:
        if (known := done.get((labeler.name, each.solution.id))) is not None:
            return known
        async with room:
            labelled = await labeler.label(Attempt(each.solution, each.solution.problem.text, "no_answer"))
        run.append(labelled)
        return labelled

    with progress(f"labelling by {labeler.name}", len(rated)) as tick:

        async def ticked(each: Rated) -> Labelled:
            labelled = await one(each)
            tick()
            return labelled

        return list(await asyncio.gather(*(ticked(each) for each in rated)))


def _report(
    args: argparse.Namespace,
    run: Run,
    solutions: int,
    calibrations: Sequence[Calibration],
    labels: Mapping[str, Sequence[Labels]],
    settings: Mapping[str, Any],
) -> int:
    agreement = agree(labels, resamples=args.resamples, seed=args.seed)
    report = LabelReport(solutions, tuple(calibrations), agreement, settings)
    path = run.write_report(report)
    console = stdout()
    console.print(render_report(report))
    if util.find_spec("matplotlib"):
        console.print(_drawn(calibrations, agreement, run.folder), style="dim", soft_wrap=True, markup=False)
    console.print(f"report: {path}", style="dim", soft_wrap=True, markup=False)
    return 0


def _drawn(calibrations: Sequence[Calibration], agreement: Agreement, folder: Path) -> str:
    """Reliability curves and the matrix of agreement, as PNG and SVG; where they lie."""
    from genprm.eval.figure_plots import agreement as matrix  # matplotlib is an extra
    from genprm.eval.plots import reliability, save

    figures = {"reliability": reliability(calibrations), "agreement": matrix(agreement)}
    found = [save(figure, folder / f"{name}.{end}") for name, figure in figures.items() if figure for end in _ENDS]
    return f"pictures: {', '.join(map(str, found))}"


_ENDS = ("png", "svg")


def _scored(
    ratings: Sequence[Sequence[int | None]], labelled: Sequence[Labelled], names: Sequence[str]
) -> list[Scored]:
    return [
        Scored(step.score, rating, name)
        for row, found, name in zip(ratings, labelled, names, strict=True)
        for rating, step in zip(row, found.steps, strict=True)
        if rating is not None
    ]


def _steps_of(name: str, row: ScoredSolution) -> list[Scored]:
    return [Scored(score, int(bool(right)), name) for score, right in zip(row.scores, _gold(row), strict=False)]


def _gold(row: ScoredSolution) -> Labels:
    """Right before the first error, which is wrong; after it nobody has said, and a solution ends there."""
    return [True] * row.n_steps if row.label < 0 else [*[True] * row.label, False]


def _cut(row: ScoredSolution, threshold: float) -> Labels:
    """Of the same steps."""
    return [score >= threshold for score in row.scores[: len(_gold(row))]]


def _truth(rating: int | None, neutral: str) -> bool | None:
    if rating is None or (rating == 0 and neutral == "drop"):
        return None
    return rating > 0 or (rating == 0 and neutral == "right")


def _calibrated(args: argparse.Namespace, name: str, items: Sequence[Scored], right_from: int) -> Calibration:
    binning: Binning = args.binning
    return calibrate(
        name, items, right_from=right_from, bins=args.bins, binning=binning, resamples=args.resamples, seed=args.seed
    )


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    return {
        "file": Path(args.data).name,
        "limit": args.limit,
        "bins": args.bins,
        "binning": args.binning,
        "resamples": args.resamples,
        "seed": args.seed,
        **config_of_program(),
    }


def _folder(args: argparse.Namespace, settings: Mapping[str, Any]) -> Path:
    return Path(args.run) if args.run else default_folder("labels", settings)
