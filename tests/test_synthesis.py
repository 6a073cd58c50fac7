"""The experiment on synthesis: labels against truth, the rows of arms, what is refused, and all of it end to end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from genprm import records
from genprm.cli import main
from genprm.errors import ConfigError, InputError
from genprm.eval import synthesis_critics as critics
from genprm.eval.metrics import Interval
from genprm.eval.paired import Measure
from genprm.eval.synthesis import Experiment, read_experiment
from genprm.eval.synthesis_critics import Arm, Source, accuracy, rows_of, score_filters
from genprm.eval.synthesis_labels import (
    Truth,
    best_threshold,
    percent,
    score_schemes,
    share_by_problem,
    truth_of,
)
from genprm.protocols.teacher import Block, rationale_text
from genprm.synth.beta import estimated, known
from genprm.synth.conversations import Code
from genprm.synth.types import Attempt, Estimate, Taught, Valued
from genprm.synth.world import example
from genprm.types import Problem, Rationale, Solution
from tests.training_rows import TINY

Y, N = True, False


def attempt(name: str, n_steps: int) -> Attempt:
    steps = tuple(f"Step {k}." for k in range(n_steps))
    return Attempt(Solution(Problem(f"Problem {name}"), steps, f"{name}/0"), name, "wrong")


def valued(name: str, start: int, *rights: int | None, last: int) -> Valued:
    """Right ones of 10 completions from the bare problem and each step; ``last``: of the last step, which is known."""
    values: list[Estimate | None] = [None if right is None else estimated(right, 10) for right in rights]
    return Valued(attempt(name, len(rights) + 1), estimated(start, 10), (*values, known(last)), "policy fixed:10")


FALLS = valued("falls", 8, 8, 6, last=0)
"""Ratios 1, 0.75, 0: the second step leads down a little, and is right all the same."""
SLIPS = valued("slips", 5, 1, last=0)
"""Ratios 0.2, 0: the first step is wrong, and the policy recovers once in ten."""
TRUTHS: list[Truth] = [(Y, Y, N), (N,)]


# --- labels against the truth --------------------------------------------------------------------------------------


def test_schemes_are_held_against_the_truth_by_hand() -> None:
    hard, ratio = score_schemes([FALLS, SLIPS], TRUTHS, ("hard", "ratio:0.8"))
    # hard: right, right, wrong; right.  ratio: right, wrong, wrong; wrong.
    assert [score.steps for score in (hard, ratio)] == [4, 4]
    assert [hard.accuracy.value, hard.right.value, hard.wrong.value, hard.first_error.value] == [0.75, 1, 0.5, 0.5]
    assert [ratio.accuracy.value, ratio.right.value, ratio.wrong.value, ratio.first_error.value] == [0.75, 0.5, 1, 0.5]
    assert ratio.gain.value == 0
    # One problem twice gives -1/3, the other one twice 1; each comes in a quarter of the resamples.
    assert ratio.gain.interval is not None
    assert (ratio.gain.interval.low, ratio.gain.interval.high) == pytest.approx((-1 / 3, 1))
    assert hard.gain == Measure(0.0, Interval(0.0, 0.0))


def test_steps_without_a_label_are_counted_apart() -> None:
    (score,) = score_schemes([valued("p", 8, None, 8, last=1)], [(Y, Y, Y)], ("ratio:0.8",))
    assert score.steps == 1
    assert score.unsure == pytest.approx(2 / 3)  # neither the step without a value nor the next
    assert score.first_error.value == 0
    assert score.wrong == Measure(None, None)  # there is none
    _, silent = score_schemes([FALLS, SLIPS], TRUTHS, ("hard", "difference:-0.3@1"))
    assert (silent.steps, silent.unsure) == (0, 1.0)
    assert silent.accuracy == silent.gain == Measure(None, None)  # and not 75 points behind


def test_the_best_threshold_is_compared_with_the_published_one() -> None:
    schemes = ("hard", "ratio:0.7", "ratio:0.8", "ratio:0.9")
    scores = score_schemes([FALLS], TRUTHS[:1], schemes)
    found = best_threshold([FALLS], TRUTHS[:1], scores)
    assert found is not None
    assert (found.best, found.usual) == ("ratio:0.7", "ratio:0.8")
    assert found.gain.value == pytest.approx(1 / 3)
    same = best_threshold([SLIPS], TRUTHS[1:], score_schemes([SLIPS], TRUTHS[1:], schemes))
    assert same is not None
    assert same.best == same.usual  # of equals
    assert best_threshold([FALLS], TRUTHS[:1], scores[:2]) is None


def test_shares_are_resampled_by_problem() -> None:
    assert share_by_problem({"p": (1, 2), "q": (2, 4)}) == Measure(0.5, Interval(0.5, 0.5))
    assert share_by_problem({"p": (2, 2), "q": (0, 2)}).interval == Interval(0.0, 1.0)
    assert share_by_problem({"p": (2, 2), "q": (0, 0)}) == Measure(1.0, Interval(1.0, 1.0))  # of "q" alone: none
    assert share_by_problem({}) == Measure(None, None)
    assert percent(share_by_problem({"p": (1, 2), "q": (2, 4)})) == "50.0 (50.0 to 50.0)"


def test_truth_ends_with_the_first_wrong_step_and_is_of_the_world_alone() -> None:
    for index in range(40):
        made = example("train", index).solution
        truth = truth_of(Attempt(made, "p", "right"))
        assert truth is not None
        first = truth.index(False) if False in truth else -1
        assert first == made.first_error
        assert len(truth) == (first + 1 if first >= 0 else len(made.steps))
    assert truth_of(attempt("elsewhere", 2)) is None


# --- rows of arms --------------------------------------------------------------------------------------------------


def source(values: Valued, verdicts: Sequence[bool], truth: Truth) -> Source:
    rationales = tuple(
        Rationale(0, "ok", rationale_text(k, f"Of {k}.", [Block("print(1)", "1")], ["So."], yes), verdict=yes)
        for k, yes in enumerate(verdicts)
    )
    return Source(values, Taught(values.attempt, "teacher", "ok", rationales), truth)


AGREES = source(FALLS, (Y, Y, N), TRUTHS[0])
"""With ``hard`` at every step, with ``ratio:0.8`` at the first."""
MISSES = source(SLIPS, (Y, N), TRUTHS[1])
"""A teacher that overlooks the first error: ``hard`` agrees with it."""


def names(arm: Arm) -> list[str]:
    return [found.taught.attempt.problem_id for found, _ in rows_of(arm, [AGREES, MISSES])]


def test_arms_take_the_rows_that_their_filter_keeps() -> None:
    assert names(Arm(consensus="none")) == ["falls", "slips"]
    assert names(Arm("hard")) == ["falls", "slips"]
    assert names(Arm("ratio:0.8")) == []
    assert names(Arm("ratio:0.8", "step")) == ["falls"]
    unfinished = replace(AGREES, taught=replace(AGREES.taught, outcome="unfinished"))
    assert rows_of(Arm(consensus="none"), [unfinished]) == []


@pytest.mark.parametrize(
    ("code", "shows", "hides"),
    [("run", "[Code Output]", ""), ("written", "print(1)", "[Code"), ("none", "", "print(1)")],
)
def test_arms_show_the_code_as_they_say(code: Code, shows: str, hides: str) -> None:
    ((_, row),) = rows_of(Arm("hard", code=code), [AGREES])
    text = json.dumps(row["messages"])
    assert shows in text
    assert not hides or hides not in text


def test_true_verdicts_are_those_that_stand_in_the_row() -> None:
    assert accuracy(rows_of(Arm(consensus="none"), [AGREES, MISSES])).value == 0.75
    wrong_later = source(FALLS, (Y, N), TRUTHS[0])  # the second step is right; ratio:0.8 and the teacher say no
    assert accuracy(rows_of(Arm("ratio:0.8"), [wrong_later])).value == 0.5
    (row,) = rows_of(Arm("hard", "step"), [wrong_later])  # cut before the disagreement
    assert accuracy([row]) == Measure(1.0, Interval(1.0, 1.0))
    assert accuracy([]) == Measure(None, None)


def test_filters_are_scored_once_each() -> None:
    arms = (Arm("hard"), Arm("hard", code="none"), Arm("ratio:0.8", "step"), Arm(consensus="none"))
    found = score_filters(arms, [AGREES, MISSES])
    assert [(each.name, each.solutions, each.accuracy.value) for each in found] == [
        ("every solution", 2, 0.75),
        ("hard, by solution", 2, 0.75),
        ("ratio:0.8, by step", 1, 1.0),
    ]


def test_an_arm_is_not_gone_on_with_on_other_rows(tmp_path: Path) -> None:
    critics._write(tmp_path / "arm", [{"id": "a"}])
    critics._write(tmp_path / "arm", [{"id": "a"}])
    with pytest.raises(ConfigError, match="was begun with other rows; name another folder with -o"):
        critics._write(tmp_path / "arm", [{"id": "b"}])
    assert (tmp_path / "arm" / "rows.jsonl").read_text() == '{"id": "a"}\n'


# --- what is refused -----------------------------------------------------------------------------------------------


PIPELINE = """
[problems]
source = "world:train:0-12:2"
[solutions]
engine = "world:0.2,mends=0.15"
rounds = { first = 4, cap = 16, keep = 1 }
[values]
engine = "world:0.2"
plan = "fixed:4"
[labels]
[rationales]
engine = "world:teacher,errs=0.2"
options = { manner = "steps" }
"""
EXPERIMENT = """
pipeline = "p.toml"
schemes = ["hard", "ratio:0.8"]
[train]
model = "MODEL"
options = ["--updates", "2", "--batch-tokens", "1200", "--micro-tokens", "600", "--precision", "fp32"]
[test]
problems = 4
[critics.first]
labels = "hard"
[critics.second]
consensus = "none"
code = "written"
"""


def write(folder: Path, experiment: str = EXPERIMENT, pipeline: str = PIPELINE) -> Path:
    (folder / "p.toml").write_text(pipeline)
    path = folder / "e.toml"
    path.write_text(experiment)
    return path


def test_an_experiment_is_read(tmp_path: Path) -> None:
    found = read_experiment(write(tmp_path))
    assert isinstance(found, Experiment)
    assert found.critics["second"] == Arm(consensus="none", code="written")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('model = "MODEL"', 'model = "MODEL"\nparallel = 0'), "field train.parallel: Expected `int` >= 1"),
        (("problems = 4", "problems = 0"), "field test.problems: Expected `int` >= 1"),
        (('"hard", "ratio:0.8"', ""), "field schemes: there is no scheme"),
        (('"ratio:0.8"', '"ratios"'), "field schemes[1]: unknown label scheme 'ratios'"),
        (('labels = "hard"', 'labels = "best"'), "field critics.first.labels: unknown label scheme 'best'"),
        (("[critics.second]", '[critics."../second"]'), "field critics.../second: a critic is named by"),
        (('code = "written"', 'code = "some"'), "field critics[...].code: Invalid enum value 'some'"),
        (("[test]", "[tests]"), "unknown field `tests`"),
    ],
)
def test_what_is_wrong_in_an_experiment_is_said(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    assert change[0] in EXPERIMENT
    path = write(tmp_path, EXPERIMENT.replace(*change, 1))
    with pytest.raises(InputError) as error:
        read_experiment(path)
    assert str(error.value).startswith(str(path))
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("world:train:0-12:2", "gsm8k.jsonl"), "field problems.source: an experiment needs problems of the world"),
        (
            ('[rationales]\nengine = "world:teacher,errs=0.2"\noptions = { manner = "steps" }', ""),
            "field rationales: an",
        ),
        (('[values]\nengine = "world:0.2"\nplan = "fixed:4"', ""), "field values: an experiment needs a section"),
    ],
)
def test_a_pipeline_without_truth_is_refused_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], said: str
) -> None:
    assert change[0] in PIPELINE
    path, out = write(tmp_path, pipeline=PIPELINE.replace(*change)), tmp_path / "out"
    assert main(["eval", "synthesis", str(path), "-o", str(out)]) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


# --- end to end ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A critic that has hardly learned anything."""
    folder = tmp_path_factory.mktemp("base")
    rows, model = folder / "rows.jsonl", folder / "model"
    assert main(["synth", "world", "train", "--rows", "critic", "-n", "30", "-o", str(rows)]) == 0
    words = ["--new", TINY, "--updates", "2", "--batch-tokens", "1200", "--micro-tokens", "600", "--precision", "fp32"]
    assert main(["train", "critic", str(rows), "--output", str(model), *words]) == 0
    return model


