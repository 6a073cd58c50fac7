"""Polynomials with rational coefficients, small ones: enough to see how two sides of an equation differ."""

from fractions import Fraction

from genprm.engines.symbolic.tree import Node, is_real, symbols
from genprm.engines.symbolic.values import Undecided, evaluate

Monomial = tuple[tuple[str, int], ...]
Polynomial = dict[Monomial, Fraction]

MAX_TERMS = 150
MAX_DEGREE = 24
ONE: Polynomial = {(): Fraction(1)}


class TooLarge(ArithmeticError):
    """Not a polynomial, or a larger one than is looked at here."""


def ratio(node: Node) -> tuple[Polynomial, Polynomial]:
    """Numerator and denominator.

    Raises:
        TooLarge: not a ratio of small polynomials.
    """
    op, args = node.op, node.args
    if not symbols(node):
        return _constant(node)
    if op == "sym":
        return {((node.name, 1),): Fraction(1)}, ONE
    if op == "neg":
        top, below = ratio(args[0])
        return scaled(top, Fraction(-1)), below
    if op == "add":
        return _sum([ratio(a) for a in args])
    if op == "mul":
        return _product([ratio(a) for a in args])
    if op == "div":
        (a, b), (c, d) = ratio(args[0]), ratio(args[1])
        if not c:
            raise TooLarge("division by zero")
        return times(a, d), times(b, c)
    if op == "pow":
        return _power(node)
    return {((f"<{node.op}:{hash(node)}>", 1),): Fraction(1)}, ONE  # a root or a function: one more symbol


def _constant(node: Node) -> tuple[Polynomial, Polynomial]:
    if is_real(node):
        return {((f"<{node.op}:{hash(node)}>", 1),): Fraction(1)}, ONE
    try:
        value = evaluate(node)
    except Undecided as problem:
        raise TooLarge(str(problem)) from problem
    if not isinstance(value, Fraction):
        raise TooLarge("not rational")
    return ({(): value} if value else {}), ONE


def _sum(parts: list[tuple[Polynomial, Polynomial]]) -> tuple[Polynomial, Polynomial]:
    top, below = parts[0]
    for a, b in parts[1:]:
        if b == below:
            top = plus(top, a)
        else:
            top, below = plus(times(top, b), times(a, below)), times(below, b)
    return top, below


def _product(parts: list[tuple[Polynomial, Polynomial]]) -> tuple[Polynomial, Polynomial]:
    top, below = parts[0]
    for a, b in parts[1:]:
        top, below = times(top, a), times(below, b)
    return top, below


def _power(node: Node) -> tuple[Polynomial, Polynomial]:
    base, exponent = node.args
    if symbols(exponent):
        return {((f"<pow:{hash(node)}>", 1),): Fraction(1)}, ONE
    try:
        power = evaluate(exponent)
    except Undecided as problem:
        raise TooLarge(str(problem)) from problem
    if not isinstance(power, Fraction) or power.denominator != 1 or abs(power) > MAX_DEGREE:
        return {((f"<pow:{hash(node)}>", 1),): Fraction(1)}, ONE
    top, below = ratio(base)
    if power < 0:
        if not top:
            raise TooLarge("division by zero")
        top, below = below, top
    a, b = ONE, ONE
    for _ in range(abs(int(power))):
        a, b = times(a, top), times(b, below)
    return a, b


def plus(a: Polynomial, b: Polynomial) -> Polynomial:
    out = dict(a)
    for monomial, coefficient in b.items():
        total = out.get(monomial, Fraction(0)) + coefficient
        if total:
            out[monomial] = total
        else:
            out.pop(monomial, None)
    return out


def scaled(a: Polynomial, factor: Fraction) -> Polynomial:
    return {m: c * factor for m, c in a.items()}


def times(a: Polynomial, b: Polynomial) -> Polynomial:
    if a is ONE:
        return b
    if b is ONE:
        return a
    if len(a) * len(b) > 4 * MAX_TERMS:
        raise TooLarge("too many terms")
    out: Polynomial = {}
    for m, c in a.items():
        for n, d in b.items():
            joined = _joined(m, n)
            total = out.get(joined, Fraction(0)) + c * d
            if total:
                out[joined] = total
            else:
                out.pop(joined, None)
    if len(out) > MAX_TERMS or any(c.numerator.bit_length() > 2000 for c in out.values()):
        raise TooLarge("too many terms")
    return out


def _joined(m: Monomial, n: Monomial) -> Monomial:
    if not m or not n:
        return m or n
    powers = dict(m)
    for name, power in n:
        powers[name] = powers.get(name, 0) + power
    if sum(powers.values()) > 3 * MAX_DEGREE:
        raise TooLarge("degree")
    return tuple(sorted(powers.items()))


def difference(left: Node, right: Node) -> tuple[Polynomial, Polynomial, Polynomial]:
    """Both sides and their difference, all over one denominator.

    Raises:
        TooLarge: not ratios of small polynomials.
    """
    (a, b), (c, d) = ratio(left), ratio(right)
    if b == d:
        return a, c, plus(a, scaled(c, Fraction(-1)))
    first, second = times(a, d), times(c, b)
    return first, second, plus(first, scaled(second, Fraction(-1)))


def coefficients(poly: Polynomial, name: str) -> list[Fraction] | None:
    """Of a polynomial in one symbol, constant first; None where other symbols occur."""
    out: dict[int, Fraction] = {}
    for monomial, coefficient in poly.items():
        if not monomial:
            out[0] = coefficient
        elif len(monomial) == 1 and monomial[0][0] == name:
            out[monomial[0][1]] = coefficient
        else:
            return None
    return [out.get(k, Fraction(0)) for k in range(max(out, default=-1) + 1)]
