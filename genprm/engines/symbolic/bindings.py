"""What the letters of a text stand for, where that is beyond doubt: one value from the first word to the last.

A letter that was ever given two values, or that is an index, a function, a point, a unit or a digit, stands for
nothing here.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from genprm.engines.symbolic.chains import Chain, Step
from genprm.engines.symbolic.context import Context
from genprm.engines.symbolic.cursor import Expression
from genprm.engines.symbolic.tree import Node, has, symbols
from genprm.engines.symbolic.values import Undecided, close, evaluate

Place = tuple[int, int]
"""Number of the step (the problem is 0), and a position in its text."""


@dataclass(frozen=True, slots=True)
class Binding:
    """``x = 5``."""

    name: str
    value: Node
    place: Place
    chain: Chain
    about: bool
    """The value was rounded, or may have been."""


_SUPPOSED = re.compile(
    r"\b(?:if|when|whenever|for|at|as|suppos\w*|assum\w*|case|cases|try|trying|test|testing|say|either|until|guess\w*"
    r"|plug\w*|substitut\w*|or|where|sub|from|to|with|consider|setting|set|choos\w*|pick|tak\w*|both|not|isn't|would"
    r"|start\w*|initial\w*|base|minimum|maximum|minimi\w*|maximi\w*|vertex|line|axis)\b|\\(?:pm|mp|quad|lor|ne|forall)",
    re.IGNORECASE,
)
_GEOMETRY = re.compile(
    r"triang|\bpoint|circle|\bangle|segment|polygon|\bsquare|rectang|vertex|vertices|matri|\bset\b", re.I
)
_DIGITS = re.compile(r"digit|overline|\bbase\b|palindrom|concatenat|\bcases\}|\bsequence|recurs|\bmod|equiv", re.I)
_FREE = re.compile(
    r"[,;]?\s*(?:\$|\\\))?\s*(?:,\s*(?:\$|\\\()?\s*(?:\\frac|[-\d]|\\text\{\s*or|or\b)|or\b|\\text\{\s*or)"
)


def places(context: Context) -> Iterator[tuple[int, Step]]:
    """Problem and steps, numbered."""
    yield from enumerate((context.problem, *context.earlier, context.step))


def bindings(context: Context) -> dict[str, Binding]:
    """The letters with a single value."""
    if _DIGITS.search(context.background):
        return {}
    found: dict[str, Binding] = {}
    banned: set[str] = set()
    for number, step in places(context):
        for name, binding in _assigned(step):
            known = found.get(name)
            if binding is None or (known is not None and not _agree(known.value, binding.value)):
                banned.add(name)
            elif known is None:
                place = (number, binding.chain.end)
                found[name] = Binding(name, binding.value, place, binding.chain, binding.about)
    return {
        name: binding for name, binding in found.items() if name not in banned and is_plain(context.background, name)
    }


def _agree(a: Node, b: Node) -> bool:
    return close(evaluate(a), evaluate(b))


@lru_cache(maxsize=4096)
def _assigned(step: Step) -> tuple[tuple[str, Binding | None], ...]:
    return tuple(pair for chain in step.chains for pair in _of_chain(step, chain))


def _of_chain(step: Step, chain: Chain) -> Iterator[tuple[str, Binding | None]]:
    """Letters and their values in a chain; None where the letter has a range, two values, or a supposed one."""
    sides = [member.expression for member in chain.members]
    names = [s.node.name for s in sides if s is not None and s.node.op == "sym" and "(" not in s.node.name]
    values = [s for s in sides if s is not None and not symbols(s.node)]
    if not names or (not values and all(relation in {"=", "~"} for relation in chain.relations)):
        return
    value = _value(values)
    certain = value is not None and all(relation in {"=", "~"} for relation in chain.relations)
    supposed = not is_said_outright(step, chain)
    for name in names:
        if value is None or not certain or supposed:
            yield name, None
        else:
            about = "~" in chain.relations or any(one.decimals for one in (s.node for s in values))
            yield name, Binding(name, value, (0, chain.end), chain, about)


def is_said_outright(step: Step, chain: Chain) -> bool:
    """No condition, trial or list of values."""
    start = max(step.text.rfind(mark, 0, chain.start) for mark in (". ", "\n", "; ", ": ", "? "))
    before = step.text[max(start, chain.start - 80, 0) : chain.start]
    return _SUPPOSED.search(before) is None and _FREE.match(step.text[chain.end : chain.end + 30]) is None


def _value(values: Sequence[Expression]) -> Node | None:
    try:
        numbers = [evaluate(v.node) for v in values]
    except Undecided:
        return None
    if not values or not all(isinstance(n, Fraction | float) and close(n, numbers[0]) for n in numbers):
        return None
    if any(v.flags & {"percent", "degrees", "slash", "mixed", "trig", "log"} for v in values):
        return None
    return values[-1].node if not has(values[-1].node, "imaginary") else None


def is_plain(text: str, name: str) -> bool:
    """The letter is a variable: no index, function, point, unit, or constant of nature."""
    if len(name) != 1 or not name.isalpha() or name in "ieIEOd":
        return False
    if name.isupper() and _GEOMETRY.search(text):
        return False
    used = rf"(?<![A-Za-z\\]){name}"
    return (
        re.search(
            rf"{used}(?:_|'|\\left\(|\[|\^\{{-1\}}\()|{used}\((?=[^()]{{1,3}}\))|_\{{?\s?{name}|{used}\s?(?:\\in\b|\\to\b)"
            rf"|\d\s{name}\b(?!\s?[=+*/^-])|(?:for (?:all|any|every|each)|all values of|range of)\s\$?{name}\b",
            text,
        )
        is None
    )
