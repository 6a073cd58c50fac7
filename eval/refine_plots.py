"""Pictures of what ``genprm eval refine`` found, readable without colour. Needs matplotlib (extra ``plot``)."""

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genprm.eval.plots import STYLE, bare, line, span
from genprm.eval.refine_report import ArmReport, RefineReport


def figures(report: RefineReport) -> dict[str, Figure]:
    """Every picture, by name."""
    return {"turns": curves(report, tokens=False), "tokens": curves(report, tokens=True), "moves": moves(report)}


def curves(report: RefineReport, *, tokens: bool) -> Figure:
    """Accuracy with intervals after each turn, or over the tokens that were written up to its end."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.6, 3.6), layout="constrained")
        axes = figure.subplots()
        for i, arm in enumerate(report.arms):
            _curve(axes, arm, i, tokens)
        if tokens:
            axes.set_xscale("log")
        else:
            axes.set_xticks(range(max((len(arm.turns) for arm in report.arms), default=1)))
        axes.set_xlabel("tokens written by policy and reviewer, a problem" if tokens else "turns")
        axes.set_ylabel("right answers (%)")
        axes.set_ylim(*span([turn.accuracy for arm in report.arms for turn in arm.turns]))
        bare(axes)
        axes.legend(frameon=False, loc="lower right" if tokens else "upper left", fontsize=8)
    return figure


def _curve(axes: Axes, arm: ArmReport, i: int, tokens: bool) -> None:
    # Beside each other, so that intervals of several lines can be told apart.
    places = [max(turn.written, 1.0) if tokens else turn.turn + 0.04 * i for turn in arm.turns]
    line(axes, places, [turn.accuracy for turn in arm.turns], arm.name, i)


def moves(report: RefineReport) -> Figure:
    """Problems that each turn set right, upwards, and those that it set wrong, downwards."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.6, 3.2), layout="constrained")
        axes = figure.subplots()
        names, ups, downs = [], [], []
        for arm in report.arms:
            for turn in arm.turns[1:]:
                names.append(f"{arm.name} {turn.turn}" if turn.turn == 1 else str(turn.turn))
                ups.append(turn.gained)
                downs.append(-turn.lost)
        axes.bar(range(len(names)), ups, color="0.6", edgecolor="0.2", linewidth=0.6, label="wrong to right")
        axes.bar(
            range(len(names)), downs, color="1.0", edgecolor="0.2", linewidth=0.6, hatch="///", label="right to wrong"
        )
        axes.axhline(0, color="0.2", linewidth=0.8)
        axes.set_xticks(range(len(names)), names, rotation=60, ha="right")
        axes.set_ylabel("problems")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    return figure
