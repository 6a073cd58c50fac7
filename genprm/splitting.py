"""Text as people write it -> problem, solution, steps.

Whatever is cut, nothing is lost but whitespace: the pieces put together are the text.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

# --- steps -------------------------------------------------------------------------------------------------------

_MARKER = re.compile(
    r"""[ ]{0,3}(?:\#{1,6}[ \t]+)?(?:\*\*|__)?      # indentation, Markdown heading, bold
        (?:step|paragraph)[ \t]+(\d{1,6})           # the words themselves
        (?:\*\*|__)?[ \t]*(?:[:)]|\.(?!\d)|[-–—][ \t]|$)""",  # something that ends a title: not "Step 1 gives 3"
    re.IGNORECASE | re.VERBOSE,
)
_HEADING = re.compile(r"[ ]{0,3}#{1,6}[ \t]+\S")
_FENCE = re.compile(r"[ ]{0,3}(`{3,}|~{3,})(.*)")
# A doubled backslash is a line break in LaTeX, so \\[2pt] opens nothing; \$ is a dollar sign. Braces are left out of
# the name and its length is bounded, which keeps the search linear on hostile text.
_DISPLAY = re.compile(r"\\\\|\\\$|\$\$|\\\[|\\\]|\\begin\{([^{}\n]{1,40})\}|\\end\{([^{}\n]{1,40})\}")


def split_steps(text: str) -> tuple[str, ...]:
    """Cut a solution into steps. Empty for a text without a visible character.

    The first rule that applies decides:

    1. **Markers** at line starts: ``Step 1:``, ``Step 1.``, ``**Step 1:**``, ``### Step 1``, ``Paragraph 1:``. A marker
       counts where its number is higher than those before it, so that a later "Step 2:" which looks back cuts
       nothing. There must be two, or one that opens the text. What stands before the first belongs to the first
       step, so that the steps keep the numbers that the text gives them.
    2. **Blank lines.** A heading (``### …``) goes with the paragraph after it, and a paragraph without a letter or a
       digit (``---``) with the one before it.
    3. **Lines**, where there are several and none is blank, with the same two exceptions.

    A text of one line is one step; sentences are never cut apart.

    Nothing is cut inside a code fence (```` ``` ```` or ``~~~``) or a LaTeX display (``\\[ \\]``, ``$$ $$``,
    ``\\begin{…} \\end{…}``), by any rule. One that is never closed reaches to the end of the text.

    Steps keep their markers and their inner lines; line ends become ``\\n`` and outer whitespace goes.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    free = list(_free(lines))
    starts = _marker_starts(lines, free)
    if not starts:
        starts = _paragraph_starts(lines, free)
        starts = starts if len(starts) > 1 else _line_starts(lines, free)
    return tuple("\n".join(lines[start:end]).strip() for start, end in _spans(starts, len(lines)))


def _marker_starts(lines: list[str], free: list[bool]) -> list[int]:
    """Lines where a step begins, the first of them moved to the top; empty where there are no markers."""
    starts, last = [], -1
    for i, line in enumerate(lines):
        if free[i] and (match := _MARKER.match(line)) and int(match[1]) > last:
            starts.append(i)
            last = int(match[1])
    opens_text = bool(starts) and not "".join(lines[: starts[0]]).strip()
    return [0, *starts[1:]] if opens_text or len(starts) > 1 else []


def _paragraph_starts(lines: list[str], free: list[bool]) -> list[int]:
    return _joined(lines, [i for i in _filled(lines, free) if i == 0 or not lines[i - 1].strip()])


def _line_starts(lines: list[str], free: list[bool]) -> list[int]:
    return _joined(lines, list(_filled(lines, free)))


def _filled(lines: list[str], free: list[bool]) -> Iterator[int]:
    """Lines with something on them at which a cut is allowed."""
    return (i for i, line in enumerate(lines) if free[i] and line.strip())


def _joined(lines: list[str], starts: list[int]) -> list[int]:
    """The starts that stay when headings go with what follows and ornaments with what precedes."""
    kept: list[int] = []
    after_heading = False
    for start, end in _spans(starts, len(lines)):
        piece = "\n".join(lines[start:end]).strip()
        ornament = not any(map(str.isalnum, piece))
        if not kept or not (after_heading or ornament):
            kept.append(start)
        if not ornament:
            after_heading = "\n" not in piece and bool(_HEADING.match(piece))
    return kept


def _spans(starts: list[int], end: int) -> Iterator[tuple[int, int]]:
    return zip(starts, [*starts[1:], end][: len(starts)], strict=True)


def _free(lines: Iterable[str]) -> Iterator[bool]:
    """For each line, whether it begins outside every code fence and every LaTeX display."""
    fence = closer = ""  # what ends the open block
    depth = 0  # \begin{x} inside \begin{x}
    for line in lines:
        yield not (fence or closer)
        if not closer and (match := _FENCE.match(line)):
            if not fence:
                # Backticks after the opening ones mean inline code, which opens nothing.
                fence = match[1] if not (match[1][0] == "`" and "`" in match[2]) else ""
            elif match[1].startswith(fence) and not match[2].strip():
                fence = ""
        elif not fence:
            closer, depth = _after_line(line, closer, depth)


def _after_line(line: str, closer: str, depth: int) -> tuple[str, int]:
    """The LaTeX display that is open at the end of a line, given the one at its start."""
    closers = {"$$": "$$", "\\[": "\\]"}
    for match in _DISPLAY.finditer(line):
        token = match[0]
        if closer:
            if token == closer:
                depth -= 1
                closer = closer if depth else ""
            elif match[1] and closer == f"\\end{{{match[1]}}}":
                depth += 1
        elif token in closers or match[1]:
            closer, depth = closers.get(token, f"\\end{{{match[1]}}}"), 1
    return closer, depth


# --- problem and solution ------------------------------------------------------------------------------------------

_TITLE = re.compile(
    r"""[ ]{0,3}(?P<hash>\#{1,6}[ \t]+)?(?P<bold>\*\*|__)?[ \t]*
        (?P<word>problem|question|solution|answer)[ \t]*
        (?P<colon>:[ \t]*)?(?(bold)(?P=bold))[ \t]*(?P<colon2>:[ \t]*)?(?P<rest>.*)""",
    re.IGNORECASE | re.VERBOSE,
)


def split_document(text: str) -> tuple[str | None, str]:
    """Cut a text into problem and solution, either of which may come out empty, by titles or by the first blank line.

    A title is ``Problem``, ``Question``, ``Solution`` or ``Answer`` in any case at the start of a line, with a colon
    (``Problem: …``), as a Markdown heading (``# Problem``) or in bold on a line of its own.

    - The problem ends at the first ``Solution`` title; after the title ``Question`` at the first ``Answer`` too.
      (``Answer: 42`` closes many solutions, so it is no border elsewhere.)
    - Without such a border the problem is the first paragraph and the solution all the rest.
    - A text that begins with ``Solution`` or ``Answer`` has no problem (None).
    """
    lines, titles = _titled(text)
    front = titles[0]
    if front and front[0] in ("solution", "answer"):
        return None, _body(lines, titles, 0)
    border = _border(titles)
    if border is None:
        top = 1 if front and not front[1] else 0  # a title alone on its line may have a blank one after it
        top = _first(range(top, len(lines)), lambda i: bool(lines[i].strip())) or 0
        border = _first(range(top + 1, len(lines)), lambda i: not lines[i].strip() or titles[i] is not None)
    if border is None:
        return _body(lines, titles, 0), ""
    rest = _first(range(border, len(lines)), lambda i: bool(lines[i].strip()))
    return _body(lines[:border], titles, 0), _body(lines, titles, len(lines) if rest is None else rest)


def split_problem(text: str) -> str:
    """The problem of a text that may hold a solution too: as :func:`split_document`, but without a title between the
    two all of it is the problem. Empty where the text begins with a solution.
    """
    lines, titles = _titled(text)
    if titles[0] and titles[0][0] in ("solution", "answer"):
        return ""
    return _body(lines[: _border(titles)], titles, 0)


def split_answer(text: str) -> tuple[bool, str]:
    """For a text whose problem is known apart: whether it begins with a problem's title all the same, and the solution.

    That is the text, without a ``Solution`` or ``Answer`` title in front.
    """
    lines = _lines(text)
    title = _title(lines[0])
    if title and title[0] in ("solution", "answer"):
        return False, _body(lines, [title], 0)
    return title is not None, "\n".join(lines)


_Title = tuple[str, str]  # which word, and the text after it on the line


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip().split("\n")


def _titled(text: str) -> tuple[list[str], list[_Title | None]]:
    """The lines, and the titles that they are."""
    lines = _lines(text)
    return lines, [_title(line) if free else None for line, free in zip(lines, _free(lines), strict=True)]


def _border(titles: Sequence[_Title | None]) -> int | None:
    """The line whose title ends the problem."""
    borders = ("solution", "answer") if titles[0] and titles[0][0] == "question" else ("solution",)
    return _first(range(1, len(titles)), lambda i: (title := titles[i]) is not None and title[0] in borders)


def _title(line: str) -> _Title | None:
    match = _TITLE.fullmatch(line)
    if not match:
        return None
    colon = match["colon"] or match["colon2"]
    alone = not match["rest"].strip() and (match["hash"] or match["bold"])
    return (match["word"].lower(), match["rest"].strip()) if colon or alone else None


def _body(lines: list[str], titles: list[_Title | None], start: int) -> str:
    """The lines from ``start`` on, the title on the first of them taken off."""
    body = lines[start:]
    if body and (title := titles[start]):
        body = [title[1], *body[1:]]
    return "\n".join(body).strip()


def _first(indices: range, holds: Callable[[int], bool]) -> int | None:
    return next((i for i in indices if holds(i)), None)
