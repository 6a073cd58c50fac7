"""The report of ``genprm eval refine`` for people."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from genprm.eval.paired import Measure
from genprm.eval.refine_report import ArmReport, Comparison, RefineReport


def render_report(report: RefineReport) -> Group:
    """By turn (mended: from wrong to right; spoilt: from right to wrong), and against the critic."""
    parts: list[RenderableType] = [_by_turn(report)]
    parts += [Text(_compared(each)) for each in report.comparisons]
    parts += [Text(_ends(arm), "dim") for arm in report.arms]
    return Group(*parts)


def _by_turn(report: RefineReport) -> Table:
    table = Table("", "turn", "right", "95 %", "rise", "mended", "spoilt", "tokens", box=None)
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    for arm in report.arms:
        for turn in arm.turns:
            name = arm.name if turn.turn == 0 else ""
            moved = [str(turn.gained), str(turn.lost)] if turn.turn else ["", ""]
            rise = _points(turn.rise) if turn.turn else ""
            table.add_row(
                name, str(turn.turn), _share(turn.accuracy), _span(turn.accuracy), rise, *moved, f"{turn.written:,.0f}"
            )
    return table


def _share(measure: Measure) -> str:
    return "-" if measure.value is None else f"{measure.value:.1%}"


def _span(measure: Measure) -> str:
    found = measure.interval
    return "-" if found is None else f"{100 * found.low:.1f} to {100 * found.high:.1f}"


def _points(measure: Measure) -> str:
    if measure.value is None or measure.interval is None:
        return "-"
    low, high = 100 * measure.interval.low, 100 * measure.interval.high
    return f"{100 * measure.value:+.1f} ({low:+.1f} to {high:+.1f})"


def _compared(found: Comparison) -> str:
    times = f"; {found.ratio:.1f} times its rise" if found.ratio is not None else "; that one does not rise"
    return f"critic over {found.other}, after the last turn: {_points(found.difference)} points{times}"


def _ends(arm: ArmReport) -> str:
    ends = ", ".join(f"{outcome} {n}" for outcome, n in sorted(arm.outcomes.items()))
    odd = ", ".join(f"{state} {n}" for state, n in sorted(arm.states.items()) if state != "ok")
    accepted = f" (of the accepted {arm.accepted_wrong} wrong)" if arm.accepted_right + arm.accepted_wrong else ""
    fresh = f" · written afresh: {arm.fresh}" if arm.fresh else ""
    return f"{arm.name}: {ends}{accepted}{fresh}" + (f" · versions: {odd}" if odd else "")
