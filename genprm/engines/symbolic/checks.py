"""Claims -> a Python check that people can read as the proof.

Of the judged text only trees get in (``writer``), and a quotation, as a comment in nothing but printable ASCII.
"""

import ast
from collections.abc import Sequence
from fractions import Fraction

from genprm.engines.symbolic.claim import Claim, Point
from genprm.engines.symbolic.doubts import is_number
from genprm.engines.symbolic.identities import environment, in_degrees
from genprm.engines.symbolic.tree import Node, has, is_real, render, symbol
from genprm.engines.symbolic.values import Undecided, evaluate
from genprm.engines.symbolic.writer import MATH, MPMATH, SYMPY, Writer, identifiers

NOTHING = (
    "# No claim in this paragraph can be settled by a computation.\n"
    'print("Nothing in this paragraph can be settled by computation.")\n'
)

_SAME = '''
mp.dps = 40


def same(a, b):
    """Equal to 25 digits."""
    return abs(a - b) <= mpf(10)**-25 * (1 + abs(a) + abs(b))

'''


def write_check(claims: Sequence[Claim]) -> str:
    """The check of a step; prints one line for each claim, ending in True, False or undecided.

    A single claim goes without a guard: if its computation raises, the check fails and nothing was said. Among
    several, one that raises must not silence the others.
    """
    if not claims:
        return NOTHING
    write = _block if len(claims) == 1 else _guarded
    body = "\n".join(write(claim) for claim in claims)
    imports = _imports(body)
    return f"{imports}\n{body}" if imports else body


def _imports(body: str) -> str:
    names = {node.id for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)}
    real = bool(names & ({*MPMATH, "same"}))
    if real:
        names |= {"mp", "mpf"}
    lines = []
    for module, offered in (("fractions", ("Fraction",)), ("math", MATH), ("mpmath", MPMATH), ("sympy", SYMPY)):
        used = sorted(names & set(offered))
        if used:
            lines.append(f"from {module} import {', '.join(used)}\n")
    return "".join(lines) + (_SAME if real else "")


def _block(claim: Claim) -> str:
    return "\n".join((_said(claim), *_lines(claim), ""))


def _guarded(claim: Claim) -> str:
    failed = f'print(f"{render(claim.left)} {_sign(claim)} {render(claim.right)}: undecided ({{problem}})")'
    guard = "except (ArithmeticError, ValueError, TypeError) as problem:"
    return "\n".join((_said(claim), "try:", *_indented(_lines(claim)), guard, *_indented([failed]), ""))


def _said(claim: Claim) -> str:
    return f'# The text says: "{quoted(claim.quote)}"'


def _indented(lines: Sequence[str]) -> list[str]:
    return ["    " + line for line in lines]


def _lines(claim: Claim) -> list[str]:
    left, right = claim.left, claim.right
    if has(left, "deg") or has(right, "deg"):
        left, right = in_degrees(left), in_degrees(right)
    trees = [left, right, *(part for point in claim.points for name, value in point for part in (symbol(name), value))]
    real = any(is_real(tree) for tree in trees)
    writer = Writer(real, identifiers(trees))
    sides = [f"left = {writer.write(left)}", f"right = {writer.write(right)}"]
    test = _test(claim, real)
    if len(claim.points) == 1:
        sides = [f"{writer.names[name]} = {writer.write(value)}" for name, value in claim.points[0]] + sides
    elif claim.points:
        stop = f"if {_negated(test)}:" if claim.every else f"if {test}:"
        sides = [_loop(claim, writer), *_indented([*sides, stop, "    break"])]
    return [*sides, f'print(f"{_report(claim, real, writer)}: {{{test}}}")']


def _loop(claim: Claim, writer: Writer) -> str:
    target = ", ".join(writer.names[name] for name, _ in claim.points[0])
    return f"for {target} in [{', '.join(_values(point, writer) for point in claim.points)}]:"


def _values(point: Point, writer: Writer) -> str:
    written = [writer.write(value) for _, value in point]
    return written[0] if len(written) == 1 else f"({', '.join(written)})"


def _negated(test: str) -> str:
    return (
        test.replace(" == ", " != ")
        if test == "left == right"
        else f"not {test}"
        if test[0] == "s"
        else (f"not ({test})")
    )


def _test(claim: Claim, real: bool) -> str:
    if claim.relation == "=":
        return "same(left, right)" if real else "left == right"
    if claim.relation == "mod":
        assert claim.modulus is not None
        return f"(left - right) % {Writer(False, {}).write(claim.modulus)} == 0"
    if claim.relation == "near":
        share, least = ("mpf(3) / 100", " + mpf(10)**-20") if real else ("Fraction(3, 100)", "")
        return f"abs(left - right) <= {share} * max(abs(left), abs(right)){least}"
    if claim.relation == "~":
        bound = claim.tolerance
        written = f"Fraction({bound.numerator}, {bound.denominator})"
        return f"abs(left - right) <= {f'mpf({bound.numerator}) / {bound.denominator}' if real else written}"
    return f"left {claim.relation} right"


def _sign(claim: Claim) -> str:
    return {"~": "is about", "near": "is about", "mod": "is congruent to"}.get(claim.relation, claim.relation)


def _report(claim: Claim, real: bool, writer: Writer) -> str:
    left, right = (_shown(name, side, claim, real) for name, side in (("left", claim.left), ("right", claim.right)))
    text = f"{render(claim.left)} = {left}"
    if claim.relation == "mod":
        assert claim.modulus is not None
        text += f", the text says {render(claim.right)} modulo {render(claim.modulus)}"
    elif claim.relation in {"<", ">", "<=", ">="}:
        text += f", the text says {claim.relation} {render(claim.right)}"
    elif is_number(claim.right) and claim.kind in {"solution", "derivation"}:
        text += f", and it should be {render(claim.right)}"
    elif is_number(claim.right):
        text += f", the text says {'about ' if claim.relation == '~' else ''}{render(claim.right)}"
    else:
        text += f", {render(claim.right)} = {right}"
    if claim.points:
        places = [
            f"{name} = {{{writer.names[name]}}}" if not real else f"{name} = {{nstr({writer.names[name]}, 12)}}"
            for name, _ in claim.points[0]
        ]
        text = f"at {', '.join(places)}: {text}"
    return text


def _shown(name: str, side: Node, claim: Claim, real: bool) -> str:
    if real:
        return f"{{nstr({name}, 12)}}"
    return f"{{{name}}}" if all(_is_short(side, point) for point in claim.points or ((),)) else f"{{{name}!s:.60}}"


def _is_short(side: Node, point: Point) -> bool:
    try:
        value = evaluate(side, environment(point))
    except Undecided:
        return False
    return isinstance(value, Fraction) and max(abs(value.numerator), value.denominator) < 10**25


def quoted(text: str) -> str:
    """A piece of the text that cannot break out of a comment or of a code block."""
    return "".join(c if 32 <= ord(c) < 127 and c not in '`"' else "'" if c in '`"' else " " for c in text)[:160]
