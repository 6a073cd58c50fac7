"""Pairs of sides in the same symbols: which of them are meant as identities, and which of those are false."""

import re

from genprm.engines.symbolic.chains import Chain
from genprm.engines.symbolic.claim import Claim, Kind
from genprm.engines.symbolic.context import Context, Equation, equations
from genprm.engines.symbolic.cursor import Expression
from genprm.engines.symbolic.doubts import cut_out, denied
from genprm.engines.symbolic.identities import settle
from genprm.engines.symbolic.polynomials import TooLarge, difference
from genprm.engines.symbolic.quotes import quote
from genprm.engines.symbolic.tree import Node, has, substitute, symbols, walk

_COMPLEX = re.compile(r"complex|imaginary|i\^\{?2|bi\b|\bcis\b|operatorname\{Re\}", re.IGNORECASE)
_REWRITING = re.compile(
    r"factor|expan|rewrit|re-write|polynomial division|synthetic division|common denominator|written as"
)
_STEPPED = ("abs", "floor", "ceil", "binom", "sum", "prod", "mod", "gcd", "lcm", "max", "min", "isprime", "fact")

_SPECIAL = {"omega", "zeta", "phi", "e"}
"""Names of numbers that satisfy an equation which nobody writes down."""


def identity_claims(context: Context) -> list[Claim]:
    """Claims that two expressions are equal for all values of their symbols."""
    claims = []
    for chain in context.step.chains:
        for index, relation in enumerate(chain.relations):
            left, right = chain.members[index].expression, chain.members[index + 1].expression
            if relation == "=" and left is not None and right is not None:
                claim = _identity(context, chain, index, left, right)
                if claim is not None:
                    claims.append(claim)
    return claims


def _identity(context: Context, chain: Chain, index: int, left: Expression, right: Expression) -> Claim | None:
    a, b = left.node, right.node
    if "i" in symbols(a) | symbols(b):
        if not _COMPLEX.search(context.background):
            return None
        a, b = (substitute(side, {"i": Node("imaginary")}) for side in (a, b))
    if symbols(a) != symbols(b) or not (symbols(a) or has(a, "imaginary") or has(b, "imaginary")):
        return None
    verdict = settle(a, b)
    if verdict is None:
        return None
    holds, points = verdict
    if not holds and not _is_meant(context, chain, index, a, b, left.flags | right.flags):
        return None
    kind: Kind = "identity" if points else "arithmetic"
    return Claim(kind, quote(context.step, chain, index), a, b, points=points, holds=holds)


def _is_meant(context: Context, chain: Chain, index: int, a: Node, b: Node, flags: frozenset[str]) -> bool:
    """A pair that is false as an identity is one nevertheless, and no condition on its symbols."""
    if cut_out(chain, index) or denied(context.step, chain) or flags & {"call", "slash", "exponent", "argument", "log"}:
        return False
    if has(a, *_STEPPED) or has(b, *_STEPPED):
        return False
    names = symbols(a) | symbols(b)
    if not names:  # complex numbers
        return a.op not in {"num", "imaginary"} and not (a.op == "add" and not has(a, "mul", "div", "pow"))
    if names & _SPECIAL:
        return False
    late = index > 0 or chain.continued
    free = not any(_explains(e, chain, names) for e in _all_equations(context))
    return (late and free) or _is_slip(a, b, late) or _is_rewritten(context, chain, a)


def _is_rewritten(context: Context, chain: Chain, left: Node) -> bool:
    """The left side is a part of a larger expression of the text, which is now said to be something else."""
    if (
        not has(left, "add")
        or sum(1 for _ in walk(left)) < 7
        or _REWRITING.search(chain.before) is None
        or re.search("equation|this can be", chain.before)
    ):
        return False
    for step in (context.problem, *context.earlier, context.step):
        for other in step.chains:
            if step is context.step and other.start >= chain.start:
                break
            for member in other.members:
                whole = member.expression.node if member.expression is not None else None
                if whole is not None and whole != left and any(part == left for part in walk(whole)):
                    return True
    return False


def _is_slip(a: Node, b: Node, late: bool) -> bool:
    """The sides agree in most terms: somebody calculated, and slipped. As a condition on the symbols it would be
    an odd one."""
    try:
        first, second, gap = difference(a, b)
    except TooLarge:
        return False
    common = sum(1 for monomial, coefficient in first.items() if second.get(monomial) == coefficient)
    if len(gap) == 1:
        return late or common >= (2 if () in gap else 3)
    changed = all(monomial in first and monomial in second for monomial in gap)
    return len(gap) == 2 and changed and common >= (2 if late else 3)


def _explains(equation: Equation, chain: Chain, names: frozenset[str]) -> bool:
    """An equation elsewhere ties the symbols, so that the sides may be equal under it."""
    if equation.chain.start == chain.start or equation.chain is chain or not equation.names & names:
        return False
    if chain.continued and equation.chain.end >= chain.start - 4 and equation.chain.start < chain.start:
        return False  # the row above, in the same display
    return not (equation.left.op == "sym" and equation.left.name not in names)


def _all_equations(context: Context) -> list[Equation]:
    return [e for step in (context.problem, *context.earlier, context.step) for e in equations(step)]
