"""Pictures of what ``genprm eval world`` and ``eval labels`` found, readable without colour.

Needs matplotlib (extra ``plot``).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genprm.eval.calibration import Calibration
from genprm.eval.metrics import Interval
from genprm.eval.paired import Measure
from genprm.eval.world_report import Arm, WorldReport
from genprm.eval.world_votes import RULES

STYLE = {"svg.fonttype": "none", "svg.hashsalt": "genprm", "font.size": 9.0}
"""Text stays text in SVG files, and the same report gives the same file."""
_GREYS = ("0.0", "0.35", "0.55", "0.75")
_LINES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D")
_FILLS = ("0.6", "0.95", "0.8", "1.0")
_HATCHES = ("", "///", "...", "xx")
Confusion = Sequence[Sequence[int]]
"""[label][prediction], both counted from step 0, then no error; predictions then: none. Numbers of problems."""
_RULE_NAMES = {"mean": "mean of P(Yes)", "majority": "majority of verdicts"}


def save_all(report: WorldReport, folder: Path) -> list[Path]:
    """Every picture as PNG and SVG; those that the report has no figures for are left out."""
    figures = {"kinds": kinds(report), "confusion": confusion(report)}
    if has_votes(report):
        figures = {"votes": votes(report)} | figures
    return [save(figure, folder / f"{name}.{end}") for name, figure in figures.items() for end in ("png", "svg")]


def save(figure: Figure, path: Path) -> Path:
    """In the format that the end of the name says."""
    with matplotlib.rc_context(STYLE):
        dated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
        figure.savefig(path, dpi=150, metadata=dated.get(path.suffix))
    return path


def has_votes(report: WorldReport) -> bool:
    """Whether there is anything to draw over votes."""
    return any(point.n > 1 and point.f1.value is not None for arm in report.arms for point in arm.votes)


def votes(report: WorldReport) -> Figure:
    """F1 over votes with intervals, a line per ablation, a panel per way to count them."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8, 3.6), layout="constrained")
        panels = figure.subplots(1, len(RULES), sharey=True)
        for axes, rule in zip(panels, RULES, strict=True):
            for i, arm in enumerate(report.arms):
                _vote_line(axes, arm, rule, i)
            _vote_axes(axes, rule, report)
        panels[0].set_ylabel("F1 (%)")
        panels[0].set_ylim(*span([point.f1 for arm in report.arms for point in arm.votes]))
        _legend(figure, panels[0], report)
    return figure


def _vote_line(axes: Axes, arm: Arm, rule: str, i: int) -> None:
    points = [point for point in arm.votes if point.rule == rule and point.f1.value is not None]
    # Beside each other, so that intervals of several lines can be told apart.
    places = [point.n * (1 + 0.03 * i) for point in points]
    line(axes, places, [point.f1 for point in points], arm.name, i)


def _vote_axes(axes: Axes, rule: str, report: WorldReport) -> None:
    sizes = sorted({point.n for arm in report.arms for point in arm.votes})
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("votes a step")
    axes.set_title(_RULE_NAMES[rule], fontsize=9)
    bare(axes)


def kinds(report: WorldReport) -> Figure:
    """Share of wrong solutions whose first error is named exactly, by its kind: a bar per ablation."""
    scores = [{score.split: score for score in arm.kinds} for arm in report.arms]
    order = sorted(scores[0], key=lambda kind: scores[0][kind].error_accuracy or 0.0)
    height = 0.8 / len(scores)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7, 1.2 + len(order) * (0.16 + 0.16 * len(scores))), layout="constrained")
        axes = figure.subplots()
        for i, (arm, by_kind) in enumerate(zip(report.arms, scores, strict=True)):
            found = [Measure(by_kind[kind].error_accuracy, by_kind[kind].error_interval) for kind in order]
            axes.barh(
                [place + 0.4 - (i + 0.5) * height for place in range(len(order))],
                [100 * (each.value or 0.0) for each in found],
                height,
                xerr=errors(found),
                label=arm.name,
                color=_FILLS[i % 4],
                edgecolor="0.2",
                hatch=_HATCHES[i % 4],
                linewidth=0.6,
                error_kw={"elinewidth": 0.8, "capsize": 2, "ecolor": "0.0"},
            )
        axes.set_yticks(range(len(order)), [f"{_words(kind)} ({scores[0][kind].n_error})" for kind in order])
        axes.set_xlim(0, 100)
        axes.set_xlabel("first error named exactly (%)")
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylim(-0.6, len(order) - 0.4)
        _legend(figure, axes, report)
    return figure


def confusion(report: WorldReport) -> Figure:
    """What was named for which first error, a panel per ablation."""
    return confusions([(arm.name, arm.confusion) for arm in report.arms])


def confusions(panels: Sequence[tuple[str, Confusion]]) -> Figure:
    """What was named for which first error: shares of a row in grey, numbers of problems in words."""
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    side = 0.9 + 0.34 * max(len(counts) for _, counts in panels)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=((side + 0.4) * columns, (side + 0.3) * rows), layout="constrained")
        places = figure.subplots(rows, columns, squeeze=False).flatten()
        for axes, (name, counts) in zip(places, panels, strict=False):
            _matrix(axes, name, counts)
        for axes in places[len(panels) :]:
            axes.set_visible(False)
    return figure


