"""Reasons to stay silent. A claim that looks false is dropped where one of these may explain it."""

import re

from genprm.engines.symbolic.arithmetic import ALL_CONVERSIONS, CONVERSIONS, is_conversion, runs_on
from genprm.engines.symbolic.chains import Chain, Step
from genprm.engines.symbolic.cursor import Expression
from genprm.engines.symbolic.tree import Node, has
from genprm.engines.symbolic.values import Undecided, evaluate

_DENIED = re.compile(
    r"\\neq?\b|\bnot\b|n't\b|contradict|impossible|\bfalse\b|incorrect|\bwrong\b|mistake|\berror\b|\bwould\b|\bcannot\b"
    r"|\binvalid\b|\bfails?\b|too (?:large|small|big|high|low|many|much)|\brather than\b|\binstead\b|\bno solution"
    r"|absurd"
    r"|\bsuppose\b|\bassum|\bcorrect(?:ed|ion)|re-?check|\bre-?evaluat|\boops\b|\bwait\b|\bhypothe|\bclaim",
    re.IGNORECASE,
)
_DENIED_OUTRIGHT = re.compile(
    r"\\neq?\b|contradict|impossible|\bfalse\b|incorrect|\bwrong\b|mistake|\bno solution|absurd|not (?:true|equal|hold|"
    r"possible|valid|satisf|work|correct|a solution|the same)|n't (?:true|equal|hold|work|satisf|match)|\bcorrection"
    r"|\boops\b|\bwait\b|\bfails\b|too (?:large|small|big|high|low|many|much)|\binvalid\b",
    re.IGNORECASE,
)
_END = r"[\s$({}\\]*$"
_OPERATOR_BEFORE = re.compile(
    r"(?:[-+*/^:'|]|text\{\s?of|\\ldots|\\cdots|\.\.\.|\b(?:half|twice|thrice|double|triple|third|quarter|"
    r"fourth|fifth|percent|times|minus|plus|"
    r"square root|cube root|half of|twice the|sum of|product of|difference of|two|three|four|five|six|seven|eight|nine|"
    r"ten|%|dozen|negative)(?: of)?)" + _END
)
_WORD_BEFORE = re.compile(
    r"(?:(?:half|thirds?|quarters?|fourths?|fifths?|tenths?|percent|%|fraction|sum|product|difference|square|root|cube|"
    r"number|remainder|\d|times|each|every|multiple|power|average|mean) of|\b(?:by|sum|product|difference|"
    r"than|from|mod|"
    r"modulo|over|and|with|hundred|thousand|million|increased|decreased|between|into|add|adding|subtract|subtracting|"
    r"divided|per|multiplied|squared|every|root|square|cube)|(?:\d|add(?:ed|s|ing)?|ratio|compared|respect|close|next|"
    r"added|from|up from|related|proportional|go|goes|back|power|exponent) to)" + _END
)
_NEW_CLAUSE = re.compile(r", and" + _END)
_LISTING = re.compile(r"\b(?:sum|product|difference|between|average|mean|of|add|adding|multiply|multiplying)\b")
_LABEL_BEFORE = re.compile(
    r"(?:^|[:.,;(=\n]|\b(?:as|is|that|have|get|gives|so|since|because|then|where|calculate|compute))[\s$({\\]*$"
)
_OPERATOR_AFTER = re.compile(
    r"^[\s$)}\\*]*(?:(?:times|dozen|hundred|thousand|million|billion|trillion|percent|remainder|rem|r|"
    r"with a remainder|with remainder|\(?remainder|\(?mod|modulo|over|rounded|approximately|plus|minus|"
    r"and a half|multiplied|"
    r"divided|"
    r"pairs of|sets of|groups of|half|halves|thirds|quarters|squared|cubed|factorial|"
    r"text\{ ?(?:r|R|remainder|full|with)|(?:hours?|feet|minutes?|dollars|pounds|weeks|days|years) and)\b"
    r"|[-+*/^:!'%|]|\\ldots|\\cdots|\.\.\.|\\(?:pm|mod|pmod|bmod|%)|\.\\(?:overline|bar|dot))"
    r"|^\s*\\\\\s*&?\s*[-+*/^]|^\\?,? ?\\?,? ?\\text\{ ?r",
    re.IGNORECASE,
)
_WORD_AFTER = re.compile(r"^[\s)}*]*(?:more than|less than|fewer than|of|x|k|to|degrees)\b", re.IGNORECASE)
_ROUNDED = re.compile(
    r"\\approx|\babout\b|approx|round|\bnearest\b|\bestimate|\broughly\b|\balmost\b|\bnearly\b|decimal|\bclose\b|"
    r"significant|\\sim\b|\baround\b|calculator|truncat",
    re.IGNORECASE,
)
_WHOLE = re.compile(
    r"whole|floor|ceil|integer|at most|at least|full|complete|remain|round|partial|maximum|largest", re.I
)
_MODULI = re.compile(r"(?:mod(?:ulo)?\b|pmod|bmod)[\s{($\\]{0,6}(\d{1,7})", re.I)
_MODULUS = re.compile(
    r"[\s(}$)]*(?:\\(?:pmod|mod|bmod|text)[\s{(]{0,4}(?:mod)?|mod(?:ulo)?)[\s{($~\\,]{0,4}(\d{1,9})(?![\d^!])", re.I
)
_LAST_DIGIT = re.compile(r"(?:units?|last|ones|final)['s]{0,2} digit", re.I)
_BASES = re.compile(r"\bbase[- ]+(?:\$|\\\()?\d|in base|binary|hexadecimal|octal|\d_\{?\d", re.I)


