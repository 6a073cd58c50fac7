"""Monte-Carlo values: numbers against closed forms, plans against a policy whose values are known."""

import asyncio
import itertools
import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genprm.errors import ConfigError, EngineLost
from genprm.eval.simulated_policy import SimulatedCompletion, SimulatedPolicy, simulated_problems
from genprm.synth import beta
from genprm.synth.chain import Moves, learn, moves_of, posterior
from genprm.synth.labels import label
from genprm.synth.plans import Plan, read_plan
from genprm.synth.schemes import read_scheme
from genprm.synth.tree import PrefixTree
from genprm.synth.types import Attempt, Valued
from genprm.synth.values import estimate, estimate_problem
from genprm.types import Problem, Solution, Usage

COUNTS = st.integers(0, 128).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


# --- one probability, and two --------------------------------------------------------------------------------------


def test_wilson_by_hand() -> None:
    assert beta.wilson(5, 10) == pytest.approx((0.23659, 0.76341), abs=1e-5)
    assert beta.wilson(0, 10) == pytest.approx((0.0, 0.27753), abs=1e-5)
    assert beta.wilson(0, 0) == (0.0, 1.0)


@given(COUNTS)
def test_wilson_holds_the_share(counts: tuple[int, int]) -> None:
    right, n = counts
    low, high = beta.wilson(right, n)
    assert 0 <= low <= (right / n if n else 0.5) <= high <= 1


@given(COUNTS, st.floats(0, 1))
def test_the_tail_is_a_closed_form_at_the_ends(counts: tuple[int, int], x: float) -> None:
    none, all_ = beta.estimated(0, counts[1]), beta.estimated(counts[1], counts[1])
    assert beta.above(none, x) == pytest.approx((1 - x) ** (counts[1] + 1), abs=1e-9)
    assert beta.above(all_, x) == pytest.approx(1 - x ** (counts[1] + 1), abs=1e-9)


@settings(max_examples=20)
@given(COUNTS, COUNTS, st.sampled_from([0.5, 0.8, 1.0, 1.3]))
def test_probability_of_a_ratio_is_that_of_many_draws(a: tuple[int, int], b: tuple[int, int], t: float) -> None:
    rng = np.random.default_rng(0)
    q, v = (rng.beta(right + 1, n - right + 1, 20_000) for right, n in (a, b))
    found = beta.ratio_above(beta.estimated(*a), beta.estimated(*b), t)
    assert found == pytest.approx(float((q >= t * v).mean()), abs=0.02)


@settings(max_examples=20)
@given(COUNTS, COUNTS, st.sampled_from([-0.5, -0.3, 0.0, 0.2]), st.sampled_from([1, 4]))
def test_probability_of_a_gain_is_that_of_many_draws(
    a: tuple[int, int], b: tuple[int, int], t: float, best_of: int
) -> None:
    rng = np.random.default_rng(0)
    q, v = (1 - (1 - rng.beta(right + 1, n - right + 1, 20_000)) ** best_of for right, n in (a, b))
    found = beta.gain_above(beta.estimated(*a), beta.estimated(*b), t, best_of)
    assert found == pytest.approx(float((q - v >= t).mean()), abs=0.02)


def test_ratios_by_hand() -> None:
    nothing = beta.estimated(0, 0)
    # Two uniform values: P(Q >= t V) = 1 - t/2 for t <= 1, 1/(2t) above.
    assert beta.ratio_above(nothing, nothing, 0.8) == pytest.approx(0.6)
    assert beta.ratio_above(nothing, nothing, 2.0) == pytest.approx(0.25, abs=1e-3)
    assert beta.ratio_above(beta.known(1), nothing, 0.8) == pytest.approx(1.0)
    assert beta.ratio_above(nothing, beta.known(0), 0.8) == 0.0
    assert beta.ratio_above(nothing, beta.known(1), 0.8) == pytest.approx(0.2)
    assert beta.gain_above(nothing, nothing, 0.0) == pytest.approx(0.5)
    assert beta.gain_above(beta.known(0), beta.known(1), -0.5) == 0.0


def test_doubt_that_a_value_is_zero_falls_with_completions() -> None:
    assert beta.positive(beta.estimated(1, 100)) == 1.0
    assert beta.positive(beta.estimated(0, 1)) == pytest.approx(1 / 3)
    assert beta.positive(beta.estimated(0, 64)) == pytest.approx(1 / 66)
    assert beta.positive(beta.known(0)) == 0.0


# --- the chain -----------------------------------------------------------------------------------------------------


def test_much_evidence_overrules_the_chain() -> None:
    states = [beta.estimated(900, 1000), beta.estimated(300, 1000), beta.estimated(290, 1000), beta.known(1)]
    found = posterior(states, read_scheme("ratio:0.8"), Moves())
    assert found.mean[:3] == pytest.approx([0.9, 0.3, 0.29], abs=0.03)
    assert found.right[0] < 0.01
    assert found.right[1] > 0.95
    assert found.right[2] > 0.99


