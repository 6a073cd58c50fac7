"""The pipeline: stages that are killed, starved, or begun with other options."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from genprm.cli import main
from genprm.engines.scripted import Rule, ScriptedEngine
from genprm.errors import EngineLost, InputError
from genprm.runs import Run
from genprm.sandbox import Sandbox
from genprm.synth import stage_list
from genprm.synth.config import read_pipeline
from genprm.synth.ledger import Recorded
from genprm.synth.plan import make_plan
from genprm.synth.stage_list import card_stages
from genprm.synth.stages import Done, Prices, run_stage
from genprm.synth.world import examples
from genprm.types import Message, Prompt, Sampling
from tests.full_disk import room_for

CONFIG = {"stage": "test"}
PROBLEMS = [made.solution.problem for made in examples("train", 12)]


# --- one stage -----------------------------------------------------------------------------------------------------


def stage(
    folder: Path, items: list[str], engine: Any = None, *, retry_failed: bool = False, at_once: int = 256
) -> tuple[list[Done[str]], int]:
    """Asks twice about each item; what was asked in all."""

    async def work() -> tuple[list[Done[str]], int]:
        asked = engine or ScriptedEngine([Rule(when="bad", text="?"), Rule(text="fine")])
        with Run(folder, CONFIG) as run:
            ledger = Recorded(asked, folder / "calls.jsonl", 4)

            async def each(item: str) -> str:
                said = [await ledger.complete(Prompt((Message("user", item),)), Sampling(seed=k)) for k in (1, 2)]
                if said[0].text == "?":
                    raise ValueError(f"{item} makes no sense")
                return item + " " + said[1].text

            try:
                done = await run_stage(
                    "asking",
                    items,
                    each,
                    run,
                    str,
                    key=str,
                    engine=ledger,
                    prices=Prices(1, 2),
                    at_once=at_once,
                    retry_failed=retry_failed,
                )
            finally:
                await ledger.close()
            return done, ledger.counts.asked

    return asyncio.run(work())


def test_records_come_in_the_order_of_the_items_and_once(tmp_path: Path) -> None:
    items = [f"item {n}" for n in range(40)]
    done, asked = stage(tmp_path, items)
    assert [line.record for line in done] == [f"{item} fine" for item in items]
    assert asked == 80
    lines = (tmp_path / "results.jsonl").read_bytes()
    assert [json.loads(line)["key"] for line in lines.splitlines()] == items
    assert stage(tmp_path, items) == (done, 0)
    assert (tmp_path / "results.jsonl").read_bytes() == lines


def test_an_item_that_fails_is_recorded_and_ends_nothing(tmp_path: Path) -> None:
    done, _ = stage(tmp_path, ["a", "bad one", "c"])
    assert [(line.record, line.error) for line in done] == [
        ("a fine", ""),
        (None, "ValueError: bad one makes no sense"),
        ("c fine", ""),
    ]
    good = ScriptedEngine([Rule(text="fine")], "another")
    assert stage(tmp_path, ["a", "bad one", "c"], good) == (done, 0)
    again, asked = stage(tmp_path, ["a", "bad one", "c"], good, retry_failed=True)
    assert ([line.record for line in again], asked) == (["a fine", "bad one fine", "c fine"], 2)


def test_results_that_were_cut_short_are_made_again_without_a_call(tmp_path: Path) -> None:
    items = [f"item {n}" for n in range(10)]
    done, _ = stage(tmp_path, items)
    path = tmp_path / "results.jsonl"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join([lines[7], lines[2], lines[4][:9]]))
    assert stage(tmp_path, items) == (done, 0)
    assert path.read_bytes() == whole


def test_an_engine_that_is_lost_ends_the_stage_which_then_goes_on(tmp_path: Path) -> None:
    class Leaving(ScriptedEngine):
        async def complete(self, prompt: Prompt, sampling: Sampling) -> Any:
            if self.calls >= 25:
                raise EngineLost("it has gone")
            await asyncio.sleep(0.001)
            return await super().complete(prompt, sampling)

    items = [f"item {n}" for n in range(40)]
    with pytest.raises(EngineLost):
        stage(tmp_path, items, Leaving([Rule(text="fine")]))
    n_done = len((tmp_path / "results.jsonl").read_text().splitlines())
    assert 0 < n_done < 40
    n_kept = len((tmp_path / "calls.jsonl").read_text().splitlines())
    assert n_kept >= 25
    done, asked = stage(tmp_path, items, ScriptedEngine([Rule(text="fine")]))
    assert [line.record for line in done] == [f"{item} fine" for item in items]
    assert asked == 80 - n_kept


def test_no_more_items_are_begun_than_keep_the_engine_busy(tmp_path: Path) -> None:
    begun = most = 0

    async def work() -> None:
        nonlocal begun, most
        engine = ScriptedEngine([Rule(text="fine", delay_s=0.002)])
        with Run(tmp_path, CONFIG) as run:
            ledger = Recorded(engine, tmp_path / "calls.jsonl", 4)

            async def each(item: str) -> str:
                nonlocal begun, most
                begun += 1
                most = max(most, begun)
                for k in range(3):
                    await ledger.complete(Prompt((Message("user", item),)), Sampling(seed=k))
                begun -= 1
                return item

            items = [str(n) for n in range(60)]
            await run_stage("asking", items, each, run, str, key=str, engine=ledger)
            await ledger.close()

    asyncio.run(work())
    assert 4 <= most <= 8


# --- the file ------------------------------------------------------------------------------------------------------


TOML = """
seed = 3
[problems]
source = "world:train:0-12"
[solutions]
engine = "policy"
rounds = {{ first = 4, cap = 8 }}
[engines.policy]
engine = "scripted:{script}"
concurrency = 4
tokens_per_s = 100
price_in = 1.0
price_out = 10.0
"""


def write(folder: Path, delay_s: float = 0.0, toml: str = TOML) -> Path:
    rules: list[dict[str, Any]] = [
        {
            "when": problem.text,
            "texts": [f"Try {n}.\n\nSo $\\boxed{{{int(str(problem.answer)) + n % 2}}}$." for n in range(7)],
            "delay_s": delay_s,
        }
        for problem in PROBLEMS[1:]
    ]
    rules.append({"text": "I do not know. " * 500, "delay_s": delay_s})  # the first problem is never solved
    script = folder / "script.jsonl"
    script.write_text("".join(json.dumps(rule) + "\n" for rule in rules))
    path = folder / "p.toml"
    path.write_text(toml.format(script=script))
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("seed = 3", "sede = 3"), "unknown field `sede`"),
        (("cap = 8", "cap = 2"), "field solutions.rounds: rounds need"),
        (("cap = 8", "capp = 8"), "field solutions.rounds: Object contains unknown field `capp`"),
        (("cap = 8", "cap = true"), "field solutions.rounds.cap: Expected `int`, got `bool`"),
        (("concurrency = 4", "concurrency = 0"), "field engines[...].concurrency: Expected `int` >= 1"),
        (("[problems]", "[problem]"), "unknown field `problem`"),
        (('engine = "policy"', 'existing = "x.jsonl"'), "one of both"),
        (('engine = "policy"', 'strategies = [{{temperature = -1}}]\nengine = "policy"'), "solutions.strategies[0]"),
        (('engine = "policy"', 'strategies = [{{prompt = "x"}}]\nengine = "policy"'), "unknown prompt 'x'"),
        (('engine = "policy"', 'strategies = []\nengine = "policy"'), "field solutions.strategies: Expected `array`"),
        (
            ('engine = "policy"', 'strategies = [{{kind = "beam", width = 0}}]\nengine = "policy"'),
            "field solutions.strategies[0]: a beam needs a width",
        ),
        (("seed = 3", "seed = "), "is not TOML"),
    ],
)
def test_what_is_wrong_in_the_file_is_said(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    path = write(tmp_path, toml=TOML.replace(*change, 1))
    with pytest.raises(InputError) as error:
        read_pipeline(path)
    assert str(error.value).startswith(str(path))
    assert said in str(error.value)


def test_a_section_without_its_stage_is_refused_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path)
    assert main(["synth", "run", str(path), "--stage", "labels", "-o", str(tmp_path / "out")]) == 2
    assert "has no section [labels]" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_solutions_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = write(tmp_path), tmp_path / "out"
    assert main(["synth", "run", str(path), "-o", str(out)]) == 0
    folder = out / "1-solutions"
    report = json.loads((folder / "report.json").read_text())
    assert report["problems"] == 12
    assert report["kinds"]["only_wrong"] >= 1  # the one that is never solved
    assert report["grades"]["cut_off"] == 8
    assert report["cost"]["calls"] == report["draws"] == len((folder / "calls.jsonl").read_text().splitlines())
    assert report["dropped"]["one_kind_only"] >= 1
    assert sum(report["grades"].values()) == report["draws"]
    before = (folder / "results.jsonl").read_bytes()
    capsys.readouterr()
    assert main(["synth", "solutions", str(out)]) == 0
    assert "1-solutions: problems 12" in capsys.readouterr().err
    assert (folder / "results.jsonl").read_bytes() == before


def test_other_options_are_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = write(tmp_path), tmp_path / "out"
    assert main(["synth", "run", str(path), "-o", str(out)]) == 0
    path.write_text(path.read_text().replace("seed = 3", "seed = 4"))
    assert main(["synth", "run", str(path), "-o", str(out)]) == 2
    assert "was begun with seed = 3, now it is 4; name another folder with -o" in capsys.readouterr().err


def test_a_plan_is_made_before_anything_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = write(tmp_path), tmp_path / "out"
    assert main(["synth", "run", str(path), "-o", str(out), "--plan"]) == 0
    assert "a guess" in capsys.readouterr().out
    assert not out.exists()
    guessed = make_plan(read_pipeline(path), out)
    assert guessed.costs[0].calls == 12 * 8
    assert guessed.costs[0].seconds == pytest.approx(12 * 8 * 300 / 100)
    assert guessed.total.money == pytest.approx(
        (guessed.costs[0].prompt_tokens * 1 + guessed.costs[0].tokens * 10) / 1e6
    )
    assert main(["synth", "run", str(path), "-o", str(out)]) == 0
    report = json.loads((out / "1-solutions" / "report.json").read_text())
    measured = make_plan(read_pipeline(path), out)
    assert measured.costs[0].calls == pytest.approx(report["draws"])
    assert any("measured" in line for line in measured.assumptions)


@pytest.mark.parametrize(
    ("plan", "calls"),
    [
        ("fixed:64", 96 * 8 * 64),
        ("fixed:4+binary", 96 * 4 * 4),
        ("paper", 96 * 8 * 64),
        ("adaptive:0.9", 96 * 8 * 12),
        ("adaptive:0.9:4", 96 * 8 * 4),
    ],
)
def test_a_plan_knows_the_rules_for_k(tmp_path: Path, plan: str, calls: int) -> None:
    values = f'[values]\nengine = "elsewhere"\nplan = "{plan}"\n'
    found = make_plan(read_pipeline(write(tmp_path, toml=TOML + values)), tmp_path / "out")
    assert found.costs[1].calls == pytest.approx(calls)
    assert found.costs[1].seconds is None
    assert found.total.seconds is None


def test_a_plan_knows_the_budget_and_what_values_have_cost(tmp_path: Path) -> None:
    values = '[values]\nengine = "elsewhere"\nplan = "fixed:64"\nbudget = 10\n'
    pipeline = read_pipeline(write(tmp_path, toml=TOML + values))
    assert make_plan(pipeline, tmp_path / "out").costs[1].calls == 96 * 10
    # Of a stage that was killed and gone on with: what it cost is of all processes, its seconds are of the last one.
    cost = {"calls": 12, "completion_tokens": 240, "tokens_per_s": 48.0}
    report = {"solutions": 4, "seconds": 1.0, "cost": cost}
    (tmp_path / "out" / "2-values").mkdir(parents=True)
    (tmp_path / "out" / "2-values" / "report.json").write_text(json.dumps(report))
    measured = make_plan(pipeline, tmp_path / "out").costs[1]
    assert (measured.calls, measured.tokens) == (96 * 3, 96 * 3 * 20)
    assert measured.seconds == pytest.approx(96 * 3 * 20 / 48)


# --- what is on disk, and does not fit -----------------------------------------------------------------------------


def test_a_file_that_does_not_fit_leaves_the_copy_of_the_one_that_does(tmp_path: Path) -> None:
    path, out = write(tmp_path), tmp_path / "out"
    assert main(["synth", "run", str(path), "-o", str(out)]) == 0
    kept = (out / "pipeline.toml").read_bytes()
    path.write_text(path.read_text().replace("seed = 3", "seed = 4"))
    assert main(["synth", "run", str(path), "-o", str(out)]) == 2
    assert (out / "pipeline.toml").read_bytes() == kept
    assert main(["synth", "solutions", str(out)]) == 0


OF_ROWS = """
[solutions]
existing = "{rows}"
both = false
[quality]
against = ["{known}"]
"""


def of_rows(folder: Path) -> tuple[Path, Path, Path]:
    """A pipeline of solutions that are there, its rows, and what they are held against."""
    rows, known, path = folder / "rows.jsonl", folder / "known.jsonl", folder / "p.toml"
    rows.write_text('{"problem": "How much is 6 times 7?", "answer": "42", "steps": ["6 x 7 = 42", "It is 42."]}\n')
    known.write_text('{"problem": "Another one"}\n')
    path.write_text(OF_ROWS.format(rows=rows, known=known))
    return path, rows, known


@pytest.mark.parametrize("which", [1, 2])
def test_a_file_with_other_rows_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str], which: int) -> None:
    files, out = of_rows(tmp_path), tmp_path / "out"
    assert main(["synth", "run", str(files[0]), "-o", str(out)]) == 0
    files[which].write_text(files[which].read_text().replace("Another", "A new").replace("6 times 7", "7 times 6"))
    capsys.readouterr()
    assert main(["synth", "run", str(files[0]), "-o", str(out)]) == 2
    assert "was begun with other rows; name another folder with -o" in capsys.readouterr().err


def test_a_stage_alone_does_not_go_on_from_other_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = of_rows(tmp_path)[0], tmp_path / "out"
    assert main(["synth", "run", str(path), "-o", str(out)]) == 0
    copy = out / "pipeline.toml"
    copy.write_text(copy.read_text().replace("both = false", "both = true"))
    capsys.readouterr()
    assert main(["synth", "quality", str(out)]) == 2
    assert "1-solutions was begun with options" in capsys.readouterr().err


def test_the_number_of_workers_does_not_matter(tmp_path: Path) -> None:
    path, out = of_rows(tmp_path)[0], tmp_path / "out"
    assert main(["synth", "run", str(path), "-o", str(out)]) == 0
    path.write_text(path.read_text() + "[grading]\nworkers = 1\n")
    assert main(["synth", "run", str(path), "-o", str(out)]) == 0


def test_solutions_that_are_there_need_no_engine(tmp_path: Path) -> None:
    path, out = of_rows(tmp_path)[0], tmp_path / "out"
    path.write_text(path.read_text().replace("[solutions]", '[solutions]\nengine = "http://127.0.0.1:9/v1"'))
    assert main(["synth", "run", str(path), "-o", str(out)]) == 0


def test_the_card_is_told_what_the_stages_took_and_left() -> None:
    reports: dict[str, Any] = {
        "solutions": {"solutions": 6, "grades": {"right": 7, "failed": 1}, "dropped": {"repeated": 1}},
        "rationales": {"solutions": 6, "failed": 1, "outcomes": {"ok": 3, "unfinished": 2}},
        "consensus": {"solutions": 5, "failed": 0, "kept": 2, "dropped": {"disagree": 1, "no_verdict": 2}},
    }
    found = {stage.name: stage for stage in card_stages(reports.get)}
    assert list(found) == ["solutions", "rationales", "consensus"]
    for stage in found.values():
        assert stage.came - stage.kept == sum(stage.dropped.values())


# --- kills and full disks ------------------------------------------------------------------------------------------


def command(path: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "genprm", "synth", "run", str(path), "-o", str(out)]


@pytest.mark.slow
def test_killed_and_begun_again_it_makes_the_same_bytes_and_no_call_twice(tmp_path: Path) -> None:
    path, whole, torn = write(tmp_path, delay_s=0.03), tmp_path / "whole", tmp_path / "torn"
    subprocess.run(command(path, whole), check=True, capture_output=True)
    calls = torn / "1-solutions" / "calls.jsonl"
    kills = 0
    for n_lines in (3, 17, 30, 45):
        process = subprocess.Popen(command(path, torn), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if calls.exists() and calls.read_bytes().count(b"\n") >= n_lines:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.002)
        process.wait()
        kept = calls.read_bytes()
        with calls.open("ab") as file:
            file.write(b'{"key":"00')  # a line that was being written
    assert kills == 4
    subprocess.run(command(path, torn), check=True, capture_output=True)
    assert calls.read_bytes().startswith(kept)
    keys = [json.loads(line)["key"] for line in calls.read_text().splitlines()]
    assert len(keys) == len(set(keys))
    assert set(keys) == {
        json.loads(line)["key"] for line in (whole / "1-solutions" / "calls.jsonl").read_text().splitlines()
    }
    name = "1-solutions/results.jsonl"
    assert (torn / name).read_bytes() == (whole / name).read_bytes()


WHOLE = """
[problems]
source = "world:train:0-10"
[solutions]
engine = "world:0.1"
rounds = { cap = 16, keep = 2 }
[values]
engine = "world:0.1"
[labels]
[quality]
[rationales]
engine = "world:teacher"
[consensus]
[export]
options = { shares = { train = 1.0 } }
"""


@pytest.mark.slow
def test_without_a_sandbox_no_solution_is_taught_and_none_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "p.toml", tmp_path / "out"
    path.write_text(WHOLE.replace("0-10", "0-3"))
    with monkeypatch.context() as patch:
        patch.setattr(stage_list, "Sandbox", lambda: Sandbox(preload=("no_such_module",)))
        assert main(["synth", "run", str(path), "-o", str(out)]) == 2
    assert "no_such_module" in capsys.readouterr().err
    assert (out / "5-rationales" / "results.jsonl").read_bytes() == b""
    assert main(["synth", "run", str(path), "-o", str(out)]) == 0
    assert (out / "7-export" / "report.json").exists()


def produced(folder: Path) -> dict[str, bytes]:
    """What is made, without what is measured."""
    names = [*folder.glob("*/results.jsonl"), *folder.glob("7-export/dataset/**/*")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in names if path.is_file()}


@pytest.mark.slow
def test_problems_to_a_dataset_killed_in_every_stage(tmp_path: Path) -> None:
    path, whole, torn = tmp_path / "p.toml", tmp_path / "whole", tmp_path / "torn"
    path.write_text(WHOLE)
    subprocess.run(command(path, whole), check=True, capture_output=True)
    stages = [folder.name for folder in sorted(whole.iterdir()) if folder.is_dir()]
    assert len(stages) == 7
    kills = 0
    for stage in stages:
        process = subprocess.Popen(command(path, torn), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            if (torn / stage / "run.json").exists():
                process.kill()
                kills += 1
                break
            time.sleep(0.001)
        process.wait()
    assert kills >= 5
    subprocess.run(command(path, torn), check=True, capture_output=True)
    made = produced(whole)
    assert len(made) == 7 + 2
    assert produced(torn) == made
    for calls in torn.glob("*/calls.jsonl"):
        keys = [json.loads(line)["key"] for line in calls.read_text().splitlines()]
        assert len(keys) == len(set(keys)) > 0


def test_a_full_disk_ends_the_run_with_a_sentence_and_it_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out, other = write(tmp_path), tmp_path / "out", tmp_path / "other"
    with room_for(20_000):
        assert main(["synth", "run", str(path), "-o", str(out)]) == 2
    stderr = capsys.readouterr().err
    said = [line for line in stderr.splitlines() if line.startswith("genprm: ")]
    assert len(said) == 1
    assert "cannot be written: File too large; what was written before is kept" in said[0]
    assert "Traceback" not in stderr
    kept = (out / "1-solutions" / "calls.jsonl").read_bytes()
    assert kept.endswith(b"}\n")
    assert main(["synth", "run", str(path), "-o", str(out)]) == 0
    assert (out / "1-solutions" / "calls.jsonl").read_bytes().startswith(kept)
    assert main(["synth", "run", str(path), "-o", str(other)]) == 0
    name = "1-solutions/results.jsonl"
    assert (out / name).read_bytes() == (other / name).read_bytes()
