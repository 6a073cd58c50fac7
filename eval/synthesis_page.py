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
from genprm.eval.plots import STYLE, errors, save
from genprm.eval.synthesis_critics import CriticScore
from genprm.eval.synthesis_labels import SchemeScore, percent
from genprm.runs import write_whole

if TYPE_CHECKING:
    from genprm.eval.synthesis import SynthesisReport

_CSS = """
body { max-width: 54rem; margin: 3rem auto; padding: 0 1rem; font: 16px/1.55 system-ui, sans-serif; color: #222;
       background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; margin: 1rem 0; }
th, td { padding: .25rem .9rem .25rem 0; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { font-weight: 600; }
svg { max-width: 100%; height: auto; } .wide { overflow-x: auto; } p.how { color: #555; font-size: .85rem; }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #16181c; } th, td { border-color: #333; } p.how { color: #999; }
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
        axes.grid(axis="x", color="0.9", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
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
        axes.set_xlabel("F1 of the trained critic (%)")
        axes.set_ylim(-0.6, len(scores) - 0.4)
        axes.grid(axis="x", color="0.9", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
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


def _page(report: "SynthesisReport", pictures: Mapping[str, str]) -> str:
    parts = [
        "<h1>Synthesis, against the truth of the world</h1>",
        f"<p>{escape(report.summary)}</p>",
        "<h2>Stages</h2>",
        _table(("stage", "in", "out", "calls", "tokens", "seconds"), map(_stage, report.stages)),
        "<h2>Label schemes</h2>",
        "<p>Share of labels that are true, of the steps up to the first error in truth; percent, 95 % bootstrap "
        "intervals over problems. The last column is the accuracy less that of the first scheme.</p>",
        _table(
            ("scheme", "all steps", "right steps", "wrong steps", "first error", "unsure", "gain"),
            map(_scheme, report.schemes),
        ),
        f'<div class="wide"><svg{pictures["labels"]}</div>',
        "<h2>Consensus</h2>",
        _table(("", "solutions", "verdicts that are true"), report.consensus),
    ]
    if report.critics:
        parts += [
            "<h2>Critics</h2>",
            "<p>Each trained on as many rows for as many updates, from the same weights, judged on the same held-out "
            "problems. The last column is the F1 of the first critic, less this one's.</p>",
            _table(
                ("critic", "labels", "filter", "code", "kept", "rows", "true verdicts", "F1", "behind the first"),
                map(_critic, report.critics),
            ),
            f'<div class="wide"><svg{pictures["critics"]}</div>',
        ]
    settings = "; ".join(f"{name} = {value}" for name, value in report.settings.items())
    parts.append(f'<p class="how">{escape(settings)}</p>')
    body = "\n".join(parts)
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><style>{_CSS}</style>'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<title>Synthesis</title></head><body>\n{body}\n</body></html>\n'
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = "\n".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>\n{lines}\n</tbody></table></div>'


def _stage(stage: Mapping[str, object]) -> list[str]:
    return [f"{value:,}" if isinstance(value, int) else str(value) for value in stage.values()]


def _scheme(score: SchemeScore) -> list[str]:
    shares = (score.accuracy, score.right, score.wrong, score.first_error)
    return [score.scheme, *map(percent, shares), f"{100 * score.unsure:.1f}", percent(score.gain, sign=True)]


def _critic(score: CriticScore) -> list[str]:
    return [
        score.name, score.arm.labels, score.arm.consensus, score.arm.code, f"{score.kept:,} of {score.candidates:,}",
        f"{score.rows:,}", f"{100 * score.label_accuracy:.1f}", percent(score.f1), percent(score.difference, sign=True),
    ]  # fmt: skip
