"""A text with its look-alikes unified, before it is read."""

import re

from genprm.engines.symbolic.vocabulary import CHARACTERS

MAX_CHARS = 8_000
"""What follows in a longer step is not read."""

_ANNOTATION = re.compile(r"<<[^<>\n]{0,200}>>")
_REPLACED = (
    ("\\left", ""), ("\\right", ""), ("\\!", ""), ("{,}", ","), ("\\dfrac", "\\frac"), ("\\tfrac", "\\frac"),
    ("\\cfrac", "\\frac"), ("\\displaystyle", ""), ("\\limits", ""), ("\\nonumber", ""), ("\\dbinom", "\\binom"),
    ("\\tbinom", "\\binom"), ("\\bigl", ""), ("\\bigr", ""), ("\\Bigl", ""), ("\\Bigr", ""), ("**", ""),
)  # fmt: skip
_ARROWS = re.compile(r"\\(?:left|right)(?=(?:right)?arrow)")
_STARS = re.compile(r"(?<=[\w)}\]])\s?\*\*\s?(?=[\w(\\{-])")
_THIN = re.compile(r"(?<=\d)\\,(?=\d{3})")
_BIG = re.compile(r"\\(?:big|Big|bigg|Bigg)[lr]?(?![a-zA-Z])")


def clean(text: str) -> str:
    """The text with look-alikes unified and marks that carry no meaning taken out."""
    text = _ANNOTATION.sub("", text[:MAX_CHARS])
    text = _STARS.sub("^", text)  # before emphasis marks are taken out: 2**3 is a power
    text = text.translate(CHARACTERS)
    text = _THIN.sub("", text)
    text = _BIG.sub("", text)
    text = _ARROWS.sub(r"\\long", text)
    for old, new in _REPLACED:
        text = text.replace(old, new)
    parts = text.split("$$")
    return "".join(part + ("" if i == len(parts) - 1 else ("\\[", "\\]")[i % 2]) for i, part in enumerate(parts))
