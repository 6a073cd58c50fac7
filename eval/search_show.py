"""The report on search, on the terminal."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from genprm.eval.paired import Measure
from genprm.eval.report import made, share, table
from genprm.eval.search_report import AxisReport, SearchReport
from genprm.searching.opening import needs_answers

_AXES = {"policy": "tokens that the policy wrote", "total": "tokens of policy, scorer and prover"}


def render_report(report: SearchReport) -> Group:
    """Tables by axis, then what failed."""
    parts: list[RenderableType] = []
    for axis in report.axes:
        parts += [Text(f"By {_AXES[axis.axis]}", "bold"), _points(axis), "", _comparisons(axis, report.baseline), ""]
    if report.progress:
        parts += [_progress(report), ""]
    parts += [_counts(report), ""]
    asked = (report.settings.get("scorer"), report.settings.get("outcome"), *report.settings.get("provers", ()))
    if needs_answers(*asked):
        parts.append(Text("Values by completions know the answers: upper bounds, the choice included.", "yellow"))
    return Group(*parts, *made(report.settings))


def _points(axis: AxisReport) -> Table:
    shown = table("method", "size", "right (%)", "tokens a problem")
    for point in axis.points:
        accuracy = share(point.accuracy.value, point.accuracy.interval)
        shown.add_row(Text(point.method), str(point.size), accuracy, f"{point.tokens:,.0f}")
    return shown


def _comparisons(axis: AxisReport, baseline: str) -> Table:
    shown = table(f"against {baseline}", "size", "points at equal tokens", "tokens for the same accuracy (%)")
    for each in axis.comparisons:
        bound = Text("at most ") if each.beyond else Text()
        shown.add_row(Text(each.method), str(each.size), _figure(each.gain), bound + _figure(each.share))
    return shown


def _progress(report: SearchReport) -> Table:
    """A line for each method, a column for each width."""
    sizes = sorted({each.size for each in report.progress})
    shown = table("points more than by Q alone", *(f"beam {size}" for size in sizes))
    for method in dict.fromkeys(each.method for each in report.progress):
        own = {each.size: each.gain for each in report.progress if each.method == method}
        shown.add_row(Text(method), *(_figure(own[size]) if size in own else Text() for size in sizes))
    return shown


def _figure(measure: Measure) -> Text:
    return share(measure.value, measure.interval)


def _counts(report: SearchReport) -> Table:
    kinds = sorted({kind for counts in report.counts.values() for kind in counts})
    ends = sorted({kind for outcomes in report.outcomes.values() for kind in outcomes})
    shown = table("method", "ended", "counted")
    for method, outcomes in report.outcomes.items():
        counts = report.counts[method]
        ended = ", ".join(f"{end} {outcomes[end]:,}" for end in ends if end in outcomes)
        named = ", ".join(f"{kind.replace('_', ' ')} {counts[kind]:,}" for kind in kinds if kind in counts)
        shown.add_row(Text(method), ended, named)
    return shown
