"""When enough votes are in: the exact rule against every continuation, the predictive one against its promise."""

import itertools
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genprm.errors import ConfigError
from genprm.stopping import Exact, Predictive, Rule, make_rule
from genprm.types import Method

Draw = Callable[[random.Random], float]


def drawn(rule: Rule, votes: Sequence[float | None]) -> list[float]:
    """The votes that the rule asks for, in rounds; None is a rationale without a verdict."""
    asked = 0
    values: list[float] = []
    while more := rule.more(values, asked - len(values)):
        asked += more
        assert asked <= len(votes)
        values = [vote for vote in votes[:asked] if vote is not None]
    return values


def wrong(values: Sequence[float], threshold: float) -> bool | None:
    return sum(values) / len(values) < threshold if values else None


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_the_exact_rule_never_changes_a_verdict_and_never_asks_in_vain(n: int, threshold: float) -> None:
    rule = Exact(n, threshold)
    for votes in itertools.product((0.0, 1.0), repeat=n):
        values = drawn(rule, votes)
        assert wrong(values, threshold) == wrong(votes, threshold)
        shorter = values[:-1]
        ends = {wrong([*shorter, *rest], threshold) for rest in itertools.product((0.0, 1.0), repeat=n - len(shorter))}
        assert len(ends) == 2 or not shorter  # one vote less, and it could still have come out either way


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=9),
    st.floats(0, 1),
)
def test_neither_soft_nor_missing_votes_make_it_err(votes: list[float | None], threshold: float) -> None:
    values = drawn(Exact(len(votes), threshold), votes)
    everything = [vote for vote in votes if vote is not None]
    assert wrong(values, threshold) == wrong(everything, threshold)


def simulated(rule: Rule, agreement: Draw, steps: int = 4000, seed: int = 0) -> tuple[float, float]:
    """Share of votes saved, and of verdicts changed against all 8."""
    rng = random.Random(seed)
    used = changed = 0
    for _ in range(steps):
        p = agreement(rng)
        votes = [float(rng.random() < p) for _ in range(8)]
        values = drawn(rule, votes)
        rule.learn(values)
        used += len(values)
        changed += wrong(values, 0.5) != wrong(votes, 0.5)
    return 1 - used / (8 * steps), changed / steps


def test_what_the_exact_rule_saves_is_the_binomial_expectation() -> None:
    saved, changed = simulated(Exact(8, 0.5), lambda _: 0.9)
    assert saved == pytest.approx(0.444, abs=0.01)
    assert changed == 0
    saved, changed = simulated(Exact(8, 0.5), lambda _: 0.1)
    assert saved == pytest.approx(0.306, abs=0.01)
    assert changed == 0


@pytest.mark.parametrize(
    "agreement",
    [
        pytest.param(lambda _: 0.9, id="right"),
        pytest.param(lambda _: 0.1, id="wrong"),
        pytest.param(lambda rng: rng.choice([0.9, 0.1]), id="half"),
        pytest.param(lambda rng: 0.9 if rng.random() < 0.85 else 0.1, id="mostly right"),
        pytest.param(lambda rng: rng.betavariate(2, 0.5), id="of every kind"),
    ],
)
def test_the_predictive_rule_keeps_its_promise_and_saves_half(agreement: Draw) -> None:
    saved, changed = simulated(Predictive(8, 0.5, 0.01), agreement)
    assert saved > 0.5
    assert changed < 0.01


def test_a_learnt_prior_saves_more_and_errs_less_than_the_uniform_one() -> None:
    class Unlearning(Predictive):
        def learn(self, values: Sequence[float]) -> None:
            pass

    saved, changed = simulated(Unlearning(8, 0.5, 0.05), lambda _: 0.1)
    saved_learnt, changed_learnt = simulated(Predictive(8, 0.5, 0.05), lambda _: 0.1)
    assert saved == pytest.approx(0.54, abs=0.02)
    assert changed == pytest.approx(0.01, abs=0.005)
    assert saved_learnt > saved
    assert changed_learnt < changed


def test_the_first_round_is_as_wide_as_can_be_without_waste() -> None:
    assert make_rule(Method("e", "p", n=8)).more([], 0) == 8
    assert make_rule(Method("e", "p", n=8, stopping="exact")).more([], 0) == 4
    assert make_rule(Method("e", "p", n=8, stopping="predictive", stop_error=0.05)).more([], 0) == 2
    assert make_rule(Method("e", "p", n=1, stopping="exact")).more([], 0) == 1
    assert make_rule(Method("e", "p", n=3, stopping="exact")).more([], 3) == 0  # nobody gave a verdict


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown stopping rule"):
        make_rule(Method("e", "p", stopping="often"))  # type: ignore[arg-type]
