"""The page of results of a synthesis: one HTML file with its pictures inside, readable in grey. Needs matplotlib."""

import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genprm.eval.paired import Measure
from genprm.eval.plots import STYLE, bare, errors, save
from genprm.eval.synthesis_critics import CriticScore, FilterScore
from genprm.eval.synthesis_labels import SchemeScore, Threshold, percent
from genprm.runs import write_whole

if TYPE_CHECKING:
    from genprm.eval.synthesis import SynthesisReport

_CSS = """
body { max-width: 58rem; margin: 3rem auto; padding: 0 1rem; font: 16px/1.55 system-ui, sans-serif; color: #222;
       background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; margin: 1rem 0; }
th, td { padding: .25rem .5rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap;
         vertical-align: top; line-height: 1.35; }
th { font-weight: 600; vertical-align: bottom; white-space: normal; } .text { text-align: left; white-space: normal; }
th:first-child, td:first-child { padding-left: 0; }
td small { display: block; color: #555; font-size: .78rem; } p.how { color: #555; font-size: .9rem; }
svg { max-width: 100%; height: auto; } .wide { overflow-x: auto; }
dt { font-weight: 600; } dd { margin: 0 0 .3rem 1rem; } dl { font-size: .85rem; overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #16181c; } th, td { border-color: #333; } p.how, td small { color: #aaa; }
  svg { background: #fff; border-radius: 4px; }
}
"""


def write_page(report: "SynthesisReport", folder: Path) -> list[Path]:
    """``page.html``, and its pictures as PNG and SVG beside it."""
    figures = {"labels": labels(report.schemes)} | ({"critics": critics(report.critics)} if report.critics else {})
    paths = [save(figure, folder / f"{name}.{end}") for name, figure in figures.items() for end in ("svg", "png")]
    inline = {name: _inline(figure) for name, figure in figures.items()}
    page = folder / "page.html"
    write_whole(page, [_page(report, inline).encode()])
    return [page, *paths]


# --- pictures ------------------------------------------------------------------------------------------------------


def labels(scores: Sequence[SchemeScore]) -> Figure:
    """Accuracy of the labels of each scheme, of right steps and of wrong ones."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.5, 0.9 + 0.32 * len(scores)), layout="constrained")
        axes = figure.subplots()
        places = [len(scores) - 1 - i for i in range(len(scores))]
        for name, marker, fill, shift in (("right", "o", "1.0", 0.18), ("wrong", "s", "0.6", -0.18)):
            found: list[Measure] = [getattr(score, name) for score in scores]
            _dots(axes, found, [place + shift for place in places], f"{name} steps", marker, fill)
        _dots(axes, [score.accuracy for score in scores], places, "all steps", "D", "0.0")
        axes.set_yticks(places, [score.scheme for score in scores])
        axes.set_xlabel("labels that are true (%)")
        bare(axes, "x")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=3, frameon=False)
    return figure


def critics(scores: Sequence[CriticScore]) -> Figure:
    """F1 of the critic of each arm."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.5, 0.9 + 0.36 * len(scores)), layout="constrained")
        axes = figure.subplots()
        places = [len(scores) - 1 - i for i in range(len(scores))]
        _dots(axes, [score.f1 for score in scores], places, "F1", "D", "0.0")
        axes.set_yticks(places, [score.name for score in scores])
        axes.set_xlabel("F1 of the trained critic on held-out problems (%)")
        axes.set_ylim(-0.6, len(scores) - 0.4)
        bare(axes, "x")
    return figure


def _dots(axes: Axes, found: Sequence[Measure], places: Sequence[float], name: str, marker: str, fill: str) -> None:
    known = [(each, place) for each, place in zip(found, places, strict=True) if each.value is not None]
    axes.errorbar(
        [100 * (each.value or 0.0) for each, _ in known],
        [place for _, place in known],
        xerr=errors([each for each, _ in known]),
        label=name,
        linestyle="none",
        marker=marker,
        markersize=5,
        markerfacecolor=fill,
        color="0.2",
        capsize=2,
        elinewidth=0.8,
    )


def _inline(figure: Figure) -> str:
    text = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue().partition("<svg")[2]


# --- the page ------------------------------------------------------------------------------------------------------

_SCHEMES = """Share of labels that are true, in percent, of the steps up to the first one that is wrong in truth; what
comes after follows from it. <em>First error</em>: solutions whose first error, or lack of one, is labelled as it is.
<em>Unsure</em>: steps without a label, which are in no other share. <em>Gain</em>: accuracy on all steps, less that of
the first scheme, on the same solutions."""
_VALUES = """All schemes are cut from the same values. A plan that stops when labels are settled settles those of one
scheme (<em>settles</em> in the pipeline's file); the others are cut from what it happened to ask."""
_INTERVALS = """Small print: 95 % bootstrap intervals over problems. A share of 100 or 0 has one without width: the
bootstrap does not know of mistakes that it has not seen."""
_CONSENSUS = """The teacher's verdicts, of the steps up to the first one that is wrong in truth: in every whole
rationale, and in the rows that each filter keeps."""
_CRITICS = """All begin from the same weights and train on as many rows for as many updates. They are judged on the
same held-out solutions, one greedy rationale a step. <em>Kept</em>: solutions that the filter keeps, of which
<em>rows</em> were drawn to train on. <em>Wrong</em>: rows about a solution with an error. <em>No
answer</em>: held-out solutions on which the critic named no first error; they count as missed. <em>Behind the
first</em>: F1 of the first critic, less this one's. Small print: 95 % bootstrap intervals over held-out solutions. Each
critic was trained once: how far another seed of the training would have come is not in them."""


