"""Equations in one unknown: does a later one still share a solution with what it was derived from?"""

from collections.abc import Sequence
from fractions import Fraction

from genprm.engines.symbolic.claim import Point
from genprm.engines.symbolic.context import Equation
from genprm.engines.symbolic.polynomials import TooLarge, coefficients, difference
from genprm.engines.symbolic.tree import Node, number, symbols
from genprm.engines.symbolic.values import Undecided, evaluate


def unknown(equation: Equation) -> str | None:
    """The one symbol of the equation."""
    names = equation.names
    name = next(iter(names)) if len(names) == 1 else ""
    return name if name and "(" not in name and name not in {"i", "e"} else None


def solutions(equation: Equation) -> list[Node]:
    """All real solutions of an equation of degree one or two in its unknown; empty where they are not found."""
    name = unknown(equation)
    if name is None:
        return []
    if equation.left.op == "sym" and not symbols(equation.right):
        return [equation.right]
    try:
        gap = difference(equation.left, equation.right)[2]
    except TooLarge:
        return []
    return roots(coefficients(gap, name) or [])


def roots(poly: Sequence[Fraction]) -> list[Node]:
    """Real roots, as trees; zero is divided out first. Rational ones for higher degrees are not looked for."""
    poly = list(poly)
    found: list[Node] = []
    while len(poly) > 1 and poly[0] == 0:
        found = [number(0)]
        poly.pop(0)
    if len(poly) == 2:
        return [*found, number(-poly[0] / poly[1])]
    if len(poly) == 3:
        c, b, a = poly
        return [*found, *_quadratic(a, b, c)]
    return found if len(poly) == 1 else []


def _quadratic(a: Fraction, b: Fraction, c: Fraction) -> list[Node]:
    square = b * b - 4 * a * c
    if square < 0:
        return []
    root = Node("sqrt", (number(square),))
    exact = evaluate(root)
    if isinstance(exact, Fraction):
        return [number((-b + exact) / (2 * a)), number((-b - exact) / (2 * a))]
    below = number(2 * a)
    return [
        Node("div", (Node("add", (number(-b), root)), below)),
        Node("div", (Node("add", (number(-b), Node("neg", (root,)))), below)),
    ]


def satisfied(equation: Equation, name: str, root: Node, loose: bool = False) -> bool | None:
    """Whether a value solves the equation; None where a side does not exist there."""
    try:
        env = {name: evaluate(root)}
        a, b = evaluate(equation.left, env), evaluate(equation.right, env)
        gap, size = abs(complex(a) - complex(b)), max(abs(complex(a)), abs(complex(b)), 1e-3)
    except (Undecided, OverflowError):
        return None
    return gap <= size * (0.03 if loose else 1e-9)


def at(name: str, root: Node) -> Point:
    return ((name, root),)
