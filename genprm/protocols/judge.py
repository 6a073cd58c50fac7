"""One look at the whole solution: which step is the first wrong one?

The one-shot critic of ProcessBench (arXiv 2412.06559), in our own words: the steps are shown as tagged, numbered
paragraphs, the model reasons freely and ends with an index in ``\\boxed{}``, or -1. The prompt says in so many words
from which number the paragraphs are counted.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from genprm.protocols.base import Conversation, Draft
from genprm.protocols.material import material
from genprm.types import NO_ERROR, Message, Prompt, Sampling, Solution

_BOXED = re.compile(r"\\boxed\s{0,3}\{\s{0,3}(?:\\text\s{0,3}\{\s{0,3})?(-?\d{1,6})\s{0,3}\}")

INSTRUCTIONS = """\
You are given a mathematical problem and a solution that is cut into paragraphs. Each paragraph stands between the \
tags <paragraph_k> and </paragraph_k>, where k is its number; the first paragraph has the number {base}.

[Problem]
{problem}

[Solution]
{solution}

Examine the paragraphs in order. Find the first paragraph that contains an error: a wrong calculation, a false claim, \
or a conclusion that does not follow. End your answer with the number of that paragraph in \\boxed{{}}; the first \
paragraph is number {base}. If no paragraph contains an error, end with \\boxed{{-1}}."""


@dataclass(frozen=True, slots=True)
class JudgeProtocol:
    """One-shot first-error index."""

    base: Literal[0, 1] = 0
    """The number of the first paragraph. ProcessBench counts from 0. With 1, an answer of 0 is no verdict."""
    max_tokens: int = 8192

    name: ClassVar[str] = "judge"
    scope: ClassVar[Literal["solution"]] = "solution"
    executes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError("max_tokens must be at least 1")

    def rationale(self, solution: Solution, step: int, earlier: Sequence[str], sampling: Sampling) -> Conversation:
        draft = Draft()
        prompt = Prompt((Message("user", self.question(solution)),), problem=solution.problem.text)
        yield from draft.generate(prompt, replace(sampling, max_tokens=self.max_tokens))
        index = read_index(draft.text, len(solution.steps), self.base)
        if index is None:
            return draft.finish("no_verdict", analysis=draft.text)
        return draft.finish("ok", analysis=draft.text, first_error=index)

    def question(self, solution: Solution) -> str:
        tagged = "\n\n".join(
            f"<paragraph_{k}>\n{material(text)}\n</paragraph_{k}>" for k, text in enumerate(solution.steps, self.base)
        )
        # Filled in one pass: braces or field names in a problem stay what they are.
        return INSTRUCTIONS.format(base=self.base, problem=material(solution.problem.text), solution=tagged)


def read_index(text: str, n_steps: int, base: Literal[0, 1]) -> int | None:
    """The 0-based index in the last ``\\boxed{}`` that holds a number, ``NO_ERROR`` for -1, None for anything else."""
    found = _BOXED.findall(text.rpartition("</think>")[2])
    if not found:
        return None
    said = int(found[-1])
    if said == -1:
        return NO_ERROR
    index = said - base
    return index if 0 <= index < n_steps else None