def command_of(path: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "genprm", "eval", "synthesis", str(path), "-o", str(out)]


@pytest.mark.timeout(900)
@pytest.mark.slow
def test_an_experiment_that_is_killed_comes_to_the_same_report(tmp_path: Path, base: Path) -> None:
    path = write(tmp_path, EXPERIMENT.replace("MODEL", str(base)))
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    subprocess.run(command_of(path, whole), check=True, capture_output=True)
    process = subprocess.Popen(command_of(path, torn), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (torn / "critics" / "first" / "model" / "report.json").exists():
        time.sleep(0.05)
    assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run(command_of(path, torn), check=True, capture_output=True)
    assert _without_seconds(torn) == _without_seconds(whole)
    page = (torn / "page.html").read_text()
    assert page.count("<svg") == 2
    assert "Behind the" in page
    report = json.loads((whole / "report.json").read_text())
    assert [each["name"] for each in report["critics"]] == ["first", "second"]
    assert all(each["rows"] == min(one["kept"] for one in report["critics"]) for each in report["critics"])
    judged = whole / "critics" / "first" / "judged" / "results.jsonl"
    assert len(judged.read_text().splitlines()) == 4


def _without_seconds(folder: Path) -> dict[str, object]:
    report = records.from_json((folder / "report.json").read_bytes(), dict[str, object], "report")
    stages = report["stages"]
    assert isinstance(stages, list)
    return report | {"stages": [{k: v for k, v in stage.items() if k != "seconds"} for stage in stages]}
