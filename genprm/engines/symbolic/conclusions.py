"""The values that a step ends with: ``so x = 7 or x = -2``, ``the answer is \\boxed{5}``."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from genprm.engines.symbolic.chains import Chain, Step
from genprm.engines.symbolic.cleaning import clean
from genprm.engines.symbolic.context import Context
from genprm.engines.symbolic.doubts import cut_out
from genprm.engines.symbolic.lexer import lex
from genprm.engines.symbolic.parser import parse
from genprm.engines.symbolic.tree import Node, has, symbols
from genprm.engines.symbolic.values import Undecided, evaluate

_CONCLUDES = re.compile(
    r"\b(?:so|therefore|thus|hence|solutions?|answer|gives?|giving|get|yields?|implies|conclude|find|must be|equals?"
    r"|which means|means|roots?|leaves|and|or|to|obtain|have|then|simplifies|is)\b|\\Rightarrow|\\implies|\\boxed"
    r"|\\to\b|=>",
    re.IGNORECASE,
)
_EXCUSE = re.compile(
    r"\b(?:if|let|let's|suppos\w*|assum\w*|case|cases|try|trying|tried|test\w*|guess\w*|at|when|whenever|extraneous"
    r"|reject\w*|discard\w*|check\w*|verif\w*|not|n't|contradict\w*|impossible|invalid|minimum|maximum|where|vertex|axis"
    r"|start\w*|begin\w*|consider\w*|set|setting|substitut\w*|sub|plug\w*|derivative|between|interval|bound\w*|either"
    r"|undefined|domain|would|could|might|may|can't|cannot|however|but|otherwise|instead|same|other|another|new|choos\w*"
    r"|pick\w*|quadratic formula|approximat\w*|midpoint|critical|boundary|denominator|numerator|excluded?|except|unless"
    r"|possib\w*|first|least|smallest|largest|greatest)\b|\bfor\s[\s$\\(]{0,4}[a-z]\s?=|\\ne|\\pm|\\approx|[<>]|\\le\b"
    r"|\\ge\b|\\in\b|\bfor (?:some|which|all|any|every|each)\b",
    re.IGNORECASE,
)
_WANTED = re.compile(
    r"(?:solve for|find|what is|value of|compute|determine)\s+"
    r"(?:the (?:real )?(?:value|solution|number) (?:of |for )?)?"
    r"\$?([a-z])\$?\s*(?:[.?,:]|if|such|when|given|in\b|for\b|\Z)",
    re.IGNORECASE,
)
_BOXED = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]{0,40}\}){1,80})\}")


@dataclass(frozen=True, slots=True)
class Found:
    """A value that the step concludes for a letter."""

    name: str
    value: Node
    start: int
    end: int


def concluded(step: Step) -> list[Found]:
    """Values in sentences that conclude, and that excuse nothing."""
    return [
        one for one in assignments(step)
        if _CONCLUDES.search(_sentence(step.text, one.start, one.start))
        and not _EXCUSE.search(_sentence(step.text, one.start, one.end + 60))
    ]  # fmt: skip


def _sentence(text: str, start: int, end: int) -> str:
    first = max(text.rfind(mark, 0, start) for mark in (". ", "\n\n", "? "))
    return text[max(first, start - 200, 0) : end]


def assignments(step: Step) -> Iterator[Found]:
    for chain in step.chains:
        letter = chain.members[0].expression
        value = chain.members[-1].expression
        if letter is None or value is None or letter.node.op != "sym" or set(chain.relations) != {"="}:
            continue
        if (
            symbols(value.node)
            or value.flags & {"percent", "degrees", "mixed", "slash", "call"}
            or not _is_real(value.node)
        ):
            continue
        if not cut_out(chain, len(chain.relations) - 1) and not _is_listed(step.text, chain):
            yield Found(letter.node.name, value.node, chain.start, chain.end)


def _is_real(value: Node) -> bool:
    try:
        return not has(value, "imaginary") and not isinstance(evaluate(value), complex)
    except Undecided:
        return False


def _is_listed(text: str, chain: Chain) -> bool:
    """``x = 1, 2``."""
    return re.match(r"[\s$\\)]{0,4},\s?[\s$\\(]{0,4}(?:-?\d|\\frac|\\text)", text[chain.end :]) is not None


def boxed_answer(context: Context, name: str) -> list[Found]:
    """``\\boxed{5}``, where the problem asks for the unknown itself."""
    wanted = _WANTED.search(context.problem.text)
    boxes = list(_BOXED.finditer(context.step.text))
    if wanted is None or wanted[1] != name or len(boxes) != 1 or _EXCUSE.search(context.step.text):
        return []
    expression = parse(lex("$" + clean(boxes[0][1]) + "$")[1:-1])
    if expression is None or symbols(expression.node) or expression.flags & {"percent", "degrees", "mixed", "slash"}:
        return []
    if expression.units or not _is_real(expression.node):
        return []
    return [Found(name, expression.node, boxes[0].start(), boxes[0].end())]
