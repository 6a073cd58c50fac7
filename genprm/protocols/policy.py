"""How a policy is asked for a solution, for a review of one in its own words, and for a better one after a critique.

The conversation is that of any instruct model; small policies of the embedded world are trained on the very same one,
with the wording ``paragraph``. ``quote`` gives the critique in the manner of GenPRM (arXiv 2504.00891): the faulty step
as a quotation, what is wrong with it, and the request to think again.
"""

import re
from collections.abc import Callable, Mapping
from typing import Literal, get_args

from genprm.types import NO_ERROR, Message, Prompt, Rationale

Wording = Literal["paragraph", "quote"]
WORDINGS: tuple[Wording, ...] = get_args(Wording)

SOLVE = "\n\nSolve this step by step, with an empty line between the steps, and put the answer in \\boxed{}."
REVIEW = (
    "Review this solution paragraph by paragraph. Of the first mistake write: Paragraph k is wrong, and why. "
    "Where there is none, write: All paragraphs are right."
)
REVISE = "\n\nWrite the whole solution again, without the mistake."
RETHINK = (
    "\n\nRethink the problem in the light of this, and refine the solution: write all of it again, with an empty line "
    "between the steps and the answer in \\boxed{}."
)
_REQUESTS: Mapping[Wording, str] = {"paragraph": REVISE, "quote": RETHINK}
ACCEPTED = "All paragraphs are right."
JOINT = "\n\n"
"""Between the steps of a solution."""


def solve(problem: str) -> tuple[Message, ...]:
    """Ask for a solution."""
    return (Message("user", problem + SOLVE),)


def review(problem: str, attempt: str) -> tuple[Message, ...]:
    """Ask for a review of the policy's own attempt, in plain words."""
    return (*solve(problem), Message("assistant", attempt), Message("user", REVIEW))


def revise(problem: str, attempt: str, said: str, wording: Wording = "paragraph") -> tuple[Message, ...]:
    """Ask for a better one; ``said`` is that of :func:`feedback`, or of a review."""
    return (*solve(problem), Message("assistant", attempt), Message("user", said + _REQUESTS[wording]))


def continued(messages: tuple[Message, ...], prefix: str, problem: str = "") -> Prompt:
    """Have the answer to ``messages`` begin with the steps in ``prefix``; empty: from nothing.

    An opening goes on from the last message, which therefore holds what is there already; templates strip blanks at its
    end, so that the joint is left to the opening.
    """
    if not prefix:
        return Prompt(messages, problem=problem)
    return Prompt((*messages, Message("assistant", prefix)), opening=JOINT, problem=problem)


def feedback(step: int, paragraph: str, rationale: Rationale, wording: Wording = "paragraph") -> str:
    """What a critic says of the wrong step ``step`` (from 0): its words, its analysis and the executed evidence."""
    return _FEEDBACK[wording](step, paragraph, rationale)


def read_review(text: str, n_steps: int) -> int | None:
    """The first error that a review names (from 0), ``NO_ERROR``; None where it says neither, or no such step."""
    named = _WRONG.search(text)
    if named:
        step = int(named[1]) - 1
        return step if 0 <= step < n_steps else None
    return NO_ERROR if _RIGHT.search(text) else None


_WRONG = re.compile(r"\b(?:paragraph|step)\s+\**(\d{1,4})\**\s+is\s+(?:wrong|incorrect|not\s+(?:right|correct))", re.I)
_RIGHT = re.compile(r"\ball\s+(?:paragraphs|steps)\s+are\s+(?:right|correct)", re.I)


def _by_paragraph(step: int, paragraph: str, rationale: Rationale) -> str:
    parts = [f'Paragraph {step + 1} is wrong: "{paragraph}"']
    if rationale.analysis:
        parts.append(rationale.analysis)
    parts += [f"Check:\n{code}\nOutput:\n{output}" for code, output in _evidence(rationale)]
    return "\n".join(parts)


def _by_quote(step: int, paragraph: str, rationale: Rationale) -> str:
    quoted = "\n".join(f"> {line}".rstrip() for line in paragraph.split("\n"))
    parts = [f"{quoted}\n\nThis step (number {step + 1}) has a mistake."]
    if rationale.analysis:
        parts.append(rationale.analysis)
    for code, output in _evidence(rationale):
        parts.append(f"It was checked:\n```python\n{code}\n```\nwhich printed:\n```\n{output}\n```")
    return "\n\n".join(parts)


def _evidence(rationale: Rationale) -> list[tuple[str, str]]:
    """Code and output of the checks that ran; where none did, of the last: a mended check says nothing of the step."""
    ran = [check for check in rationale.checks if check.result.status == "ok"] or list(rationale.checks[-1:])
    return [(check.code, check.result.stdout.strip() or check.result.error) for check in ran]


_FEEDBACK: Mapping[Wording, Callable[[int, str, Rationale], str]] = {"paragraph": _by_paragraph, "quote": _by_quote}
