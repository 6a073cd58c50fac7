"""Best of N over many problems: exact figures, intervals, votes, resuming, and scorers on ProcessBench."""

import json
import math
import os
import random
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from genprm.candidates import Candidate, Group
from genprm.cli import main
from genprm.eval.bon_report import BonReport, build, fewer
from genprm.eval.bon_stats import SETS, accuracy, candidate_sets, sizes
from genprm.eval.bon_steps import told_apart
from genprm.eval.paired import means
from genprm.eval.processbench_scorers import prediction_of
from genprm.rank import Ranked, best
from genprm.records import from_json
from genprm.scorers.base import Scores
from genprm.synth.world import examples
from genprm.types import NO_ERROR, Problem, Solution, Usage
from tests.training_rows import write


def test_sizes_and_sets() -> None:
    assert sizes(8) == [1, 2, 4, 8]
    assert sizes(6) == [1, 2, 4, 6]
    assert sizes(0) == []
    assert candidate_sets(4, 2) == list(combinations(range(4), 2))
    drawn = candidate_sets(16, 8)
    assert len(drawn) == SETS
    assert all(len(set(some)) == 8 and list(some) == sorted(some) for some in drawn)
    assert drawn == candidate_sets(16, 8)


def test_the_accuracy_of_the_best_of_k_is_that_of_all_sets() -> None:
    """Of n candidates with scores in order, the best of k is candidate j in C(j, k - 1) of C(n, k) sets."""
    scores, right = [0.1, 0.2, 0.3, 0.4, 0.5], [True, False, True, False, False]
    for k in (1, 2, 4):
        found = accuracy(lambda some: best([scores[i] for i in some], list(some)), right, candidate_sets(5, k))
        expected = sum(math.comb(j, k - 1) for j, hit in enumerate(right) if hit) / math.comb(5, k)
        assert found == pytest.approx(expected)


def test_the_bootstrap_is_paired_and_has_the_width_that_theory_says() -> None:
    rng = random.Random(0)
    a = [float(rng.random() < 0.7) for _ in range(400)]
    b = [min(1.0, value + 0.1) for value in a]
    found = means({"a": a, "b": b, "c": [1.0] * 400})
    assert found["a"].value == pytest.approx(sum(a) / 400)
    interval = found["a"].measure().interval
    assert interval is not None
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * math.sqrt(0.7 * 0.3 / 400), rel=0.1)
    gain = found["b"].minus(found["a"])
    assert gain.interval is not None
    assert gain.interval.high - gain.interval.low < 0.02, "what makes a problem hard is the same for both"
    assert found["c"].measure().value == 1


def ranked(rng: random.Random, n: int, informed: float) -> tuple[Ranked, Ranked]:
    """Half of the candidates are right, their answers the same; scores know it with that probability."""
    right = [rng.random() < 0.5 for _ in range(n)]
    problem = Problem("p", "1")
    made = tuple(
        Candidate(Solution(problem, ("s",)), "1" if hit else str(i + 2), hit, tokens=10) for i, hit in enumerate(right)
    )
    plain = Ranked(Group("p", problem, made), tuple(0 if hit else i + 1 for i, hit in enumerate(right)), tuple(right))

    def score(hit: bool) -> Scores:
        votes = tuple(float(hit == (rng.random() < informed)) for _ in range(4))
        return Scores((sum(votes) / 4,), usage=Usage(completion_tokens=5, prompt_tokens=7), votes=(votes,), outcome=0.5)

    return plain, Ranked(plain.group, plain.answers, plain.right, tuple(map(score, right)))


