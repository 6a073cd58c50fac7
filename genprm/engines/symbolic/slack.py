"""How far a value may be off because the decimals that it was computed from are rounded ones."""

from collections.abc import Mapping
from fractions import Fraction

from genprm.engines.symbolic.tree import Node
from genprm.engines.symbolic.values import Value, evaluate


def slack(node: Node, env: Mapping[str, Value] | None = None) -> float:
    """How far the value may be off when each decimal in it is a rounded one (to first order)."""
    spots = _decimals(node)
    if not spots or len(spots) > 12:
        return 0.0
    base = float(evaluate(node, env))
    total = 0.0
    for path, leaf in spots:
        step = Fraction(6, 10 ** (leaf.decimals + 1))
        moved = _replaced(node, path, Node("num", name=leaf.name, value=leaf.value + step))
        total += abs(float(evaluate(moved, env)) - base)
    return total


def _decimals(node: Node) -> list[tuple[tuple[int, ...], Node]]:
    found: list[tuple[tuple[int, ...], Node]] = []
    todo: list[tuple[tuple[int, ...], Node]] = [((), node)]
    while todo:
        path, one = todo.pop()
        if one.op == "num" and one.decimals:
            found.append((path, one))
        todo.extend(((*path, i), arg) for i, arg in enumerate(one.args))
    return found


def _replaced(node: Node, path: tuple[int, ...], leaf: Node) -> Node:
    if not path:
        return leaf
    args = list(node.args)
    args[path[0]] = _replaced(args[path[0]], path[1:], leaf)
    return Node(node.op, tuple(args), node.name, node.value)
