"""genprm eval search: curves, what is read off them, and the command."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from genprm.cli import main
from genprm.eval.curves import Cell, Curve, compare, points
from genprm.eval.search import Arm, to_trials
from genprm.eval.search_report import ANY, BASELINE, MAJORITY, Q_ALONE, Trial, build_report, progress_by
from genprm.eval.search_show import render_report
from genprm.searching.paths import Account, Candidate, SearchResult
from genprm.searching.plan import SearchPlan
from genprm.searching.scores import EffectiveReward, Mark
from genprm.synth.world import examples
from genprm.types import Problem, Solution, Usage
from tests.search_trees import TableScorer
from tests.test_provers import script


def cell(method: str, size: int, right: list[int], tokens: float) -> Cell:
    return Cell(method, size, np.array(right, float), np.full(len(right), tokens))


BASE = [
    cell(BASELINE, 1, [1, 0, 0, 0], 100),
    cell(BASELINE, 2, [1, 1, 0, 0], 200),
    cell(BASELINE, 4, [1, 0, 0, 0], 400),  # worse by chance
    cell(BASELINE, 8, [1, 1, 1, 0], 800),
]


def test_a_curve_by_hand() -> None:
    curve = Curve(np.array([0.25, 0.5, 0.25, 0.75]), np.array([100.0, 200, 400, 800]))
    assert curve.accuracy_at(100) == 0.25
    assert curve.accuracy_at(np.sqrt(100 * 200)) == pytest.approx(0.375)  # half-way, by the logarithm
    assert curve.accuracy_at(400) == 0.5  # the best so far
    assert np.isnan([curve.accuracy_at(99), curve.accuracy_at(801)]).all()
    assert curve.tokens_for(0.5) == pytest.approx(200)
    assert curve.tokens_for(0.625) == pytest.approx(np.sqrt(400 * 800))
    assert curve.tokens_for(0.9) == pytest.approx(800)
    assert np.isnan(curve.tokens_for(0.2))


def test_a_curve_without_a_rise() -> None:
    flat = Curve(np.array([0.5, 0.5]), np.array([100.0, 200]))
    assert [flat.tokens_for(0.5), flat.tokens_for(0.6)] == pytest.approx([100, 100])


def test_a_method_against_the_baseline_by_hand() -> None:
    better = cell("beam", 1, [1, 1, 0, 0], 100)
    best = cell("beam", 4, [1, 1, 1, 1], 200)
    dear = cell("beam", 8, [1, 1, 1, 1], 1600)
    found = {each.size: each for each in compare([*BASE, better, best, dear], BASELINE, resamples=200)}
    assert found[1].gain.value == pytest.approx(0.25)
    assert found[1].share.value == pytest.approx(0.5)
    assert not found[1].beyond
    assert found[4].gain.value == pytest.approx(0.5)
    assert found[4].share.value == pytest.approx(0.25)
    assert found[4].beyond
    assert (found[8].gain.value, found[8].gain.interval) == (None, None)
    assert found[8].share.value == pytest.approx(2)


def test_differences_are_paired() -> None:
    """A method that is always right where the baseline is, and on every tenth problem more: the gain is known far
    better than either accuracy."""
    rng = np.random.default_rng(0)
    base = rng.random(400) < 0.5
    right = base | (np.arange(400) % 10 == 0)
    cells = [Cell(name, 1, got.astype(float), np.full(400, 100.0)) for name, got in ((BASELINE, base), ("m", right))]
    (found,) = compare(cells, BASELINE)
    assert found.gain.interval is not None
    alone = points(cells)[1].accuracy.interval
    assert alone is not None
    assert found.gain.interval.low > 0
    assert found.gain.interval.high - found.gain.interval.low < 0.6 * (alone.high - alone.low)
    assert compare(cells, BASELINE) == [found]  # the same seed


def test_without_a_baseline_nothing_is_compared() -> None:
    assert compare([cell("m", 1, [1, 0], 10)], BASELINE) == []


def trial(id_: str, method: str, size: int, right: bool, tokens: int) -> Trial:
    account = Account(Usage(completion_tokens=tokens), Usage(prompt_tokens=30, cached_tokens=10, completion_tokens=5))
    return Trial(id_, 1, method, size, right, "finished", account, {"proposals": size})


def test_a_report_counts_both_ways() -> None:
    trials = [trial(str(i), method, 2, i > 0, 50) for i in range(3) for method in (BASELINE, Q_ALONE)]
    report = build_report(trials, {})
    by_axis = {axis.axis: {point.method: point for point in axis.points} for axis in report.axes}
    assert by_axis["policy"][Q_ALONE].tokens == 50
    assert by_axis["total"][Q_ALONE].tokens == 50 + 5 + 20
    assert by_axis["policy"][Q_ALONE].accuracy.value == pytest.approx(2 / 3)
    assert report.counts[Q_ALONE] == {"proposals": 6}
    assert report.account.policy.completion_tokens == 300
    with pytest.raises(ValueError, match="has no trial of 2"):
        build_report(trials[:-1], {})


def test_what_progress_adds_is_paired_at_the_same_width() -> None:
    by = progress_by("bo:4", 1.0)
    hits = {(Q_ALONE, 1): [1, 0, 0, 0], (by, 1): [1, 1, 0, 0], (Q_ALONE, 2): [1, 1, 0, 0], (by, 4): [1, 1, 1, 1]}
    trials = [trial(str(i), *arm, bool(hit), 50) for arm, own in hits.items() for i, hit in enumerate(own)]
    (one,) = build_report([*trials, *(trial(str(i), BASELINE, 1, True, 50) for i in range(4))], {}).progress
    assert (one.method, one.size) == (by, 1)
    assert one.gain.value == pytest.approx(0.25)
    assert one.gain.interval is not None
    assert one.gain.interval.low >= 0, "right wherever Q alone is right"


def test_ties_of_a_majority_are_broken_by_nobody_who_knows() -> None:
    """Two answers, one vote each, the right one first by the scorer: the majority finds it in half of the problems."""
    arm = Arm(BASELINE, 2, SearchPlan(), EffectiveReward(TableScorer(lambda step: 1.0)))
    first, right = next(iter(examples("valid", 1))), 0
    for n in range(200):
        problem = Problem(f"{n}?", "1")
        steps = [(f"In {n}, $\\boxed{{{answer}}}$.",) for answer in (1, 2)]
        both = tuple(Candidate(each, (Mark(),), str(n), True, 1) for n, each in enumerate(steps, 1))
        result = SearchResult(problem, "finished", steps[0], (), "1", both, Account(), {}, 1, "", "", arm.plan)
        made = replace(first, solution=Solution(problem, steps[0], id=str(n)))
        by = {each.method: each.right for each in to_trials(made, arm, result)}
        assert by[BASELINE]
        assert by[ANY]
        right += by[MAJORITY]
    assert 70 < right < 130


@pytest.mark.parametrize("asked", [{"scorer": "completions:4"}, {"provers": ["bo:2", "bo:2:completions:4"]}])
def test_who_knows_the_answers_is_said(asked: dict[str, object]) -> None:
    trials = [trial("p", method, 2, True, 50) for method in (BASELINE, Q_ALONE)]
    for settings, said in (({"scorer": "head:a", "provers": ["bo:2"]}, False), ({"scorer": "head:a"} | asked, True)):
        console = Console(file=StringIO(), width=200)
        console.print(render_report(build_report(trials, settings)))
        assert ("know the answers" in console.file.getvalue()) == said  # type: ignore[attr-defined]


def command(folder: Path, *more: str) -> list[str]:
    options = ["--policy", script(folder), "--problems", "3", "--split", "valid", "--run", str(folder / "run")]
    sizes = ["--best-of", "1", "2", "4", "--beams", "1", "2", "--expand", "3"]
    return ["eval", "search", *options, *sizes, "--scorer", "completions:4", *more]


@pytest.mark.slow  # draws
def test_the_command_compares_draws_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(tmp_path)) == 0
    folder = tmp_path / "run"
    report = json.loads((folder / "report.json").read_text())
    found = {(point["method"], point["size"]): point for point in report["axes"][0]["points"]}
    assert {method for method, _ in found} == {BASELINE, MAJORITY, ANY, Q_ALONE}
    assert found[ANY, 4]["accuracy"]["value"] >= found[BASELINE, 4]["accuracy"]["value"]
    assert found[Q_ALONE, 2]["accuracy"]["value"] == 1  # an oracle, and both beginnings are proposed
    assert found[MAJORITY, 1]["accuracy"] == found[ANY, 1]["accuracy"]
    lines = len((folder / "results.jsonl").read_bytes().splitlines())
    assert lines == 3 * (3 * 3 + 2)
    more = ["--prover", "bo:2", "bo:4", "--alpha", "0.5", "1"]
    assert main(command(tmp_path, *more)) == 0  # a sweep may follow later, in the same run
    wider = json.loads((folder / "report.json").read_text())
    methods = {point["method"] for point in wider["axes"][0]["points"]}
    assert {progress_by(prover, alpha) for prover in ("bo:2", "bo:4") for alpha in (0.5, 1)} <= methods
    assert wider["axes"][0]["points"][: len(found)] == report["axes"][0]["points"]
    for name in ("curves", "sweep"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "beam" in (folder / f"{name}.svg").read_text()
    assert "bo:4" in (folder / "sweep.svg").read_text()
    said = capsys.readouterr()
    assert "points at equal tokens" in said.out
    assert "going on" in said.err
    assert main(command(tmp_path)) == 0  # and what is there is not lost by asking for less
    assert json.loads((folder / "report.json").read_text())["axes"] == report["axes"]


@pytest.mark.parametrize(
    "wrong", [["--best-of", "0"], ["--beams", "-1"], ["--alpha", "0"], ["--problems", "0"], ["--expand", "0"]]
)
def test_options_that_do_not_fit(tmp_path: Path, wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(tmp_path, *wrong)) == 2
    assert not (tmp_path / "run").exists()
    assert "above 0" in capsys.readouterr().err


@pytest.mark.slow  # draws
def test_a_legend_names_folders_and_not_their_paths() -> None:
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    from genprm.eval.search_plots import named

    assert named("beam, Q + 1 A[bo:2:head:/data/runs/heads/q]") == "beam, Q + 1 A[bo:2:head:q]"
    assert named("prm:Qwen/Qwen2.5-Math-PRM-7B") == "prm:Qwen2.5-Math-PRM-7B"
    assert [named(name) for name in ("head:q", "beam, Q", "bo:4", "world:0.4")] == [
        "head:q",
        "beam, Q",
        "bo:4",
        "world:0.4",
    ]
