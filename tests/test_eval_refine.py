"""genprm eval refine: the same first solutions for all arms, what is counted, going on, and the figures."""

import json
from pathlib import Path

import pytest

from genprm.answers import same_number
from genprm.cli import main
from genprm.eval.paired import means
from genprm.eval.refine import Entry
from genprm.eval.refine_report import RefineReport, build_report
from genprm.records import from_json
from genprm.refining import Refinement, RefinePlan, Review, Version
from genprm.types import Problem, Solution, Usage

pytestmark = pytest.mark.usefixtures("no_pictures")

WRONG, RIGHT = "6 + 7 = 13.\n\n\\boxed{13}", "6 * 7 = 42.\n\n\\boxed{42}"


def engines(folder: Path, *policy: dict[str, object]) -> list[str]:
    """The policy solves wrongly and mends rightly; the critic knows the right one."""
    rules = policy or (
        {"when": "Review this", "text": "All paragraphs are right."},
        {"when": "without the mistake", "text": RIGHT},
        {"text": WRONG},
    )
    judge = [{"when": "= 42", "text": "\\boxed{-1}"}, {"text": "\\boxed{0}"}]
    for name, lines in (("policy", rules), ("critic", judge)):
        (folder / name).write_text("".join(json.dumps(rule) + "\n" for rule in lines))
    rows = [{"id": n, "question": f"What is 6 times 7, {n}?", "answer": "It is.\n#### 42"} for n in range(4)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = ["--policy", f"scripted:{folder / 'policy'}", "--engine", f"scripted:{folder / 'critic'}"]
    return [*made, "--protocol", "judge", "--data", str(folder / "rows.jsonl"), "--run", str(folder / "run")]


def run(folder: Path, *more: str, policy: tuple[dict[str, object], ...] = ()) -> int:
    return main(["eval", "refine", *engines(folder, *policy), "--arms", "critic", "self", "resample", *more])


def report(folder: Path) -> RefineReport:
    return from_json((folder / "run" / "report.json").read_bytes(), RefineReport)


def entries(folder: Path) -> list[Entry]:
    return [from_json(line, Entry) for line in (folder / "run" / "results.jsonl").read_bytes().splitlines()]


def test_all_arms_from_the_same_first_solutions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path) == 0
    found = report(tmp_path)
    by_name = {arm.name: arm for arm in found.arms}
    assert found.problems == 4
    assert [turn.accuracy.value for turn in by_name["critic"].turns] == [0, 1, 1, 1]
    assert [turn.gained for turn in by_name["critic"].turns] == [0, 4, 0, 0]
    assert [turn.accuracy.value for turn in by_name["self"].turns] == [0, 0, 0, 0]
    assert (by_name["self"].accepted_wrong, by_name["critic"].accepted_right) == (4, 4)
    assert {arm.turns[0].accuracy.value for arm in found.arms} == {0}
    firsts = {(e.refinement.id, e.refinement.versions[0].solution.steps) for e in entries(tmp_path)}
    assert len(firsts) == 4
    against = {each.other: each for each in found.comparisons}
    assert against["self"].difference.value == 1
    assert against["self"].ratio is None, "it does not rise"
    out = capsys.readouterr().out
    assert "critic over self" in out
    assert "no pictures: pip install" in out


def test_resampling_writes_as_much_as_policy_and_critic(tmp_path: Path) -> None:
    assert run(tmp_path) == 0
    by_name = {arm.name: arm for arm in report(tmp_path).arms}
    one = by_name["resample"].turns[0].written
    for own, like in zip(by_name["resample"].turns[1:], by_name["critic"].turns[1:], strict=True):
        assert like.written <= own.written < like.written + one


