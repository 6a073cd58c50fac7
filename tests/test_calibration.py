"""Calibration and agreement: by hand, and on data as it comes."""

import argparse
import asyncio
import gzip
import itertools
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genprm.errors import InputError
from genprm.eval.calibration import Scored, auroc, calibrate, ece, tau_b
from genprm.eval.prm800k import read_ratings
from genprm.synth.agreement import agree, consensus, majority

ROOT = Path(__file__).resolve().parents[1]
PAIRS = st.lists(st.tuples(st.integers(0, 6), st.integers(-1, 1)), min_size=2, max_size=30)


def test_ece_by_hand() -> None:
    assert ece([0.2, 0.2, 0.8, 0.8], [False, False, True, True], 2) == pytest.approx(0.2)
    assert ece([0.75] * 4, [True, True, True, False]) == pytest.approx(0.0)
    assert ece([0.05, 0.95, 0.96], [True, True, True], 10, "width") == pytest.approx((0.95 + 0.05 + 0.04) / 3)


@settings(max_examples=40)
@given(PAIRS)
def test_tau_and_auroc_are_what_counting_pairs_gives(pairs: list[tuple[int, int]]) -> None:
    signs = [
        ((a[0] > b[0]) - (a[0] < b[0]), (a[1] > b[1]) - (a[1] < b[1])) for a, b in itertools.combinations(pairs, 2)
    ]
    untied = sum(x != 0 for x, _ in signs) * sum(y != 0 for _, y in signs)
    found = tau_b([x for x, _ in pairs], [y for _, y in pairs])
    assert found != found if not untied else found == pytest.approx(sum(x * y for x, y in signs) / untied**0.5)
    right = [y > 0 for _, y in pairs]
    ahead = [
        (x > z) + (x == z) / 2
        for (x, _), r in zip(pairs, right, strict=True)
        if r
        for (z, _), s in zip(pairs, right, strict=True)
        if not s
    ]
    area = auroc([x for x, _ in pairs], right)
    assert area != area if not ahead else area == pytest.approx(sum(ahead) / len(ahead))


def items(n: int, honest: bool) -> list[Scored]:
    rng = random.Random(0)
    found = []
    for i in range(n):
        p = rng.random()
        found.append(Scored(p if honest else p**3, int(rng.random() < p), str(i // 5)))
    return found


def test_an_honest_labeler_is_told_from_a_modest_one() -> None:
    honest, modest = calibrate("a", items(2000, True)), calibrate("b", items(2000, False))
    assert honest.ece.value is not None
    assert modest.ece.value is not None
    assert honest.ece.value < 0.04
    assert modest.ece.value > 0.15
    assert modest.ece.interval is not None
    assert modest.ece.interval.low < modest.ece.value < modest.ece.interval.high
    assert honest.auroc.value == pytest.approx(modest.auroc.value, abs=1e-9)  # ranking is the same
    assert sum(point.n for point in honest.curve) == 2000
    assert honest.brier.value == pytest.approx(1 / 6, abs=0.02)


def test_missing_scores_are_counted_and_empty_classes_have_no_figure() -> None:
    found = calibrate("a", [Scored(0.9, 1, "s"), Scored(None, 0, "s"), Scored(0.8, 1, "t")])
    assert (found.n, found.right, found.missing) == (2, 2, 1)
    assert found.auroc.value is None
    assert found.tau.value is None
    assert found.accuracy.value == 1.0
    nothing = calibrate("a", [Scored(None, 0, "s")])
    assert (nothing.n, nothing.ece.value, nothing.curve) == (0, None, ())


def test_kappas_by_hand() -> None:
    pairs = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    one, other = ([pair[side] for pair in pairs] for side in (0, 1))
    assert agree({"a": [one], "b": [other]}).pairs[0].kappa.value == pytest.approx(0.4)
    three = {"a": [[True, True, False]], "b": [[True, True, False]], "c": [[True, False, False]]}
    assert agree(three).fleiss.value == pytest.approx(0.55)
    for steps in ([True], []):  # both always say the same one thing, and nothing at all
        found = agree({"a": [steps], "b": [steps]})
        assert (found.pairs[0].kappa.value, found.fleiss.value) == (None, None)
    assert agree({"a": [[True, False]]}).fleiss.value is None
    assert agree({"a": [], "b": []}).pairs[0].agreement.value is None


def test_agreement_leaves_out_and_counts_what_is_unsure() -> None:
    labels: dict[str, list[list[bool | None]]] = {
        "a": [[True, None, False], [True]],
        "b": [[True, True, True], [True]],
        "c": [[True, False, False], [False]],
    }
    found = agree(labels, resamples=50)
    pair = found.pairs[0]
    assert (pair.one, pair.other, pair.n, pair.unsure) == ("a", "b", 3, 1)
    assert pair.agreement.value == pytest.approx(2 / 3)
    assert pair.first_error.value == 1.0  # the other solution is not known to "a"
    assert found.n == 3
    assert consensus([[True, None, False], [True, True, True], [True, False, False]]) == (True, None, False)
    assert majority([None, None]) is None


def ratings(folder: Path) -> Path:
    rows: list[dict[str, Any]] = [
        {"instruction": "1 + 1?", "responses": [], "next_response": "1 + 1 = 2.", "rating": 1},
        {"instruction": "1 + 1?", "responses": ["1 + 1 = 2."], "next_response": "So it is 3 = 4.", "rating": -1.0},
        {"instruction": "1 + 1?", "responses": ["1 + 1 = 2."], "next_response": "Hmm.", "rating": 0},
        {"instruction": "1 + 1?", "responses": ["1 + 1 = 2."], "next_response": "So 2.", "rating": None},
        {"instruction": "2 + 2?", "responses": [], "next_response": "2 + 2 = 5.", "rating": -1},
    ]
    path = folder / "prm800k.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    return path


def test_ratings_become_solutions_and_count_once(tmp_path: Path) -> None:
    found = read_ratings(ratings(tmp_path))
    assert [each.ratings for each in found] == [(1, -1), (None, 0), (None, None), (-1,)]
    assert len(read_ratings(ratings(tmp_path), 1)) == 3


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"responses": [], "next_response": "x", "rating": 1}, "instruction"),
        ({"instruction": "p", "next_response": "x", "rating": 1}, "responses"),
        ({"instruction": "p", "responses": [1], "next_response": "x", "rating": 1}, "responses"),
        ({"instruction": "p", "responses": [], "next_response": "x", "rating": 2}, "rating"),
        ({"instruction": "p", "responses": [], "next_response": "x", "rating": True}, "rating"),
    ],
)
def test_a_bad_rating_is_told_with_its_place(tmp_path: Path, row: dict[str, Any], field: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps(row))
    with pytest.raises(InputError, match=rf"bad.jsonl:1, field {field}"):
        read_ratings(path)


