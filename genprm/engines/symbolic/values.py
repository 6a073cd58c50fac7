"""Exact or floating values of trees, with bounds on every size. The host looks here before it writes a check."""

import cmath
import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import pairwise
from typing import Any

from genprm.engines.symbolic.tree import TRIGONOMETRIC, Node, has

Value = Any
"""A Fraction, a float or a complex."""

MAX_BITS = 4000
MAX_FACTORIAL = 200
MAX_RANGE = 1000
MAX_NESTED = 30
"""Length of a range inside another one, and of both where they are nested."""


class Undecided(ArithmeticError):
    """The value is out of bounds, does not exist, or is not real."""


def evaluate(node: Node, env: Mapping[str, Value] | None = None) -> Value:
    """The value of a tree: a Fraction where it can be had exactly, else a float (or a complex number).

    Raises:
        Undecided: no finite real value within the bounds.
    """
    try:
        value = _evaluate(node, env or {})
    except (ValueError, OverflowError, ZeroDivisionError, TypeError, RecursionError) as problem:
        raise Undecided(str(problem)) from problem
    if isinstance(value, (float, complex)) and not cmath.isfinite(value):
        raise Undecided("not finite")
    if isinstance(value, Fraction) and max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise Undecided("too large")
    return value


def _evaluate(node: Node, env: Mapping[str, Value]) -> Value:
    op, args = node.op, node.args
    if op == "num":
        return node.value
    if op == "sym":
        if node.name not in env:
            raise Undecided(f"no value for {node.name}")
        return env[node.name]
    if op in {"sum", "prod"}:
        return _range(node, env)
    if op == "series":
        return _series([evaluate(a, env) for a in args])
    if op in TRIGONOMETRIC:
        angle = float(evaluate(args[0], env))
        return _trig(op, math.radians(angle) if has(args[0], "deg") else angle)
    values = [evaluate(a, env) for a in args]
    return _OPERATIONS[op](*values)


def _add(*values: Value) -> Value:
    total: Value = Fraction(0)
    for value in values:
        total = total + value
    return total


def _mul(*values: Value) -> Value:
    total: Value = Fraction(1)
    for value in values:
        total = total * value
    return total


def _div(a: Value, b: Value) -> Value:
    return a / b


def _pow(base: Value, exponent: Value) -> Value:
    if isinstance(exponent, Fraction) and exponent.denominator == 1:
        power = exponent.numerator
        if isinstance(base, Fraction):
            bits = max(base.numerator.bit_length(), base.denominator.bit_length())
            if bits * abs(power) > MAX_BITS and base not in (0, 1, -1):
                raise Undecided("power too large")
            if abs(power) > 10 * MAX_BITS:
                power = power % 2 + 2  # of 0, 1 or -1
        if isinstance(base, complex) and abs(power) > 400:
            raise Undecided("power too large")
        return base**power
    if isinstance(base, complex) or isinstance(exponent, complex):
        raise Undecided("a root of a complex number: which branch?")
    if base < 0:
        if isinstance(exponent, Fraction) and exponent.denominator % 2 == 1:
            raise Undecided("odd root of a negative number: which branch?")
        raise Undecided("root of a negative number")
    exact = _exact_root(base, exponent)
    return float(base) ** float(exponent) if exact is None else exact


def _exact_root(base: Value, exponent: Value) -> Fraction | None:
    if not (isinstance(base, Fraction) and isinstance(exponent, Fraction)) or exponent.denominator > 12:
        return None
    top, bottom = (
        _integer_root(base.numerator, exponent.denominator),
        _integer_root(base.denominator, exponent.denominator),
    )
    if top is None or bottom is None or abs(exponent.numerator) > 60:
        return None
    result = _pow(Fraction(top, bottom), Fraction(exponent.numerator))
    return result if isinstance(result, Fraction) else None


def _integer_root(value: int, degree: int) -> int | None:
    if value < 0 or value.bit_length() > 900:
        return None
    guess = math.isqrt(value) if degree == 2 else round(value ** (1 / degree))
    for near in (guess - 1, guess, guess + 1):
        if near >= 0 and near**degree == value:
            return near
    return None


def _root(value: Value, degree: Value) -> Value:
    if value < 0:
        raise Undecided("root of a negative number: which branch?")
    return _pow(value, 1 / Fraction(degree))


def _factorial(value: Value) -> Value:
    number = _int(value)
    if not 0 <= number <= MAX_FACTORIAL:
        raise Undecided("factorial out of bounds")
    return Fraction(math.factorial(number))


