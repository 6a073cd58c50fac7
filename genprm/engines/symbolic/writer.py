"""Expression trees -> Python source.

Every name and operator is written from a tree, by the table below; nothing else of the judged text gets in.
"""

import keyword
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction

from genprm.engines.symbolic.tree import TRIGONOMETRIC, Node, has, walk

MATH = ("ceil", "comb", "factorial", "floor", "gcd", "lcm", "prod")
MPMATH = (
    "acos", "asin", "atan", "cos", "cot", "csc", "exp", "log", "mp", "mpc", "mpf", "nstr", "pi", "sec", "sin",
    "sqrt", "tan",
)  # fmt: skip
SYMPY = ("isprime",)
NAMES = frozenset((*MATH, *MPMATH, *SYMPY, "Fraction", "print", "range", "sum", "abs", "max", "min", "same", "str"))
"""All names that a check may use, besides those of its own variables."""
VARIABLES = ("left", "right", "problem")


def identifiers(trees: Sequence[Node]) -> dict[str, str]:
    """A safe name for each symbol, bound ones included."""
    taken = set(NAMES) | set(VARIABLES)
    out: dict[str, str] = {}
    for name in sorted({one.name for tree in trees for one in walk(tree) if one.op == "sym"}):
        base = re.sub(r"[^A-Za-z0-9_]", "_", name).strip("_") or "v"
        while base in taken or keyword.iskeyword(base) or not base[0].isalpha():
            base = "v_" + base
        taken.add(base)
        out[name] = base
    return out


_INFIX = {"add": " + ", "mul": " * "}
_CALLS = {
    "fact": "factorial", "floor": "floor", "ceil": "ceil", "abs": "abs", "binom": "comb", "gcd": "gcd", "lcm": "lcm",
    "max": "max", "min": "min", "asin": "asin", "acos": "acos", "atan": "atan", "ln": "log", "exp": "exp",
    "sqrt": "sqrt", "log": "log", "isprime": "isprime",
}  # fmt: skip


class Writer:
    """Python source of trees: over the fractions, or with many digits."""

    def __init__(self, real: bool, names: Mapping[str, str]) -> None:
        self.real = real
        self.names = names

    def write(self, node: Node) -> str:
        op, args = node.op, node.args
        if op == "num":
            return self._number(node)
        if op == "sym":
            return self.names[node.name]
        if op in _INFIX:
            return self._infix(node)
        if op == "neg":
            return f"-{self._inner(args[0])}"
        if op in {"div", "mixed", "pct"}:
            return self._fraction(node)
        if op == "pow":
            return self._power(args[0], args[1])
        if op in {"sum", "prod"}:
            return self._range(node)
        if op == "series":
            return self._series(args)
        return self._call(node)

    def _inner(self, node: Node) -> str:
        """An operand of anything that binds less than a power."""
        text = self.write(node)
        return text if re.fullmatch(r"(?:\w+|\w+\([^()]*\))(?:\*\*\w+)?", text) else f"({text})"

    def _base(self, node: Node) -> str:
        text = self._inner(node)
        return f"({text})" if "**" in text and text[0] != "(" else text

    def _number(self, node: Node) -> str:
        if node.value.denominator == 1 and "." not in node.name:
            return str(node.value.numerator)
        return f'mpf("{node.name}")' if self.real else f'Fraction("{node.name}")'

    def _infix(self, node: Node) -> str:
        if node.op == "mul":
            return " * ".join(self._inner(a) for a in node.args)
        text = self._inner(node.args[0]) if node.args[0].op != "mul" else self.write(node.args[0])
        for arg in node.args[1:]:
            sign, inner = (" - ", arg.args[0]) if arg.op == "neg" else (" + ", arg)
            text += sign + (self.write(inner) if inner.op == "mul" else self._inner(inner))
        return text

    def _fraction(self, node: Node) -> str:
        if node.op == "mixed":
            return f"{self.write(node.args[0])} + {self.write(node.args[1])}"
        top, below = (node.args[0], Node("num", name="100", value=Fraction(100))) if node.op == "pct" else node.args
        if self.real:
            kind = "mpc" if has(top, "imaginary") else "mpf"
            return f"{kind}({self.write(top)}) / {self._inner(below)}"
        if top.op == "num" and below.op == "num" and "." not in top.name + below.name:
            return f"Fraction({self.write(top)}, {self.write(below)})"
        return f"Fraction({self.write(top)}) / {self._inner(below)}"

    def _power(self, base: Node, exponent: Node) -> str:
        if exponent.op == "num" and exponent.value.denominator == 1 and "." not in exponent.name:
            return f"{self._base(base)}**{exponent.value}"
        if self.real:
            kind = "mpc" if has(base, "imaginary") else "mpf"
            return f"{kind}({self.write(base)})**{self._base(exponent)}"
        return f"Fraction({self.write(base)})**{self._base(exponent)}"

    def _range(self, node: Node) -> str:
        variable, low, high, body = node.args
        span = f"range({self.write(low)}, {self.write(high)} + 1)"
        return f"{node.op}({self.write(body)} for {self.names[variable.name]} in {span})"

    def _series(self, args: tuple[Node, ...]) -> str:
        first, second, last = args[0].value, args[1].value, args[-1].value
        step = second - first
        count = int((last - first) / step) + 1
        if all(v.denominator == 1 for v in (first, step)):
            return f"sum({first} + {step} * k for k in range({count}))".replace("+ -", "- ")
        terms = [f"Fraction({v.numerator}, {v.denominator})" for v in (first, step)]
        return f"sum({terms[0]} + {terms[1]} * k for k in range({count}))"

    def _call(self, node: Node) -> str:
        op, args = node.op, node.args
        if op in {"pi", "imaginary"}:
            return "pi" if op == "pi" else "mpc(0, 1)"
        if op == "deg":
            return self.write(args[0])
        if op in TRIGONOMETRIC:
            inner = self.write(args[0])
            return f"{op}({f'mpf({inner}) * pi / 180' if has(args[0], 'deg') else inner})"
        if op == "mod":
            return f"({self.write(args[0])}) % {self._inner(args[1])}"
        if op == "root":
            return f"mpf({self.write(args[0])})**(mpf(1) / {self._inner(args[1])})"
        if op == "lg":
            return f"log({self.write(args[0])}, 10)"
        return f"{_CALLS[op]}({', '.join(self.write(a) for a in args)})"
