"""Calculations that are spelled out: ``half of 30 is 15``, ``twice 7 is 14``, ``the sum of 3 and 5 is 8``.

A saying counts only where a clause begins with it and ends with its number: "5 more than half of 30 is 20" and "twice
7 is 6 less than 20" say something else than the words in their middle.
"""

import re
from fractions import Fraction

from genprm.engines.symbolic.tree import Node
from genprm.engines.symbolic.values import Undecided, evaluate

_START = (
    r"(?:\A|(?<=[.;:\n])|(?<=\bso)|(?<=\bthat)|(?<=\bthen)|(?<=\bthus)|(?<=\bbut)|(?<=\bsince)|(?<=\bhence)"
    r"|(?<=\bbecause)|(?<=\btherefore)|(?<=\bknow)|(?<=\bthat,)|(?<=\bso,)|(?<=\bthen,)|(?<=\bhence,)|(?<=\bthus,)"
    r"|(?<=\btherefore,))[\s*$\\(]{0,5}"
)
_A = r"[\s$\\()]{1,5}(\d{1,9}(?:\.\d{1,4})?)"
_UNIT = r"(?:\s([a-z]{2,14}))?"
_IS = r"[\s$\\)]{0,4}\s(?:is|equals|is equal to|makes|gives)[\s$\\(]{1,5}"
_B = (
    r"(\d{1,9}(?:\.\d{1,4})?)(?![\w^!/%]|[.,]\d|[\s$\\)]{0,4}(?:[-+*/^x%÷:=]|\\(?:times|cdot|div|frac|text)|times\b"
    r"|more\b|less\b|fewer\b|plus\b|minus\b|percent\b|dozen\b|hundred\b|thousand\b|million\b|billion\b|of\b|over\b"
    r"|and a\b|out\b|short\b|above\b|below\b|to\b|or\b|too\b|not\b|mod|\\?\(mod|r\b|R\b|with\b))"
)
_PARTS = {"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "eighth": 8, "tenth": 10}
_COUNTS = {"a": 1, "one": 1, "two": 2, "three": 3, "four": 4}
_FOLDS = {"twice": 2, "double": 2, "thrice": 3, "triple": 3}

_SAYINGS = tuple(
    (name, re.compile(_START + pattern, re.IGNORECASE))
    for name, pattern in (
        ("part", r"(?:(a|one|two|three|four)[\s-])?(half|third|quarter|fourth|fifth|sixth|eighth|tenth)s? of"),
        ("fold", r"(twice|double|thrice|triple)"),
        ("times", r"(\d{1,9})[\s$\\)]{0,3} times"),
        ("more", r"(\d{1,9}(?:\.\d{1,4})?)[\s$\\)]{0,3} (more|less|fewer) than"),
        ("pair", r"the (sum|product|difference) (?:of|between)" + _A + r"[\s$\\)]{0,4} and"),
    )
    for pattern in (pattern + _A + _UNIT + _IS + r"\$?" + _B + _UNIT,)
)
_MARKS = {
    "part": ("half of", "halves of", "third", "quarter", "fourth", "fifth", "sixth", "eighth", "tenth"),
    "fold": ("twice", "double", "thrice", "triple"),
    "times": (" times ",),
    "more": (" than ",),
    "pair": ("the sum", "the product", "the difference"),
}
"""Words without which a pattern need not be tried."""
_CONDITION = re.compile(r"\b(?:if|suppos\w*|when|assum\w*|let|would|whether|guess\w*|try\w*|which)\b", re.IGNORECASE)
_GOES_ON = {
    "and", "so", "which", "but", "because", "since", "then", "in", "for", "as", "we", "by", "the", "while", "thus",
    "hence", "therefore",
}  # fmt: skip
_MEASURED = re.compile(
    r"cents?|seconds?|minutes?|hours?|days?|weeks?|months?|years?|inch|inches|feet|foot|yards?|miles?|grams?|pounds?"
    r"|ounces?|met(?:er|re)s?|lit(?:er|re)s?|pairs?|half|halves|quarters?|thirds?"
)


def sayings(text: str) -> list[tuple[re.Match[str], Node, Node]]:
    """Every saying in a cleaned text: where it stands, what it computes, and what it says comes out."""
    out: list[tuple[re.Match[str], Node, Node]] = []
    lowered = text.lower()
    for name, pattern in _SAYINGS:
        if not any(mark in lowered for mark in _MARKS[name]):
            continue
        for match in list(pattern.finditer(text))[:6]:
            if _is_conditional(text, match.start()) or not _same_unit(match):
                continue
            left, right = _tree(name, match), _number(match.groups()[-2])
            if not _is_whole(left, right):
                out.append((match, left, right))
    return out


def _is_conditional(text: str, start: int) -> bool:
    sentence = re.split(r"[.?!\n]\s", text[max(0, start - 200) : start])[-1]
    return _CONDITION.search(sentence) is not None


def _same_unit(match: re.Match[str]) -> bool:
    *_, unit, _, other = match.groups()
    if other is None or other.lower() in _GOES_ON:
        return unit is None or _MEASURED.fullmatch(unit) is None
    return unit == other or (unit is None and _MEASURED.fullmatch(other) is None)


def _is_whole(left: Node, right: Node) -> bool:
    """A third of 10 loaves is 3: only whole ones may be counted."""
    try:
        a, b = evaluate(left), evaluate(right)
    except Undecided:
        return True
    return bool(abs(a - b) < 1 and b.denominator == 1 and a.denominator != 1)


def _tree(name: str, match: re.Match[str]) -> Node:
    words = match.groups()
    a = _number(words[-4])
    if name == "part":
        count = _COUNTS[(words[0] or "one").lower()]
        return Node("mul", (Node("div", (_number(str(count)), _number(str(_PARTS[words[1].lower()])))), a))
    if name == "fold":
        return Node("mul", (_number(str(_FOLDS[words[0].lower()])), a))
    if name == "times":
        return Node("mul", (_number(words[0]), a))
    if name == "more":
        more = words[1].lower() == "more"
        return Node("add", (a, _number(words[0]) if more else Node("neg", (_number(words[0]),))))
    first = _number(words[1])
    if words[0].lower() == "difference":
        return Node("abs", (Node("add", (first, Node("neg", (a,)))),))
    return Node({"sum": "add", "product": "mul"}[words[0].lower()], (first, a))


def _number(text: str) -> Node:
    return Node("num", name=text, value=Fraction(text))
