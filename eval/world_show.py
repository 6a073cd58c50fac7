"""The report on a critic in the world, on the terminal."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from genprm.eval.metrics import ProcessBenchScore
from genprm.eval.paired import Measure
from genprm.eval.report import count_table, made, note, score_table, share, table
from genprm.eval.world_report import Arm, WorldReport
from genprm.eval.world_votes import RULES
from genprm.sandbox.text import plain

_MEANS = {
    "rationales": "rationales a problem",
    "prompt_tokens": "prompt tokens a problem",
    "completion_tokens": "completion tokens a problem",
    "completion_tokens_per_rationale": "completion tokens a rationale",
    "seconds": "seconds a problem",
}


def render_report(report: WorldReport) -> Group:
    """All of it as tables; those of one arm fit 80 columns."""
    arms = report.arms
    wholes = [arm.whole for arm in arms]
    parts: list[RenderableType] = [score_table(wholes, "ablation"), note(report.bootstrap), ""]
    for arm in arms:
        if arm.votes:
            parts += [_vote_table(arm), ""]
    if report.differences:
        parts += [_difference_table(report), ""]
    parts += [_group_table(arms), "", count_table(wholes), "", _mean_table(arms), ""]
    parts += [Text(f"{arm.name}: {plain(arm.how)}") for arm in arms]
    return Group(*parts, *made(report.settings))


def _vote_table(arm: Arm) -> Table:
    """F1 over votes, a row per number of votes and way to count them."""
    assert arm.pass_1 is not None
    votes = table(arm.name)
    for name in ("F1", "over Pass@1"):
        votes.add_column(name, overflow="fold")
    votes.add_row("Pass@1", _figure(arm.pass_1), "")
    if len(arm.votes) == len(RULES):
        return votes  # of one vote there is no more to say
    for rule, title in (("mean", "mean of P(Yes)"), ("majority", "majority of verdicts")):
        votes.add_section()
        for point in arm.votes:
            if point.rule == rule:
                votes.add_row(f"Maj@{point.n}, {title}", _figure(point.f1), _gain(point.gain))
    return votes


def _difference_table(report: WorldReport) -> Table:
    differences = table("difference of F1")
    for measure in dict.fromkeys(difference.measure for difference in report.differences):
        differences.add_column(measure, overflow="fold")
    rows: dict[str, list[Text]] = {}
    for each in report.differences:
        rows.setdefault(f"{each.name} - {each.against}", []).append(_gain(each.difference))
    for name, cells in rows.items():
        differences.add_row(name, *cells)
    return differences


def _group_table(arms: Sequence[Arm]) -> Table:
    """Accuracy by kind, form and difficulty: of wrong rows that of the first error, of right ones that they are so.

    With intervals as far as 80 columns hold them; the report in the file has them all.
    """
    groups = table("accuracy by", "n")
    for arm in arms:
        groups.add_column(arm.name, overflow="fold")
    for title, rows in (("kind of error", "kinds"), ("form", "forms"), ("difficulty", "difficulties")):
        groups.add_section()
        groups.add_row(Text(title, "bold"))
        for scores in zip(*(getattr(arm, rows) for arm in arms), strict=True):
            for name, n, accuracies in _accuracies(scores):
                cells = [share(each.value, each.interval if len(arms) < 3 else None) for each in accuracies]
                groups.add_row(Text(f"  {plain(name)}"), f"{n:,}", *cells)
    return groups


def _accuracies(scores: Sequence[ProcessBenchScore]) -> Iterator[tuple[str, int, list[Measure]]]:
    """One group in all arms: a row for its wrong solutions, and one for its right ones."""
    first = scores[0]
    both = first.n_error and first.n_correct
    if first.n_error:
        name = f"{first.split}, wrong" if both else first.split
        yield name, first.n_error, [Measure(s.error_accuracy, s.error_interval) for s in scores]
    if first.n_correct:
        name = f"{first.split}, right" if both else first.split
        yield name, first.n_correct, [Measure(s.correct_accuracy, s.correct_interval) for s in scores]


def _mean_table(arms: Sequence[Arm]) -> Table:
    costs = table("on average", *(arm.name for arm in arms))
    for field, name in _MEANS.items():
        costs.add_row(name, *(f"{getattr(arm.means, field):,.1f}" for arm in arms))
    return costs


def _figure(measure: Measure) -> Text:
    return share(measure.value, measure.interval, "bold")


def _gain(measure: Measure) -> Text:
    """Percentage points, with their sign."""
    if measure.value is None:
        return share(None, None)
    text = Text(_signed(measure.value))
    if measure.interval:
        text.append(f" {_signed(measure.interval.low)} to {_signed(measure.interval.high)}", "dim")
    return text


def _signed(share: float) -> str:
    """In percentage points; nothing has no sign."""
    points = f"{100 * share:+.1f}"
    return "0.0" if float(points) == 0 else points