@pytest.mark.slow
def test_it_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path) == 0
    whole = (tmp_path / "run" / "results.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "run" / "results.jsonl").write_text("".join(whole[:6]) + whole[6][:30])
    capsys.readouterr()
    assert run(tmp_path) == 0
    assert "2 are there of self" in capsys.readouterr().err
    assert len(entries(tmp_path)) == 12
    assert len((tmp_path / "run" / "results.jsonl").read_text().splitlines()) == 12
    assert (tmp_path / "run" / "turns.svg").exists()


@pytest.mark.slow
def test_engines_that_fail_are_counted_and_tried_again(tmp_path: Path) -> None:
    broken: tuple[dict[str, object], ...] = ({"when": "without the mistake", "error": "no power"}, {"text": WRONG})
    assert run(tmp_path, policy=broken) == 1
    outcomes = {arm.name: dict(arm.outcomes) for arm in report(tmp_path).arms}
    assert outcomes["critic"] == {"policy_failed": 4}
    assert {turn.accuracy.value for arm in report(tmp_path).arms for turn in arm.turns} == {0}
    before = len(entries(tmp_path))
    assert run(tmp_path, "--retry-failed", policy=broken) == 1
    again = [entry.arm for entry in entries(tmp_path)[before:]]
    assert again.count("critic") == 4
    assert again.count("resample") == 4, "it spends what the critic spends"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"question": "x"}, "answer"),
        ({"answer": "1"}, "problem"),
        ({"question": " ", "answer": 1}, "problem"),
        ({"question": "x", "answer": True}, "answer"),
    ],
)
def test_rows_that_cannot_be_graded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], row: dict[str, object], said: str
) -> None:
    asked = engines(tmp_path)
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    assert main(["eval", "refine", *asked]) == 2
    error = capsys.readouterr().err
    assert "rows.jsonl:1" in error
    assert f"field {said}" in error
    assert not (tmp_path / "run").exists()


def test_an_arm_that_the_protocol_cannot_have(tmp_path: Path) -> None:
    assert main(["eval", "refine", *engines(tmp_path), "--arms", "no-code"]) == 2
    assert not (tmp_path / "run").exists()


def one(id: str, answers: tuple[str, ...], leaders: tuple[int, ...]) -> Refinement:
    problem = Problem("?", "1")
    versions = tuple(
        Version(
            turn, Solution(problem, ("s",)), "ok", leader, answer, review=Review(False, 0, "no", 0.1), usage=Usage(10)
        )
        for turn, (answer, leader) in enumerate(zip(answers, leaders, strict=True))
    )
    return Refinement(id, problem, "p", "r", RefinePlan(turns=2), "turns", versions)


def test_what_a_turn_loses_is_shown() -> None:
    found = [one("a", ("1", "2", "1"), (0, 1, 2)), one("b", ("2", "1"), (0, 1)), one("c", ("1", "2"), (0, 0))]
    made = build_report({"critic": found}, 2, same_number, {})
    turns = made.arms[0].turns
    assert [turn.accuracy.value for turn in turns] == [pytest.approx(share) for share in (2 / 3, 2 / 3, 1)]
    assert [(turn.gained, turn.lost) for turn in turns] == [(0, 0), (1, 1), (1, 0)]


def test_shares_are_paired() -> None:
    hits = [bool(n % 3) for n in range(200)]
    found = means({"a": hits, "b": hits, "c": [not hit for hit in hits]}, resamples=300)
    assert found["a"].minus(found["b"]).interval is not None
    assert found["a"].less(found["b"]).draws == [0.0] * 300
    assert found["a"].value == pytest.approx(sum(hits) / 200)
    difference = found["a"].minus(found["c"])
    assert difference.interval is not None
    assert difference.interval.low < (difference.value or 0) < difference.interval.high
    assert means({"a": []})["a"].value is None


@pytest.mark.slow
def test_the_shipped_models(tmp_path: Path) -> None:
    asked = ["--split", "valid", "--problems", "3", "-n", "1", "--turns", "1", "--max-tokens", "256"]
    assert main(["eval", "refine", *asked, "--run", str(tmp_path / "run")]) == 0
    found = report(tmp_path)
    assert [arm.name for arm in found.arms] == ["critic", "no-code", "self", "resample"]
    assert len({arm.turns[0].accuracy.value for arm in found.arms}) == 1
    assert all(arm.usage.completion_tokens for arm in found.arms)
