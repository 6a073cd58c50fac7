"""The parts of an expression that begin with a token of their own: numbers, names, groups, functions."""

from fractions import Fraction

from genprm.engines.symbolic.cursor import MAX_DEPTH, MAX_DIGITS, Cursor, NotUnderstood
from genprm.engines.symbolic.lexer import Token
from genprm.engines.symbolic.tree import TRIGONOMETRIC, Node, number, symbol

_CLOSING = {"(": ")", "[": "]", "{": "}", "{{": "\\}"}
_CALLED = set("fghFGHPQRSTpqNVWEDL")


def times(left: Node, right: Node) -> Node:
    """A product, flat."""
    return Node("mul", (*left.args, right)) if left.op == "mul" else Node("mul", (left, right))


class Atoms(Cursor):
    """Atoms; what stands inside of them is read by the three methods that the grammar adds."""

    def expression(self) -> Node:
        raise NotImplementedError

    def term(self) -> Node:
        raise NotImplementedError

    def factor(self) -> Node:
        raise NotImplementedError

    def exponent(self) -> Node:
        raise NotImplementedError

    def mixed(self, whole: Node) -> Node:
        """Three and a half: ``3\\frac{1}{2}`` or ``3 1/2``; ``whole`` itself where no proper fraction follows."""
        start = self.i
        if self.take("frac"):
            parts = self.fraction()
        elif self.next_is_number() and self.at("/", ahead=1):
            top = self.plain(self.next())
            self.i += 1
            parts = Node("div", (top, self.plain(self.next())))
        else:
            return whole
        proper = all(p.op == "num" and p.value.denominator == 1 for p in parts.args)
        if not proper or not 0 < parts.args[0].value < parts.args[1].value:
            self.i = start
            return whole
        self.flags.add("mixed")
        return Node("mul" if self.reading.product else "mixed", (whole, parts))

    def atom(self) -> Node:
        token = self.next()
        if token.kind == "text" and token.text == "dollar":
            self.units.add("dollar")
            token = self.next()
        if token.kind == "num":
            return self.literal(token)
        if token.kind == "sym":
            return self.name(token)
        if token.kind == "func":
            return self.function(token.text)
        if token.kind == "op" and token.text in {"(", "[", "{"}:
            return self.closed(_CLOSING[token.text])
        if token.kind == "op" and token.text == "|":
            return Node("abs", (self.closed("|"),))
        raise NotUnderstood(token.text)

    def closed(self, closing: str) -> Node:
        inner = self.expression()
        self.expect(closing)
        return inner

    def group(self) -> Node:
        """The argument of a LaTeX command: a group, or a single digit or symbol."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise NotUnderstood("too deep")
        if self.take("{"):
            inner = self.closed("}")
        else:
            token = self.peek()
            if token is not None and token.kind == "num" and len(token.text) == 2 and token.text.isdigit():
                raise NotUnderstood("\\frac12 is handled by the caller")
            inner = self.atom()
        self.depth -= 1
        return inner

    def literal(self, token: Token) -> Node:
        if len(token.text) > MAX_DIGITS or (len(token.text) > 1 and token.text[0] == "0" and token.text[1] != "."):
            raise NotUnderstood("too many digits")
        if self.at("_"):
            return self.based(token)
        if self.peek() is not None and self.peek().kind == "dots":  # type: ignore[union-attr]
            raise NotUnderstood("unfinished digits")
        value = self.plain(token)
        return self.mixed(value) if value.value.denominator == 1 and value.value > 0 else value

    def plain(self, token: Token) -> Node:
        if token.kind != "num":
            raise NotUnderstood("not a number")
        text = "0" + token.text if token.text.startswith(".") else token.text
        return Node("num", name=text, value=Fraction(text))

    def based(self, token: Token) -> Node:
        self.i += 1
        base = self.group()
        if base.op != "num" or not 2 <= base.value <= 16 or not token.text.isdigit():
            raise NotUnderstood("subscript of a number")
        self.flags.add("based")
        try:
            return number(int(token.text, int(base.value)))
        except ValueError as problem:
            raise NotUnderstood("digits of a base") from problem

    def name(self, token: Token) -> Node:
        name = token.text
        if self.take("_"):
            name += "_" + self.subscript()
        if self.at("'"):
            raise NotUnderstood("prime")
        if self.at("(") and token.text in _CALLED:
            return self.call(name)
        return symbol(name)

    def subscript(self) -> str:
        if not self.take("{"):
            token = self.next()
            if token.kind not in {"num", "sym"}:
                raise NotUnderstood("subscript")
            return token.text
        text = ""
        while not self.at("}"):
            token = self.next()
            if token.kind == "text" or (token.kind == "op" and token.text not in {"+", "-", ","}):
                raise NotUnderstood("subscript")
            text += {"+": "p", "-": "m", ",": "c"}.get(token.text, token.text)
        self.i += 1
        if not text.isalnum() or len(text) > 12:
            raise NotUnderstood("subscript")
        return text

    def call(self, name: str) -> Node:
        """``f(2)`` is one opaque quantity; ``C(5, 2)`` would be a binomial but is left alone."""
        start = self.i
        self.expect("(")
        inner = self.tokens[self.i : self.i + 12]
        depth = 1
        text = ""
        for token in inner:
            depth += {"(": 1, ")": -1}.get(token.text, 0)
            self.i += 1
            if depth == 0:
                self.flags.add("call")
                return symbol(f"{name}({text})")
            text += token.text
        self.i = start
        raise NotUnderstood("call")

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
        closing = _CLOSING[self.next_open()]
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
