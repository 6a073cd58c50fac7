"""Finds chains of relations in a step: ``3 + 4 = 7``, ``a = b = c < d``, a display with a row for each ``=``.

A chain keeps what stands around it, because a number that was cut out of a longer statement proves nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from genprm.engines.symbolic.cleaning import clean
from genprm.engines.symbolic.cursor import Expression
from genprm.engines.symbolic.lexer import Token, lex
from genprm.engines.symbolic.parser import parse
from genprm.engines.symbolic.vocabulary import CONNECTIVES

MAX_CHAINS = 60
MAX_RELATIONS = 30
_DEPTH = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}


@dataclass(frozen=True, slots=True)
class Member:
    """One side in a chain."""

    tokens: tuple[Token, ...]
    expression: Expression | None


@dataclass(frozen=True, slots=True)
class Chain:
    members: tuple[Member, ...]
    relations: tuple[str, ...]
    """One fewer than members; the text of the relation between two."""
    start: int
    end: int
    before: str
    """The words just before it, in lower case."""
    after: str
    continued: bool = False
    """Its first member is the last one of the chain before: a new row of a display."""


Piece = tuple[Token, ...]
"""Tokens between two breaks."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step that was read."""

    text: str
    """Cleaned."""
    tokens: tuple[Token, ...]
    chains: tuple[Chain, ...]


def read_step(text: str) -> Step:
    """Lex a step and find its chains."""
    cleaned = clean(text)
    tokens = lex(cleaned)
    chains: list[Chain] = []
    previous: Chain | None = None
    for piece in _pieces(tokens):
        chain = _chain(piece, cleaned, previous)
        if chain is not None:
            chains.append(chain)
            if len(chains) >= MAX_CHAINS:
                break
        if piece:
            previous = chain
    return Step(cleaned, tuple(tokens), tuple(chains))


def _pieces(tokens: Sequence[Token]) -> list[Piece]:
    pieces: list[Piece] = []
    current: list[Token] = []
    depth = 0
    for i, token in enumerate(tokens):
        if token.kind == "op" and token.text in "([{":
            depth += 1
        elif token.kind == "op" and token.text in ")]}":
            depth = max(0, depth - 1)
        if _breaks(tokens, i, depth):
            pieces.append(tuple(current))
            current = []
            depth = 0
        elif token.kind != "brk":
            current.append(token)
    pieces.append(tuple(current))
    return pieces


def _breaks(tokens: Sequence[Token], i: int, depth: int) -> bool:
    token = tokens[i]
    if token.kind in {"row", "arrow"}:
        return True
    if token.kind == "op" and token.text == ",":
        return depth == 0
    if token.kind != "brk":
        return False
    if token.text not in {"$", "\\(", "\\)", "\\[", "\\]"}:
        return True
    return not _bridges(tokens, i)


def _bridges(tokens: Sequence[Token], i: int) -> bool:
    """A delimiter of mathematics does not end a piece where an operator or a relation stands beside it in the
    prose: ``$3 + 4$ = $7$``; nor between a number and its unit."""
    before = tokens[i - 1] if i else None
    after = tokens[i + 1] if i + 1 < len(tokens) else None
    inside = after if tokens[i].text in {"\\(", "\\["} or (after is not None and after.math) else before
    outside = before if inside is after else after
    if inside is None or outside is None or inside.kind in {"brk", "row"}:
        return False
    return outside.kind == "rel" or (outside.kind == "op" and outside.text in set("+-*/^=%"))


def _members(tokens: Sequence[Token]) -> tuple[list[list[Token]], list[Token]]:
    members: list[list[Token]] = [[]]
    relations: list[Token] = []
    depth = 0
    for token in tokens:
        if token.kind == "op":
            depth += _DEPTH.get(token.text, 0)
        if token.kind == "rel" and depth <= 0:
            relations.append(token)
            members.append([])
        else:
            members[-1].append(token)
    return members, relations


