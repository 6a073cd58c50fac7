"""What ``genprm eval labels`` found, as tables."""

from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from genprm.eval.calibration import Calibration
from genprm.eval.metrics import Interval
from genprm.eval.paired import Measure
from genprm.eval.report import made, share, table
from genprm.sandbox.text import plain
from genprm.synth.agreement import Agreement, Share

if TYPE_CHECKING:
    from genprm.eval.labels import LabelReport


def render_report(report: "LabelReport") -> Group:
    """Calibration, then agreement."""
    note = Text(
        f"ECE, AUROC, Brier, accuracy in percent, tau-b from -1 to 1; 95 % bootstrap intervals over"
        f" {report.solutions:,} solutions.",
        "dim",
    )
    return Group(
        _calibrations(report.calibrations),
        note,
        "",
        _firsts(report.agreement),
        "",
        _matrix(report.agreement),
        Text.assemble("Fleiss' kappa of all: ", _kappa(report.agreement.fleiss), f" on {report.agreement.n:,} steps"),
        *made(report.settings),
    )


def _calibrations(calibrations: tuple[Calibration, ...]) -> Table:
    found = table("labeler", "steps", "no score", "ECE", "AUROC", "Brier", "acc", "tau-b")
    for each in calibrations:
        found.add_row(
            Text(plain(each.name)),
            f"{each.n:,}",
            f"{each.missing:,}",
            *(share(measure.value, measure.interval) for measure in (each.ece, each.auroc)),
            *(share(measure.value, None) for measure in (each.brier, each.accuracy)),
            _tau(Measure(each.tau.value, None)),
        )
    return found


def _matrix(agreement: Agreement) -> Table:
    """Above the diagonal kappa, below it steps on which two agree, in percent; columns are the rows' numbers."""
    names = list(dict.fromkeys(name for pair in agreement.pairs for name in (pair.one, pair.other)))
    found = table("agree (%) \\ kappa", *(str(number) for number in range(1, len(names) + 1)))
    pairs = {(pair.one, pair.other): pair for pair in agreement.pairs}
    for row, name in enumerate(names):
        below = [_percent(pairs[other, name].agreement) for other in names[:row]]
        above = [_number(pairs[name, other].kappa) for other in names[row + 1 :]]
        found.add_row(Text(plain(f"{row + 1} {name}")), *below, "", *above)
    return found


def _firsts(agreement: Agreement) -> Table:
    """Each labeler against the first one: with intervals, and first errors as well."""
    found = table(f"against {plain(agreement.pairs[0].one)}", "steps", "agree", "kappa", "same first error")
    for pair in agreement.pairs:
        if pair.one == agreement.pairs[0].one:
            cells = (_share(pair.agreement), _kappa(pair.kappa), _share(pair.first_error))
            found.add_row(Text(plain(pair.other)), f"{pair.n:,}", *cells)
    return found


def _percent(figure: Share) -> str:
    return "n/a" if figure.value is None else f"{100 * figure.value:.1f}"


def _number(figure: Share) -> str:
    return "n/a" if figure.value is None else f"{figure.value:.2f}"


def _share(figure: Share) -> Text:
    if figure.low is None or figure.high is None:
        return share(figure.value, None)
    return share(figure.value, Interval(figure.low, figure.high))


def _kappa(figure: Share) -> Text:
    interval = None if figure.low is None or figure.high is None else Interval(figure.low, figure.high)
    return _tau(Measure(figure.value, interval))


def _tau(measure: Measure) -> Text:
    if measure.value is None:
        return Text("n/a", "dim")
    text = Text(f"{measure.value:.2f}")
    if measure.interval:
        text.append(f" {measure.interval.low:.2f}–{measure.interval.high:.2f}", "dim")
    return text