def test_a_wrong_answer_needs_a_wrong_step() -> None:
    """Nothing is known but the end: some step must have lost it."""
    found = posterior([None, None, None, beta.known(0)], read_scheme("hard"), Moves())
    assert found.right[2] < 1e-6
    assert found.right[0] > found.right[1] > found.right[2]


def test_gain_is_where_something_is_to_be_learnt() -> None:
    """One wrong step among many: a completion in the middle tells more than one at a known end."""
    states = [beta.estimated(60, 64), *[None] * 5, beta.estimated(0, 64), beta.known(0)]
    gain = posterior(states, read_scheme("ratio:0.8"), Moves(), batch=4).gain.sum(1)
    assert gain[3] > 5 * gain[0]
    assert gain[3] > 5 * gain[6]
    assert gain[7] < 1e-6


@settings(max_examples=20)
@given(st.lists(st.none() | COUNTS, min_size=2, max_size=8), st.booleans())
def test_posteriors_are_probabilities(counts: list[tuple[int, int] | None], right: bool) -> None:
    states = [None if each is None else beta.estimated(*each) for each in counts]
    for scheme in ("hard", "soft:0.3", "ratio:0.8", "difference:-0.3"):
        found = posterior([*states, beta.known(int(right))], read_scheme(scheme), Moves(), batch=4)
        assert np.all((found.right >= 0) & (found.right <= 1 + 1e-9))
        assert np.all((found.mean >= 0) & (found.mean <= 1))
        assert np.all(np.isfinite(found.gain) & (found.gain >= 0))


def test_learning_finds_what_steps_do() -> None:
    dying = [[beta.estimated(50, 64), beta.estimated(0, 64), beta.known(0)]] * 200
    staying = [[beta.estimated(50, 64), beta.estimated(50, 64), beta.estimated(51, 64)]] * 200
    assert learn(dying).dead > 0.8
    assert learn(staying).stay > 0.9
    assert sum(moves_of(learn(dying))) == pytest.approx(1)


# --- plans ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fixed:64", "paper", "adaptive:0.9", "adaptive:0.9:64+binary+share", "paper+binary"])
def test_a_plan_has_its_name(name: str) -> None:
    assert read_plan(name).name == name


@pytest.mark.parametrize(
    "name",
    ["", "fixed", "fixed:0", "fixed:x", "paper:3", "adaptive", "adaptive:2", "fixed:8+tree", "fixed:8:9", "fix:1"],
)
def test_what_is_no_plan(name: str) -> None:
    with pytest.raises(ConfigError):
        read_plan(name)


def test_fixed_asks_every_prefix_as_often_and_comes_near_the_truth() -> None:
    policy = SimulatedPolicy(5, 0.2, seed=3)
    attempt = policy.attempt(0)
    valued = run(policy, attempt, "fixed:400")
    assert valued.usage.calls == 5 * 400
    assert valued.grades == {"right": valued.grades["right"], "wrong": 2000 - valued.grades["right"]}
    for found, truth in zip([valued.start, *valued.values[:-1]], policy.truth(attempt.solution.steps), strict=False):
        assert found is not None
        assert found.n == 400
        assert found.value == pytest.approx(truth, abs=0.1)
    assert valued.values[-1] == beta.known(int(attempt.right))


@pytest.mark.parametrize(("error", "k"), [(0.6, 128), (0.15, 64), (0.001, 32)])
def test_paper_takes_k_by_the_problems_difficulty(error: float, k: int) -> None:
    policy = SimulatedPolicy(4, error, dead=1.0, seed=1)
    valued = run(policy, policy.attempt(0), "paper")
    assert valued.start is not None
    assert valued.start.n == k
    assert valued.usage.calls == 4 * k


def test_paper_sets_all_to_zero_after_the_first_zero() -> None:
    policy, attempt = dying()
    valued = run(policy, attempt, "paper")
    first = attempt.solution.steps.index(next(s for s in attempt.solution.steps if "dead" in s))
    assert all(found == beta.known(0) for found in valued.values[first + 1 :])
    zero = valued.values[first]
    assert zero is not None
    assert not zero.known


@pytest.mark.parametrize("seed", range(6))
def test_halving_finds_the_first_zero_in_few_looks(seed: int) -> None:
    policy, attempt = dying(seed, n=9)
    valued = run(policy, attempt, "fixed:32+binary")
    truth = policy.truth(attempt.solution.steps)
    first = next(t for t, value in enumerate(truth) if value == 0) - 1
    looked = [t for t, found in enumerate(valued.values) if found and not found.known]
    zero = valued.values[first]
    assert zero is not None
    assert zero.value == 0
    assert all(found is None or found.right or found.n < 32 for found in valued.values[:first])
    assert valued.usage.calls <= 32 * (1 + math.ceil(math.log2(9)))
    assert len(looked) <= 9
    assert [step.label for step in label(valued, "hard").steps] == [value > 0 for value in truth[1:]]


