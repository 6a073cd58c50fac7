"""A run as one HTML file: figures, plots, rows. Nothing is loaded from anywhere, and no script is needed to read it."""

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from genprm import __version__
from genprm.errors import InputError
from genprm.viewing.figures import figures, how
from genprm.viewing.folders import Part, Viewed, made_by, settings, summary
from genprm.viewing.html import draw, element
from genprm.viewing.index import Index
from genprm.viewing.queries import Only, only
from genprm.viewing.server import assets
from genprm.viewing.sheets import sheet, title_of

MOST_BYTES = 20_000_000
"""Of the rows: what comes after it is left out, and that is said."""
_WHAT: dict[Only | None, str] = {
    None: "rows",
    "wrong": "rows that differ from the label",
    "disagree": "rows with divided votes",
    "failed": "rows in which something failed",
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """What goes into a report."""

    rows: int = 100
    """Of each part, at most."""
    only: Only | None = None
    rationales: int = 2
    """Of each step, at most."""
    size: int = MOST_BYTES
    """Bytes of the rows of a part, at most."""


def pages(viewed: Viewed, chosen: Chosen) -> Iterator[bytes]:
    """The file, piece by piece, so that it is never in memory as a whole.

    Raises InputError where the run cannot be read.
    """
    yield _head(viewed).encode("utf-8", "replace")
    for part in viewed.parts:
        part.index.read()
        for piece in _part(part, chosen, len(viewed.parts) > 1):
            yield piece.encode("utf-8", "replace")
    yield _foot().encode()


def _head(viewed: Viewed) -> str:
    files = assets()
    style = "\n".join(files[name].decode() for name in ("common.css", "app.css", "view.css", "report.css"))
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(_script())}; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )
    made = settings(viewed.folder) or settings(viewed.parts[0].folder)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(viewed.name)} – genprm report</title><style>{style}</style></head><body>"
        f'<header class="top"><h1>{escape(viewed.name)}</h1><p>{escape(made_by(made))}</p></header>'
        '<main class="report">'
    )


def _script() -> str:
    """The drawing of formulas and code, as one module."""
    files = assets()
    joined = "\n".join(files[name].decode() for name in ("math.js", "common.js", "report.js"))
    return re.sub(r"^import .*?;$|^export (?=function|const)", "", joined, flags=re.MULTILINE)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _part(part: Part, chosen: Chosen, named: bool) -> Iterator[str]:
    index = part.index
    if named:
        yield f"<h2>{escape(part.name.replace('-', ' '))}</h2>"
    yield from (draw(block) for block in figures(summary(part.folder)))
    yield _pictures(part)
    wanted = list(range(len(index.rows))) if chosen.only is None else only(index, chosen.only)
    rows = wanted[: chosen.rows]
    yield f"<h2>{len(rows):,} of {len(wanted):,} {_WHAT[chosen.only]}{_lacks(index)}</h2>"
    written = 0
    for done, row in enumerate(rows):
        drawn = _entry(index, row, chosen.rationales)
        written += len(drawn.encode("utf-8", "replace"))
        if written > chosen.size:
            yield f'<p class="notice">The other {len(rows) - done:,} would make this file too large.</p>'
            break
        yield drawn
    yield "<h2>How it was made</h2>"
    yield from (draw(block) for block in how(settings(part.folder)))


def _lacks(index: Index) -> str:
    """What cannot be shown."""
    broken = f"; {index.n_broken:,} lines are no records" if index.n_broken else ""
    return broken + ("; the last line is torn" if index.torn else "")


def _entry(index: Index, row: int, rationales: int) -> str:
    brief, number = index.rows[row], row + 1
    try:
        record = index.record(row)
        title, blocks = title_of(record) or brief.id, "".join(draw(block, rationales) for block in sheet(record))
    except InputError as error:
        title, blocks = brief.id, element("p", "notice", escape(str(error)))
    head = (
        f'<span class="number">{number}</span><span class="title">{escape(title)}</span>'
        f'<span class="brief {brief.state}">{escape(brief.brief)}</span>'
    )
    return (
        f'<details class="entry" id="row-{number}"><summary>{head}</summary>'
        f'<div class="side"><p class="note">{escape(brief.id)}</p>{blocks}</div></details>\n'
    )


def _pictures(part: Part) -> str:
    found = []
    for path in part.pictures():
        data = base64.b64encode(path.read_bytes()).decode()
        found.append(f'<img alt="Plot: {escape(path.stem)}" src="data:image/png;base64,{data}">')
    return element("div", "pictures", *found) if found else ""


def _foot() -> str:
    script = f'<script type="module">{_script()}</script>'
    return f"</main><footer><span>genprm {__version__}</span></footer>{script}</body></html>\n"