def test_ratings_that_are_packed_badly_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl.gz"
    packed = bytearray(gzip.compress(b"no" * 5000 + bytes(range(256)) * 20))
    packed[12:40] = b"\xff" * 28
    path.write_bytes(packed)
    with pytest.raises(InputError, match="cannot be read"):
        read_ratings(path)


@pytest.mark.parametrize("score", [-0.5, 1.5])
def test_scores_that_are_no_shares_are_not_calibrated(tmp_path: Path, score: float) -> None:
    from genprm.eval.labels import command

    path = tmp_path / "scores.jsonl"
    path.write_text(json.dumps({"id": "a", "label": -1, "n_steps": 2, "model": "logits", "scores": [0.5, score]}))
    args = argparse.Namespace(bins=10, resamples=1, limit=None, data=str(path), kind="scores")
    with pytest.raises(InputError, match="only shares can be calibrated"):
        asyncio.run(command(args))


def genprm(*args: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "genprm", "eval", "labels", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=None, cwd=ROOT)


@pytest.mark.slow
def test_the_command_on_ratings(tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = genprm("--data", str(ratings(tmp_path)), "--run", str(run), "--resamples", "20", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads((run / "report.json").read_text())
    judge = next(each for each in report["calibrations"] if each["name"] == "judge:symbolic")
    assert judge["n"] + judge["missing"] == 4
    assert judge["accuracy"]["value"] >= 0.75
    for name in ("reliability", "agreement"):
        assert (run / f"{name}.png").stat().st_size > 1000
        assert (run / f"{name}.svg").read_text().startswith("<?xml")
    again = genprm("--data", str(ratings(tmp_path)), "--run", str(run), "--resamples", "20", cwd=tmp_path)
    assert again.returncode == 0
    assert len((run / "results.jsonl").read_text().splitlines()) == 8


@pytest.mark.slow
def test_the_command_on_scores(tmp_path: Path) -> None:
    rows = [
        {"id": str(i), "label": i % 3 - 1, "n_steps": 3, "model": model, "scores": [0.9, 0.2 + 0.1 * (i % 5), 0.7]}
        for i in range(30)
        for model in ("one", "other")
    ]
    (tmp_path / "scores.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = genprm("--data", str(tmp_path / "scores.jsonl"), "--run", str(tmp_path / "run"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    same = next(p for p in report["agreement"]["pairs"] if (p["one"], p["other"]) == ("one", "other"))
    assert same["agreement"]["value"] == same["kappa"]["value"] == 1.0
    assert {each["n"] for each in report["calibrations"]} == {10 * 3 + 10 + 10 * 2}


def test_bad_options_are_refused(tmp_path: Path) -> None:
    from genprm.errors import ConfigError
    from genprm.eval.labels import command

    with pytest.raises(ConfigError):
        asyncio.run(command(argparse.Namespace(bins=1, resamples=1, limit=None, data="x", kind=None)))
