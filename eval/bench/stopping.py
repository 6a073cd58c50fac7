"""What stopping saves and what it costs, by simulation, with the critic's own rules.

A step has an agreement a: each sample says yes with probability a where the step is right, 1 - a where it is wrong.
All N votes are drawn; the rule is given them as it asks, and its verdict is compared with that of all.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from genprm.eval.bench.report import Report, Row
from genprm.sandbox.trials.figures import Figure
from genprm.stopping import Rule, make_rule
from genprm.synth.beta import wilson
from genprm.types import Method

Draw = Callable[[random.Random], float]
"""P(yes) of the next step."""

AGREEMENT = 0.9
MIXED = "70 % Beta(9, 1), 30 % Beta(1, 5)"
KINDS: dict[str, Draw] = {
    "right steps": lambda rng: AGREEMENT,
    "wrong steps": lambda rng: 1 - AGREEMENT,
    "half of each": lambda rng: AGREEMENT if rng.random() < 0.5 else 1 - AGREEMENT,
    "mixed": lambda rng: rng.betavariate(9, 1) if rng.random() < 0.7 else rng.betavariate(1, 5),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one rule on steps of one kind."""

    steps: int
    votes: int
    saved: int
    changed: int

    @property
    def saved_share(self) -> float:
        return self.saved / self.votes

    @property
    def changed_share(self) -> float:
        return self.changed / self.steps


class _Unlearning:
    """A rule that keeps its first prior."""

    def __init__(self, rule: Rule) -> None:
        self.more = rule.more

    def learn(self, values: Sequence[float]) -> None:
        pass


def simulate(rule: Rule, draw: Draw, steps: int, n: int, threshold: float = 0.5, seed: int = 0) -> Outcome:
    """``steps`` steps under ``rule``."""
    rng = random.Random(seed)
    used = changed = 0
    asked: dict[tuple[float, ...], int] = {}  # the same votes are asked about again and again
    learning = not isinstance(rule, _Unlearning)
    for _ in range(steps):
        p = draw(rng)
        votes = tuple(float(rng.random() < p) for _ in range(n))
        given = _given(rule, votes, asked if not learning else {})
        rule.learn(given)
        used += len(given)
        changed += (sum(given) / len(given) >= threshold) != (sum(votes) / n >= threshold)
    return Outcome(steps, steps * n, steps * n - used, changed)


def _given(rule: Rule, votes: tuple[float, ...], asked: dict[tuple[float, ...], int]) -> tuple[float, ...]:
    """The votes that the rule asks for."""
    given: tuple[float, ...] = ()
    while True:
        more = asked[given] if given in asked else asked.setdefault(given, rule.more(given, 0))
        if not more:
            return given
        given = votes[: len(given) + more]


def rules(n: int, error: float) -> dict[str, Callable[[], Rule]]:
    """Fresh rules by name."""
    predictive = Method("bench", "bench", n=n, stopping="predictive", stop_error=error)
    return {
        "exact": lambda: _Unlearning(make_rule(Method("bench", "bench", n=n, stopping="exact"))),
        "predictive, uniform": lambda: _Unlearning(make_rule(predictive)),
        "predictive, learnt": lambda: make_rule(predictive),
    }


def bench(steps: int = 100_000, n: int = 8, error: float = 0.01, seed: int = 0) -> Report:
    """All rules on all kinds of steps."""
    began = time.perf_counter()
    made = rules(n, error)
    found = {
        (kind, name): simulate(rule(), draw, steps, n, seed=seed)
        for kind, draw in KINDS.items()
        for name, rule in made.items()
    }
    rows = []
    for kind in KINDS:
        outcomes = [found[kind, name] for name in made]
        rows.append(Row(f"{kind}: saved", tuple(100 * o.saved_share for o in outcomes), "%"))
        rows.append(Row(f"{kind}: changed", tuple(100 * o.changed_share for o in outcomes), "%"))
        rows.append(Row("… at most (95 %)", tuple(100 * wilson(o.changed, o.steps)[1] for o in outcomes), "%"))
    how = {
        "steps of each kind": f"{steps:,}",
        "votes": n,
        "agreement": AGREEMENT,
        "error": error,
        "mixed": MIXED,
        "seed": seed,
    }
    seconds = round(time.perf_counter() - began, 1)
    return Report("Stopping", tuple(made), tuple(rows), tuple(_bars(found)), how | {"seconds": seconds})


def _bars(found: dict[tuple[str, str], Outcome]) -> list[Figure]:
    exact = [o for (_, rule), o in found.items() if rule == "exact"]
    learnt = {kind: o for (kind, rule), o in found.items() if rule == "predictive, learnt"}
    least = min(found[kind, "exact"].saved_share for kind in list(KINDS)[:3])
    return [
        Figure("exact: verdicts changed", sum(o.changed for o in exact), at_most=0),
        Figure("exact: least saved at 90 % agreement", 100 * least, "%", at_least=27),
        Figure("learnt: least saved", 100 * min(o.saved_share for o in learnt.values()), "%", at_least=50),
        Figure("learnt: most changed", 100 * max(o.changed_share for o in learnt.values()), "%", at_most=1),
    ]
