"""Claims that two expressions in the same symbols are equal for all their values, settled at a few rational points."""

from collections.abc import Sequence
from fractions import Fraction

from genprm.engines.symbolic.claim import Point
from genprm.engines.symbolic.tree import TRIGONOMETRIC, Node, has, number, symbols
from genprm.engines.symbolic.values import Undecided, close, evaluate

_SEEDS: tuple[tuple[int | Fraction, ...], ...] = (
    (3, Fraction(7, 2), 5, 2, Fraction(13, 3), 11), (Fraction(5, 3), 4, Fraction(9, 4), 7, 6, Fraction(3, 2)),
    (7, 3, 8, 5, 2, 9), (Fraction(1, 3), Fraction(2, 5), Fraction(3, 4), Fraction(1, 7), Fraction
    (5, 8), Fraction(1, 2)),
    (2, 9, 4, 6, 8, 3), (10, 6, 3, 4, 5, 8), (Fraction(11, 2), 2, 7, Fraction(8, 3), 3, 4),
)  # fmt: skip
MAX_SYMBOLS = 6


def points(names: Sequence[str]) -> list[Point]:
    """Positive values for the symbols: roots and logarithms of them exist."""
    return [tuple((name, number(Fraction(value))) for name, value in zip(names, seed, strict=False)) for seed in _SEEDS]


def environment(point: Point) -> dict[str, Fraction | float]:
    return {name: evaluate(value) for name, value in point}


def in_degrees(node: Node) -> Node:
    """Every angle taken in degrees, as the text does where it writes one degree sign."""
    args = tuple(in_degrees(a) for a in node.args)
    if node.op in TRIGONOMETRIC and not has(node, "deg"):
        args = (Node("deg", args),)
    return Node(node.op, args, node.name, node.value)


def settle(left: Node, right: Node) -> tuple[bool, tuple[Point, ...]] | None:
    """Whether the sides agree wherever both exist, and the points that show it; None where that cannot be told."""
    names = sorted(symbols(left) | symbols(right))
    if has(left, "deg") or has(right, "deg"):
        left, right = in_degrees(left), in_degrees(right)
    if len(names) > MAX_SYMBOLS:
        return None
    if not names:
        try:
            return close(evaluate(left), evaluate(right)), ()
        except Undecided:
            return None
    agree: list[Point] = []
    differ: list[Point] = []
    for point in points(names):
        try:
            env = environment(point)
            same = close(evaluate(left, env), evaluate(right, env))
        except Undecided:
            continue
        (agree if same else differ).append(point)
    if differ and len(differ) + len(agree) >= 2:
        return False, tuple(differ[:2])
    if len(agree) >= 2:
        return True, tuple(agree[:3])
    return None
