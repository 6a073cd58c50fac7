"""Fractions, roots, logarithms, sums and the other functions of an expression."""

from fractions import Fraction

from genprm.engines.symbolic.atoms import CLOSING, Atoms, times
from genprm.engines.symbolic.cursor import NotUnderstood
from genprm.engines.symbolic.tree import TRIGONOMETRIC, Node, number, symbol


class Functions(Atoms):
    """What follows a command or a name that stands for a function."""

    def function(self, name: str) -> Node:
        if name == "frac":
            return self.fraction()
        if name in {"boxed", "fbox"}:
            self.expect("{")
            return self.closed("}")
        if name == "sqrt":
            return self.root()
        if name == "pi":
            return Node("pi")
        if name == "binom":
            return Node("binom", (self.group(), self.group()))
        if name in {"lfloor", "lceil"}:
            return Node(name[1:], (self.closed("r" + name[1:]),))
        if name in {"lvert", "vert"}:
            return Node("abs", (self.closed("rvert" if name == "lvert" else "vert"),))
        if name in {"gcd", "lcm", "max", "min"}:
            return self.pairwise(name)
        if name in {"sum", "prod"}:
            return self.big(name)
        if name in {"log", "ln", "lg", "exp", "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan"}:
            return self.applied(name)
        raise NotUnderstood(name)

    def fraction(self) -> Node:
        token = self.peek()
        if token is not None and token.kind == "num":  # \frac12, \frac1{2}
            if token.text.isdigit() and len(token.text) == 2:
                self.i += 1
                top, below = (Node("num", name=d, value=Fraction(d)) for d in token.text)
                return Node("div", (top, below))
            if len(token.text) != 1:
                raise NotUnderstood("frac")
        return Node("div", (self.group(), self.group()))

    def root(self) -> Node:
        if self.take("["):
            degree = self.closed("]")
            return Node("root", (self.group(), degree))
        if self.at("(", "{"):
            return Node("sqrt", (self.atom(),))
        token = self.peek()
        if token is not None and token.kind == "num" and len(token.text) > 1 and token.math:
            raise NotUnderstood("\\sqrt12")
        return Node("sqrt", (self.atom(),))

    def pairwise(self, name: str) -> Node:
        closing = CLOSING[self.next_open()]
        values = [self.expression()]
        while self.take(","):
            values.append(self.expression())
        self.expect(closing)
        if len(values) < 2:
            raise NotUnderstood(name)
        out = values[0]
        for value in values[1:]:
            out = Node(name, (out, value))
        return out

    def next_open(self) -> str:
        token = self.next()
        if token.text not in {"(", "{", "["}:
            raise NotUnderstood("argument")
        return token.text

    def big(self, name: str) -> Node:
        self.expect("_")
        self.expect("{")
        variable = self.next()
        equals = self.next()
        if variable.kind != "sym" or equals.text != "=":
            raise NotUnderstood(name)
        low = self.closed("}")
        self.expect("^")
        high = self.group() if self.at("{") else self.atom()
        body = self.term()
        return Node(name, (symbol(variable.text), low, high, body))

    def applied(self, name: str) -> Node:
        name = {"arcsin": "asin", "arccos": "acos", "arctan": "atan"}.get(name, name)
        base: Node | None = None
        if name == "log" and self.take("_"):
            base = self.group()
        power: Node | None = None
        if self.take("^"):
            power = self.exponent()
            if power.op != "num":
                raise NotUnderstood("inverse function")
        out = self.applied_node(name, base, self.argument())
        return out if power is None else Node("pow", (out, power))

    def applied_node(self, name: str, base: Node | None, argument: Node) -> Node:
        if name in TRIGONOMETRIC:
            self.flags.add("trig")
            return Node(name, (Node("deg", (argument,)) if self.reading.degrees else argument,))
        if name != "log":
            return Node(name, (argument,))
        if base is not None:
            return Node("log", (argument, base))
        self.flags.add("log")
        if self.reading.log_base == 0:
            return Node("ln", (argument,))
        return Node("log", (argument, number(self.reading.log_base)))

    def argument(self) -> Node:
        """What a function without parentheses applies to: ``\\sin 2x``, ``\\ln 5``."""
        if self.at("(", "{", "["):
            inner = self.atom()
            if self.at("^"):
                self.flags.add("argument")
            return inner
        value = self.factor()
        while self.peek() is not None and (self.peek().kind == "sym" or self.at("pi")):  # type: ignore[union-attr]
            value = times(value, self.factor())
        if self.at("/") and value.op != "deg":
            self.flags.add("slash")
            if self.reading.tight:
                self.i += 1
                value = Node("div", (value, self.factor()))
        return value
