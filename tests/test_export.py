"""A dataset as others find it: read back, loaded, trained on; the same bytes; whole or not at all."""

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow", reason="needs the extra synth")

from genprm.cli import main
from genprm.errors import ConfigError, InputError
from genprm.protocols.genprm import ANALYZE, JUDGE, VERIFY
from genprm.protocols.pieces import OUTPUT
from genprm.rows import read_rows
from genprm.sandbox.result import Result
from genprm.synth.card import Stage
from genprm.synth.conversations import to_conversation
from genprm.synth.dataset_rows import Row, columns
from genprm.synth.export import ExportOptions, export, split_of
from genprm.synth.schema import COLUMNS
from genprm.synth.text_stats import text_digest
from genprm.synth.types import Attempt, Estimate, Kept, Labelled, StepLabel, Taught, Valued
from genprm.training.conversations import read_conversations
from genprm.types import Check, Message, Problem, Rationale, Solution
from tests.full_disk import room_for


def row(number: int = 0, problem: str = "", config: str = "default") -> Row:
    """Two steps, the second wrong, with all that the stages say of them."""
    problem = problem or f"What is {number} + 1, and then 2 more?"
    steps = (f"{number} + 1 = {number + 1}", f"{number + 1} + 2 = {number}")
    solution = Solution(Problem(problem, str(number + 3)), steps, f"p{number}/0", source="tests", generator="policy")
    attempt = Attempt(solution, f"p{number}", "wrong", str(number), {"temperature": "0.7", "engine": "nano:policy"})
    taught = Taught(attempt, "symbolic", "ok", tuple(_rationale(t, t == 0) for t in range(2)), 1)
    return Row(
        f"p{number}/0",
        messages(taught),
        attempt,
        Valued(
            attempt, Estimate(3, 4, 0.3, 0.95), (Estimate(4, 4, 0.5, 1.0), Estimate(0, 0, 0.0, 0.0, True)), "fixed:4"
        ),
        Labelled(attempt, "ratio:0.8", (StepLabel(True, 1.3, 0.9), StepLabel(False, 0.0, 1.0))),
        taught,
        Kept(f"p{number}/0", True, (True, True)),
        difficulty=2,
        seed=7,
        versions={"genprm": "0.1"},
        config=config,
    )


def messages(taught: Taught) -> tuple[Message, ...]:
    """Of the conversation that a critic is trained on."""
    made = to_conversation(taught)
    assert made is not None
    return tuple(Message(turn["role"], turn["content"]) for turn in made["messages"])


def _rationale(step: int, right: bool) -> Rationale:
    text = (
        f"{ANALYZE.format(t=step + 1)}We look.\n</analyze>\n{VERIFY}print({step})\n```\n{OUTPUT}{step}\n```\nSo.\n"
        f"</verify>\n{JUDGE}{{{'Yes' if right else 'No'}}}$\n</output>\n"
    )
    return Rationale(0, "ok", text, "We look.", (Check(f"print({step})", Result("ok", str(step))),), right)


def rows(n: int) -> Iterator[Row]:
    return map(row, range(n))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def read(folder: Path, split: str = "*", config: str = "data") -> list[dict[str, Any]]:
    return [dict(r.values) for path in sorted(folder.glob(f"{config}/{split}-*.parquet")) for r in read_rows(path)]


def test_every_row_is_there_with_all_its_columns(tmp_path: Path) -> None:
    made = export(rows(40), tmp_path / "data set")
    found = {values["id"]: values for values in read(made.folder)}
    assert len(found) == 40 == sum(made.rows["default"].values())
    assert list(found["p3/0"]) == list(COLUMNS)
    assert found["p3/0"] == json.loads(json.dumps(columns(row(3))))
    values = found["p3/0"]
    assert (values["label"], values["labels"], values["verdicts"]) == (1, [True, False], [True, False])
    assert (values["values"], values["completions"], values["start_value"]) == ([1.0, 0.0], [4, 0], 0.75)
    assert json.loads(values["sampling"]) == {"engine": "nano:policy", "temperature": "0.7"}
    assert values["checks"] == [["ok"], ["ok"]]


def test_the_same_rows_in_any_order_give_the_same_bytes(tmp_path: Path) -> None:
    shuffled = list(rows(60))
    random.Random(1).shuffle(shuffled)
    options = ExportOptions(rows_per_file=7)
    one, two = export(rows(60), tmp_path / "one", options), export(shuffled, tmp_path / "two", options)
    assert contents(one.folder) == contents(two.folder)
    assert sum(name.startswith("data/train-") for name in contents(one.folder)) > 3


def test_no_problem_stands_in_two_splits(tmp_path: Path) -> None:
    alike = [
        replace(row(n, f"  PROBLEM {n % 30}: what?" if n % 2 else f"Problem {n % 30}, what"), id=str(n))
        for n in range(120)
    ]
    export(alike, tmp_path / "set", ExportOptions(shares={"train": 0.5, "test": 0.5}))
    train, test = (
        {values["problem_digest"] for values in read(tmp_path / "set", split)} for split in ("train", "test")
    )
    assert train
    assert test
    assert not train & test


def test_splits_keep_to_their_shares_and_to_themselves() -> None:
    shares = {"train": 0.8, "validation": 0.1, "test": 0.1}
    digests = [text_digest(f"problem {n}") for n in range(4000)]
    drawn = [split_of(digest, shares) for digest in digests]
    for name, share in shares.items():
        assert abs(drawn.count(name) / 4000 - share) < 0.02
    assert drawn == [split_of(digest, shares) for digest in digests]
    assert drawn != [split_of(digest, shares, seed=1) for digest in digests]
    assert {split_of(digest, {"all": 1.0, "none": 0.0}) for digest in digests} == {"all"}