def test_steps_are_told_apart_by_the_truth_of_their_text() -> None:
    """Scores of a scorer that knows, that knows nothing, that has it the wrong way round, and that knows wholes."""
    groups = []
    rights = [made.solution for made in examples("valid", 60) if made.solution.first_error == NO_ERROR]
    for solution in rights:  # the truth of one is read from its text, that of the other is said
        last = len(solution.steps) - 1
        faulty = replace(solution, steps=(*solution.steps[:-1], "So it is 1."), first_error=last)
        both = (replace(solution, first_error=None), faulty)
        groups.append(Group(solution.id, solution.problem, tuple(Candidate(one, None, None) for one in both)))

    def by(score: Callable[[Solution, int], float | None]) -> list[Ranked]:
        scores = [
            tuple(Scores(tuple(score(c.solution, at) for at in range(len(c.solution.steps)))) for c in group.candidates)
            for group in groups
        ]
        return [Ranked(group, (), (), own) for group, own in zip(groups, scores, strict=True)]

    def knows(solution: Solution, at: int) -> float:
        return float(solution.steps[at] != "So it is 1.")

    scored = {
        "knows": by(knows),
        "flat": by(lambda solution, at: 0.5),
        "contrary": by(lambda solution, at: 1 - knows(solution, at)),
        "silent": by(lambda solution, at: None),
    }
    found = {one.scorer: one for one in told_apart(scored, 200)}
    assert {name: (one.auroc.value, one.siblings.value) for name, one in found.items()} == {
        "knows": (1.0, 1.0),
        "flat": (0.5, 0.5),
        "contrary": (0.0, 0.0),
    }
    assert found["knows"].pairs == found["knows"].wrong == len(rights) > 10


@pytest.fixture(scope="module")
def report() -> BonReport:
    rng = random.Random(1)
    pairs = [ranked(rng, 4, 0.8) for _ in range(150)]
    return build([plain for plain, _ in pairs], {"critic": [own for _, own in pairs]}, {"engine": "x"}, resamples=200)


def test_a_scorer_that_knows_more_beats_votes(report: BonReport) -> None:
    at = {(point.method, point.n): point for point in report.points}
    assert at["pass@N", 4].accuracy.value == pytest.approx(1 - 0.5**4, abs=0.05)
    assert at["majority", 1].accuracy.value == at["pass@N", 1].accuracy.value
    gain = next(
        one for one in report.differences if (one.method, one.against, one.n) == ("critic · min · best", "majority", 2)
    )
    assert gain.difference.interval is not None
    assert gain.difference.interval.low > 0
    assert at["critic · min · best", 4].written == 4 * 15
    assert at["critic · min · best", 4].read == 4 * 7


def test_an_outcome_that_knows_nothing_is_no_better_than_chance_and_is_compared_with(report: BonReport) -> None:
    against = {
        way: {d.against for d in report.differences if d.method == f"critic · min · {way}"}
        for way in ("best", "weighted")
    }
    assert against["best"] == {"majority", "critic · outcome · best"}
    assert against["weighted"] == {*against["best"], "critic · outcome · weighted"}
    one = next(p for p in report.points if (p.method, p.n) == ("critic · outcome · best", 1))
    assert one.accuracy.value == pytest.approx(0.5, abs=0.08)


def test_more_votes_help(report: BonReport) -> None:
    curve = {point.votes: point for point in report.votes if point.method == "critic · min · best"}
    assert sorted(curve) == [1, 2, 4]
    assert (curve[4].accuracy.value or 0) > (curve[1].accuracy.value or 0)
    assert curve[4].gain.interval is not None
    assert curve[4].gain.interval.low > 0
    whole = next(p for p in report.points if (p.method, p.n) == ("critic · min · best", 4))
    assert curve[4].accuracy.value == whole.accuracy.value, "all votes are the critic itself"


def test_fewer_votes() -> None:
    scores = Scores((0.5,), votes=((1.0, None, 0.0, 0.5),))
    assert fewer(scores, [0, 3]).steps == (0.75,)
    assert fewer(scores, [1]).steps == (None,)


def test_nothing_at_all() -> None:
    empty = Ranked(Group("p", Problem("p"), ()), (), ())
    unknown = Ranked(Group("q", Problem("q"), ()), (0,), (None,))
    found = build([empty, unknown], {}, {}, resamples=10)
    assert found.problems == 0
    assert found.left_out == {"problem without candidates": 1, "right answer not known": 1}
    assert found.points == ()


