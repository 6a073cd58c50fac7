"""Pictures of best of N, readable without colour. Needs matplotlib (extra ``plot``)."""

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genprm.eval.bon_report import MAJORITY, PASS, BonReport, Point
from genprm.eval.plots import STYLE, bare, line

_MOST = 8
"""Lines in a picture: the best method of each scorer, and what it stands next to."""


def figures(report: BonReport) -> dict[str, Figure]:
    """Accuracy over N, over tokens, and over votes; what the report has no figures for is left out."""
    found: dict[str, Figure] = {}
    if report.points:
        found |= {"accuracy": _curves(report, over_tokens=False), "tokens": _curves(report, over_tokens=True)}
    if report.votes:
        found["votes"] = _votes(report)
    return found


def lines_of(report: BonReport) -> list[str]:
    """Majority, what is possible, and of each scorer the method that is best at the greatest N, and its outcome."""
    last = max(point.n for point in report.points)
    best: dict[str, Point] = {}
    for point in report.points:
        scorer = point.method.partition(" · ")[0]
        known = best.get(scorer)
        if point.n == last and (known is None or (point.accuracy.value or 0) > (known.accuracy.value or 0)):
            best[scorer] = point
    chosen = [PASS, MAJORITY, *(point.method for name, point in best.items() if name not in (PASS, MAJORITY))]
    outcomes = [point.method for point in report.points if point.method.endswith(" · outcome · best")]
    return list(dict.fromkeys([*chosen, *outcomes]))[:_MOST]


def _curves(report: BonReport, *, over_tokens: bool) -> Figure:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.5, 4), layout="constrained")
        axes = figure.subplots()
        for i, method in enumerate(lines_of(report)):
            own = [point for point in report.points if point.method == method]
            places = [point.written if over_tokens else float(point.n) for point in own]
            line(axes, places, [point.accuracy for point in own], method, i)
        axes.set_xlabel("tokens written, a problem" if over_tokens else "candidates N")
        _finish(figure, axes, logarithmic=not over_tokens)
    return figure


def _votes(report: BonReport) -> Figure:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.5, 4), layout="constrained")
        axes = figure.subplots()
        for i, method in enumerate(dict.fromkeys(point.method for point in report.votes)):
            own = [point for point in report.votes if point.method == method]
            line(axes, [float(point.votes) for point in own], [point.accuracy for point in own], method, i)
        axes.set_xlabel("votes a step")
        _finish(figure, axes, logarithmic=True)
    return figure


def _finish(figure: Figure, axes: Axes, *, logarithmic: bool) -> None:
    if logarithmic:
        axes.set_xscale("log", base=2)
    axes.set_ylabel("problems solved (%)")
    bare(axes)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=1, frameon=False, fontsize=7)
