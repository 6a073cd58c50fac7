"""The paired bootstrap: the same rows on both sides, and nothing but arithmetic."""

from random import Random

import pytest

from genprm.eval.metrics import harmonic_mean, interval, score_split
from genprm.eval.paired import Estimate, Hits, estimate

N = 300
WRONG = [i % 2 == 1 for i in range(N)]


def column(share: float, seed: int) -> list[bool]:
    random = Random(seed)
    return [random.random() < share for _ in range(N)]


def f1(hits: Hits, rows: list[int] | None = None) -> float:
    """By the definition, row by row."""
    found = [(WRONG[row], hits[row]) for row in (range(N) if rows is None else rows)]
    classes = [[hit for wrong, hit in found if wrong is of] for of in (True, False)]
    return harmonic_mean(*(sum(each) / len(each) for each in classes))


def one(hits: Hits, seed: int = 0, resamples: int = 500) -> Estimate:
    return estimate(WRONG, {"it": [hits]}, seed=seed, resamples=resamples)["it"]


def width(of: Estimate) -> float:
    ends = of.measure().interval
    assert ends is not None
    return ends.high - ends.low


def test_every_resample_is_that_of_the_rows_drawn() -> None:
    """Against a bootstrap that draws row numbers with the same dice and counts by hand."""
    columns = [column(0.8, 1), column(0.6, 2)]
    found = estimate(WRONG, {"a": columns[:1], "b": columns, "c": columns[1:]}, seed=7, resamples=20)
    dice = Random(7)
    errors, corrects = ([i for i in range(N) if WRONG[i] is of] for of in (True, False))
    rows = [[*dice.choices(errors, k=len(errors)), *dice.choices(corrects, k=len(corrects))] for _ in range(20)]
    by_hand = [[f1(hits, drawn) for drawn in rows] for hits in columns]
    assert found["a"].value == pytest.approx(f1(columns[0]))
    assert found["a"].draws == pytest.approx(by_hand[0])
    assert found["c"].draws == pytest.approx(by_hand[1])
    assert found["b"].value == pytest.approx((f1(columns[0]) + f1(columns[1])) / 2)
    assert found["b"].draws == pytest.approx([(a + b) / 2 for a, b in zip(*by_hand, strict=True)])
    assert found["b"].measure().interval == interval(found["b"].draws)


def test_the_interval_is_that_of_the_metric() -> None:
    hits = column(0.75, 3)
    pairs = [(0, 0 if hit else 1) if wrong else (-1, -1 if hit else 0) for wrong, hit in zip(WRONG, hits, strict=True)]
    score, found = score_split(pairs), one(hits, resamples=4000).measure()
    assert found.value == score.f1
    assert found.interval is not None
    assert score.f1_interval is not None
    assert found.interval.low == pytest.approx(score.f1_interval.low, abs=0.01)
    assert found.interval.high == pytest.approx(score.f1_interval.high, abs=0.01)


def test_columns_that_are_all_hits_do_not_run_into_each_other() -> None:
    found = estimate(WRONG, {i: [[True] * N] if i % 2 else [[False] * N] for i in range(200)}, resamples=3)
    assert [each.value for each in found.values()] == [float(i % 2) for i in range(200)]
    assert {draw for each in found.values() for draw in each.draws} == {0.0, 1.0}


def test_a_predictor_is_no_better_than_itself() -> None:
    nothing = one(column(0.7, 4)).minus(one(column(0.7, 4)))
    assert nothing.value == 0
    assert nothing.interval == interval([0.0] * 500)


def test_what_is_better_on_the_same_rows_is_known_better_than_on_others() -> None:
    """A twin with ten further hits: surely better, though the intervals of the two figures overlap."""
    worse = column(0.7, 5)
    missed = [i for i, hit in enumerate(worse) if not hit][:10]
    better = [hit or i in missed for i, hit in enumerate(worse)]
    paired = one(better).minus(one(worse))
    unpaired = one(better, seed=1).minus(one(worse, seed=2))
    assert paired.value == pytest.approx(f1(better) - f1(worse))
    assert paired.interval is not None
    assert unpaired.interval is not None
    assert paired.interval.low > 0
    assert unpaired.interval.low < 0
    assert paired.interval.high - paired.interval.low < (unpaired.interval.high - unpaired.interval.low) / 2


def test_more_samples_make_a_mean_surer() -> None:
    columns = [column(0.7, seed) for seed in range(16)]
    found = estimate(WRONG, {"one": columns[:1], "all": columns}, resamples=500)
    assert width(found["all"]) < width(found["one"]) / 2


@pytest.mark.parametrize("wrong", [[], [True, True], [False]])
def test_a_class_without_rows_leaves_f1_undefined(wrong: list[bool]) -> None:
    found = estimate(wrong, {"it": [[True] * len(wrong)]})["it"]
    assert found == Estimate(None, ())
    assert found.measure().value is None
    assert found.measure().interval is None
    assert found.minus(found).value is None
