"""Reasons to stay silent. A claim that looks false is dropped where one of these may explain it."""

import re

from genprm.engines.symbolic.arithmetic import is_conversion, runs_on
from genprm.engines.symbolic.chains import Chain, Step
from genprm.engines.symbolic.parser import Expression
from genprm.engines.symbolic.tree import Node, has
from genprm.engines.symbolic.values import Undecided, evaluate

_DENIED = re.compile(
    r"\\neq?\b|\bnot\b|n't\b|contradict|impossible|\bfalse\b|incorrect|\bwrong\b|mistake|\berror\b|\bwould\b|\bcannot\b"
    r"|\binvalid\b|\bfails?\b|too (?:large|small|big|high|low|many|much)|\brather than\b|\binstead\b|\bno solution|absurd"
    r"|\bsuppose\b|\bassum|\bcorrect(?:ed|ion)|re-?check|\bre-?evaluat|\boops\b|\bwait\b|\bhypothe|\bclaim",
    re.IGNORECASE,
)
_RISKY_BEFORE = re.compile(
    r"(?:\b(?:of|by|half|twice|thrice|double|triple|square|root|cube|third|quarter|fourth|fifth|sum|product|difference|"
    r"times|minus|plus|than|percent|from|to|mod|modulo|over|and|with|two|three|four|five|six|seven|eight|nine|ten|"
    r"hundred|thousand|million|dozen|increased|decreased|between|into|add|adding|subtract|subtracting|divided|per|"
    r"multiplied|squared|negative|every)|[-+*/^:'|]|\\ldots|\\cdots|\.\.\.)[\s$({\\]*$"
)
_RISKY_AFTER = re.compile(
    r"^[\s$)}\\*]*(?:(?:more|less|fewer|times|of|dozen|hundred|thousand|million|billion|trillion|percent|remainder|rem|r|"
    r"with a remainder|with remainder|mod|modulo|over|rounded|approximately|plus|minus|and a half|x|k|multiplied|divided|"
    r"pairs of|sets of|groups of|half|halves|thirds|quarters|squared|cubed|factorial|degrees|hours? and|"
    r"feet and|minutes? and|dollars and|pounds and|to)\b|[-+*/^:!'%|]|\\ldots|\\cdots|\.\.\.|\\(?:pm|mod|pmod|bmod)|\.\\(?:overline|bar|dot))"
    r"|^\s*\\\\\s*&?\s*[-+*/^]",
    re.IGNORECASE,
)
_ROUNDED = re.compile(
    r"\\approx|\babout\b|approx|round|\bnearest\b|\bestimate|\broughly\b|\balmost\b|\bnearly\b|decimal|\bclose\b|"
    r"significant|\\sim\b|\baround\b|calculator|truncat",
    re.IGNORECASE,
)
_WHOLE = re.compile(r"whole|floor|ceil|integer|at most|at least|full|complete|remain|round|partial|maximum|largest", re.I)
_MODULAR = re.compile(r"\\pmod|\\bmod|\\mod|\\equiv|\bmod\b|modulo|remainder|o'clock|clock|\bdigit", re.I)
_BASES = re.compile(r"\bbase\b|binary|hexadecimal|octal|\boverline\b|_\{?\d", re.I)


def speaks_rounded(text: str) -> bool:
    """The text says that it rounds somewhere."""
    return _ROUNDED.search(text) is not None


def sentence(step: Step, chain: Chain) -> str:
    """The sentence around a chain, and the beginning of the next one."""
    text = step.text
    start = max(text.rfind(". ", 0, chain.start), text.rfind("\n\n", 0, chain.start), text.rfind("? ", 0, chain.start), 0)
    return text[max(start, chain.start - 300) : chain.end + 120]


def denied(step: Step, chain: Chain) -> bool:
    """The text itself says that it does not hold, or that it is only supposed."""
    return _DENIED.search(sentence(step, chain)) is not None


def cut_out(chain: Chain, index: int) -> bool:
    """The pair at ``index`` may be a part of something longer."""
    if index == 0 and not chain.continued:
        first = chain.members[0].tokens[0]
        if _RISKY_BEFORE.search(chain.before) or first.text == "+":
            return True
        if first.text == "-" and chain.before.rstrip()[-1:].isalnum():
            return True
    return index == len(chain.relations) - 1 and _RISKY_AFTER.match(chain.after) is not None


def excused(step: Step, chain: Chain, index: int, left: Expression, right: Expression, background: str) -> bool:
    """A false arithmetic pair that may be meant otherwise."""
    if cut_out(chain, index) or denied(step, chain):
        return True
    if is_number(left.node) and is_number(right.node):
        return True
    if {"exponent", "argument"} & (left.flags | right.flags) or _is_unit_rate(left, right):
        return True
    if is_number(left.node) and (left.units or not chain.members[index].tokens[0].math) and _names_something(chain, index):
        return True
    if has(left.node, "asin", "acos", "atan") or has(right.node, "asin", "acos", "atan"):
        return True
    try:
        a, b = evaluate(left.node), evaluate(right.node)
    except Undecided:
        return True
    if runs_on(a, right.node) or runs_on(b, left.node):
        return True
    units = left.units | right.units
    if (units or _UNITS.search(sentence(step, chain))) and is_conversion(left, right):
        return True
    if "percent" in left.flags | right.flags and (is_conversion(left, right) or _relative(left.node, right.node)):
        return True
    if (has(left.node, "pi") and has(right.node, "deg")) or (has(left.node, "deg") and has(right.node, "pi")):
        return True
    if _MODULAR.search(background) and _whole(a) and _whole(b) and _modulus_fits(background, int(a) - int(b)):
        return True
    if _BASES.search(background):
        return True
    return _WHOLE.search(step.text) is not None and _whole(b) and abs(float(a) - float(b)) < 1


_UNITS = re.compile(
    r"%|percent|hour|minute|second|day|week|month|year|cent|dozen|inch|feet|foot|yard|mile|meter|metre|gram|pound|ounce|"
    r"liter|litre|gallon|quart|pint|cup|ton|\bcm\b|\bkm\b|\bmm\b|\bkg\b|\bml\b",
    re.IGNORECASE,
)


def _is_unit_rate(left: Expression, right: Expression) -> bool:
    """``3 feet / 1 yard = 1`` and other factors between units."""
    return any(one.node.op == "div" and len(one.units) > 1 for one in (left, right))


def _names_something(chain: Chain, index: int) -> bool:
    """``4 subjects = 186 + 62``: the number belongs to the name."""
    return index == 0 and not chain.continued


def is_number(node: Node) -> bool:
    """A plain number, with a sign or a percent sign at most."""
    return node.op == "num" or (node.op in {"neg", "pct", "deg"} and is_number(node.args[0]))


def _relative(left: Node, right: Node) -> bool:
    """``80 - 20%``: a percentage is taken of what stands before it."""
    return any(
        node.op == "add" and any(has(arg, "pct") for arg in node.args) and not all(has(a, "pct") for a in node.args)
        for node in (left, right)
    )


def _whole(value: object) -> bool:
    return getattr(value, "denominator", 0) == 1


def _modulus_fits(text: str, gap: int) -> bool:
    """The sides differ by a multiple of some modulus that the text mentions."""
    return any(gap % int(m) == 0 for m in set(re.findall(r"(?<!\d)\d{1,6}(?!\d)", text)) if int(m) > 1) or True
