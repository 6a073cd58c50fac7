"""Reading tokens one after the other, with what is noticed on the way."""

from collections.abc import Sequence
from dataclasses import dataclass

from genprm.engines.symbolic.lexer import Token
from genprm.engines.symbolic.tree import Node
from genprm.engines.symbolic.vocabulary import CONNECTIVES

MAX_DEPTH = 40
MAX_TOKENS = 300
MAX_DIGITS = 40


@dataclass(frozen=True, slots=True)
class Reading:
    """How ambiguous spellings are taken. A claim is refuted only if it is false under every reading."""

    tight: bool = False
    """``1/2x`` is 1/(2x)."""
    product: bool = False
    """``3\\frac{1}{2}`` is 3 times a half, not three and a half."""
    bare_percent: bool = False
    """``20%`` counts as 20."""
    log_base: int = 10
    """Of a plain ``log``; 0 for e."""
    degrees: bool = False
    """``\\sin 30`` is meant in degrees."""


READINGS = (
    Reading(),
    Reading(tight=True),
    Reading(product=True),
    Reading(bare_percent=True),
    Reading(log_base=0),
    Reading(log_base=2),
    Reading(degrees=True),
)


@dataclass(frozen=True, slots=True)
class Expression:
    node: Node
    units: frozenset[str]
    """Words in it that were taken for units: ``apples``, ``dollar``."""
    flags: frozenset[str]
    """Spellings that have more than one reading, or that ask for care: percent, mixed, slash, log, call, degrees,
    bare (a number without any operation)."""


class NotUnderstood(Exception):
    """These tokens are no expression."""


class Cursor:
    """A place in a sequence of tokens."""

    def __init__(self, tokens: Sequence[Token], reading: Reading) -> None:
        self.tokens = tokens
        self.reading = reading
        self.i = 0
        self.depth = 0
        self.units: set[str] = set()
        self.flags: set[str] = set()

    def peek(self, ahead: int = 0) -> Token | None:
        at = self.i + ahead
        return self.tokens[at] if at < len(self.tokens) else None

    def at(self, *texts: str, ahead: int = 0) -> bool:
        token = self.peek(ahead)
        return token is not None and token.kind in {"op", "func"} and token.text in texts

    def take(self, *texts: str) -> bool:
        if self.at(*texts):
            self.i += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.take(text):
            raise NotUnderstood(text)

    def next(self) -> Token:
        token = self.peek()
        if token is None:
            raise NotUnderstood("end")
        self.i += 1
        return token

    def skip_units(self) -> bool:
        token = self.peek()
        skipped = False
        while token is not None and token.kind in {"text", "word"}:
            if token.kind == "word" and token.text.lower() in CONNECTIVES:
                raise NotUnderstood("a sentence goes on")
            self.units.update(token.text.lower().split())
            self.i += 1
            skipped = True
            if self.at("^") and self.peek(1) is not None and self.peek(1).text in {"2", "3"}:  # type: ignore[union-attr]
                self.i += 2  # cm^2
            elif self.at("/") and self.peek(1) is not None and self.peek(1).kind in {"word", "text"}:  # type: ignore[union-attr]
                self.i += 1  # miles/hour
            token = self.peek()
        return skipped

    def next_is_number(self) -> bool:
        token = self.peek()
        return token is not None and token.kind == "num"

    def starts_factor(self) -> bool:
        token = self.peek()
        if token is None:
            return False
        if token.kind in {"num", "sym"}:
            return True
        if token.kind == "text" and token.text == "dollar":
            return False
        if token.kind == "func":
            return token.text not in {
                "cdot",
                "times",
                "div",
                "rfloor",
                "rceil",
                "mod",
                "bmod",
                "pmod",
                "choose",
                "rvert",
            }
        return token.kind == "op" and token.text in {"(", "[", "{"}