def test_a_completion_counts_at_every_prefix_that_it_passes() -> None:
    tree = PrefixTree(reuse=True)
    tree.add(("a",), SimulatedCompletion(("b", "c", "end"), "right", Usage(completion_tokens=9)))
    tree.add(("a",), SimulatedCompletion(("x", "end"), "wrong", Usage(completion_tokens=5)))
    tree.add(("a",), SimulatedCompletion((), "timeout", Usage()))
    found = {path: tree.estimate(path) for path in [("a",), ("a", "b"), ("a", "b", "c"), ("a", "b", "c", "end"), ()]}
    counts = [None if each is None else (each.right, each.n, each.lost) for each in found.values()]
    assert counts == [(1, 2, 1), (1, 1, 0), (1, 1, 0), None, None]
    assert tree.own(("a",)) == 3
    assert tree.own(("a", "b")) == 0


def test_sharing_saves_completions_and_moves_no_value() -> None:
    policy = SimulatedPolicy(5, 0.15, seed=5)
    attempts = [policy.attempt(i) for i in range(2)]
    alone = run_all(policy, attempts, "fixed:200")
    shared = run_all(policy, attempts, "fixed:200+share")
    assert calls(shared) < 0.8 * calls(alone)
    for attempt, valued in zip(attempts, shared, strict=True):
        truth = policy.truth(attempt.solution.steps)
        for found, value in zip([valued.start, *valued.values], truth, strict=True):
            assert found is not None
            assert found.value == pytest.approx(value, abs=0.13)


PLANS = ["fixed:16", "paper", "fixed:16+binary", "adaptive:0.9", "adaptive:0.9+binary+share", "fixed:16+share"]


@pytest.mark.parametrize("plan", PLANS)
def test_the_order_of_arrival_changes_nothing(plan: str) -> None:
    policy = SimulatedPolicy(6, 0.2, seed=8)
    attempts = [policy.attempt(i) for i in range(3)]
    plain = run_all(policy, attempts, plan)
    assert run_all(Late(policy, 1), attempts, plan) == plain
    assert run_all(Late(policy, 2), attempts, plan) == plain


@pytest.mark.parametrize("plan", PLANS)
def test_no_completion_is_asked_for_twice(plan: str) -> None:
    policy = Late(SimulatedPolicy(6, 0.2, seed=9), 0)
    run_all(policy, [policy.policy.attempt(0)], plan)
    assert max(policy.asked.values()) == 1


@pytest.mark.parametrize("plan", PLANS)
def test_a_budget_holds(plan: str) -> None:
    policy = SimulatedPolicy(6, 0.3, seed=10)
    (valued,) = run_all(policy, [policy.attempt(1)], plan, budget=30)
    assert 0 < valued.usage.calls <= 30


@pytest.mark.parametrize("plan", PLANS)
def test_lost_completions_are_counted_and_are_no_evidence(plan: str) -> None:
    policy = SimulatedPolicy(4, 0.2, seed=11)
    attempt = policy.attempt(0)
    valued = run(Losing(policy, 2), attempt, plan)
    assert valued.grades["timeout"] > 0
    assert valued.start is None or valued.start.n + valued.start.lost <= 128
    dead = run(Losing(policy, 1), attempt, plan)
    assert dead.start is None
    assert set(dead.grades) == {"timeout"}
    assert dead.values[:-1] == (None,) * 3


def test_an_attempt_without_a_grade_has_no_last_value() -> None:
    policy = SimulatedPolicy(3, 0.2)
    valued = run(policy, replace(policy.attempt(0), grade="timeout"), "fixed:4")
    assert valued.values[-1] is None


def test_an_engine_that_is_lost_ends_it() -> None:
    class Gone(SimulatedPolicy):
        async def complete(self, problem: Problem, steps: Sequence[str], k: int) -> SimulatedCompletion:
            if k == 3:
                raise EngineLost("gone")
            await asyncio.sleep(10)
            raise AssertionError("it was to be cancelled")

    with pytest.raises(EngineLost):
        run(Gone(3, 0.2), SimulatedPolicy(3, 0.2).attempt(0), "fixed:8")


def test_a_solution_without_steps_has_no_values() -> None:
    valued = run(SimulatedPolicy(3, 0.2), Attempt(Solution(Problem("p"), ()), "p", "no_answer"), "adaptive:0.9")
    assert valued.values == ()


