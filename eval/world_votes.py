"""What votes are worth: N samples of a solution hold many critics of fewer.

Sample i is one chain of rationales through all steps of its solution. *Pass@1* is the mean F1 of the N single chains,
each by its own verdicts. *Maj@k* is the mean F1 of critics of k samples, by the mean of P(Yes) and by the majority of
verdicts (``genprm.voting``); the critics of k are the parts that shuffled orders of the N samples fall into, about N
of them. All this needs every vote of every step, and samples that do not lean on one another (:func:`hold_smaller`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, get_args

from genprm.eval.paired import Estimate, Hits, Measure
from genprm.eval.processbench import to_item
from genprm.eval.report import Item
from genprm.types import NO_ERROR, Critique, Method
from genprm.voting import vote_value

Rule = Literal["mean", "majority"]
"""How the votes of a step are counted, as in ``genprm.voting``."""
RULES: tuple[Rule, ...] = get_args(Rule)

Values = tuple[tuple[float | None, ...], ...]
"""[step][sample]: what a rationale adds to the mean of its step, in [0, 1]; None where it gave no verdict."""

Size = tuple[Rule, int]
"""Critics of so many votes, counted by that rule."""
PASS_1: Size = ("majority", 1)
"""One chain by its own verdicts."""


def hold_smaller(method: Method) -> bool:
    """Whether some of the samples are a critic of fewer votes, and that critic's verdicts can be told.

    A stopping rule and ``stop_at_first_error`` leave out votes that it would have asked for. With context ``first`` all
    samples have seen what sample 0 wrote, which a critic without it would not have seen. Samples of whole solutions
    (protocol ``judge``) have no votes of steps.
    """
    steps = method.protocol.partition(" ")[0] != "judge"
    return steps and method.stopping == "none" and not method.stop_at_first_error and method.context != "first"


@dataclass(frozen=True, slots=True)
class Judged:
    """What the report needs of one critique."""

    item: Item
    values: Mapping[Rule, Values]
    """Empty where not every sample has a rationale of every step."""


def to_judged(critique: Critique) -> Judged:
    """The votes of a critique, without their text."""
    n = critique.method.n
    whole = len(critique.steps) == len(critique.solution.steps) and all(len(s.rationales) == n for s in critique.steps)
    return Judged(to_item(critique), {rule: _values(critique, rule) for rule in RULES} if whole else {})


def _values(critique: Critique, rule: Rule) -> Values:
    return tuple(tuple(vote_value(r, rule) for r in step.rationales) for step in critique.steps)


def first_error(values: Values, samples: Sequence[int], threshold: float) -> int | None:
    """The first error by the votes of some samples alone: ``genprm.voting``, quick enough for thousands of them."""
    for step, row in enumerate(values):
        given = [value for sample in samples if (value := row[sample]) is not None]
        if not given:
            return None
        if sum(given) / len(given) < threshold:
            return step
    return NO_ERROR if values else None


def sizes(n: int) -> list[int]:
    """The powers of two up to n, and n: 1, 2, 4, … n."""
    return sorted({1 << k for k in range(n.bit_length())} | {n})


def subsets(n: int, size: int, seed: int = 0) -> list[tuple[int, ...]]:
    """Sets of ``size`` of n samples, about n of them: ``size`` shuffled orders, each cut into disjoint parts."""
    random = Random(f"{seed}/{size}")
    found = []
    for _ in range(size if size < n else 1):
        order = random.sample(range(n), n)
        found += [tuple(order[i : i + size]) for i in range(0, n - size + 1, size)]
    return found


def hits(judged: Sequence[Judged], n: int, threshold: float, seed: int = 0) -> dict[Size, list[Hits]]:
    """For every size up to n votes, a column of hits for each critic of that size."""
    return {
        (rule, size): [_hits(judged, rule, subset, threshold) for subset in subsets(n, size, seed)]
        for rule in RULES
        for size in sizes(n)
    }


def _hits(judged: Sequence[Judged], rule: Rule, samples: Sequence[int], threshold: float) -> Hits:
    return [first_error(each.values.get(rule, ()), samples, threshold) == each.item.label for each in judged]


@dataclass(frozen=True, slots=True)
class Point:
    """Critics of ``n`` votes."""

    rule: Rule
    n: int
    critics: int
    """How many the figure is the mean of."""
    f1: Measure
    gain: Measure
    """Over Pass@1, on the same resamples."""


def curve(estimates: Mapping[Size, Estimate], columns: Mapping[Size, Sequence[Hits]]) -> tuple[Point, ...]:
    """F1 over votes."""
    single = estimates[PASS_1]
    return tuple(
        Point(*size, len(columns[size]), found.measure(), found.minus(single)) for size, found in estimates.items()
    )
