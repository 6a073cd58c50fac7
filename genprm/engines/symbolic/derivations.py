"""Runs of equations in one unknown: each is derived from the ones before it, so it must share a solution with them.

A run goes on only while the words between two equations are those of a derivation ("dividing both sides by 2
gives"); any other word may open a case, a trial or a new subject, and ends it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from genprm.engines.symbolic.claim import Claim, Kind, Point
from genprm.engines.symbolic.context import Context, Equation, equations
from genprm.engines.symbolic.doubts import cut_out, denied
from genprm.engines.symbolic.equations import at, satisfied, solutions, unknown
from genprm.engines.symbolic.quotes import quote
from genprm.engines.symbolic.tree import Node, has, symbols, walk
from genprm.engines.symbolic.vocabulary import LINKS

MAX_GAP = 260

_WORD = re.compile(r"[A-Za-z']+")
_MARKUP = re.compile(r"\\[A-Za-z]+\*?|\\.|\{[a-z]+\*?\}|\b[a-zA-Z]\b|\b(?:text|align|aligned|equation)\b")


@dataclass
class _Run:
    """Equations that are linked so far."""

    name: str
    equations: list[Equation] = field(default_factory=list)
    loose: bool = False


def derivation_claims(context: Context) -> list[Claim]:
    """Claims that the equations of the step follow from those before them."""
    runs: dict[str, _Run] = {}
    if context.earlier:
        for _ in _follow(context, len(context.earlier) - 1, runs):
            pass
    claims = list(_follow(context, len(context.earlier), runs))
    return claims


def _follow(context: Context, number: int, runs: dict[str, _Run]) -> Iterator[Claim]:
    step = (*context.earlier, context.step)[number]
    last = 0
    for equation in equations(step):
        name = unknown(equation)
        gap = step.text[last : equation.chain.start]
        linked = equation.chain.start < last or _is_link(gap)
        last = max(last, equation.chain.end)
        if name is None or has_steps(equation) or _listed(step.text, equation) or _is_applied(step.text, name):
            continue
        if cut_out(equation.chain, equation.index):
            continue
        run = runs.get(name)
        if run is None or not linked:
            runs.clear()  # whatever came between is not understood
            run = None
        if run is not None and _is_beside(run.equations[-1], equation, gap):
            run.equations.append(equation)
            continue
        if run is not None and _assigns(run.equations[-1]) and not _assigns(equation):
            run = None  # solved; what follows is another task
        if run is None:
            if not _assigns(equation):
                runs[name] = _Run(name, [equation], _is_loose(equation))
            continue
        if denied(step, equation.chain):
            run.equations.append(equation)
            continue
        claim = _claim(run, equation, quote(step, equation.chain, equation.index))
        run.equations.append(equation)
        run.loose = run.loose or _is_loose(equation)
        if claim is not None:
            yield claim


def _is_link(gap: str) -> bool:
    if len(gap) > MAX_GAP:
        return False
    words = _WORD.findall(_MARKUP.sub(" ", gap.replace("\\[", " ").replace("\\]", " ")))
    return all(word.lower() in LINKS for word in words)


def _is_beside(last: Equation, equation: Equation, gap: str) -> bool:
    """The equation is no consequence of the last one but stands beside it, as another case."""
    if _assigns(equation):
        return False
    if last.left == equation.left or (last.right == equation.right and _is_factor(equation)):
        return True
    return not _assigns(last) and re.search(r"\b(?:and|or)\b", gap) is not None


def _is_factor(equation: Equation) -> bool:
    return not any(one.op in {"pow", "mul", "div"} for one in walk(equation.left))


def _is_applied(text: str, name: str) -> bool:
    """The name stands for a function in this text: ``r(3)``, ``f^{-1}(2)``, ``r[2]``."""
    return re.search(rf"(?<![A-Za-z\\]){re.escape(name)}(?:\^\{{-1\}})?(?:\(-?(?:\d+|[a-z])\)|\[)", text) is not None


def _listed(text: str, equation: Equation) -> bool:
    """``x = 1, 2``: a list of values."""
    return re.match(r"\s*(?:\\\)|\$)?\s*,\s*(?:\\\(|\$)?\s*[-\d\\]", text[equation.chain.end :]) is not None


def _assigns(equation: Equation) -> bool:
    return (equation.left.op == "sym" and not symbols(equation.right)) or (
        equation.right.op == "sym" and not symbols(equation.left)
    )


def has_steps(equation: Equation) -> bool:
    """Floors and the like: several equations in one."""
    return any(
        has(side, "floor", "ceil", "abs", "mod", "gcd", "lcm", "sum", "prod", "deg")
        for side in (equation.left, equation.right)
    )


def _is_loose(equation: Equation) -> bool:
    return any(one.decimals for side in (equation.left, equation.right) for one in walk(side))


def _claim(run: _Run, equation: Equation, text: str) -> Claim | None:
    """The equation against all of its run: it holds where it shares a solution with one of them."""
    loose = run.loose or _is_loose(equation)
    mine = solutions(equation)
    misses: list[tuple[Equation, Node]] = []
    for source in reversed(run.equations):
        for root in mine:
            verdict = satisfied(source, run.name, root, loose)
            if verdict is None:
                return None
            if verdict:
                return _made(equation, source, [at(run.name, root)], text, loose, True)
            misses.append((source, root))
        for root in solutions(source):
            verdict = satisfied(equation, run.name, root, loose)
            if verdict is None or verdict:
                return None
    if not misses:
        return None
    source = misses[0][0]
    return _made(equation, source, [at(run.name, root) for root in mine], text, loose, False)


def _made(equation: Equation, source: Equation, points: list[Point], text: str, loose: bool, holds: bool) -> Claim:
    kind: Kind = "solution" if _assigns(equation) else "derivation"
    return Claim(
        kind, text, source.left, source.right, "near" if loose else "=", tuple(points[:3]), False,
        because=f"{text} is to solve what it was derived from", holds=holds,
    )  # fmt: skip
