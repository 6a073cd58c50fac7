"""Claims without symbols: ``16 - 3 - 4 = 10``, ``2/3 = 0.67``, ``3^5 > 200``, ``17 \\equiv 2 \\pmod 5``."""

from collections.abc import Sequence
from fractions import Fraction

from genprm.engines.symbolic.chains import Member
from genprm.engines.symbolic.claim import Claim
from genprm.engines.symbolic.cursor import READINGS, Expression
from genprm.engines.symbolic.parser import parse
from genprm.engines.symbolic.slack import slack
from genprm.engines.symbolic.tree import Node
from genprm.engines.symbolic.values import Undecided, Value, close, evaluate

_AMBIGUOUS = {"percent", "mixed", "slash", "log", "trig"}


def readings(member: Member) -> list[Node]:
    """The trees that a side may stand for, the usual one first."""
    assert member.expression is not None
    nodes = [member.expression.node]
    if member.expression.flags & _AMBIGUOUS:
        for reading in READINGS[1:]:
            other = parse(member.tokens, reading)
            if other is not None and other.node not in nodes:
                nodes.append(other.node)
    return nodes


def numeric_claim(left: Member, right: Member, relation: str, quote: str, rounded: bool) -> Claim | None:
    """The claim that two numeric sides make; under the reading that makes it true, where one does."""
    first: Claim | None = None
    for a in readings(left):
        for b in readings(right):
            try:
                claim = compare(a, b, relation, quote, rounded)
            except Undecided:
                continue
            if claim.holds:
                return claim
            first = first or claim
    return first


def compare(left: Node, right: Node, relation: str, quote: str, rounded: bool) -> Claim:
    """Settle one reading.

    Raises:
        Undecided: a side has no value within the bounds.
    """
    a, b = evaluate(left), evaluate(right)
    if (isinstance(a, complex) or isinstance(b, complex)) and relation != "=":
        raise Undecided("no order")
    if relation in {"<", ">", "<=", ">="}:
        return _ordered(left, right, a, b, relation, quote)
    if relation == "=" and close(a, b):
        return Claim("arithmetic", quote, left, right)
    if isinstance(a, complex) or isinstance(b, complex):
        return Claim("arithmetic", quote, left, right, holds=False)
    gap = abs(float(a) - float(b))
    if relation == "~" and _is_misrounded(left, right, float(a), float(b)):
        half = Fraction(1, 2 * 10**right.decimals)
        return Claim("rounding", quote, left, right, "~", tolerance=half, holds=False)
    tolerance = _tolerance(left, right, a, b, rounded or relation == "~")
    if gap <= float(tolerance):
        return Claim("rounding", quote, left, right, "~", tolerance=tolerance)
    if relation == "~":
        generous = max(tolerance, Fraction(max(abs(float(a)), abs(float(b))) / 50).limit_denominator(10**6))
        return Claim("rounding", quote, left, right, "~", tolerance=generous, holds=gap <= float(generous))
    return Claim("arithmetic", quote, left, right, holds=False)


def _is_misrounded(left: Node, right: Node, a: float, b: float) -> bool:
    """``10/3 = 3.4``, about: neither the nearest number of two or three digits nor the truncated one.

    Only of quantities that are looked up or computed in one go: in a longer calculation something may have been rounded
    on the way. With more digits the last one is often off by one, and nobody minds.
    """
    plain = left.op in {"pi", "sqrt", "div"} and all(arg.op == "num" and not arg.decimals for arg in left.args)
    if not plain or right.op != "num" or not right.decimals or len(right.name.replace(".", "").lstrip("0")) > 3:
        return False
    unit = 10.0**-right.decimals
    return abs(a - b) > 0.501 * unit and not -1e-9 <= a - b < unit


def _ordered(left: Node, right: Node, a: Value, b: Value, relation: str, quote: str) -> Claim:
    x, y = (a, b) if isinstance(a, Fraction) and isinstance(b, Fraction) else (float(a), float(b))
    near = close(a, b) and (isinstance(a, float) or isinstance(b, float))
    if near:
        raise Undecided("too close to order")
    holds = {"<": x < y, ">": x > y, "<=": x <= y, ">=": x >= y}[relation]
    return Claim("comparison", quote, left, right, relation, holds=holds)


def _tolerance(left: Node, right: Node, a: Value, b: Value, rounded: bool) -> Fraction:
    """How far apart the sides may be when what is written in decimals was rounded to what is written."""
    total = Fraction(0)
    for node in (left, right):
        leaf = node.args[0] if node.op in {"neg", "pct"} else node
        if leaf.op == "num" and (leaf.decimals or rounded):
            unit = Fraction(1, 10**leaf.decimals) * (Fraction(1, 100) if node.op == "pct" else 1)
            total = max(total, unit if rounded else unit * Fraction(51, 100))
            if rounded and not leaf.decimals:
                total = max(total, _trailing(leaf))
    if rounded:
        drift = slack(left) + slack(right)
        total += Fraction(drift).limit_denominator(10**12)
    return total


def _trailing(leaf: Node) -> Fraction:
    digits = leaf.name
    zeros = len(digits) - len(digits.rstrip("0"))
    return Fraction(10 ** min(zeros, 12)) if digits.strip("0") else Fraction(1)


def congruence(left: Member, right: Member, modulus: Node, quote: str) -> Claim | None:
    """``left \\equiv right \\pmod modulus``."""
    assert left.expression is not None
    assert right.expression is not None
    try:
        a, b = evaluate(left.expression.node), evaluate(right.expression.node)
        m = evaluate(modulus)
    except Undecided:
        return None
    if not all(isinstance(v, Fraction) and v.denominator == 1 for v in (a, b, m)) or m < 2:
        return None
    return Claim(
        "congruence", quote, left.expression.node, right.expression.node, "mod", modulus=modulus,
        holds=(a - b) % m == 0,
    )  # fmt: skip


CONVERSIONS = (60, 3600, 24, 7, 12, 52, 365, 100, 1000, 5280, 1760)
ALL_CONVERSIONS = (*CONVERSIONS, 3, 36, 16, 10, 30, 10**6, 2000, 4, 2, 8, 14, 144, 9)


def is_conversion(left: Expression, right: Expression, factors: Sequence[int]) -> bool:
    """The sides differ by one of the factors."""
    try:
        a, b = evaluate(left.node), evaluate(right.node)
    except Undecided:
        return False
    if not (isinstance(a, Fraction) and isinstance(b, Fraction)) or a == 0 or b == 0:
        return False
    ratio = max(a / b, b / a)
    return ratio in factors


def runs_on(left: Value, right: Node) -> bool:
    """``3 + 4 = 7 + 2``: the right side carries the result of the left one on."""
    node = right
    while node.op in {"add", "mul", "div"} and node.args:
        node = node.args[0]
        try:
            if close(evaluate(node), left):
                return True
        except Undecided:
            return False
    return False
