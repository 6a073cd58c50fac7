"""Cheap signs of progress in the text of a step: no model, no mathematics.

For each step: new quantities and new relations (what neither the problem nor an earlier step has), narrowing (a
conclusion is drawn), verification, redundancy (share of its words that the closest earlier step has), backtracking. A
logistic of them with weights set by hand is the progress score. It says how busy a step is rather than whether it is
right: a baseline to measure others against.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from genprm.synth.types import Attempt, Labelled, StepLabel

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_RELATION = re.compile(r"[^=<>≤≥\n]{1,40}(?:=|<|>|≤|≥|\\leq?\b|\\geq?\b)[^=<>≤≥\n]{1,40}")
_WORD = re.compile(r"\w+")
_NARROWING = re.compile(
    r"\b(?:so|therefore|thus|hence|then|which means|this gives|we get|we find|only)\b|\\boxed", re.I
)
_VERIFYING = re.compile(r"\b(?:check|verif\w+|confirm\w*|indeed|substitut\w+ back|plug\w* (?:it |this )?back)\b", re.I)
_BACKTRACKING = re.compile(
    r"\b(?:wait|hmm|oops|actually|mistake|wrong|let me try|try again|start over|instead|reconsider|not sure)\b", re.I
)
_LONGEST = 20_000
"""Characters of a step that are read."""


@dataclass(frozen=True, slots=True)
class Signs:
    """Of one step. The first two are numbers of things, the others lie in [0, 1]."""

    quantities: int
    relations: int
    narrowing: float
    verification: float
    redundancy: float
    backtracking: float

    @property
    def progress(self) -> float:
        """In (0, 1)."""
        busy = 0.35 * min(self.quantities, 3) + 0.35 * min(self.relations, 3) + 0.5 * self.narrowing
        return 1 / (
            1 + math.exp(-(0.5 + busy + 0.4 * self.verification - 2.0 * self.redundancy - 2.0 * self.backtracking))
        )


def signs(problem: str, steps: Sequence[str]) -> list[Signs]:
    """Of each step, by what stands before it."""
    numbers, relations = set(_NUMBER.findall(problem)), set(_relations(problem))
    earlier: list[frozenset[str]] = []
    found = []
    for step in steps:
        text = step[:_LONGEST]
        fresh_numbers, fresh_relations = set(_NUMBER.findall(text)) - numbers, set(_relations(text)) - relations
        words = frozenset(_WORD.findall(text.lower()))
        found.append(
            Signs(
                len(fresh_numbers),
                len(fresh_relations),
                float(bool(_NARROWING.search(text))),
                float(bool(_VERIFYING.search(text))),
                max((len(words & other) / max(len(words), 1) for other in earlier), default=0.0),
                float(bool(_BACKTRACKING.search(text))),
            )
        )
        numbers |= fresh_numbers
        relations |= fresh_relations
        earlier.append(words)
    return found


@dataclass(frozen=True)
class Heuristics:
    """Labels a step right where its progress score reaches ``threshold``."""

    threshold: float = 0.5
    name: str = "heuristics"

    async def label(self, attempt: Attempt) -> Labelled:
        solution = attempt.solution
        scores = [each.progress for each in signs(solution.problem.text, solution.steps)]
        steps = tuple(StepLabel(p >= self.threshold, p, max(p, 1 - p)) for p in scores)
        return Labelled(attempt, self.name, steps)


def _relations(text: str) -> list[str]:
    return ["".join(found.split()) for found in _RELATION.findall(text)]