def _chain(piece: Piece, text: str, previous: Chain | None) -> Chain | None:
    members, relations = _members(piece)
    if not relations or len(relations) > MAX_RELATIONS:
        return None
    continued = False
    first = _suffix(members[0])
    if not members[0] and previous is not None and previous.members[-1].expression is not None:
        first_member = previous.members[-1]
        continued = True
    else:
        first_member = Member(tuple(first), parse(first))
    last = _prefix(members[-1])
    out = [first_member]
    out += [Member(tuple(m), parse(m)) for m in members[1:-1]]
    out.append(Member(tuple(last), parse(last)))
    start = (first[0] if first else relations[0]).start
    end = (last[-1] if last else relations[-1]).end
    return Chain(
        tuple(out), tuple(r.text for r in relations), start, end,
        text[max(0, start - 60) : start].lower(), text[end : end + 60].lower(), continued,
    )  # fmt: skip


def _suffix(tokens: Sequence[Token]) -> list[Token]:
    """What follows the last word that is no unit."""
    start = 0
    depth = 0
    for i, token in enumerate(tokens):
        if token.kind == "op":
            depth += _DEPTH.get(token.text, 0)
        if (token.kind in {"word", "text"} and depth <= 0 and not _is_unit(tokens, i)) or (
            token.kind == "op" and token.text == ":" and _is_label(tokens, i)
        ):
            start = i + 1
    return list(tokens[start:])


def _is_label(tokens: Sequence[Token], i: int) -> bool:
    """``Total: 3 + 4``, and not a ratio."""
    return i == 0 or tokens[i - 1].kind in {"word", "text"} or i + 1 >= len(tokens) or tokens[i + 1].spaced


def _is_unit(tokens: Sequence[Token], i: int) -> bool:
    """Words between a number and an operator: ``5 apples + 3 apples``."""
    if tokens[i].text == "dollar" and tokens[i].kind == "text":
        return True
    j = i
    while j >= 0 and i - j <= 3 and tokens[j].kind in {"word", "text"}:
        j -= 1
    if j < 0 or i - j > 3:
        return False
    if tokens[j].kind != "num" and tokens[j].text not in {")", "}", "]", "%", "/"}:
        return False
    k = i
    while k < len(tokens) and k - j <= 4 and tokens[k].kind in {"word", "text"}:
        if tokens[k].text == "dollar" and tokens[k].kind == "text":
            break
        k += 1
    if k - j > 4:
        return False
    if any(t.kind == "word" and t.text.lower() in CONNECTIVES for t in tokens[j + 1 : k]):
        return False
    return k == len(tokens) or tokens[k].text in set("+-*/)^") | {"}", "]", "x"}


def _prefix(tokens: Sequence[Token]) -> list[Token]:
    """What stands before the first word or stray sign."""
    end = 0
    depth = 0
    for token in tokens:
        if token.kind == "text" and token.text == "dollar":
            end += 1
            continue
        if token.kind in {"bad", "dots"}:
            return list(tokens)
        if token.kind in {"word", "text"} or (token.kind == "func" and token.text in {"pmod", "bmod", "mod"}):
            break
        if token.kind == "op" and depth == 0 and token.text in {":", "'", "~"}:
            break
        if token.kind == "op":
            depth += _DEPTH.get(token.text, 0)
            if depth < 0:
                break
        end += 1
    tail = list(tokens[end:])
    out = list(tokens[:end])
    if out and out[-1].text == "(" and tail and tail[0].text == "mod":
        out.pop()
    if tail and tail[0].kind in {"word", "text"} and _continues(tail):
        return list(tokens)  # 3 miles + 4 miles: read it all, or nothing
    return out


def _continues(tail: Sequence[Token]) -> bool:
    k = 0
    while k < len(tail) and tail[k].kind in {"word", "text"} and tail[k].text.lower() not in CONNECTIVES:
        k += 1
    return k < len(tail) and tail[k].kind == "op" and tail[k].text in set("+-*/^")
