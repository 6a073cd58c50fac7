"""genprm eval policy on the scripted engine: answers are read, counted and kept."""

import json
from pathlib import Path

import pytest

from genprm.answers import boxed
from genprm.cli import main
from genprm.synth.world import examples

MADE = list(examples("valid", 6))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is $\\boxed{42}$.", "42"),
        ("\\boxed{1} and then \\boxed{ 2 }", "2"),
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed{7} but \\boxed{8", "7"),
        ("\\boxed{", None),
        ("boxed{3}", None),
        ("", None),
        ("\\boxed{}" * 2000, ""),
        ("\\boxed{" * 300, None),
    ],
)
def test_the_last_closed_box_is_the_answer(text: str, answer: str | None) -> None:
    assert boxed(text) == answer


def script(folder: Path, *rules: dict[str, object]) -> str:
    path = folder / "script.jsonl"
    path.write_text("".join(json.dumps(rule) + "\n" for rule in rules))
    return f"scripted:{path}"


def run(folder: Path, engine: str, *more: str) -> int:
    return main(
        ["eval", "policy", "--engine", engine, "--problems", "6", "--split", "valid", "--run", str(folder / "r"), *more]
    )


def answers() -> list[dict[str, object]]:
    """Right for all but the first problem to be solved."""
    solved = [made.solution.problem for made in MADE if not made.kind]
    return [{"when": p.text, "text": f"$\\boxed{{{p.answer}}}$"} for p in solved[1:]]


def test_right_answers_are_counted_by_task_and_difficulty(tmp_path: Path) -> None:
    assert run(tmp_path, script(tmp_path, *answers(), {"text": "I give up."}), "-n", "2") == 0
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    assert (report["solve"]["n"], report["solve"]["value"]) == (3, pytest.approx(2 / 3))
    assert (report["revise"]["n"], report["revise"]["value"]) == (3, 0)
    levels = {str(made.difficulty) for made in MADE if not made.kind}
    assert report["solve_by_difficulty"].keys() == levels
    lines = (tmp_path / "r" / "results.jsonl").read_text().splitlines()
    assert len(lines) == 12


def test_it_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = script(tmp_path, *answers(), {"text": "?"})
    assert run(tmp_path, engine) == 0
    whole = (tmp_path / "r" / "results.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "r" / "results.jsonl").write_text("".join(whole[:4]) + whole[4][:20])
    first = (tmp_path / "r" / "report.json").read_text()
    assert run(tmp_path, engine) == 0
    assert "4 answers are there" in capsys.readouterr().err
    again = (tmp_path / "r" / "results.jsonl").read_text().splitlines(keepends=True)
    assert again[:4] == whole[:4]
    assert sorted(again) == sorted(whole)
    assert (tmp_path / "r" / "report.json").read_text() == first


def test_an_engine_that_fails_is_counted_and_not_read_as_wrong_in_silence(tmp_path: Path) -> None:
    assert run(tmp_path, script(tmp_path, {"error": "out of order"})) == 1
    assert json.loads((tmp_path / "r" / "report.json").read_text())["failed"] == 6


@pytest.mark.parametrize("more", [("-n", "0"), ("--problems", "0"), ("--engine", "nobody")])
def test_bad_options(tmp_path: Path, more: tuple[str, str]) -> None:
    assert run(tmp_path, script(tmp_path, {"text": "x"}), *more) == 2
    assert not (tmp_path / "r").exists()
