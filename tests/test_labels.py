"""Labels from values, by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genprm.errors import ConfigError
from genprm.synth.beta import estimated, known
from genprm.synth.labels import advantage, advantages, label
from genprm.synth.schemes import read_scheme
from genprm.synth.types import Attempt, Estimate, Valued, first_error
from genprm.types import Problem, Solution

VALUES = st.lists(st.none() | st.integers(0, 64).map(lambda right: estimated(right, 64)), min_size=1, max_size=7)


def valued(*states: Estimate | None) -> Valued:
    steps = tuple(f"step {t}" for t in range(len(states) - 1))
    return Valued(Attempt(Solution(Problem("p", "1"), steps), "p", "right"), states[0], states[1:], "test")


def shares(*rights: int, n: int = 64) -> Valued:
    return valued(*(estimated(right, n) for right in rights))


def labels(found: Valued, scheme: str) -> list[bool | None]:
    return [step.label for step in label(found, scheme).steps]


def test_each_scheme_by_hand() -> None:
    found = shares(40, 32, 32, 4, 10, 0)  # ratios 0.8, 1, 0.125, 2.5, 0; differences -0.125, 0, -0.44, 0.09, -0.16
    assert labels(found, "ratio:0.8") == [True, True, False, True, False]
    assert labels(found, "ratio:0.9") == [False, True, False, True, False]
    assert labels(found, "difference:-0.3") == [True, True, False, True, True]
    assert labels(found, "soft:0.5") == [True, True, False, False, False]
    assert labels(found, "hard") == [True, True, True, True, False]
    assert [step.score for step in label(found, "ratio:0.8").steps] == [0.8, 1.0, 0.125, 2.5, 0.0]
    assert label(found, "ratio:0.8").first_error == 2
    assert [first_error(x) for x in ([True, True], [True, False], [None, False], [])] == [-1, 1, None, -1]


@pytest.mark.parametrize("scheme", ["hard", "soft:0.5", "ratio:0.8", "difference:-0.3"])
def test_steps_after_a_zero_are_wrong_and_nothing_is_divided_by_it(scheme: str) -> None:
    found = label(shares(0, 0, 5, 64), scheme)
    last = [step.label for step in found.steps]
    assert last[0] is (scheme == "hard")  # a later right completion shows that an earlier prefix can be completed
    assert scheme == "hard" or last == [False] * 3
    assert all(step.confidence is None or 0.5 <= step.confidence <= 1 for step in found.steps)
    assert [step.label for step in label(valued(known(0), known(0)), scheme).steps] == [False]


def test_more_completions_make_labels_surer() -> None:
    few, many = (label(shares(n // 2, n // 8, n=n), "ratio:0.8").steps[0] for n in (8, 128))
    assert few.label is many.label is False
    assert few.confidence is not None
    assert many.confidence is not None
    assert 0.5 < few.confidence < many.confidence
    assert many.confidence > 0.999


def test_a_label_below_the_level_is_none() -> None:
    found = shares(8, 6, 0, n=16)
    assert labels(found, "ratio:0.8") == [False, False]
    unsure, sure = label(found, "ratio:0.8@0.95").steps
    assert unsure.label is None
    assert unsure.score == 0.75
    assert sure.label is False
    assert label(found, "ratio:0.8@0.95").first_error is None


def test_missing_values_are_unknown_but_for_what_their_neighbours_prove() -> None:
    found = valued(estimated(3, 8), None, estimated(1, 8), None, estimated(0, 64), known(0))
    assert labels(found, "hard") == [True, True, None, False, False]
    assert labels(found, "ratio:0.8") == [None, None, None, None, False]
    assert all(step.label is not None for step in label(found, "ratio:0.8+chain").steps)


def test_the_chain_reads_what_shares_cannot() -> None:
    """Few completions each, but all steps of a plateau speak for one another."""
    flat = valued(*(estimated(right, 8) for right in (6, 4, 6, 5)), known(1))
    assert False in labels(flat, "ratio:0.8")
    assert labels(flat, "ratio:0.8+chain") == [True] * 4


@given(VALUES, st.sampled_from(["hard", "soft:0.4", "ratio:0.8", "difference:-0.3"]), st.booleans())
def test_labels_are_sound(states: list[Estimate | None], kind: str, chain: bool) -> None:
    found = label(valued(*states, known(1)), kind + "+chain" * chain)
    assert len(found.steps) == len(states)
    for step in found.steps:
        assert step.label is None or (step.confidence is not None and 0.5 <= step.confidence <= 1)
        assert step.label is not None or not chain


@given(VALUES)
def test_hard_labels_turn_wrong_once(states: list[Estimate | None]) -> None:
    given_ = [each for each in labels(valued(*states, known(0)), "hard") if each is not None]
    assert given_ == sorted(given_, reverse=True)


def test_advantage_by_hand() -> None:
    policy, prover = shares(32, 32, 16), shares(16, 32, 32)
    found = advantage(policy, prover, alpha=0.5)
    assert [step.score for step in found.steps] == [0.5 + 0.5 * 0.25, 0.25 + 0.0]
    assert [step.label for step in found.steps] == [True, True]
    own = advantage(policy)
    assert [step.label for step in own.steps] == [True, False]
    assert own.steps[1].confidence is not None
    assert own.steps[1].confidence > 0.99


def test_the_best_of_k_is_a_prover() -> None:
    found = advantages(shares(32, 16, n=64), best_of=4)[0]
    assert found is not None
    gain, deviation = found
    assert gain == pytest.approx((1 - 0.75**4) - (1 - 0.5**4))
    assert 0.05 < deviation < 0.2
    plain = advantages(shares(32, 16, n=64))[0]
    assert plain is not None
    assert plain == pytest.approx((-0.25, (2 * 0.25 / 64 * 0.875) ** 0.5), abs=0.01)


def test_an_advantage_needs_the_same_steps() -> None:
    with pytest.raises(ConfigError):
        advantage(shares(1, 2, 3), shares(1, 2))
    assert advantage(valued(None, estimated(1, 2))).steps[0].label is None


@pytest.mark.parametrize("name", ["hard", "soft:0.5", "ratio:0.8@0.9", "difference:-0.3", "ratio:0.8+chain@0.95"])
def test_a_scheme_has_its_name(name: str) -> None:
    assert read_scheme(name).name == name


@pytest.mark.parametrize(
    "name", ["", "easy", "hard:1", "ratio:x", "soft:2", "ratio:0.8@0.4", "ratio:0.8+tree", "ratio:nan"]
)
def test_what_is_no_scheme(name: str) -> None:
    with pytest.raises(ConfigError):
        read_scheme(name)
