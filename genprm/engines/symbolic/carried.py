"""Letters with a value, and functions with a formula, put into what is said of them later: ``a = 5``, ``b = 3``, so
``a^2 + b^2 = 35``; ``f(x) = 2x + 1``, so ``f(3) = 8``."""

import re
from collections.abc import Iterator
from fractions import Fraction

from genprm.engines.symbolic.arithmetic import compare
from genprm.engines.symbolic.bindings import Binding, Place, bindings, places
from genprm.engines.symbolic.chains import Chain
from genprm.engines.symbolic.claim import Claim, Point
from genprm.engines.symbolic.context import Context, equations
from genprm.engines.symbolic.cursor import Expression
from genprm.engines.symbolic.doubts import cut_out, denied, sentence, speaks_rounded
from genprm.engines.symbolic.quotes import quote
from genprm.engines.symbolic.tree import Node, has, substitute, symbol, symbols, walk
from genprm.engines.symbolic.values import Undecided

_DOUBTFUL = {"slash", "exponent", "argument", "log", "percent", "degrees", "mixed", "trig", "based"}
_CONDITION = re.compile(
    r"\b(?:if|when|whenever|suppos\w*|assum\w*|case|unless|want|wants|need|needs|must|should|require\w*|check\w*|verif\w*"
    r"|try|trying|test\w*|let|solv\w*|find|equation|equations|condition|constraint|given|such that|recall|system"
    r"|original|minimum|maximum|would|formula|subject to|set|setting|satisf\w*|modulo|mod|other|another|new|different"
    r"|or)\b",
    re.IGNORECASE,
)
_STEPPED = ("floor", "ceil", "binom", "sum", "prod", "mod", "deg", "fact", "max", "min")
_CALL = re.compile(r"([fghFGHPQRpq])\((-?\d{1,6}(?:\.\d{1,4})?)\)")
_HEAD = re.compile(r"([fghFGHPQRpq])\(([a-z])\)")


def carried_claims(context: Context) -> list[Claim]:
    """Claims of the step in letters whose values are known, and of functions whose formula is known."""
    pairs = list(_pairs(context))
    if not pairs:
        return []
    known = bindings(context)
    formulas = _formulas(context)
    rounded = speaks_rounded(context.background)
    claims = []
    for chain, index in pairs:
        claim = _at_values(context, chain, index, known, rounded) or _of_formula(context, chain, index, formulas)
        if claim is not None:
            claims.append(claim)
    return claims


def _pairs(context: Context) -> Iterator[tuple[Chain, int]]:
    """Results: letters or calls on one side only."""
    for chain in context.step.chains:
        for index, relation in enumerate(chain.relations):
            left, right = chain.members[index].expression, chain.members[index + 1].expression
            if relation != "=" or left is None or right is None or not _is_result(left.node, right.node):
                continue
            if not _is_doubtful(context, chain, index, left, right):
                yield chain, index


def _is_doubtful(context: Context, chain: Chain, index: int, left: Expression, right: Expression) -> bool:
    if (left.flags | right.flags) & _DOUBTFUL or has(left.node, *_STEPPED) or has(right.node, *_STEPPED):
        return True
    if cut_out(chain, index) or denied(context.step, chain):
        return True
    text = sentence(context.step, chain)
    clause = re.split(r"[.;]\s|\n\n", text[: text.find(context.step.text[chain.start : chain.end])])[-1]
    return _CONDITION.search(clause) is not None


def _at_values(context: Context, chain: Chain, index: int, known: dict[str, Binding], rounded: bool) -> Claim | None:
    left, right = (chain.members[k].expression for k in (index, index + 1))
    assert left is not None
    assert right is not None
    names = symbols(left.node) | symbols(right.node)
    here: Place = (len(context.earlier) + 1, chain.start)
    if not names or not all(name in known and known[name].place <= here for name in names):
        return None
    if _is_found_later(context, chain, names):
        return None
    if _is_stated_before(context, left.node, right.node):
        return None
    about = rounded or any(known[name].about for name in names)
    return _compared(left.node, right.node, {n: known[n].value for n in names}, about, context, chain, index)


