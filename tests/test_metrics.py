"""The ProcessBench metric: by hand, against a slow and obvious implementation, and its intervals against theory."""

import math
import time
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genprm.eval.metrics import (
    Interval,
    Pair,
    ProcessBenchScore,
    first_below,
    harmonic_mean,
    mean_f1,
    score_split,
    score_splits,
)


def rows(error_hits: int, error_misses: int, correct_hits: int, correct_misses: int) -> Sequence[Pair]:
    return [(2, 2)] * error_hits + [(2, 1)] * error_misses + [(-1, -1)] * correct_hits + [(-1, 0)] * correct_misses


def score(*counts: int, split: str = "s") -> ProcessBenchScore:
    return score_split(rows(*counts), split)


@pytest.mark.parametrize(
    ("pairs", "error", "correct", "f1", "missing"),
    [
        ([(0, 0), (-1, -1)], 1.0, 1.0, 1.0, 0),
        ([(0, 1), (-1, -1)], 0.0, 1.0, 0.0, 0),
        ([(0, -1), (-1, 0)], 0.0, 0.0, 0.0, 0),
        ([(3, 3), (3, 2), (3, -1), (1, 1), (-1, -1), (-1, 4)], 0.5, 0.5, 0.5, 0),
        # 3/4 and 1/2: 2 * 3/8 / (5/4)
        ([(0, 0), (1, 1), (2, 2), (3, 0), (-1, -1), (-1, 1)], 0.75, 0.5, 0.6, 0),
        # a missing prediction is wrong in both classes, and never a -1
        ([(0, None), (0, 0), (-1, None), (-1, -1)], 0.5, 0.5, 0.5, 2),
        ([(0, None), (-1, None)], 0.0, 0.0, 0.0, 2),
        # an empty class has no accuracy, and there is no F1 then
        ([(0, 0), (1, 0)], 0.5, None, None, 0),
        ([(-1, -1)], None, 1.0, None, 0),
        ([], None, None, None, 0),
    ],
)
def test_by_hand(pairs: list[Pair], error: float | None, correct: float | None, f1: float | None, missing: int) -> None:
    found = score_split(pairs)
    assert (found.error_accuracy, found.correct_accuracy, found.missing) == (error, correct, missing)
    assert found.f1 == (None if f1 is None else pytest.approx(f1))
    assert found.n == len(pairs)
    for share, interval in (
        (error, found.error_interval),
        (correct, found.correct_interval),
        (f1, found.f1_interval),
    ):
        assert (share is None) == (interval is None)


def test_published_numbers_fit_together() -> None:
    """GenPRM-7B Maj@8 on GSM8K (arXiv 2504.00891): 69.6 and 96.9 give 81.0."""
    found = score(144, 207 - 144, 187, 193 - 187)
    assert [f"{100 * x:.1f}" for x in (found.error_accuracy, found.correct_accuracy, found.f1) if x is not None] == [
        "69.6",
        "96.9",
        "81.0",
    ]


PAIRS = st.lists(st.tuples(st.integers(-1, 4), st.none() | st.integers(-1, 4)))


def naive(pairs: list[Pair]) -> tuple[float | None, float | None, float | None]:
    right = {False: 0, True: 0}
    total = {False: 0, True: 0}
    for label, prediction in pairs:
        total[label >= 0] += 1
        if prediction is not None and prediction == label:
            right[label >= 0] += 1
    error = right[True] / total[True] if total[True] else None
    correct = right[False] / total[False] if total[False] else None
    if error is None or correct is None:
        return error, correct, None
    if error == 0 or correct == 0:
        return error, correct, 0.0
    return error, correct, 1 / ((1 / error + 1 / correct) / 2)


@settings(max_examples=50)
@given(PAIRS, st.randoms(use_true_random=False))
def test_against_a_naive_implementation(pairs: list[Pair], random: Random) -> None:
    found = score_split(pairs, "s", resamples=20)
    error, correct, f1 = naive(pairs)
    assert (found.error_accuracy, found.correct_accuracy) == (error, correct)
    assert found.f1 == (None if f1 is None else pytest.approx(f1))
    random.shuffle(pairs)
    assert score_split(pairs, "s", resamples=20) == found


# --- intervals -----------------------------------------------------------------------------------------------------


