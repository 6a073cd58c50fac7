"""Pictures of what ``eval processbench``, ``eval scores``, ``eval policy`` and ``bench`` report, readable without
colour. Needs matplotlib (extra ``plot``)."""

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genprm.eval.bench.report import Report as BenchReport
from genprm.eval.calibration import Scored, calibrate
from genprm.eval.metrics import confusion
from genprm.eval.paired import Measure
from genprm.eval.plots import STYLE, bare, confusions, errors, look, reliability
from genprm.eval.policy import PolicyReport
from genprm.eval.report import Item
from genprm.eval.scores import ScoredSolution, f1_at
from genprm.synth.agreement import Agreement, Pair
from genprm.types import NO_ERROR

_THRESHOLDS = [k / 40 for k in range(41)]
_THROUGHPUT = "steps a second"
_RESAMPLES = 200
"""Of solutions, for the error of calibration."""


def agreement(found: Agreement) -> Figure | None:
    """Agreement of labelers two by two: above the diagonal the share of steps on which they agree, below Cohen's kappa.
    None for a single labeler."""
    if not found.pairs:
        return None
    names = list(dict.fromkeys(name for pair in found.pairs for name in (pair.one, pair.other)))
    with matplotlib.rc_context(STYLE):
        side = 2.4 + 0.42 * len(names)
        figure = Figure(figsize=(side + 1.2, side), layout="constrained")
        axes = figure.subplots()
        cells = [[1.0 if x == y else 0.0 for x in range(len(names))] for y in range(len(names))]
        for pair in found.pairs:
            _fill(axes, cells, pair, names.index(pair.one), names.index(pair.other))
        axes.imshow(cells, cmap="Greys", vmin=0, vmax=1)
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
        axes.set_yticks(range(len(names)), names)
        axes.set_title("agreement in % (above), Cohen's kappa (below)", fontsize=9)
    return figure


def _fill(axes: Axes, cells: list[list[float]], pair: Pair, one: int, other: int) -> None:
    first, last = sorted((one, other))
    for y, x, value, form in ((first, last, pair.agreement.value, "{:.0%}"), (last, first, pair.kappa.value, "{:.2f}")):
        cells[y][x] = max(value or 0.0, 0.0)
        said = "–" if value is None else form.format(value).rstrip("%")
        axes.text(x, y, said, ha="center", va="center", fontsize=7, color="white" if cells[y][x] > 0.5 else "black")


def positions(items: Sequence[Item]) -> Figure | None:
    """What was named for which first error, a panel per split."""
    panels = []
    for name, group in _by_split(items):
        pairs = [(item.label, item.prediction) for item in group]
        n_steps = 1 + max(max(label, NO_ERROR if named is None else named) for label, named in pairs)
        panels.append((name, confusion(pairs, n_steps)))
    return confusions(panels) if panels else None


def rewards(items: Sequence[Item]) -> Figure | None:
    """How far the rewards of steps can be believed, a panel per split: of steps up to the labelled first error, which
    is all that a label tells of. None where the engine gave no P(Yes)."""
    found = {name: [each for item in group for each in _scored(item)] for name, group in _by_split(items)}
    curves = [calibrate(name, scored, resamples=_RESAMPLES) for name, scored in found.items() if scored]
    return reliability(curves) if curves else None


def _scored(item: Item) -> list[Scored]:
    known = item.rewards if item.label == NO_ERROR else item.rewards[: item.label + 1]
    return [Scored(reward, int(at != item.label), item.name) for at, reward in enumerate(known) if reward is not None]


def _by_split(items: Sequence[Item]) -> list[tuple[str, list[Item]]]:
    ordered = sorted(items, key=attrgetter("split"))
    return [(name, list(group)) for name, group in groupby(ordered, key=attrgetter("split"))]


def thresholds(solutions: Sequence[ScoredSolution], chosen: float) -> Figure:
    """Mean F1 of the splits over the threshold, a line per model; the one that was chosen is marked."""
    models = sorted({each.model for each in solutions})
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        axes = figure.subplots()
        for i, model in enumerate(models):
            own = [each for each in solutions if each.model == model]
            axes.plot(
                _THRESHOLDS,
                [100 * (f1_at(own, threshold) or 0.0) for threshold in _THRESHOLDS],
                label=model,
                markevery=5,
                **look(i),
            )
        axes.axvline(chosen, color="0.7", linewidth=0.8, linestyle=":")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 100)
        _named(axes, "a step is wrong below", "mean F1 (%)")
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return figure


def difficulties(report: PolicyReport) -> Figure | None:
    """Problems solved by difficulty, with intervals."""
    shares = report.solve_by_difficulty
    if not shares:
        return None
    found = [Measure(share.value, share.interval) for share in shares.values()]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.2), layout="constrained")
        axes = figure.subplots()
        heights = [100 * share.value for share in shares.values()]
        axes.bar(range(len(shares)), heights, 0.7, yerr=errors(found), color="0.8", edgecolor="0.2", capsize=3)
        axes.set_xticks(range(len(shares)), [f"{level}\n({share.n})" for level, share in shares.items()])
        axes.set_ylim(0, 100)
        _named(axes, "difficulty (problems)", "right answers (%)")
    return figure


def throughput(report: BenchReport) -> Figure | None:
    """Steps a second as bars, a bar per column of the table."""
    row = next((row for row in report.rows if row.name == _THROUGHPUT), None)
    if row is None:
        return None
    known = [(column, value) for column, value in zip(report.columns, row.values, strict=True) if value is not None]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.6, 0.9 + 0.45 * len(known)), layout="constrained")
        axes = figure.subplots()
        bars = axes.barh(range(len(known)), [value for _, value in known], 0.7, color="0.8", edgecolor="0.2")
        axes.bar_label(bars, [f"{value:,.3g}" for _, value in known], padding=4)
        axes.set_yticks(range(len(known)), [column for column, _ in known])
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.set_title(report.title, fontsize=9, loc="left")
        _named(axes, _THROUGHPUT, "", grid="x")
    return figure


def _named(axes: Axes, x: str, y: str, grid: Literal["x", "y"] = "y") -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    bare(axes, grid)