@pytest.mark.parametrize("shares", [{}, {"train": 0.9}, {"train": 1.5, "test": -0.5}, {"../x": 1.0}, {"a-b": 1.0}])
def test_shares_that_cannot_be(shares: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        ExportOptions(shares=shares)


def test_what_cannot_be_exported_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no rows"):
        export([], tmp_path / "set")
    with pytest.raises(ConfigError, match="p1/0"):
        export([row(1), row(2), row(1)], tmp_path / "set")
    with pytest.raises(ConfigError, match="configuration"):
        export([row(1, config="../up")], tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_replaced_only_where_asked(tmp_path: Path) -> None:
    folder = export(rows(3), tmp_path / "set").folder
    before = contents(folder)
    with pytest.raises(ConfigError, match="there already"):
        export(rows(4), folder)
    with pytest.raises(ConfigError, match="p1/0"):
        export([row(1), row(1)], folder, ExportOptions(replace=True))
    assert contents(folder) == before
    export(rows(4), folder, ExportOptions(replace=True))
    assert len(read(folder)) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="no dataset"):
        export(rows(1), tmp_path / "mine", ExportOptions(replace=True))


def test_hostile_text_survives(tmp_path: Path) -> None:
    made = replace(row(1), id="| --- |\n# Title \ud800", versions={"a|b": "\n---\n"})
    (values,) = read(export([made], tmp_path / "set").folder)
    assert values["id"] == "| --- |\n# Title ?"


def test_a_row_without_stages_and_one_with(tmp_path: Path) -> None:
    bare = Row("bare", row(9).messages, row(9).attempt)
    found = {values["id"]: values for values in read(export([bare, row(1)], tmp_path / "set").folder)}
    assert [found["bare"][name] for name in ("values", "labels", "verdicts", "agrees", "kept", "label")] == [None] * 6


def test_labels_are_those_trained_on() -> None:
    made = row(1)
    assert made.labelled is not None
    unsure = Labelled(made.attempt, "hard", (StepLabel(None), StepLabel(False)))
    assert columns(replace(made, labelled=unsure))["label"] is None
    assert columns(replace(made, labelled=None))["label"] == 1
    right = Taught(made.attempt, "t", "ok", (_rationale(0, True), _rationale(1, True)))
    assert columns(replace(made, labelled=None, taught=right))["label"] == -1
    part = Taught(made.attempt, "t", "unfinished", (_rationale(0, True),))
    assert columns(replace(made, labelled=None, taught=part))["label"] is None


def test_the_card(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    stage = Stage("consensus", 100, 49, {"disagree": 50, "no_verdict": 1})
    options = ExportOptions(name='A "set": # 1', licence="mit", stages=[stage], made="By hand.")
    folder = export([*rows(30), *(row(n, config="hard") for n in range(5))], tmp_path / "set", options).folder
    text = (folder / "README.md").read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    assert (front["pretty_name"], front["license"], front["size_categories"]) == ('A "set": # 1', "mit", ["n<1K"])
    paths = {entry["config_name"]: entry["data_files"] for entry in front["configs"]}
    assert set(paths) == {"default", "hard"}
    assert all(list(folder.glob(file["path"])) for files in paths.values() for file in files)
    assert "| consensus | 100 | 49 | 49.0% | disagree 50, no_verdict 1 |" in text
    assert "| right | 35 | 50.0% |" in text
    assert "By hand." in text


def test_training_reads_the_split_train_and_no_other(tmp_path: Path) -> None:
    shares = {"train": 0.6, "validation": 0.2, "test": 0.2}
    folder = export(rows(60), tmp_path / "set", ExportOptions(shares=shares)).folder
    read_back = read_conversations([folder])
    assert len(read_back) == len(read(folder, "train")) < 60
    assert read_back[0].difficulty == 2
    assert read_back[0].messages in [made.messages for made in rows(60)]
    assert len(read_conversations([f"{folder}:validation,test"])) == 60 - len(read_back)
    with pytest.raises(InputError, match="no split 'valid'"):
        read_conversations([f"{folder}:valid"])


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    with room_for(40_000), pytest.raises(OSError, match="File too large"):
        export(rows(1000), tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_datasets_loads_it(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="needs the extra synth")
    folder = export([*rows(60), *(row(n, config="hard") for n in range(5))], tmp_path / "set").folder
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert {name: len(part) for name, part in loaded.items()} == {
        name: len(read(folder, name)) for name in ("train", "validation", "test") if read(folder, name)
    }
    assert loaded["train"][0]["messages"][0]["role"] == "system"
    hard = datasets.load_dataset(str(folder), "hard", cache_dir=str(tmp_path / "cache"))
    assert sum(map(len, hard.values())) == 5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_trl_takes_its_rows_for_conversations(tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="TRL is not installed")
    from trl.data_utils import is_conversational

    (values,) = read(export([row(1)], tmp_path / "set").folder)
    assert is_conversational({"messages": values["messages"]})
    assert is_conversational(values)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(300)
def test_a_critic_trains_on_it(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra train")
    pytest.importorskip("accelerate", reason="needs the extra train")
    folder = export(rows(60), tmp_path / "set").folder
    shape = "micro,hidden=64,layers=2,ffn=128,heads=2,kv_heads=1,vocabulary=400"
    output = tmp_path / "model"
    words = ["train", "critic", str(folder), "--valid", f"{folder}:validation", "--new", shape, "--updates", "2"]
    assert main([*words, "--batch-tokens", "2000", "--output", str(output)]) == 0
    assert (output / "model.safetensors").exists()