def _page(report: "SynthesisReport", pictures: Mapping[str, str]) -> str:
    parts = [
        "<h1>Synthesis, against the truth of the world</h1>",
        f"<p>{escape(report.summary)}</p>",
        "<h2>Stages</h2>",
        _table(("stage", "in", "out", "calls", "tokens written", "seconds"), map(_stage, report.stages)),
        _how("In and out are solutions where nothing else is said. Seconds are those of the run that ended the stage."),
        "<h2>Label schemes</h2>",
        *([f"<p>{escape(_said(report.threshold))}</p>"] if report.threshold else []),
        _table(
            ("scheme", "all steps", "right steps", "wrong steps", "first error", "unsure", "gain"),
            map(_scheme, report.schemes),
        ),
        _how(_SCHEMES, _VALUES, _INTERVALS),
        f'<div class="wide"><svg{pictures["labels"]}</div>',
        "<h2>Consensus</h2>",
        _table(("kept", "solutions", "true verdicts (%)"), map(_filter, report.consensus)),
        _how(_CONSENSUS),
        *(_of_critics(report.critics, pictures["critics"]) if report.critics else []),
        "<h2>Settings</h2>",
        _settings(report.settings),
    ]
    body = "\n".join(parts)
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><style>{_CSS}</style>'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<title>Synthesis</title></head><body>\n{body}\n</body></html>\n'
    )


def _of_critics(scores: Sequence[CriticScore], picture: str) -> list[str]:
    columns = ("critic", "labels", "filter", "code", "F1 (%)", "behind the first", "no answer", "kept", "rows",
               "wrong (%)", "true verdicts (%)")  # fmt: skip
    return [
        "<h2>Critics</h2>",
        _table(columns, map(_critic, scores), texts=4),
        _how(_CRITICS),
        f'<div class="wide"><svg{picture}</div>',
    ]


def _said(found: Threshold) -> str:
    if found.best == found.usual:
        return f"No threshold of relative progress that was tried labels better than {found.usual}."
    return (
        f"Of relative progress {found.best} labels best: {percent(found.gain, sign=True)} percentage points beside "
        f"{found.usual}. It was chosen on the solutions that it is measured on, which flatters it."
    )


def _how(*captions: str) -> str:
    """``captions`` are HTML."""
    return f'<p class="how">{" ".join(captions)}</p>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> str:
    """Cells are HTML; the first ``texts`` columns are words, the others numbers."""
    top = "".join(_cell("th", cell, at < texts) for at, cell in enumerate(head))
    lines = "\n".join(
        f"<tr>{''.join(_cell('td', cell, at < texts) for at, cell in enumerate(row))}</tr>" for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>\n{lines}\n</tbody></table></div>'


def _cell(tag: str, content: str, is_text: bool) -> str:
    return f'<{tag} class="text">{content}</{tag}>' if is_text else f"<{tag}>{content}</{tag}>"


def _share(measure: Measure, sign: bool = False) -> str:
    """A figure with its interval under it."""
    value, _, rest = percent(measure, sign).partition(" (")
    return f"{value}<small>{rest.removesuffix(')')}</small>" if rest else value


def _stage(stage: Mapping[str, object]) -> list[str]:
    return [_number(value) for value in stage.values()]


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else escape(str(value))


def _scheme(score: SchemeScore) -> list[str]:
    shares = (score.accuracy, score.right, score.wrong, score.first_error)
    return [escape(score.scheme), *map(_share, shares), f"{100 * score.unsure:.1f}", _share(score.gain, sign=True)]


def _filter(score: FilterScore) -> list[str]:
    return [escape(score.name), f"{score.solutions:,}", _share(score.accuracy)]


def _critic(score: CriticScore) -> list[str]:
    words = (
        score.name,
        score.arm.labels if score.arm.consensus != "none" else "–",
        score.arm.consensus,
        score.arm.code,
    )
    return [
        *map(escape, words), _share(score.f1), _share(score.difference, sign=True), f"{score.unjudged:,}",
        f"{score.kept:,} of {score.candidates:,}", f"{score.rows:,}",
        f"{100 * score.wrong:.1f}", f"{100 * score.label_accuracy:.1f}",
    ]  # fmt: skip


def _settings(settings: Mapping[str, object]) -> str:
    lines = (f"<dt>{escape(name)}</dt><dd>{escape(_plain(value))}</dd>" for name, value in settings.items())
    return f"<dl>{''.join(lines)}</dl>"


def _plain(value: object) -> str:
    """Nested settings in words, without the marks of Python."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {_plain(each)}" for name, each in value.items() if each is not None)
    if isinstance(value, list | tuple):
        return " ".join(map(_plain, value))
    return str(value)