def speaks_rounded(text: str) -> bool:
    """The text says that it rounds somewhere."""
    return _ROUNDED.search(text) is not None


def sentence(step: Step, chain: Chain) -> str:
    """The sentence around a chain, and the beginning of the next one."""
    text = step.text
    start = max(
        text.rfind(". ", 0, chain.start), text.rfind("\n\n", 0, chain.start), text.rfind("? ", 0, chain.start), 0
    )
    return text[max(start, chain.start - 300) : chain.end + 120]


def denied(step: Step, chain: Chain, outright: bool = False) -> bool:
    """The text itself says that it does not hold, or that it is only supposed (``outright``: only the former)."""
    return (_DENIED_OUTRIGHT if outright else _DENIED).search(sentence(step, chain)) is not None


def cut_out(chain: Chain, index: int) -> bool:
    """The pair at ``index`` may be a part of something longer."""
    if index == 0 and not chain.continued and cut_before(chain):
        return True
    if index != len(chain.relations) - 1:
        return False
    last = chain.members[-1].tokens
    prose = not (last and last[-1].math)
    return _OPERATOR_AFTER.match(chain.after) is not None or (prose and _WORD_AFTER.match(chain.after) is not None)


def modulus_after(chain: Chain) -> int | None:
    """The modulus that follows a chain: ``\\pmod{7}``, ``(mod 7)``."""
    match = _MODULUS.match(chain.after)
    return int(match[1]) if match is not None else None


def cut_before(chain: Chain) -> bool:
    """What stands before the chain may belong to its first side."""
    first = chain.members[0].tokens[0]
    if _OPERATOR_BEFORE.search(chain.before) or first.text == "+":
        return not (chain.before.rstrip(" ($\\[")[-1:] == ":" and first.text != "+")
    if first.text == "-" and chain.before.rstrip()[-1:].isalnum():
        return True
    if _NEW_CLAUSE.search(chain.before) and not _LISTING.search(chain.before):
        return False
    return not first.math and _WORD_BEFORE.search(chain.before) is not None


def excused(step: Step, chain: Chain, index: int, left: Expression, right: Expression, background: str) -> bool:
    """A false arithmetic pair that may be meant otherwise."""
    if cut_out(chain, index) or denied(step, chain, outright=True):
        return True
    if re.match(r"[^.\n]{0,40}\?", chain.after) is not None:
        return True
    bare = is_number(left.node) and is_number(right.node)
    if bare and "based" in left.flags | right.flags:
        return False  # 1011_2 = 11
    if bare:
        return True
    if {"exponent", "argument"} & (left.flags | right.flags) or _is_unit_rate(left, right):
        return True
    if is_number(left.node) and _names_something(chain, index, left):
        return True
    if has(left.node, "asin", "acos", "atan") or has(right.node, "asin", "acos", "atan"):
        return True
    try:
        a, b = evaluate(left.node), evaluate(right.node)
    except Undecided:
        return True
    if not is_number(left.node) and runs_on(a, right.node):
        return True
    if _converted(step, chain, left, right):
        return True
    if "percent" in left.flags | right.flags and _relative(left.node, right.node):
        return True
    if (has(left.node, "pi") and has(right.node, "deg")) or (has(left.node, "deg") and has(right.node, "pi")):
        return True
    if _whole(a) and _whole(b) and _congruent(background, int(a) - int(b)):
        return True
    if _BASES.search(background) and not (has(left.node, "pow") or has(right.node, "pow")):
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


def _names_something(chain: Chain, index: int, left: Expression) -> bool:
    """``4 subjects = 186 + 62``, ``Day 2 = 35 + 35``: the number belongs to the name."""
    if index > 0 or chain.continued:
        return False
    if left.units - {"dollar"}:
        return True
    return not chain.members[0].tokens[0].math and _LABEL_BEFORE.search(chain.before) is None


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


def _congruent(text: str, gap: int) -> bool:
    """The sides differ by a multiple of a modulus that the text mentions (of ten, where it speaks of digits)."""
    moduli = {int(m) for m in _MODULI.findall(text)} | ({10} if _LAST_DIGIT.search(text) else set())
    return any(m > 1 and gap % m == 0 for m in moduli)


def _converted(step: Step, chain: Chain, left: Expression, right: Expression) -> bool:
    """The sides differ by a factor between units that the text mentions."""
    text = sentence(step, chain)
    if {"percent"} & (left.flags | right.flags) and is_conversion(left, right, (100,)):
        return True
    if left.units and right.units and left.units != right.units:
        return is_conversion(left, right, ALL_CONVERSIONS)
    return (bool(left.units | right.units) or _UNITS.search(text) is not None) and is_conversion(
        left, right, CONVERSIONS
    )


def is_denied_text(text: str, start: int, end: int) -> bool:
    """The words around a piece of the text deny it outright, or only ask."""
    around = text[max(0, start - 100) : end + 60]
    return _DENIED_OUTRIGHT.search(around) is not None or re.match(r"[^.]{0,12}\?", text[end:]) is not None
