"""Claims in words: ``20% of 50 is 12``, ``194 ÷ 11 = 17 with a remainder of 9``, ``91 is prime``.

Each phrase is one pattern over the cleaned text, without nested repetition, and asks for plain numbers.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

from genprm.engines.symbolic.arithmetic import compare
from genprm.engines.symbolic.chains import Step
from genprm.engines.symbolic.claim import Claim, Kind
from genprm.engines.symbolic.doubts import is_denied_text
from genprm.engines.symbolic.sayings import sayings
from genprm.engines.symbolic.tree import Node
from genprm.engines.symbolic.values import Undecided

_N = r"(?<![\d.,^_/])(\d{1,12}(?:\.\d{1,6})?)(?![\d^_/!]|\.\d)"
_IS = r"[\s$\\()]{0,4}(?:is|equals|=|is equal to)[\s$\\(]{0,4}"
_DIVIDE = re.compile(
    _N + r"\s*(?:/|÷|\\div|divided by)\s*" + _N + r"\s*(?:=|is|equals|gives)\s*" + _N
    + r"[\s$\\(),]{0,6}(?:\\text\{\s*)?(?:with\s|and\s)?(?:a\s|the\s)?(?:remainder|r|R)\b(?:\s(?:of|is))?"
    + r"[\s$\\({}:=]{0,6}" + _N
)  # fmt: skip
_REMAINDER = re.compile(
    r"remainder when\s[\s$\\(]{0,4}" + _N + r"[\s$\\)]{0,4}(?:is\s)?(?:divided|when divided|upon division) by"
    + r"[\s$\\(]{0,4}" + _N + _IS + _N
)  # fmt: skip
_PERCENT = re.compile(
    r"(?<![\w.\-])" + r"(\d{1,4}(?:\.\d{1,4})?)\s?\\?% of [\s$\\(]{0,3}" + _N + _IS + r"\$?" + _N
    + r"(?![\s\\)$]{0,4}(?:[-+*/x%^÷]|\\times|\\cdot|\\div))"
)  # fmt: skip
_PRIME = re.compile(
    r"(?<![\w.,^/*+\-=] )(?<![\d.,^*+])(?<!\w )\$?(?:\\\()?\s?(\d{2,8})\s?(?:\$|\\\))? is (?:a |also a )?prime"
    r"(?: number)?\b(?! to| factor|ly| power)"
)


def word_claims(step: Step) -> list[Claim]:
    """Claims of all phrases, in no particular order."""
    found = [(m, *make(m)) for find, make in _PHRASES for m in list(find.finditer(step.text))[:6]]
    return list(_claims(step, [*found, *sayings(step.text)]))


def _claims(step: Step, found: Iterable[tuple[re.Match[str], Node, Node]]) -> Iterator[Claim]:
    for match, left, right in found:
        if is_denied_text(step.text, match.start(), match.end()):
            continue
        quote = " ".join(match.group().split())
        try:
            claim = compare(left, right, "=", quote, False)
        except (Undecided, ZeroDivisionError, ValueError):
            continue
        kind: Kind = "rounding" if claim.relation == "~" else "words"
        yield Claim(kind, quote, claim.left, claim.right, claim.relation, tolerance=claim.tolerance, holds=claim.holds)


def _num(text: str) -> Node:
    return Node("num", name=text, value=Fraction(text))


def _division(m: re.Match[str]) -> tuple[Node, Node]:
    whole, by, quotient, rest = (_num(m[k]) for k in (1, 2, 3, 4))
    return Node("add", (Node("mul", (by, quotient)), rest)), whole


def _remainder(m: re.Match[str]) -> tuple[Node, Node]:
    return Node("mod", (_num(m[1]), _num(m[2]))), _num(m[3])


def _percentage(m: re.Match[str]) -> tuple[Node, Node]:
    return Node("mul", (Node("pct", (_num(m[1]),)), _num(m[2]))), _num(m[3])


def _prime(m: re.Match[str]) -> tuple[Node, Node]:
    return Node("isprime", (_num(m[1]),)), _num("1")


_PHRASES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], tuple[Node, Node]]], ...] = (
    (_DIVIDE, _division),
    (_REMAINDER, _remainder),
    (_PERCENT, _percentage),
    (_PRIME, _prime),
)
