"""Expression trees: the only thing that checks are written from.

A :class:`Node` has an operation from a short list, so nothing of the text that is judged reaches Python source other
than digits and the names of symbols, which are made safe here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Node:
    """One operation with its operands.

    ``op`` is one of: num, sym, add, mul, div, neg, pow, fact, pct, deg, mixed, series, sum, prod (bound variable,
    from, to, body), and the functions of ``FUNCTIONS``.
    """

    op: str
    args: tuple["Node", ...] = ()
    name: str = ""
    """Of a symbol, or the digits of a number as they stand in the text."""
    value: Fraction = Fraction(0)
    """Of a number."""

    @property
    def decimals(self) -> int:
        """Digits after the point of a number."""
        return len(self.name.partition(".")[2]) if self.op == "num" else 0


FUNCTIONS = {
    "sqrt": 1,
    "root": 2,
    "abs": 1,
    "floor": 1,
    "ceil": 1,
    "sin": 1,
    "cos": 1,
    "tan": 1,
    "cot": 1,
    "sec": 1,
    "csc": 1,
    "asin": 1,
    "acos": 1,
    "atan": 1,
    "ln": 1,
    "log": 2,
    "lg": 1,
    "exp": 1,
    "pi": 0,
    "imaginary": 0,
    "binom": 2,
    "gcd": 2,
    "lcm": 2,
    "max": 2,
    "min": 2,
    "mod": 2,
    "isprime": 1,
}
TRIGONOMETRIC = {"sin", "cos", "tan", "cot", "sec", "csc"}
IRRATIONAL = {"imaginary", "sqrt", "root", "ln", "log", "lg", "exp", "pi", "asin", "acos", "atan"} | TRIGONOMETRIC


def number(value: Fraction | int) -> Node:
    """A number that was computed, not read."""
    value = Fraction(value)
    if value.denominator == 1:
        return Node("num", name=str(value), value=value) if value >= 0 else Node("neg", (number(-value),))
    return Node("div", (number(value.numerator), number(value.denominator)))


def symbol(name: str) -> Node:
    return Node("sym", name=name)


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it."""
    todo = [node]
    while todo:
        one = todo.pop()
        yield one
        todo.extend(one.args)


def symbols(node: Node) -> frozenset[str]:
    """Names of the free symbols."""
    if node.op == "sym":
        return frozenset((node.name,))
    if node.op in {"sum", "prod"}:
        variable, low, high, body = node.args
        return symbols(low) | symbols(high) | (symbols(body) - {variable.name})
    out: frozenset[str] = frozenset()
    for arg in node.args:
        out |= symbols(arg)
    return out


def has(node: Node, *ops: str) -> bool:
    """Whether one of the operations occurs."""
    return any(one.op in ops for one in walk(node))


def substitute(node: Node, values: Mapping[str, Node]) -> Node:
    """The tree with symbols replaced."""
    if node.op == "sym":
        return values.get(node.name, node)
    if not node.args:
        return node
    if node.op in {"sum", "prod"}:
        values = {k: v for k, v in values.items() if k != node.args[0].name}
        return Node(node.op, (node.args[0], *(substitute(a, values) for a in node.args[1:])), node.name, node.value)
    return Node(node.op, tuple(substitute(a, values) for a in node.args), node.name, node.value)


def is_real(node: Node) -> bool:
    """Whether the value may be irrational, so that it is compared to many digits instead of exactly."""
    for one in walk(node):
        if one.op in IRRATIONAL:
            return True
        if one.op == "pow" and not _integral(one.args[1]):
            return True
    return False


def _integral(node: Node) -> bool:
    if node.op == "num":
        return node.value.denominator == 1
    return node.op in {"neg", "add", "mul", "fact"} and all(_integral(a) for a in node.args)


_RANK = {"add": 1, "neg": 1, "series": 1, "mul": 2, "div": 2, "sum": 2, "prod": 2, "mixed": 2, "pow": 4}


def render(node: Node) -> str:
    """As people read it, in plain characters without braces or quotes."""
    args = node.args
    if node.op in {"num", "sym"}:
        return node.name
    if node.op == "add":
        return _render_add(node)
    if node.op == "neg":
        return "-" + _wrapped(args[0], 2)
    if node.op == "mul":
        return " * ".join(_wrapped(a, 2 if i == 0 else 3) for i, a in enumerate(args))
    if node.op == "div":
        return f"{_wrapped(args[0], 2)} / {_wrapped(args[1], 3)}"
    if node.op == "pow":
        return f"{_wrapped(args[0], 5)}^{_wrapped(args[1], 5)}"
    if node.op == "mixed":
        return f"({render(args[0])} + {render(args[1])})"
    if node.op == "series":
        return " + ".join(render(a) for a in args[:-1]) + " + ... + " + render(args[-1])
    return _render_call(node)


def _render_call(node: Node) -> str:
    args = node.args
    suffix = {"fact": "!", "pct": "%", "deg": " deg"}.get(node.op)
    if suffix is not None:
        return _wrapped(args[0], 5) + suffix
    if node.op in {"sum", "prod"}:
        word = "sum" if node.op == "sum" else "product"
        return f"({word} of {render(args[3])} for {args[0].name} = {render(args[1])} to {render(args[2])})"
    if node.op == "mod":
        return f"({render(args[0])} mod {render(args[1])})"
    if node.op in {"pi", "imaginary"}:
        return "pi" if node.op == "pi" else "i"
    return f"{node.op}({', '.join(render(a) for a in args)})"


def _render_add(node: Node) -> str:
    text = _wrapped(node.args[0], 1)
    for arg in node.args[1:]:
        text += f" - {_wrapped(arg.args[0], 2)}" if arg.op == "neg" else f" + {_wrapped(arg, 1)}"
    return text


def _wrapped(node: Node, rank: int) -> str:
    mine = _RANK.get(node.op, 9)
    if rank == 1 and node.op == "neg":
        return render(node)
    return f"({render(node)})" if mine < rank else render(node)
