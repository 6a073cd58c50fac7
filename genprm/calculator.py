r"""A calculator for those who write computations and cannot do them: ``24 * 126 =`` -> `` 3024``.

Small language models know what to compute long before they can compute it, and a step of a solution says both. So the
one who solves with a calculator (:mod:`genprm.engines.calculating`) writes up to the equals sign, and the value is put
behind it; the idea is that of the calculation annotations of GSM8K (Cobbe et al. 2021, arXiv 2110.14168), without the
annotations. Who is trained to do so (``genprm train policy --calculator``) does not learn the values.
"""

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache

from genprm.engines.symbolic.cleaning import clean
from genprm.engines.symbolic.lexer import lex
from genprm.engines.symbolic.parser import parse
from genprm.engines.symbolic.values import Undecided, evaluate

_LONGEST = 200
"""Characters of a computation."""
_COMPUTATION = re.compile(r"(?:[\d\s.+\-−*/×·÷^(),]|\b(?:mod|gcd|lcm)\b)+\Z")
_OPERATION = re.compile(r"\d\s*[+\-−*/×·÷^]|\b(?:mod|gcd|lcm)\b")
_VALUE = re.compile(r" ?-?\d+(?:\.\d+)?")
_LARGEST = 10**15
_PLACES = 2
"""Of a value that has no end."""


def value_of(text: str) -> str | None:
    """What belongs behind ``text``, which ends with ``=``; None where no computation stands before it.

    Exact where the value has an end within six places, else rounded to two. A blank comes first where one stands
    before the equals sign.
    """
    return _value_behind(text[-_LONGEST - 1 : -1]) if text.endswith("=") else None


@lru_cache(maxsize=4096)
def _value_behind(before: str) -> str | None:
    """What belongs behind the equals sign. An answer that is written in parts is read anew for each of them."""
    found = _COMPUTATION.search(before)
    if not found:
        return None
    for said in _from_each_start(found[0]):
        value = _value(said)
        if value is not None:
            return (" " if before.endswith(" ") else "") + _spelt(value)
    return None


def values_in(text: str) -> Iterator[tuple[int, int]]:
    """Where in a finished text the values stand that a calculator would have put there, as begin and end."""
    for sign in re.finditer("=", text):
        value = value_of(text[: sign.end()])
        found = _VALUE.match(text, sign.end())
        if value is not None and found and found[0] == value:
            yield found.span()


def parted(text: str) -> Iterator[tuple[str, bool]]:
    """The text in parts, and whether each is a value that a calculator would have put there.

    Each part becomes tokens by itself, in training and where a text is gone on from: as one text, an equals sign and
    the blank behind it may become one token, which nobody who writes with a calculator has ever written.
    """
    at = 0
    for start, end in values_in(text):
        yield text[at:start], False
        yield text[start:end], True
        at = end
    yield text[at:], False


def _from_each_start(said: str) -> Iterator[str]:
    """The computation, and what is left of it without what stands before a comma or a full stop: "Of 5, 2 * 3 =" ."""
    yield said
    for pause in re.finditer(r"[.,]\s", said):
        yield said[pause.end() :]


def _value(said: str) -> Fraction | None:
    said = said.strip(" ,.\n").replace("−", "-")
    if not _OPERATION.search(said):
        return None
    left, remainder, right = said.rpartition(" mod ")
    if not remainder:
        return _evaluated(said)
    whole, by = _evaluated(left), _evaluated(right)
    return whole % by if whole is not None and by else None


def _evaluated(said: str) -> Fraction | None:
    expression = parse(lex(clean(said)))
    if expression is None:
        return None
    try:
        value = evaluate(expression.node)
    except Undecided:
        return None
    return value if isinstance(value, Fraction) and abs(value) < _LARGEST else None


def _spelt(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value.numerator)
    exact = (value * 10**6).denominator == 1
    return f"{float(value):.6f}".rstrip("0") if exact else f"{float(value):.{_PLACES}f}"