def wilson(hits: int, n: int, z: float) -> Interval:
    middle = (hits + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(hits * (n - hits) / n + z * z / 4)
    return Interval(middle - half, middle + half)


@pytest.mark.parametrize(("hits", "n"), [(144, 207), (187, 193), (300, 661), (20, 40), (10, 759), (700, 759)])
def test_intervals_agree_with_wilson(hits: int, n: int) -> None:
    """They are different intervals, so within a fifth of a width of each other and two rows."""
    found = score(hits, n - hits, 1, 1).error_interval
    expected = wilson(hits, n, 1.96)
    slack = 0.2 * (expected.high - expected.low) + 2 / n
    assert found is not None
    assert found.low == pytest.approx(expected.low, abs=slack)
    assert found.high == pytest.approx(expected.high, abs=slack)


def test_draws_are_those_of_rows_drawn_with_replacement() -> None:
    """The same intervals by resampling rows, one by one."""
    random = Random(0)
    errors, corrects = [1] * 30 + [0] * 20, [1] * 35 + [0] * 5
    f1 = []
    for _ in range(4000):
        a = sum(random.choices(errors, k=50)) / 50
        b = sum(random.choices(corrects, k=40)) / 40
        f1.append(harmonic_mean(a, b))
    f1.sort()
    found = score(30, 20, 35, 5).f1_interval
    assert found is not None
    assert found.low == pytest.approx(f1[100], abs=0.012)
    assert found.high == pytest.approx(f1[3900], abs=0.012)


@settings(max_examples=50)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_intervals_are_ordered_and_hold_the_score(a: int, b: int, c: int, d: int) -> None:
    found = score_split(rows(a, b, c, d), resamples=500)
    for share, interval in (
        (found.error_accuracy, found.error_interval),
        (found.correct_accuracy, found.correct_interval),
        (found.f1, found.f1_interval),
    ):
        if share is not None and interval is not None:
            assert 0 <= interval.low <= interval.high <= 1
            assert interval.low - 0.05 <= share <= interval.high + 0.05


def test_all_or_nothing_has_no_width() -> None:
    found = score(5, 0, 0, 5)
    assert found.error_interval == Interval(1.0, 1.0)
    assert found.correct_interval == found.f1_interval == Interval(0.0, 0.0)


def test_extreme_shares_of_many_rows() -> None:
    """No underflow: P(X = 0) is 1e-30000 here."""
    found = score(99_999, 1, 50_000, 50_000)
    assert found.error_interval is not None
    assert 0.9999 < found.error_interval.low < 0.99999 <= found.error_interval.high <= 1
    assert found.correct_interval is not None
    assert found.correct_interval.high - found.correct_interval.low == pytest.approx(2 * 1.96 * 0.5 / 316.2, rel=0.05)


# --- several splits ------------------------------------------------------------------------------------------------


def test_the_mean_is_unweighted() -> None:
    scores, mean = score_splits({"a": rows(1, 1, 1, 1), "b": rows(100, 0, 100, 0)})
    assert [each.split for each in scores] == ["a", "b"]
    assert mean.f1 == pytest.approx(0.75)
    assert mean == mean_f1(scores)


def test_the_mean_is_surer_than_its_parts() -> None:
    scores, mean = score_splits({name: rows(120, 80, 150, 50) for name in "abcd"})
    part = scores[0].f1_interval
    assert part is not None
    assert mean.f1_interval is not None
    # four independent splits of one size: half the width
    assert mean.f1_interval.high - mean.f1_interval.low == pytest.approx((part.high - part.low) / 2, rel=0.1)
    alone = mean_f1(scores[:1])
    assert (alone.f1, alone.f1_interval) == (scores[0].f1, scores[0].f1_interval)


def test_the_mean_of_what_is_not_there() -> None:
    assert mean_f1([]).f1 is None
    assert mean_f1([score(1, 1, 1, 1, split="a"), score(1, 1, 0, 0, split="b")]).f1_interval is None
    with pytest.raises(ValueError, match="twice"):
        mean_f1([score(1, 1, 1, 1), score(1, 1, 1, 1)])


def test_the_seed_decides_and_neighbours_do_not() -> None:
    splits = {"a": rows(12, 8, 15, 5), "b": rows(3, 8, 15, 5)}
    scores, mean = score_splits(splits)
    assert (scores, mean) == score_splits(splits)
    assert score_split(splits["b"], "b") == scores[1]
    again = score_splits(dict(reversed(splits.items())))[1]
    assert again == mean
    assert score_splits(splits, seed=1)[1] != mean
    assert score_splits(splits, seed=1)[1].f1 == mean.f1


def test_four_splits_are_scored_quickly() -> None:
    splits = {name: rows(300, 361, 200, 139) for name in "abcd"}
    start = time.process_time()
    score_splits(splits)
    assert time.process_time() - start < 0.3


# --- scores of a PRM -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "threshold", "index"),
    [
        ([0.9, 0.4, 0.1], 0.5, 1),
        ([0.9, 0.5], 0.5, -1),
        ([0.1], 0.5, 0),
        ([], 0.5, -1),
        ([-3.0, 2.0], -3.0, -1),
        ([1, 0], 0.5, 1),
        ([math.inf, -math.inf], 0.0, 1),
    ],
)
def test_first_below(scores: list[float], threshold: float, index: int) -> None:
    assert first_below(scores, threshold) == index


def test_nan_is_no_score() -> None:
    with pytest.raises(ValueError, match="score 1 is not a number"):
        first_below([0.9, math.nan])
