"""Tokens -> expression tree, by recursive descent. What is not understood is no expression: None, never a guess."""

from collections.abc import Sequence

from genprm.engines.symbolic.atoms import times
from genprm.engines.symbolic.cursor import MAX_DEPTH, MAX_TOKENS, READINGS, Expression, NotUnderstood, Reading
from genprm.engines.symbolic.functions import Functions
from genprm.engines.symbolic.lexer import Token
from genprm.engines.symbolic.tree import Node


def parse(tokens: Sequence[Token], reading: Reading = READINGS[0]) -> Expression | None:
    """The expression that all the tokens make together, or None."""
    if not tokens or len(tokens) > MAX_TOKENS:
        return None
    parser = _Parser(tokens, reading)
    try:
        node = parser.expression()
    except NotUnderstood:
        return None
    if parser.i != len(tokens):
        return None
    return Expression(node, frozenset(parser.units), frozenset(parser.flags))


class _Parser(Functions):
    """Sums, products and powers."""

    def expression(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise NotUnderstood("too deep")
        terms = [self.signed_term()]
        dots = False
        while self.at("+", "-"):
            sign = self.next().text
            if self.peek() is not None and self.peek().kind == "dots":  # type: ignore[union-attr]
                if sign == "-" or dots or len(terms) < 2:
                    raise NotUnderstood("dots")
                self.i += 1
                self.expect("+")
                dots = True
                terms.append(self.signed_term())
                break
            term = self.signed_term()
            terms.append(Node("neg", (term,)) if sign == "-" else term)
        out = _series(terms) if dots else terms[0] if len(terms) == 1 else Node("add", tuple(terms))
        if self.take("choose"):  # {n + 1 \choose k}: it takes all that stands in the braces
            out = Node("binom", (out, self.expression()))
        self.depth -= 1
        return out

    def signed_term(self) -> Node:
        if self.take("+"):
            return self.signed_term_once()
        if self.take("-"):
            return Node("neg", (self.signed_term_once(),))
        return self.term()

    def signed_term_once(self) -> Node:
        if self.at("+", "-"):
            raise NotUnderstood("two signs")
        return self.term()

    def term(self) -> Node:
        left = self.factor()
        while True:
            if self.take("*") or self.take("cdot", "times") or self.times_letter():
                left = times(left, self.signed_factor())
            elif self.per_unit():
                continue
            elif self.take("/") or self.take("div"):
                left = Node("div", (left, self.denominator()))
            elif self.starts_factor():
                left = times(left, self.implicit())
            else:
                return left

    def per_unit(self) -> bool:
        """``12/month``: no division."""
        after = self.peek(1)
        if not self.at("/") or after is None or after.kind not in {"word", "text"} or after.text == "dollar":
            return False
        self.i += 1
        return self.skip_units()

    def times_letter(self) -> bool:
        """An x between two numbers is a multiplication sign."""
        token, after = self.peek(), self.peek(1)
        if token is None or after is None or token.kind != "sym" or token.text not in "xX":
            return False
        before = self.tokens[self.i - 1]
        if not (before.kind in {"num", "text", "word"} or before.text in {")", "%", "}"}):
            return False
        if after.text == "(" and not (token.spaced and after.spaced):
            return False
        if after.kind == "num" or after.text == "(" or (after.kind == "text" and after.text == "dollar"):
            self.i += 1
            return True
        return False

    def signed_factor(self) -> Node:
        if self.take("-"):
            return Node("neg", (self.factor(),))
        self.take("+")
        return self.factor()

    def denominator(self) -> Node:
        value = self.signed_factor()
        slash = self.peek()
        if slash is not None and slash.text == "/" and not slash.spaced and self.reading.tight:
            self.i += 1  # 25 / 1/3
            value = Node("div", (value, self.factor()))
        elif slash is not None and slash.text == "/":
            self.flags.add("slash")
        before = self.tokens[self.i - 1]
        while before.text not in {")"} and self.starts_factor() and not self.next_is_number():
            self.flags.add("slash")
            if not self.reading.tight:
                break
            value = times(value, self.factor())
        return value

    def implicit(self) -> Node:
        """What stands beside a factor without a sign."""
        before = self.tokens[self.i - 1]
        token = self.peek()
        assert token is not None
        if token.kind == "num" and (before.text not in {")", "]"} or token.spaced):
            raise NotUnderstood("number after number")
        return self.factor()

    def factor(self) -> Node:
        base = self.postfix(self.atom())
        if self.take("^"):
            if self.at("circ", "degree") or (self.at("{") and self.at("circ", ahead=1)):
                self.i += 1
                if self.tokens[self.i - 1].text == "{":
                    self.i += 1
                    self.expect("}")
                self.flags.add("degrees")
                return self.postfix(Node("deg", (base,)))
            base = Node("pow", (base, self.exponent()))
            base = self.postfix(base)
            if self.at("^"):
                raise NotUnderstood("two exponents")
        return base

    def exponent(self) -> Node:
        if self.at("{"):
            return self.group()
        if self.take("-"):
            return Node("neg", (self.atom(),))
        if self.at("("):
            return self.atom()
        token = self.peek()
        if token is not None and token.kind == "num" and token.math and len(token.text) > 1 and "." not in token.text:
            self.flags.add("exponent")  # x^23 is x^2 times 3 in LaTeX, though few mean it
        return self.atom()

    def postfix(self, node: Node) -> Node:
        while True:
            if self.take("!"):
                if self.at("!"):
                    raise NotUnderstood("double factorial")
                node = Node("fact", (node,))
            elif self.take("%"):
                self.flags.add("percent")
                node = node if self.reading.bare_percent else Node("pct", (node,))
            elif self.at("degree", "circ"):
                self.i += 1
                self.flags.add("degrees")
                node = Node("deg", (node,))
            elif not self.skip_units():
                return node


def _series(terms: list[Node]) -> Node:
    """Terms with dots between them, where it is plain how they go on."""
    values = [t.value for t in terms]
    if any(t.op != "num" for t in terms):
        raise NotUnderstood("terms of a series")
    if len(values) == 3 and (values[1] - values[0] != 1 or values[2] in {2**k for k in range(40)}):
        raise NotUnderstood("too few terms to see how they go on")
    return Node("series", tuple(terms))
