"""genprm eval policy on the scripted engine: answers are read, counted and kept."""

import json
from pathlib import Path

import pytest

from genprm.answers import boxed, same_number
from genprm.cli import main
from genprm.runs import digest
from genprm.synth.world import examples

pytestmark = pytest.mark.usefixtures("no_pictures")

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


@pytest.mark.parametrize(
    "text",
    [
        "2010", " 2010 ", "+2010", "02010", "2010.", "2010.000", "2,010", "2{,}010", "2\\,010", "2,\\!010",
        "2\u202f010", "$2010", "\\$2010", "\\$ 2,010.00", "$2010$", "2010 €", "£2010",
    ],
)  # fmt: skip
def test_a_number_is_the_same_however_it_is_written(text: str) -> None:
    assert same_number(text, "2010")
    assert same_number("2010", text)
    assert not same_number(text, "2011")


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "-", "$", ",", "2 010", "20,10", "2,01", "2,0100", "2010,", ",010", "0,201", "2010 apples", "x = 2010",
        "2010%", "2010\\%", "2010\\text{ m}", "2010/1", "\\frac{2010}{1}", "2.01e3", "--2010", "-$-2010", "-2010",
        "20.10", "2010.0.0", "2010\n2010", "２０１０", "٢٠١٠", "2²", "0x7da", "2_010", "nan", "infinity", "2010\x00",
        "9" * 100_000, "9" * 100_000 + "x", "1," * 100_000, " " * 100_000 + ".", "\\," * 100_000, "-" * 100_000,
    ],
)  # fmt: skip
def test_what_is_another_number_or_none(text: str) -> None:
    assert not same_number(text, "2010")
    assert not same_number("2010", text)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("-5", "−5.0", True),
        ("-\\$5", "\\$-5", True),
        ("-0", "0", True),
        (".5", "0.50", True),
        ("0.1", "0.10000000000000000001", False),
        ("9" * 5000, "9" * 5000 + ".0", True),
        ("12 cm", "12 cm", False),
        (None, None, False),
        (None, "0", False),
    ],
)
def test_numbers_are_exact(one: str | None, other: str | None, same: bool) -> None:
    assert same_number(one, other) == same


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


def test_an_answer_is_read_as_a_number(tmp_path: Path) -> None:
    solved = [made.solution.problem for made in MADE if not made.kind]
    written = [f"\\${solved[0].answer}.00", f"{solved[1].answer} of them", f"0{solved[2].answer}"]
    rules: list[dict[str, object]] = [
        {"when": p.text, "text": f"$\\boxed{{{text}}}$"} for p, text in zip(solved, written, strict=True)
    ]
    assert run(tmp_path, script(tmp_path, *rules, {"text": "?"})) == 0
    lines = map(json.loads, (tmp_path / "r" / "results.jsonl").read_text().splitlines())
    assert [line["right"] for line in sorted(lines, key=lambda line: str(line["id"])) if line["task"] == "solve"] == [
        True,
        False,
        True,
    ]


def test_the_report_says_how_it_was_made(tmp_path: Path) -> None:
    assert run(tmp_path, script(tmp_path, {"text": "?"}), "--top-p", "0.5") == 0
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    assert report["bootstrap"] == {"level": 0.95, "resamples": 1000, "seed": 0}
    settings = report["settings"]
    assert settings == json.loads((tmp_path / "r" / "run.json").read_text())["config"]
    assert (settings["split"], settings["rows"], settings["sampling"]["top_p"]) == ("valid", 6, 0.5)
    assert settings["data"] == digest(made.solution for made in MADE)


@pytest.mark.slow
def test_a_run_is_not_gone_on_with_under_other_options_of_the_engine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("--problems", "1", "--max-tokens", "1")
    assert run(tmp_path, "nano", *asked, "--engine-option", "max_batch=2") == 0
    assert run(tmp_path, "nano", *asked, "--engine-option", "max_batch=2") == 0
    assert run(tmp_path, "nano", *asked, "--engine-option", "max_batch=3") == 2
    assert "was begun with engine_options = ['max_batch=2'], now it is ['max_batch=3']" in capsys.readouterr().err
    assert run(tmp_path, "nano", *asked, "--engine-option", "max_batch=2", "--template", "chatml") == 2
    assert "was begun with template = None, now it is 'chatml'" in capsys.readouterr().err


@pytest.mark.slow
def test_difficulties_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, script(tmp_path, *answers(), {"text": "I give up."})) == 0
    assert (tmp_path / "r" / "difficulty.svg").exists()
    assert "difficulty.png" in capsys.readouterr().out


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


@pytest.mark.parametrize(
    "more",
    [
        ("-n", "0"),
        ("--problems", "0"),
        ("--engine", "nobody"),
        ("--top-p", "0"),
        ("--top-p", "1.1"),
        ("--top-k", "-1"),
        ("--temperature", "-1"),
        ("--temperature", "nan"),
        ("--max-tokens", "0"),
    ],
)
def test_bad_options(tmp_path: Path, more: tuple[str, str]) -> None:
    assert run(tmp_path, script(tmp_path, {"text": "x"}), *more) == 2
    assert not (tmp_path / "r").exists()
