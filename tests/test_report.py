"""The report: adds up, goes to JSON and back, and fits a terminal without hiding anything."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from genprm import records
from genprm.errors import InputError
from genprm.eval.metrics import score_split
from genprm.eval.report import Item, Report, build_report, print_report, read_report
from genprm.types import Usage

SETTINGS = {"how": "engine nano · 8 rationales", "engine": "nano", "sampling": {"temperature": 0.6, "seed": None}}


def items() -> list[Item]:
    usage = Usage(prompt_tokens=100_000, cached_tokens=40_000, completion_tokens=30_000, calls=8)
    return [
        Item("gsm8k", 2, 2, {"check timeout": 2}, usage, 30.0),
        Item("gsm8k", -1, None, {"row no_verdict": 1, "check timeout": 1}, usage, 40.0),
        Item("olympiadbench", -1, -1, {}, usage, 3600.0),
        Item("olympiadbench", 0, 0, {}, usage, 1.0),
        Item("gsm8k", -1, -1),
    ]


def printed(report: Report, width: int = 80) -> str:
    console = Console(width=width, highlight=False)
    with console.capture() as capture:
        print_report(report, console)
    return capture.get()


def test_everything_adds_up() -> None:
    report = build_report(items(), SETTINGS)
    gsm8k, olympiad = report.splits
    assert gsm8k.score == score_split([(2, 2), (-1, None), (-1, -1)], "gsm8k")
    assert gsm8k.failures == report.failures == {"check timeout": 3, "row no_verdict": 1}
    assert olympiad.failures == {}
    assert gsm8k.usage == olympiad.usage == Usage(200_000, 80_000, 60_000, 16)
    assert report.usage == Usage(400_000, 160_000, 120_000, 32)
    assert (gsm8k.seconds, olympiad.seconds, report.seconds) == (70, 3601, 3671)
    assert report.mean.f1 == pytest.approx((2 / 3 + 1) / 2)
    assert report.settings == SETTINGS
    assert (report.bootstrap.resamples, report.bootstrap.seed, report.bootstrap.level) == (10_000, 0, 0.95)


def test_json_and_back(tmp_path: Path) -> None:
    report = build_report(items(), SETTINGS, seed=3, resamples=100)
    path = tmp_path / "report.json"
    path.write_bytes(records.to_json(report))
    assert read_report(path) == report
    assert json.loads(path.read_text())["splits"][0]["score"]["f1"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"splits": 3}', '{"splits": []}'])
def test_a_file_that_is_no_report(tmp_path: Path, content: str) -> None:
    path = tmp_path / "report.json"
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_report(path)
    path.write_text(content)
    with pytest.raises(InputError, match=r"report\.json"):
        read_report(path)


def test_the_tables() -> None:
    lines = [" ".join(line.split()) for line in printed(build_report(items(), SETTINGS), 120).splitlines()]
    assert lines[0] == "split n missing error acc correct acc F1"
    assert lines[2] == "gsm8k 3 1 100.0 100.0–100.0 50.0 0.0–100.0 66.7 0.0–100.0"
    assert "mean 5 1 83.3 50.0–100.0" in lines
    assert "check timeout 3 0 3" in lines
    assert "row no_verdict 1 0 1" in lines
    assert "prompt tokens 200,000 200,000 400,000" in lines
    assert "of them cached 80,000 80,000 160,000" in lines
    assert "time, summed over rows 1m10s 1h00m 1h01m" in lines
    assert "engine nano · 8 rationales" in lines
    assert lines[-1] == "engine=nano, sampling.temperature=0.6, sampling.seed=null"


def test_a_full_report_fits_80_columns_in_one_line_a_split() -> None:
    rows = [
        Item(split, label, prediction, {"rationale engine_error": 100}, Usage(10**8, 10**7, 10**7, 10**4), 1e4)
        for split in ("gsm8k", "math", "olympiadbench", "omnimath")
        for label, prediction in [(1, 1), (1, 0), (-1, -1), (-1, None)]
        for _ in range(250)
    ]
    text = printed(build_report(rows, SETTINGS))
    assert max(map(len, text.splitlines())) <= 80
    assert [line.split()[:3] for line in text.splitlines()[2:6]] == [
        [split, "1,000", "250"] for split in ("gsm8k", "math", "olympiadbench", "omnimath")
    ]
    assert "100,000" in text
    assert "100.00G" in text
    assert "…" not in text


@pytest.mark.parametrize("width", [30, 50, 80])
def test_narrow_terminals_hide_nothing(width: int) -> None:
    rows = [Item(f"split-{i}", label, label) for i in range(8) for label in (0, -1)]
    text = printed(build_report(rows, {}), width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width


def test_no_rows_at_all() -> None:
    report = build_report([], {})
    assert report.splits == ()
    assert "n/a" in printed(report)


def test_hostile_names_are_only_text() -> None:
    name = "[red]a[/red][/]\x1b[2J\u202e"
    text = printed(build_report([Item(name, 0, None, {name: 1})], {name: name, "how": name}), 120)
    assert (
        text.count("[red]a[/red][/][2J") == 6
    )  # a row and a column of splits, a failure, the recipe, a setting and its value
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_plain_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(build_report(items(), SETTINGS))
    assert "\x1b" not in capsys.readouterr().out