@pytest.mark.slow
@pytest.mark.parametrize("share", ["", "+share"])
def test_adaptive_needs_a_fifth_of_the_tokens_at_the_same_accuracy(share: str) -> None:
    """Labels against the true ratio: fixed:64 as the paper cuts it, against the search."""
    problems = simulated_problems(80)
    fixed, search = Tally(), Tally()
    for policy in problems:
        attempts = list({a.solution.steps: a for a in map(policy.attempt, range(3))}.values())
        fixed.add(policy, run_all(policy, attempts, "fixed:64"), "ratio:0.8")
        search.add(policy, run_all(policy, attempts, f"adaptive:0.93:64+binary{share}"), "ratio:0.8+chain")
    assert search.tokens <= 0.2 * fixed.tokens
    assert search.accuracy >= fixed.accuracy
    assert fixed.accuracy > 0.95


def test_adaptive_asks_where_it_matters() -> None:
    policy = SimulatedPolicy(8, 0.1, seed=4)
    valued = run(policy, policy.attempt(0), "adaptive:0.9:64+binary")
    asked = valued.usage.calls
    assert 8 <= asked < 8 * 64
    assert any(found is None for found in valued.values)


def test_adaptive_settles_what_it_says() -> None:
    """Labels that are said to be right with 90 % are so at least about as often."""
    sure = [0, 0]
    for policy in simulated_problems(10, seed=1):
        attempt = policy.attempt(0)
        labelled = label(run(policy, attempt, "adaptive:0.9+binary"), "ratio:0.8+chain@0.9")
        truth = ratio_truth(policy, attempt.solution.steps)
        for step, holds in zip(labelled.steps, truth, strict=True):
            sure[0] += step.label is not None
            sure[1] += step.label is not None and step.label == holds
    assert sure[0] > 30
    assert sure[1] / sure[0] > 0.92


# --- what the tests share ------------------------------------------------------------------------------------------


class Tally:
    def __init__(self) -> None:
        self.tokens = self.hits = self.n = 0

    def add(self, policy: SimulatedPolicy, found: Sequence[Valued], scheme: str) -> None:
        for valued in found:
            self.tokens += valued.usage.completion_tokens
            steps = valued.attempt.solution.steps
            truth, right = ratio_truth(policy, steps), policy.right(steps)
            upto = right.index(False) + 1 if False in right else len(right)
            self.n += upto
            self.hits += sum(
                s.label == t for s, t in zip(label(valued, scheme).steps[:upto], truth[:upto], strict=True)
            )

    @property
    def accuracy(self) -> float:
        return self.hits / self.n


class Late:
    """Completions that come in an order of their own."""

    def __init__(self, policy: SimulatedPolicy, seed: int) -> None:
        self.policy = policy
        self.asked: Counter[tuple[tuple[str, ...], int]] = Counter()
        self._rng = random.Random(seed)

    async def complete(self, problem: Problem, steps: Sequence[str], k: int) -> SimulatedCompletion:
        self.asked[tuple(steps), k] += 1
        for _ in range(self._rng.randrange(20)):
            await asyncio.sleep(0)
        return await self.policy.complete(problem, steps, k)


class Losing:
    """Of every ``every`` completions one is lost."""

    def __init__(self, policy: SimulatedPolicy, every: int) -> None:
        self._policy, self._every = policy, every

    async def complete(self, problem: Problem, steps: Sequence[str], k: int) -> SimulatedCompletion:
        done = await self._policy.complete(problem, steps, k)
        return done if k % self._every else SimulatedCompletion((), "timeout", done.usage)


def ratio_truth(policy: SimulatedPolicy, steps: Sequence[str]) -> list[bool]:
    values = policy.truth(steps)
    return [after > 0 and after >= 0.8 * before for before, after in itertools.pairwise(values)]


def dying(seed: int = 0, n: int = 6) -> tuple[SimulatedPolicy, Attempt]:
    """An attempt that dies in the middle."""
    for number in range(10_000):
        policy = SimulatedPolicy(n, 0.12, dead=1.0, seed=seed)
        attempt = policy.attempt(number)
        dead = sum("dead" in step for step in attempt.solution.steps)
        if 1 < dead < n:
            return policy, attempt
    raise AssertionError("none dies")


def run(policy: object, attempt: Attempt, plan: str) -> Valued:
    return asyncio.run(estimate(attempt, policy, read_plan(plan)))  # type: ignore[arg-type]


def run_all(policy: object, attempts: Sequence[Attempt], plan: str, budget: int | None = None) -> list[Valued]:
    asked: Plan = read_plan(plan, budget=budget)
    return asyncio.run(estimate_problem(attempts, policy, asked))  # type: ignore[arg-type]


def calls(found: Sequence[Valued]) -> int:
    return sum(valued.usage.calls for valued in found)
