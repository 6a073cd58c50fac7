"""The final answer of a solution."""

import re
from decimal import Decimal

BOX = "\\boxed{"


def boxed(text: str) -> str | None:
    """What stands in the last ``\\boxed{…}`` that is closed, without blanks around it; None where there is none."""
    at = text.rfind(BOX)
    while at >= 0:
        depth = 1
        for end in range(at + len(BOX), len(text)):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            if not depth:
                return text[at + len(BOX) : end].strip()
        at = text.rfind(BOX, 0, at)
    return None


def same_number(one: str | None, other: str | None) -> bool:
    """Whether both are a number, and the same one, however written: ``2010``, ``2,010``, ``+2010.0``, ``\\$2010``.

    Whole and decimal numbers, exactly and of any length; thousands apart or not; a currency sign or the dollar signs of
    LaTeX around them. Other text beside the number, a unit or a per cent sign among it, makes it none.
    """
    found = _number(one)
    return found is not None and found == _number(other)


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