def _is_result(left: Node, right: Node) -> bool:
    """An expression of letters, or a call, on one side only: else it may be an equation to be solved, as it may be with
    a zero on the other."""
    first, second = (left, right) if symbols(left) else (right, left)
    if symbols(second) or not (first.args or "(" in first.name):
        return False
    return not (first.args and second.op == "num" and second.value == 0)


def _is_found_later(context: Context, chain: Chain, names: frozenset[str]) -> bool:
    """The step goes on to the value of the letter: what stood before it was an equation for it."""
    return any(
        {e.left, e.right} & {symbol(name) for name in names} for e in equations(context.step)
        if e.chain.start >= chain.start
    )  # fmt: skip


def _is_stated_before(context: Context, left: Node, right: Node) -> bool:
    """A condition that is written down again, not a result."""
    return any(
        {e.left, e.right} == {left, right} for _, step in places(context) for e in equations(step)
        if step is not context.step
    )  # fmt: skip


def _compared(
    left: Node, right: Node, values: dict[str, Node], about: bool, context: Context, chain: Chain, index: int
) -> Claim | None:
    try:
        claim = compare(substitute(left, values), substitute(right, values), "~" if about else "=", "", about)
    except Undecided:
        return None
    point: Point = tuple(sorted(values.items()))
    relation = "near" if claim.relation == "~" else "="
    return Claim(
        "substitution", quote(context.step, chain, index), left, right, relation, (point,) if point else (),
        holds=claim.holds,
    )  # fmt: skip


def _formulas(context: Context) -> dict[str, tuple[str, Node, Place]]:
    """Functions that are given by one formula in one letter, once."""
    if re.search(r"cases\}|piecewise|periodic|inverse|\bif\s[^.]{0,20}[<>]|\\[lg]e", context.background):
        return {}
    found: dict[str, tuple[str, Node, Place]] = {}
    banned: set[str] = set()
    for number, step in places(context):
        for equation in equations(step):
            head = _HEAD.fullmatch(equation.left.name) if equation.left.op == "sym" else None
            if head is None:
                continue
            name, variable = head.groups()
            if symbols(equation.right) != {variable} or (name in found and found[name][1] != equation.right):
                banned.add(name)
            elif name not in found:
                found[name] = (variable, equation.right, (number, equation.chain.end))
    return {name: formula for name, formula in found.items() if name not in banned}


def _of_formula(
    context: Context, chain: Chain, index: int, formulas: dict[str, tuple[str, Node, Place]]
) -> Claim | None:
    """``f(3) = 8``: the calls are replaced by the formula at their argument."""
    left, right = (chain.members[k].expression for k in (index, index + 1))
    assert left is not None
    assert right is not None
    here: Place = (len(context.earlier) + 1, chain.start)
    values: dict[str, Node] = {}
    for name in symbols(left.node) | symbols(right.node):
        call = _CALL.fullmatch(name)
        if call is None or call[1] not in formulas or formulas[call[1]][2] > here:
            return None
        variable, body, _ = formulas[call[1]]
        argument = Fraction(call[2])
        leaf = Node("num", name=call[2].lstrip("-"), value=abs(argument))
        values[name] = substitute(body, {variable: Node("neg", (leaf,)) if argument < 0 else leaf})
    if not values or _is_stated_before(context, left.node, right.node):
        return None
    a, b = substitute(left.node, values), substitute(right.node, values)
    loose = any(one.decimals for side in (a, b) for one in walk(side))
    try:
        claim = compare(a, b, "~" if loose else "=", "", loose)
    except Undecided:
        return None
    return Claim(
        "substitution", quote(context.step, chain, index), a, b, "near" if claim.relation == "~" else "=",
        holds=claim.holds,
    )  # fmt: skip
