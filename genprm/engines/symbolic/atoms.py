"""The parts of an expression that begin with a token of their own: numbers, names, groups."""

from fractions import Fraction

from genprm.engines.symbolic.cursor import MAX_DEPTH, MAX_DIGITS, Cursor, NotUnderstood
from genprm.engines.symbolic.lexer import Token
from genprm.engines.symbolic.tree import Node, number, symbol

CLOSING = {"(": ")", "[": "]", "{": "}", "{{": "\\}"}
_CALLED = set("fghFGHPQRSTpqNVWEDL")


def times(left: Node, right: Node) -> Node:
    """A product, flat."""
    return Node("mul", (*left.args, right)) if left.op == "mul" else Node("mul", (left, right))


class Atoms(Cursor):
    """Atoms; what stands inside of them is read by the methods that functions and grammar add."""

    def expression(self) -> Node:
        raise NotImplementedError

    def term(self) -> Node:
        raise NotImplementedError

    def factor(self) -> Node:
        raise NotImplementedError

    def exponent(self) -> Node:
        raise NotImplementedError

    def function(self, name: str) -> Node:
        raise NotImplementedError

    def fraction(self) -> Node:
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
            return self.closed(CLOSING[token.text])
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
