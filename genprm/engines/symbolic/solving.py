"""Values that a step concludes, put back into the equations of the problem or of the steps before."""

import re
from collections.abc import Sequence

from genprm.engines.symbolic.bindings import is_plain
from genprm.engines.symbolic.chains import Step
from genprm.engines.symbolic.claim import Claim, Point
from genprm.engines.symbolic.conclusions import Found, assignments, boxed_answer, concluded
from genprm.engines.symbolic.context import Context, Equation, equations
from genprm.engines.symbolic.derivations import has_steps
from genprm.engines.symbolic.doubts import cut_out
from genprm.engines.symbolic.identities import environment
from genprm.engines.symbolic.tree import walk
from genprm.engines.symbolic.values import Undecided, evaluate

_ASKED = re.compile(r"\b(?:solv|find|what|compute|determine|calculate|evaluate|how|enter|express)", re.IGNORECASE)
_OTHER_TASK = re.compile(
    r"graph|\bline\b|\blines\b|parabola|circle|ellipse|hyperbola|curve|plane|\bpoints?\b|coordinate|intersect|tangent"
    r"|asymptote|vertex|vertices|slope|intercept|minimum|maximum|minimi|maximi|smallest|largest|least|greatest|deriv"
    r"|for all|for every|for any|\\equiv|\\pmod|\bmod\b|cases\}|matrix|sequence|\bbase\b|digit|overline|remainder"
    r"|function|polynomial|inequalit|\\le|\\ge|[<>]|\bnot\b|no (?:real )?solution|complex|imaginary|\|",
    re.IGNORECASE,
)
MAX_VALUES = 4


def solution_claims(context: Context) -> list[Claim]:
    """Claims that the values which the step ends with solve what the problem set."""
    return _of_the_problem(context) or _of_earlier_steps(context)


def _of_earlier_steps(context: Context) -> list[Claim]:
    """A letter that the steps made equations for: its value must solve one of them at least.

    Which of the equations is the one to be solved is not known, so a value is refuted only where it solves none.
    """
    out = []
    for one in concluded(context.step):
        if not is_plain(context.background, one.name) or len(_definitions(context, one.name)) > 1:
            continue
        steps = (*context.earlier, context.step)
        others = [a for step in steps for a in assignments(step) if a.name == one.name]
        made = [
            e for step in steps for e in equations(step)
            if e.names == {one.name} and (step is not context.step or e.chain.end <= one.start)
        ]  # fmt: skip
        if any(a.value != one.value for a in others) or not made or any(has_steps(e) or _is_simple(e) for e in made):
            continue
        loose = any(_is_loose(e) for e in made) or any(n.decimals for n in walk(one.value))
        point: Point = ((one.name, one.value),)
        verdicts = [_solves(e, point, loose) for e in made]
        if None not in verdicts:
            k = verdicts.index(True) if any(verdicts) else 0
            quote = " ".join(context.step.text[one.start : one.end].split())[:160]
            relation = "near" if loose else "="
            sides = made[k].left, made[k].right
            holds = any(v for v in verdicts)
            out.append(Claim("solution", quote, *sides, relation, (point,), because="earlier", holds=holds))
    return out


def _is_simple(equation: Equation) -> bool:
    """``x = 5``, or ``0 = 0``."""
    return "sym" in {equation.left.op, equation.right.op} and not (equation.left.args and equation.right.args)


def _definitions(context: Context, name: str) -> list[str]:
    return re.findall(rf"\b(?i:let|where|call|denote|define)\b[^.]{{0,30}}\b{name}\b", _steps(context))


def _of_the_problem(context: Context) -> list[Claim]:
    problem = context.problem
    if _ASKED.search(problem.text) is None or _OTHER_TASK.search(problem.text) is not None:
        return []
    given = _given(problem)
    names = frozenset(name for equation in given for name in equation.names)
    if not given or len(names) > 3 or not all(is_plain(context.background, name) for name in names):
        return []
    if any(relation not in {"=", "~"} for chain in problem.chains for relation in chain.relations):
        return []
    if len(names) == 1:
        return _in_one_unknown(context, given, next(iter(names)))
    return _in_several(context, given, names)


def _given(problem: Step) -> list[Equation]:
    """The equations of the problem; none where it has others that are not understood."""
    found = []
    for equation in equations(problem):
        if not all(len(name) == 1 for name in equation.names) or has_steps(equation) or _is_loose(equation):
            return []
        if cut_out(equation.chain, equation.index):
            return []
        found.append(equation)
    return found


def _is_loose(equation: Equation) -> bool:
    return any(one.decimals for side in (equation.left, equation.right) for one in walk(side))


def _in_one_unknown(context: Context, given: Sequence[Equation], name: str) -> list[Claim]:
    if len(given) != 1 or "sym" in {given[0].left.op, given[0].right.op} or _redefined(context, name):
        return []
    found = [one for one in concluded(context.step) if one.name == name] or boxed_answer(context, name)
    points = [((name, one.value),) for one in found]
    return _claims(context, given, points, found)


def _in_several(context: Context, given: Sequence[Equation], names: frozenset[str]) -> list[Claim]:
    """Every letter has one value in the text so far, and the last of them is found in this step."""
    if len(given) < len(names) or any(_redefined(context, name) for name in names):
        return []
    values: dict[str, Found] = {}
    for step in (*context.earlier, context.step):
        for one in assignments(step):
            if one.name in values and values[one.name].value != one.value:
                return []
            values[one.name] = one
    now = [one for one in concluded(context.step) if one.name in names]
    if not now or not names <= values.keys():
        return []
    point: Point = tuple((name, values[name].value) for name in sorted(names))
    return _claims(context, given, [point], now)


def _redefined(context: Context, name: str) -> bool:
    return bool(_definitions(context, name))


def _steps(context: Context) -> str:
    return "\n".join(step.text for step in (*context.earlier, context.step))


def _claims(
    context: Context, given: Sequence[Equation], points: Sequence[Point], found: Sequence[Found]
) -> list[Claim]:
    if not 0 < len(points) <= MAX_VALUES:
        return []
    text = context.step.text[found[0].start : found[-1].end]
    quote = " ".join(text.split())[:160]
    out = []
    loose = any(one.decimals for point in points for _, value in point for one in walk(value))
    for equation in given:
        verdicts = [_solves(equation, point, loose) for point in points]
        if None in verdicts:
            return []
        because = "problem" if len(equation.names) == 1 else "system"
        relation = "near" if loose else "="
        sides = equation.left, equation.right
        mine = tuple(tuple(pair for pair in point if pair[0] in equation.names) for point in points)
        out.append(
            Claim("solution", quote, *sides, relation, mine, because=because, holds=all(verdicts)),
        )
    return out


def _solves(equation: Equation, point: Point, loose: bool) -> bool | None:
    try:
        env = environment(point)
        a, b = complex(evaluate(equation.left, env)), complex(evaluate(equation.right, env))
    except (Undecided, OverflowError):
        return None
    return abs(a - b) <= max(abs(a), abs(b), 1e-3) * (0.03 if loose else 1e-9)