def _matrix(axes: Axes, name: str, confusion: Confusion) -> None:
    steps = [str(step + 1) for step in range(len(confusion) - 1)]
    missing = any(row[-1] for row in confusion)
    counts = [row if missing else row[:-1] for row in confusion]
    shares = [[count / max(sum(row), 1) for count in row] for row in counts]
    axes.imshow(shares, cmap="Greys", vmin=0, vmax=1)
    for y, row in enumerate(counts):
        for x, count in enumerate(row):
            if count:
                tone = "white" if shares[y][x] > 0.5 else "black"
                axes.text(x, y, str(count), ha="center", va="center", fontsize=7, color=tone)
    axes.set_xticks(range(len(counts[0])), [*steps, "none", *(["?"] if missing else [])])
    axes.set_yticks(range(len(counts)), [*steps, "none"])
    axes.set_title(name, fontsize=9)
    axes.set_xlabel("first error named" + (" (?: no verdict)" if missing else ""))
    axes.set_ylabel("first error")


def reliability(calibrations: Sequence[Calibration]) -> Figure:
    """Reliability curves: share of right steps over the mean score of a bin, a panel per labeler; the area of a point
    is the bin's share of the steps."""
    columns = min(len(calibrations), 4)
    rows = -(-len(calibrations) // columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2.1 * columns + 0.6, 2.3 * rows + 0.3), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for axes, each in zip(panels.flatten(), calibrations, strict=False):
            _curve(axes, each)
        for axes in panels.flatten()[len(calibrations) :]:
            axes.set_visible(False)
        for axes in panels.flatten()[: len(calibrations)][-columns:]:
            axes.tick_params(labelbottom=True)
        for axes in panels[:, 0]:
            axes.set_ylabel("right (%)")
        figure.supxlabel("mean score (%)", fontsize=9)
    return figure


def _curve(axes: Axes, each: Calibration) -> None:
    axes.plot([0, 100], [0, 100], color="0.7", linewidth=0.8, linestyle="--")
    xs, ys = [100 * point.score for point in each.curve], [100 * point.right for point in each.curve]
    axes.plot(xs, ys, color="0.0", linewidth=1.0)
    axes.scatter(
        xs,
        ys,
        s=[6 + 150 * point.n / each.n for point in each.curve],
        color="0.55",
        edgecolor="0.0",
        zorder=3,
        clip_on=False,
    )
    ece = "" if each.ece.value is None else f"ECE {100 * each.ece.value:.1f} %"
    axes.text(0.95, 0.05, ece, transform=axes.transAxes, ha="right", fontsize=8)
    axes.set_xlim(-3, 103)
    axes.set_ylim(-3, 103)
    axes.set_title(each.name if len(each.name) <= 26 else f"{each.name[:25]}…", fontsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def _legend(figure: Figure, axes: Axes, report: WorldReport) -> None:
    """Of several lines or bars, above the picture, where it hides nothing."""
    if len(report.arms) > 1:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=4, frameon=False)


def line(axes: Axes, places: Sequence[float], found: Sequence[Measure], name: str, i: int) -> None:
    """The figures in percent with their intervals, as line ``i`` of a picture."""
    axes.errorbar(
        places,
        [100 * (measure.value or 0.0) for measure in found],
        yerr=errors(found),
        label=name,
        capsize=2,
        elinewidth=0.8,
        **look(i),
    )


def look(i: int) -> dict[str, Any]:
    """Of line ``i`` of a picture: told apart without colour."""
    return {
        "color": _GREYS[i % 4],
        "linestyle": _LINES[(i + i // 4) % 4],
        "marker": _MARKERS[i % 4],
        "markersize": 4,
    }


def bare(axes: Axes, along: Literal["x", "y"] = "y") -> None:
    """Without a frame; a grid behind the figures, whose axis is ``along``."""
    axes.grid(axis=along, color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def span(measures: Sequence[Measure]) -> tuple[float, float]:
    """From below the lowest interval to above the highest, in percent; ten points at least: noise is to look small."""
    ends = [100 * end for m in measures if m.interval for end in (m.interval.low, m.interval.high)] or [0.0, 100.0]
    low, high = min(ends), max(ends)
    margin = max(0.05 * (high - low), (10 - (high - low)) / 2)
    return max(low - margin, -1.0), min(high + margin, 101.0)


def errors(measures: Sequence[Measure]) -> tuple[list[float], list[float]]:
    """Distances from the figures down and up to the ends of their intervals, in percent."""
    known = [(each.value or 0.0, each.interval or Interval(each.value or 0.0, each.value or 0.0)) for each in measures]
    # A mean of F1 may lie a hair outside of the interval of one that hardly varies.
    down = [100 * max(value - interval.low, 0.0) for value, interval in known]
    return down, [100 * max(interval.high - value, 0.0) for value, interval in known]


def _words(name: str) -> str:
    return name.replace("_", " ")
