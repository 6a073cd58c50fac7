"""Claims -> a Python check that people can read as the proof.

Every name and operator is written from a tree, by the table below; of the judged text only a quotation gets in, as a
comment without anything but printable ASCII.
"""

import keyword
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction

from genprm.engines.symbolic.claim import Claim, Point
from genprm.engines.symbolic.doubts import is_number
from genprm.engines.symbolic.identities import in_degrees
from genprm.engines.symbolic.tree import TRIGONOMETRIC, Node, has, is_real, render, walk

NOTHING = (
    "# No claim in this paragraph can be settled by a computation.\n"
    'print("Nothing in this paragraph can be settled by computation.")\n'
)

_MATH = ("ceil", "comb", "factorial", "floor", "gcd", "lcm", "prod")
_MPMATH = (
    "acos", "asin", "atan", "cos", "cot", "csc", "exp", "log", "mp", "mpc", "mpf", "nstr", "pi", "sec", "sin",
    "sqrt", "tan",
)  # fmt: skip
_SYMPY = ("isprime",)
NAMES = frozenset((*_MATH, *_MPMATH, *_SYMPY, "Fraction", "print", "range", "sum", "abs", "max", "min", "same", "str"))
"""All names that a check may use, besides those of its own variables."""
VARIABLES = ("left", "right", "problem", "holds")

_SAME = '''
mp.dps = 40


def same(a, b):
    """Equal to 25 digits."""
    return abs(a - b) <= mpf(10) ** -25 * (1 + abs(a) + abs(b))

'''


def write_check(claims: Sequence[Claim]) -> str:
    """The check of a step; prints one line for each claim, ending in True, False or undecided."""
    if not claims:
        return NOTHING
    body = "\n".join(_block(claim) for claim in claims)
    return _imports(body) + "\n" + body


def _imports(body: str) -> str:
    words = set(re.findall(r"[A-Za-z_]\w*", re.sub(r"(?m)^#.*$", "", body)))
    lines = ["from fractions import Fraction"]
    real = words & set(_MPMATH) - {"log"} or "same" in words or "log" in words
    for module, names in (("math", _MATH), ("mpmath", _MPMATH), ("sympy", _SYMPY)):
        used = sorted((words | ({"mp", "mpf"} if real else set())) & set(names))
        if used:
            lines.append(f"from {module} import {', '.join(used)}")
    return "\n".join(lines) + "\n" + (_SAME if real else "")


def _block(claim: Claim) -> str:
    left, right = claim.left, claim.right
    if has(left, "deg") or has(right, "deg"):
        left, right = in_degrees(left), in_degrees(right)
    trees = [left, right, *(value for point in claim.points for _, value in point)]
    real = any(is_real(tree) for tree in trees)
    writer = _Writer(real, _identifiers(trees))
    lines = [
        f"    left = {writer.write(left)}",
        f"    right = {writer.write(right)}",
        f"    holds = {_test(claim, real)}",
    ]
    if claim.points:
        lines = _looped(claim, writer, lines)
    lines.append(f'    print(f"{_report(claim, real, writer)}: {{holds}}")')
    failed = f'    print(f"{render(left)} {_sign(claim)} {render(right)}: undecided ({{problem}})")'
    head = [f'# The text says: "{quoted(claim.quote)}"', "try:"]
    tail = ["except (ArithmeticError, ValueError, TypeError) as problem:", failed, ""]
    return "\n".join([*head, *lines, *tail])


def _looped(claim: Claim, writer: "_Writer", lines: list[str]) -> list[str]:
    names = [name for name, _ in claim.points[0]]
    target = ", ".join(writer.names[name] for name in names)
    values = ", ".join(_values(point, writer) for point in claim.points)
    stop = "if not holds:" if claim.every else "if holds:"
    return [
        f"    for {target} in [{values}]:",
        *("    " + line for line in lines),
        f"        {stop}",
        "            break",
    ]


def _values(point: Point, writer: "_Writer") -> str:
    written = [_as_fraction(writer.write(value), writer.real) for _, value in point]
    return written[0] if len(written) == 1 else f"({', '.join(written)})"


def _as_fraction(source: str, real: bool) -> str:
    return f"Fraction({source})" if not real and re.fullmatch(r"-?\d+", source) else source


def _test(claim: Claim, real: bool) -> str:
    if claim.relation == "=":
        return "same(left, right)" if real else "left == right"
    if claim.relation == "mod":
        assert claim.modulus is not None
        return f"(left - right) % {_Writer(False, {}).write(claim.modulus)} == 0"
    if claim.relation == "near":
        share, least = ('mpf("0.03")', " + mpf(10) ** -20") if real else ("Fraction(3, 100)", "")
        return f"abs(left - right) <= {share} * max(abs(left), abs(right)){least}"
    if claim.relation == "~":
        bound = claim.tolerance
        written = f"Fraction({bound.numerator}, {bound.denominator})"
        return f"abs(left - right) <= {f'mpf({bound.numerator}) / {bound.denominator}' if real else written}"
    return f"left {claim.relation} right"


def _sign(claim: Claim) -> str:
    return {"~": "is about", "near": "is about", "mod": "is congruent to"}.get(claim.relation, claim.relation)


def _report(claim: Claim, real: bool, writer: "_Writer") -> str:
    left, right = ("{nstr(left, 12)}", "{nstr(right, 12)}") if real else ("{left!s:.60}", "{right!s:.60}")
    text = f"{render(claim.left)} = {left}"
    if claim.relation == "mod":
        assert claim.modulus is not None
        text += f", the text says {render(claim.right)} modulo {render(claim.modulus)}"
    elif claim.relation in {"<", ">", "<=", ">="}:
        text += f", the text says {claim.relation} {render(claim.right)}"
    elif is_number(claim.right) and not claim.points:
        text += f", the text says {'about ' if claim.relation == '~' else ''}{render(claim.right)}"
    else:
        text += f", {render(claim.right)} = {right}"
    if claim.points:
        shown = ", ".join(f"{name} = {{{_shown(writer.names[name], real)}}}" for name, _ in claim.points[0])
        text = f"at {shown}: {text}"
    return text


def _shown(identifier: str, real: bool) -> str:
    return f"nstr({identifier}, 12)" if real else f"{identifier}!s:.60"


def quoted(text: str) -> str:
    """A piece of the text that cannot break out of a comment or of a code block."""
    return "".join(c if 32 <= ord(c) < 127 and c not in '`"' else "'" if c in '`"' else " " for c in text)[:160]


def _identifiers(trees: Sequence[Node]) -> dict[str, str]:
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


class _Writer:
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
        text = self.write(node)
        return text if re.fullmatch(r"\w+|\w+\([^()]*\)", text) else f"({text})"

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
            return f"{self._inner(base)} ** {exponent.value}"
        if self.real:
            kind = "mpc" if has(base, "imaginary") else "mpf"
            return f"{kind}({self.write(base)}) ** {self._inner(exponent)}"
        return f"Fraction({self.write(base)}) ** {self._inner(exponent)}"

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
            return f"mpf({self.write(args[0])}) ** (mpf(1) / {self._inner(args[1])})"
        if op == "lg":
            return f"log({self.write(args[0])}, 10)"
        return f"{_CALLS[op]}({', '.join(self.write(a) for a in args)})"
