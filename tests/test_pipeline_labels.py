"""Labels of a pipeline: by advantage under a prover, by further labelers, and by what most of them say."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from genprm import records
from genprm.cli import main
from genprm.errors import InputError
from genprm.synth.config import read_pipeline
from genprm.synth.labels import advantage
from genprm.synth.plan import make_plan
from genprm.synth.stage_items import Values
from genprm.synth.stage_labels import majority
from genprm.synth.stages import Done
from genprm.synth.types import Attempt, Label, Labelled, StepLabel
from genprm.types import Problem, Solution

BASE = """
seed = 1
[problems]
source = "world:train:0-4"
[solutions]
engine = "world:0.2"
rounds = { cap = 16, keep = 1 }
[values]
engine = "world:0.2"
plan = "fixed:4"
"""
UNDER_PROVER = """
[prover]
engine = "world:0.05"
plan = "fixed:6"
[labels]
scheme = "advantage:-0.2"
alpha = 2.0
best_of = 3
"""
QUICK = """
[labels]
scheme = "hard"
labelers = ["heuristics", "tree:12", "rollouts:fixed:3"]
by = "majority"
"""
SEVERAL = QUICK.replace('"tree', '"judge:symbolic", "tree')
TAUGHT = """
[rationales]
engine = "world:teacher"
[consensus]
"""


def write(folder: Path, *parts: str) -> Path:
    path = folder / "p.toml"
    path.write_text("".join(parts))
    return path


def report(out: Path, stage: str) -> dict[str, Any]:
    return json.loads((out / stage / "report.json").read_text())  # type: ignore[no-any-return]


def read(out: Path, stage: str, type_: Any) -> list[Any]:
    lines = (out / stage / "results.jsonl").read_bytes().splitlines()
    return [records.from_json(line, Done[type_]).record for line in lines]


# --- the file ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ('scheme = "advantage:2"', "does not lie between -1 and 1"),
        ('scheme = "advantage:x"', "'x' in 'advantage:x' is no number"),
        ('scheme = "advantage:0+chain"', "is no number"),
        ('scheme = "hard"\nbest_of = 2', "alpha and best_of belong to the scheme advantage:T, not to 'hard'"),
        ('scheme = "advantage:0"\nbest_of = 0', "labels.best_of: Expected `int` >= 1"),
        ('scheme = "advantage:0"\nalpha = -1', "labels.alpha: Expected `float` >= 0"),
        ('scheme = "hard"\n[prover]\nengine = "world:0.1"', "[prover] is for labels.scheme advantage:T"),
        (
            'scheme = "advantage:0"\n[prover]\nengine = "world:0.1"\nplan = "fixed:8+binary"',
            "prover.plan 'fixed:8+binary' leaves some out",
        ),
        ('scheme = "advantage:0"\n[prover]\nengine = "world:0.1"\nplan = "all"', "unknown plan 'all'"),
        ('scheme = "advantage:0"\n[prover]\nengine = "world:0.1"\ntop_p = 2.0', "field prover"),
        ('labelers = ["oracle"]', "unknown labeler 'oracle'; there are heuristics, judge:ENGINE"),
        ('labelers = ["judge"]', "labeler 'judge' needs a name after it"),
        ('labelers = ["heuristics:2"]', "unknown labeler 'heuristics:2'"),
        ('labelers = ["tree:0"]', "does not lie between 1 and 4096"),
        ('labelers = ["tree:1.5"]', "1.5 in 'tree:1.5' is no whole number"),
        ('labelers = ["rollouts:some"]', "unknown plan 'some'"),
        ('labelers = ["tree", "tree"]', "labeler 'tree' is there twice"),
        ('labelers = ["tree"]\nby = "majority"', "a majority needs two labels.labelers"),
        ('by = "chance"', "field labels.by: Invalid enum value 'chance'"),
    ],
)
def test_what_is_wrong_in_the_file_is_said(tmp_path: Path, labels: str, said: str) -> None:
    path = write(tmp_path, BASE, "[labels]\n", labels, "\n")
    with pytest.raises(InputError) as error:
        read_pipeline(path)
    assert str(error.value).startswith(str(path))
    assert said in str(error.value)


def test_a_search_of_the_policy_leaves_an_advantage_without_values(tmp_path: Path) -> None:
    path = write(tmp_path, BASE.replace("fixed:4", "adaptive:0.9+binary"), '[labels]\nscheme = "advantage:0"\n')
    with pytest.raises(InputError, match=r"values\.plan 'adaptive:0\.9\+binary' leaves some out"):
        read_pipeline(path)


def test_what_completes_needs_values(tmp_path: Path) -> None:
    path = write(tmp_path, BASE.partition("[values]")[0], '[labels]\nscheme = "hard"\nlabelers = ["tree"]\n')
    with pytest.raises(InputError, match="labeler 'tree' completes as"):
        read_pipeline(path)


# --- advantage -----------------------------------------------------------------------------------------------------


def test_advantage_under_a_prover(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["synth", "run", str(write(tmp_path, BASE, UNDER_PROVER)), "-o", str(out)]) == 0
    policy = [one for values in read(out, "2-values", Values) for one in values]
    prover = [one for values in read(out, "2-prover", Values) for one in values]
    labelled = read(out, "3-labels", Labelled)
    expected = [
        advantage(one, mu, alpha=2.0, best_of=3, threshold=-0.2) for one, mu in zip(policy, prover, strict=True)
    ]
    assert labelled == expected
    assert expected != [advantage(one, alpha=2.0, best_of=3, threshold=-0.2) for one in policy]
    assert {step.label for one in labelled for step in one.steps} == {True, False}
    assert report(out, "2-prover")["cost"]["calls"] == len((out / "2-prover/calls.jsonl").read_text().splitlines()) > 0


def test_best_of_the_policy_itself_needs_no_second_values(tmp_path: Path) -> None:
    out = tmp_path / "out"
    path = write(tmp_path, BASE, '[labels]\nscheme = "advantage:0"\nbest_of = 4\n')
    assert main(["synth", "run", str(path), "-o", str(out)]) == 0
    policy = [one for values in read(out, "2-values", Values) for one in values]
    assert read(out, "3-labels", Labelled) == [advantage(one, best_of=4) for one in policy]
    assert not (out / "2-prover").exists()


def test_an_attempt_that_the_prover_failed_on_has_no_labels_and_is_counted(tmp_path: Path) -> None:
    out = tmp_path / "out"
    path = write(tmp_path, BASE, UNDER_PROVER)
    for stage in ("solutions", "values", "prover"):
        assert main(["synth", "run", str(path), "-o", str(out), "--stage", stage]) == 0
    results = out / "2-prover" / "results.jsonl"
    first, *rest = results.read_text().splitlines(keepends=True)
    lost = json.dumps({"key": json.loads(first)["key"], "record": None, "error": "ValueError: broken"}) + "\n"
    results.write_text(lost + "".join(rest))
    assert main(["synth", "run", str(path), "-o", str(out), "--stage", "labels"]) == 1
    assert report(out, "3-labels")["failed"] == len(json.loads(first)["record"])
    assert "LookupError: the prover has no values" in (out / "3-labels" / "results.jsonl").read_text()


# --- further labelers ----------------------------------------------------------------------------------------------


def test_labelers_are_compared_and_vote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["synth", "run", str(write(tmp_path, BASE, QUICK)), "-o", str(out)]) == 0
    said = capsys.readouterr().err
    names = ["heuristics", "tree:12", "rollouts:fixed:3"]
    asked = report(out, "3-labelers")
    n = asked["solutions"]
    assert n > 0
    assert list(asked["labelers"]) == names
    assert all(one["solutions"] == n and one["failed"] == 0 for one in asked["labelers"].values())
    assert asked["labelers"]["tree:12"]["cost"]["calls"] > 0
    assert asked["labelers"]["heuristics"]["cost"] == {}
    votes: dict[str, list[Labelled]] = {}
    for one in read(out, "3-labelers", Labelled):
        votes.setdefault(one.attempt.solution.id, []).append(one)
    labelled = read(out, "3-labels", Labelled)
    assert len(labelled) == n
    decided = 0
    for one in labelled:
        assert one.labeler == "majority"
        for t, step in enumerate(one.steps):
            given = [vote.steps[t].label for vote in votes[one.attempt.solution.id]]
            lead = given.count(True) - given.count(False)
            if abs(lead) >= 2:  # whatever the scheme says
                assert step.label is (lead > 0)
                decided += 1
    assert decided
    found = report(out, "3-labels")
    assert [(p["one"], p["other"]) for p in found["agreement"]["pairs"]][:2] == [
        ("hard", "heuristics"),
        ("hard", "tree:12"),
    ]
    assert len(found["agreement"]["pairs"]) == 6
    assert found["agreement"]["missing"] == dict.fromkeys(names, 0)
    assert all(0 <= pair["agreement"]["value"] <= 1 for pair in found["agreement"]["pairs"] if pair["n"])
    assert "hard and tree:12 agree " in said


def test_rollouts_are_others_than_those_of_the_values(tmp_path: Path) -> None:
    out = tmp_path / "out"
    labels = '[labels]\nscheme = "hard"\nlabelers = ["rollouts:fixed:4"]\n'
    assert main(["synth", "run", str(write(tmp_path, BASE, labels)), "-o", str(out)]) == 0
    keys = [
        {json.loads(line)["key"] for line in (out / file).read_text().splitlines()}
        for file in ("2-values/calls.jsonl", "3-labelers/calls-1.jsonl")
    ]
    assert len(keys[0]) == len(keys[1])
    assert not keys[0] & keys[1]


@pytest.mark.slow
def test_consensus_reports_its_rates_by_step_and_labeler(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["synth", "run", str(write(tmp_path, BASE, SEVERAL, TAUGHT)), "-o", str(out)]) == 0
    said = capsys.readouterr().err
    names = ["heuristics", "judge:symbolic", "tree:12", "rollouts:fixed:3"]
    judge = report(out, "3-labelers")["labelers"]["judge:symbolic"]
    assert judge["failed"] == 0
    assert judge["steps"]["wrong"] > 0
    rates = report(out, "6-consensus")["rates"]
    assert {one["labeler"] for one in rates["labelers"]} == {"majority", *names}
    assert rates["kept"]["n"] == report(out, "6-consensus")["solutions"]
    first = next(one for one in rates["labelers"] if one["labeler"] == "majority")["steps"][0]
    assert first["step"] == 0
    assert first["agreed"]["low"] <= first["agreed"]["right"] / first["agreed"]["n"] <= first["agreed"]["high"]
    assert "majority agrees on step 1: " in said


@pytest.mark.slow
def test_a_labeler_whose_engine_fails_is_counted_and_the_others_go_on(tmp_path: Path) -> None:
    script = tmp_path / "script.jsonl"
    script.write_text('{"error": "refused"}\n')
    several = SEVERAL.replace("judge:symbolic", f"judge:scripted:{script}")
    out = tmp_path / "out"
    path = write(tmp_path, BASE, several)
    assert main(["synth", "run", str(path), "-o", str(out)]) == 1
    asked = report(out, "3-labelers")
    assert asked["failed"] == asked["labelers"][f"judge:scripted:{script}"]["failed"] == asked["solutions"]
    found = report(out, "3-labels")
    assert found["agreement"]["missing"][f"judge:scripted:{script}"] == asked["solutions"]
    assert found["steps"]["right"] > 0


@pytest.mark.parametrize(
    ("votes", "label", "score"),
    [
        ((True, True, False), True, 2 / 3),
        ((True, False, None), None, 0.5),
        ((False, None, None), False, 0.0),
        ((None, None, None), None, None),
    ],
)
def test_a_majority_of_those_that_are_sure(votes: tuple[Label, ...], label: Label, score: float | None) -> None:
    attempt = Attempt(Solution(Problem("?", "1"), ("a",)), "p", "right")
    found = majority([Labelled(attempt, str(n), (StepLabel(vote),)) for n, vote in enumerate(votes)])
    assert found.steps == (StepLabel(label, score),)


def test_a_plan_counts_their_calls(tmp_path: Path) -> None:
    path = write(tmp_path, BASE, SEVERAL, "[plan]\nsteps = 8\ndraws = 4\n")
    costs = {cost.stage: cost for cost in make_plan(read_pipeline(path), tmp_path / "out").costs}
    n = costs["values"].items
    assert costs["labelers: judge:symbolic"].calls == n * 8 * 2
    assert costs["labelers: tree:12"].calls == n * 12
    assert costs["labelers: rollouts:fixed:3"].calls == n * 8 * 3
    assert "labelers: heuristics" not in costs
    under = read_pipeline(write(tmp_path, BASE, UNDER_PROVER, "[plan]\nsteps = 8\n"))
    prover = next(cost for cost in make_plan(under, tmp_path / "out").costs if cost.stage == "prover")
    assert prover.calls == prover.items * 8 * 6


def test_other_labelers_are_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    labels = '[labels]\nscheme = "hard"\nlabelers = ["heuristics"]\n'
    assert main(["synth", "run", str(write(tmp_path, BASE, labels)), "-o", str(out)]) == 0
    capsys.readouterr()
    path = write(tmp_path, BASE, labels.replace('"heuristics"', '"heuristics", "judge:symbolic"'))
    assert main(["synth", "run", str(path), "-o", str(out)]) == 2
    assert "name another folder with -o" in capsys.readouterr().err


# --- kills ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("part", "stage", "lines"), [(UNDER_PROVER, "2-prover", 40), (SEVERAL, "3-labelers", 6)])
def test_killed_and_begun_again_they_make_the_same_bytes(tmp_path: Path, part: str, stage: str, lines: int) -> None:
    path, whole, torn = write(tmp_path, BASE, part), tmp_path / "whole", tmp_path / "torn"
    run = [sys.executable, "-m", "genprm", "synth", "run", str(path), "-o"]
    subprocess.run([*run, str(whole)], check=True, capture_output=True)
    killed = 0
    for more in (1, 2):
        process = subprocess.Popen([*run, str(torn)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            written = sum(file.read_bytes().count(b"\n") for file in (torn / stage).glob("*.jsonl"))
            if written >= lines * more:
                process.kill()
                killed += 1
                break
            time.sleep(0.001)
        process.wait()
    assert killed
    assert not (torn / "3-labels" / "report.json").exists()
    kept = {file: file.read_bytes() for file in (torn / stage).glob("calls*.jsonl")}
    subprocess.run([*run, str(torn)], check=True, capture_output=True)
    for results in whole.glob("*/results.jsonl"):
        assert (torn / results.relative_to(whole)).read_bytes() == results.read_bytes()
    for file, before in kept.items():
        after = file.read_bytes()
        assert after.startswith(before[: before.rfind(b"\n") + 1])
        keys = [json.loads(line)["key"] for line in after.splitlines()]
        assert len(keys) == len(set(keys))
        asked = (whole / os.path.relpath(file, torn)).read_bytes().splitlines()
        assert set(keys) == {json.loads(line)["key"] for line in asked}
