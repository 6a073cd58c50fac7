"""The final answer of a solution."""

import re
from decimal import Decimal

BOX = "\\boxed{"
_BRACES = re.compile(r"\\boxed\{|[{}]")


def boxed(text: str) -> str | None:
    """What stands in the last ``\\boxed{…}`` that is closed, without blanks around it; None where there is none."""
    open_: list[re.Match[str]] = []
    last, inner = -1, None
    for brace in _BRACES.finditer(text):
        if brace[0] != "}":
            open_.append(brace)
        elif open_:
            begun = open_.pop()
            if begun[0] == BOX and begun.start() > last:
                last, inner = begun.start(), text[begun.end() : brace.start()].strip()
    return inner


def same_number(one: str | None, other: str | None) -> bool:
    """Whether both are a number, and the same one, however written: ``2010``, ``2,010``, ``+2010.0``, ``\\$2010``.

    Whole and decimal numbers, exactly and of any length; thousands apart or not; a currency sign or the dollar signs of
    LaTeX around them. Other text beside the number, a unit or a per cent sign among it, makes it none.
    """
    found = _number(one)
    return found is not None and found == _number(other)


def is_number(text: str) -> bool:
    """Whether :func:`same_number` reads it as one."""
    return _number(text) is not None


_SIGN, _CURRENCY = r"[+\-−]", r"(?:\\?\$|[€£¥])"
_NUMBER = re.compile(
    rf"(?P<outer>{_SIGN})? ?{_CURRENCY}? ?(?P<inner>{_SIGN})?"
    r"(?P<digits>(?=\.?[0-9])(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+|[0-9]*)(?:\.[0-9]*)?)"
    rf" ?{_CURRENCY}?"
)
_THOUSANDS = re.compile(r",\\!|\{,\}|\\,|[\u2009\u202f]")
"""Commas and thin spaces as LaTeX has them."""


def _number(text: str | None) -> Decimal | None:
    found = _NUMBER.fullmatch(_THOUSANDS.sub(",", text.strip())) if text else None
    if found is None or (found["outer"] and found["inner"]):
        return None
    sign = (found["outer"] or found["inner"] or "").replace("−", "-")
    return Decimal(sign + found["digits"].replace(",", ""))


# Blanks are taken whole (``*+``, ``++``) and never given back, so that the time grows with the length of any text.
_HASHES = re.compile(r"^[ \t]*+####[ \t]*+(\S.*)", re.MULTILINE)
_SAID = re.compile(
    r"\b(?:the|final|our|my)[ \t]++(?:final[ \t]++)?answer(?:[ \t]++to[ \t]++[^\n.:]{1,80})?[ \t]*+(?:is|=|:)"
    r"[ \t]*+(?::[ \t]*+(?=\S))?(?P<answer>\S[^\n]{0,400})",
    re.IGNORECASE,
)
_CLOSED = re.compile(r"(?:\*\*|__)?[ \t]*+(?:[.!][ \t]*+)?(?:\*\*|__)?\Z")
_SENTENCE = re.compile(r"[.!;][ \t]+[A-Z]")
_MATH = re.compile(r"(?:\$\$?|\\\(|\\\[)(?P<inner>[^$]*?)(?:\$\$?|\\\)|\\\])")


def final_answer(text: str) -> str | None:
    """The answer that a solution ends in: its last closed ``\\boxed{…}``; without one what stands behind the last
    ``####`` (as in GSM8K); without either what the last "The answer is …" says. None where there is nothing of these,
    or where that breaks off in a box.
    """
    found = boxed(text)
    if found is not None:
        return found or None
    hashed = _HASHES.findall(text)
    if hashed:
        return str(hashed[-1]).rstrip(" \t")
    said = list(_SAID.finditer(text))
    answer = _bare(said[-1]["answer"]) if said else None
    return None if answer is None or BOX in answer else answer


def _bare(said: str) -> str | None:
    """Without the sentence after it, the full stop, emphasis and dollar signs."""
    cut = _SENTENCE.search(said)
    said = _CLOSED.sub("", (said[: cut.start()] if cut else said).strip()).lstrip("*_ ")
    whole = _MATH.fullmatch(said)
    return (whole["inner"] if whole else said).strip() or None


_LOOKS = re.compile(r"\\(?:left|right|displaystyle|,|!|;|:|quad|qquad)(?![A-Za-z])|\\\s|\s|(?<!\\)\$")
_SPELT = (
    (re.compile(r"\\[dt]frac(?![A-Za-z])"), r"\\frac"),
    (re.compile(r"\\(?:text|mathrm|mbox)\{([^{}]*)\}"), r"\1"),
)


def normalised(answer: str) -> str:
    """An answer without blanks, dollar signs and what LaTeX adds for looks: one way to write it."""
    for found, instead in _SPELT:
        answer = found.sub(instead, answer)
    return _LOOKS.sub("", answer).removesuffix(".")