def test_a_first_error_needs_the_scores_before_it() -> None:
    assert prediction_of((0.9, 0.2, None), 0.5) == 1
    assert prediction_of((0.9, None, 0.2), 0.5) is None
    assert prediction_of((0.9, 0.6), 0.5) == -1
    assert prediction_of((), 0.5) is None
    assert prediction_of((None,), 0.5) is None


# --- commands ------------------------------------------------------------------------------------------------------

CRITIC = "critic:symbolic,n=2,stopping=none,sandbox_level=process"


def candidates(path: Path) -> Path:
    def row(k: int) -> dict[str, Any]:
        right, wrong = f"{k} + 3 = {k + 3}\n\nSo \\boxed{{{k + 3}}}", f"{k} + 3 = {k + 4}\n\nSo \\boxed{{{k + 4}}}"
        return {
            "question": f"What is {k} + 3?",
            "gt": str(k + 3),
            "candidates": [{"solution": wrong}, {"solution": right}],
        }

    return write(path, [row(k) for k in range(6)])


@pytest.mark.slow
def test_a_run_is_gone_on_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, folder = candidates(tmp_path / "c.jsonl"), tmp_path / "run"
    words = ["eval", "bon", str(source), "--run", str(folder), "--resamples", "50"]
    assert main(words) == 0
    assert main([*words, "--scorer", CRITIC]) == 0
    found = from_json((folder / "report.json").read_bytes(), BonReport)
    at = {(point.method, point.n): point.accuracy.value for point in found.points}
    assert (at["majority", 2], at[f"{CRITIC} · min · best", 2], at["pass@N", 2]) == (0, 1, 1)
    assert {point.votes for point in found.votes} == {1, 2}
    before = (folder / "results.jsonl").read_bytes()
    torn = before[: before.rstrip(b"\n").rfind(b"\n") + 30]
    (folder / "results.jsonl").write_bytes(torn)
    os.remove(folder / "report.json")
    assert main([*words, "--scorer", CRITIC]) == 0
    assert "5 of 6 problems are scored" in capsys.readouterr().err
    assert from_json((folder / "report.json").read_bytes(), BonReport).points == found.points


@pytest.mark.slow
def test_candidates_of_the_world(tmp_path: Path) -> None:
    script = tmp_path / "s.jsonl"
    script.write_text(json.dumps({"text": "I say \\boxed{7}"}))
    words = [
        "eval",
        "bon",
        "--policy",
        f"scripted:{script}",
        "--problems",
        "5",
        "-n",
        "2",
        "--run",
        str(tmp_path / "run"),
    ]
    assert main(words) == 0
    found = from_json((tmp_path / "run" / "report.json").read_bytes(), BonReport)
    assert found.problems == 5
    assert found.settings["policy"] == f"scripted:{script}"


def test_the_world_needs_a_policy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "bon"]) == 2
    assert "--policy" in capsys.readouterr().err


@pytest.mark.slow
def test_processbench_by_a_scorer(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "problem": "What is 2 + 3?", "steps": ["2 + 3 = 5", "So \\boxed{5}"], "label": -1},
        {"id": "b", "problem": "What is 2 + 3?", "steps": ["2 + 3 = 6", "So \\boxed{6}"], "label": 0},
    ]
    source, folder = write(tmp_path / "pb.jsonl", rows), tmp_path / "run"
    words = ["eval", "processbench", "--data", str(source), "--scorer", "critic:symbolic,sandbox_level=process"]
    assert main([*words, "--run", str(folder)]) == 0
    assert json.loads((folder / "report.json").read_text())["mean"]["f1"] == 1
    assert main([*words, "--run", str(folder), "--threshold", "0"]) == 0, "another threshold needs no new scores"
    assert json.loads((folder / "report.json").read_text())["mean"]["f1"] == 0
    assert len((folder / "results.jsonl").read_text().splitlines()) == 2