def _binom(n: Value, k: Value) -> Value:
    top, below = _int(n), _int(k)
    if not (0 <= top <= MAX_RANGE and 0 <= below <= MAX_RANGE):
        raise Undecided("binomial out of bounds")
    return Fraction(math.comb(top, below))


def _int(value: Value) -> int:
    if isinstance(value, float) or value.denominator != 1:
        raise Undecided("not an integer")
    return int(value.numerator)


def _trig(op: str, x: float) -> float:
    sine, cosine = math.sin(x), math.cos(x)
    if op == "sin":
        return sine
    if op == "cos":
        return cosine
    top, bottom = {"tan": (sine, cosine), "cot": (cosine, sine), "sec": (1.0, cosine), "csc": (1.0, sine)}[op]
    if abs(bottom) < 1e-12:
        raise Undecided("pole")
    return top / bottom


def _log(value: Value, base: Value) -> Value:
    result = math.log(value) / math.log(base)
    near = round(result)
    if isinstance(value, Fraction) and isinstance(base, Fraction) and abs(result - near) < 1e-9:
        return Fraction(near) if abs(near) < 400 and base**near == value else result
    return result


def _range(node: Node, env: Mapping[str, Value]) -> Value:
    variable, low, high, body = node.args
    first, last = _int(evaluate(low, env)), _int(evaluate(high, env))
    nested = has(body, "sum", "prod")
    if last - first > (MAX_NESTED if nested else MAX_RANGE) or (nested and _nesting(body) > 1):
        raise Undecided("range too long")
    values = [evaluate(body, {**env, variable.name: Fraction(k)}) for k in range(first, last + 1)]
    return (_add if node.op == "sum" else _mul)(*values)


def _nesting(node: Node) -> int:
    return (node.op in {"sum", "prod"}) + max((_nesting(a) for a in node.args), default=0)


def _series(values: list[Value]) -> Value:
    step = series_step(values)
    first, last = values[0], values[-1]
    if (last - first) / step > 20 * MAX_RANGE:
        raise Undecided("series too long")
    return (first + last) * ((last - first) / step + 1) / 2


def series_step(values: list[Value]) -> Value:
    """Common difference of an arithmetic series that is written with dots."""
    *shown, last = values
    steps = {b - a for a, b in pairwise(shown)}
    if len(shown) < 2 or len(steps) != 1:
        raise Undecided("not an arithmetic series")
    step = steps.pop()
    count = (last - shown[0]) / step
    if isinstance(count, float) or count.denominator != 1 or count < len(shown) - 1:
        raise Undecided("the last term does not fit")
    return step


def is_prime(value: Value) -> bool:
    """Trial division, for numbers that a text can speak of."""
    number = _int(value)
    if number > 10**9:
        raise Undecided("too large to factor here")
    return number > 1 and all(number % d for d in range(2, math.isqrt(number) + 1))


def _off_step(value: Value) -> Value:
    if isinstance(value, float) and abs(value - round(value)) < 1e-9:
        raise Undecided("too close to an integer to round")
    return value


def _mod(a: Value, b: Value) -> Value:
    return Fraction(_int(a) % _int(b))


_OPERATIONS: dict[str, Callable[..., Value]] = {
    "add": _add,
    "mul": _mul,
    "div": _div,
    "neg": lambda a: -a,
    "pow": _pow,
    "fact": _factorial,
    "pct": lambda a: a / 100,
    "deg": lambda a: a,
    "mixed": lambda a, b: a + b,
    "sqrt": lambda a: _pow(a, Fraction(1, 2)),
    "root": _root,
    "abs": abs,
    "floor": lambda a: Fraction(math.floor(_off_step(a))),
    "ceil": lambda a: Fraction(math.ceil(_off_step(a))),
    "asin": lambda a: math.asin(a),
    "acos": lambda a: math.acos(a),
    "atan": lambda a: math.atan(a),
    "ln": lambda a: math.log(a),
    "log": _log,
    "lg": lambda a: _log(a, Fraction(10)),
    "exp": lambda a: math.exp(a),
    "pi": lambda: math.pi,
    "imaginary": lambda: 1j,
    "binom": _binom,
    "gcd": lambda a, b: Fraction(math.gcd(_int(a), _int(b))),
    "lcm": lambda a, b: Fraction(math.lcm(_int(a), _int(b))),
    "max": max,
    "min": min,
    "mod": _mod,
    "isprime": lambda a: Fraction(is_prime(a)),
}


def close(a: Value, b: Value) -> bool:
    """Equal: exactly for two Fractions, to ten digits where a float is involved."""
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a == b
    try:
        x, y = complex(a), complex(b)
    except OverflowError:
        return False
    return abs(x - y) <= max(1e-9 * max(abs(x), abs(y)), 5e-15)
