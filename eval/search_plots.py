"""Pictures of ``genprm eval search`` and ``genprm eval provers``, readable without colour. Needs matplotlib (extra
``plot``)."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genprm.eval.curves import Point, by_method
from genprm.eval.plots import STYLE, bare, line, span
from genprm.eval.provers import ProverReport
from genprm.eval.search_report import ANY, BASELINE, MAJORITY, Q_ALONE, SearchReport, progress_by
from genprm.provers import Figure as Mean

_NO_BEAM = (BASELINE, MAJORITY, ANY)
_X = {"policy": "tokens that the policy wrote, a problem", "total": "tokens of policy, scorer and prover, a problem"}


def figures(report: SearchReport) -> dict[str, Figure]:
    """Every picture of a search; those that the report has no figures for are left out."""
    found = {"curves": curves(report)}
    if report.settings.get("provers"):
        found["sweep"] = sweep(report)
    return found


def curves(report: SearchReport) -> Figure:
    """Accuracy over tokens: the baselines, beam search by Q, and by the effective reward that ended highest; a panel
    for each way to count tokens."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.8), layout="constrained")
        panels = figure.subplots(1, len(report.axes), sharey=True)
        for axes, found in zip(panels, report.axes, strict=True):
            methods = by_method(found.points)
            for i, name in enumerate(shown(methods)):
                _line(axes, name, [(point.tokens, point) for point in methods[name]], i)
            _over(axes, _X[found.axis])
        panels[0].set_ylabel("right (%)")
        panels[0].set_ylim(*span([point.accuracy for point in report.axes[0].points]))
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return figure


def shown(methods: Mapping[str, Sequence[Point]]) -> list[str]:
    """The methods that are drawn: all but the weaker effective rewards."""
    first = [name for name in (BASELINE, MAJORITY, ANY, Q_ALONE) if name in methods]
    others = [name for name in methods if name not in first]
    best = max(others, key=lambda name: max(p.accuracy.value or 0.0 for p in methods[name]), default=None)
    return first + ([best] if best else [])


def sweep(report: SearchReport) -> Figure:
    """Accuracy over alpha, a line a prover, a panel a width of the beam; Q alone is alpha 0."""
    found = report.axes[0].points
    widths = sorted({point.size for point in found if point.method == Q_ALONE})
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(1 + 2.6 * len(widths), 3.8), layout="constrained")
        panels = figure.subplots(1, len(widths), sharey=True, squeeze=False)[0]
        for axes, width in zip(panels, widths, strict=True):
            at = {point.method: point for point in found if point.size == width}
            _sweep(axes, at, report.settings)
            axes.set_title(f"beam {width}", fontsize=9)
        panels[0].set_ylabel("right (%)")
        panels[0].set_ylim(*span([point.accuracy for point in found if point.method not in _NO_BEAM]))
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
    return figure


def _sweep(axes: Axes, at: Mapping[str, Point], settings: Mapping[str, Any]) -> None:
    alphas = sorted(float(alpha) for alpha in settings["alphas"] if math.isfinite(float(alpha)))
    for i, prover in enumerate(settings["provers"]):
        found = [(0.0, at[Q_ALONE])] + [(alpha, at[progress_by(prover, alpha)]) for alpha in alphas]
        # Beside each other, so that intervals of several lines can be told apart.
        _line(axes, prover, [(x + 0.012 * i * alphas[-1] if alphas else x, point) for x, point in found], i)
    axes.set_xlabel("alpha (0 is Q alone)")
    bare(axes)


def provers(report: ProverReport) -> Figure:
    """Distinguishability and alignment, a row a prover."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8, 1.2 + 0.32 * len(report.provers)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        _dots(left, "distinguishability", [each.distinguishability for each in report.provers])
        _dots(right, "alignment", [each.alignment for each in report.provers])
        left.set_yticks(range(len(report.provers)), [named(each.prover) for each in report.provers])
        left.invert_yaxis()
    return figure


def _dots(axes: Axes, name: str, means: Sequence[Mean]) -> None:
    for place, each in enumerate(means):
        if each.value is not None and each.low is not None and each.high is not None:
            axes.plot([each.low, each.high], [place, place], color="0.5", linewidth=1.2)
            axes.plot([each.value], [place], color="0.0", marker="o", markersize=4)
    axes.axvline(0, color="0.7", linewidth=0.8, linestyle=":")
    axes.set_xlabel(name)
    bare(axes)


def _line(axes: Axes, name: str, found: Sequence[tuple[float, Point]], i: int) -> None:
    line(axes, [x for x, _ in found], [point.accuracy for _, point in found], named(name), i)


def named(method: str) -> str:
    """Folders by their own names alone: a legend has no room for whole paths."""
    return re.sub(r"\b(head|prm):\S*/(?=[^/\s])", r"\1:", method)


def _over(axes: Axes, name: str) -> None:
    axes.set_xscale("log")
    axes.set_xlabel(name)
    bare(axes)
