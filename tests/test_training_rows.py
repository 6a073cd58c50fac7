"""Training rows, plans and options: what is refused, and how; no torch needed."""

import json
import random
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from genprm.cli import _parser, main
from genprm.errors import ConfigError, InputError
from genprm.training.conversations import read_conversations
from genprm.training.new import PRESETS, shape_named
from genprm.training.options import Options, read_options
from genprm.training.plan import Batching, in_order, make_plan
from genprm.types import Message

GOOD = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]


def written(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def with_messages(*messages: Any) -> dict[str, Any]:
    return {"messages": list(messages)}


# --- rows ------------------------------------------------------------------------------------------------------------


def test_rows_of_a_file_a_folder_and_under_either_name(tmp_path: Path) -> None:
    written(tmp_path, {"messages": GOOD, "difficulty": 4}, {"conversations": GOOD, "id": 7})
    (one, two) = read_conversations([tmp_path])
    assert one.messages == (Message("user", "q"), Message("assistant", "a"))
    assert (one.difficulty, two.difficulty) == (4, None)
    assert one.where.endswith("rows.jsonl:1")
    assert len(read_conversations([tmp_path, tmp_path / "rows.jsonl"])) == 4


def test_rows_of_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(
        pyarrow.table({"messages": [GOOD], "difficulty": [2]}), tmp_path / "rows.parquet"
    )
    (row,) = read_conversations([tmp_path])
    assert row.messages[1] == Message("assistant", "a")
    assert row.difficulty == 2


@pytest.mark.parametrize(
    ("row", "place", "message"),
    [
        ('{"messages": [', ":2", "breaks off"),
        ({"text": "x"}, ":2, field messages", "there are no messages; the row has text"),
        ({"messages": "x"}, ":2, field messages", "must be a list"),
        ({"messages": []}, ":2, field messages", "must end with a turn of the assistant"),
        (with_messages("x"), "messages[0]", "must be an object"),
        (with_messages({"role": "tool", "content": "x"}), "messages[0].role", "must be one of"),
        (with_messages({"role": ["user"], "content": "x"}), "messages[0].role", "must be one of"),
        (with_messages({"role": "user", "content": None}), "messages[0].content", "must be text, not null"),
        (with_messages({"role": "user", "content": " \n"}, GOOD[1]), "messages[0].content", "is empty"),
        (with_messages(GOOD[0]), "field messages", "must end with a turn of the assistant"),
        (with_messages(GOOD[1], GOOD[0]), "messages[0].role", "must be user here, not assistant"),
        (with_messages(GOOD[0], GOOD[0], GOOD[1]), "messages[1].role", "must be assistant here"),
        (with_messages(*GOOD, {"role": "system", "content": "x"}), "messages[2].role", "must be user here"),
        ({"messages": GOOD, "difficulty": "hard"}, "field difficulty", "must be a whole number"),
        ({"messages": GOOD, "difficulty": True}, "field difficulty", "must be a whole number"),
    ],
)
def test_a_malformed_row_is_named(tmp_path: Path, row: Any, place: str, message: str) -> None:
    path = written(tmp_path, {"messages": GOOD}, row)
    with pytest.raises(InputError) as refused:
        read_conversations([path])
    assert str(refused.value).startswith(f"{path}:2")
    assert place in str(refused.value)
    assert message in str(refused.value)


def test_the_run_is_refused_before_it_begins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, {"messages": GOOD}, with_messages(GOOD[1]))
    out = tmp_path / "out"
    assert main(["train", "critic", str(path), "--new", "micro", "--output", str(out)]) == 2
    assert f"{path}:2, field messages[0].role: must be user here" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("source", ["no/such/file.jsonl", "no/such.jsonl", "/no/such", "rows", "a/b/c", "a/b.md:test"])
def test_a_source_that_is_not_there(source: str) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        read_conversations([source])


def test_a_folder_without_rows(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no"):
        read_conversations([tmp_path])


def test_hidden_files_of_a_folder_are_left_alone(tmp_path: Path) -> None:
    written(tmp_path, {"messages": GOOD}).with_name(".rows.jsonl").write_text("torn")
    assert len(read_conversations([tmp_path])) == 1


def test_of_a_dataset_only_train_is_read_unless_another_split_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    for split, n in {"train": 1, "validation": 2, "test": 3}.items():
        written(tmp_path, *[{"messages": GOOD}] * n).rename(tmp_path / f"{split}.jsonl")
    load = datasets.load_dataset
    monkeypatch.setattr(datasets, "load_dataset", lambda name, **options: load(str(tmp_path), **options))
    found = {name: read_conversations([name]) for name in ("a/b", "a/b:test", "a/b:train,validation")}
    assert [len(rows) for rows in found.values()] == [1, 3, 3]
    assert found["a/b:test"][0].where == "a/b:test[0]"
    with pytest.raises(InputError, match=r"a/b: .*nothing"):
        read_conversations(["a/b:nothing"])


def test_a_curriculum_needs_difficulties(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, {"messages": GOOD, "difficulty": 0}, {"messages": GOOD}, {"messages": GOOD})
    words = ["train", "policy", str(path), "--new", "micro", "--output", str(tmp_path / "out"), "--curriculum"]
    assert main(words) == 2
    assert f"{path}:2, field difficulty: --curriculum needs" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# --- plans -----------------------------------------------------------------------------------------------------------

LENGTHS = [random.Random(n).randint(50, 900) for n in range(700)]


def test_every_row_once_an_epoch_and_little_padding() -> None:
    plan = make_plan(LENGTHS, Batching(8192, 4096), epochs=1)
    rows = [row for micro in plan.micros for row in micro]
    assert len(set(rows)) == len(rows)
    assert len(rows) > 0.95 * len(LENGTHS)  # the last rows do not fill an update
    padded = sum(max(LENGTHS[row] for row in micro) * len(micro) for micro in plan.micros)
    assert padded < 1.1 * sum(LENGTHS[row] for row in rows)


def test_an_update_has_about_its_tokens_and_no_micro_more_than_its_own() -> None:
    plan = make_plan(LENGTHS, Batching(8192, 2048), updates=20)
    sizes = [max(LENGTHS[row] for row in micro) * len(micro) for micro in plan.micros]
    assert len(plan.micros) == 20 * plan.per_update
    assert max(sizes) <= 2048
    assert 0.8 * 8192 < sum(sizes) / 20 < 1.2 * 8192


def test_a_row_longer_than_a_micro_goes_alone() -> None:
    plan = make_plan([5000, 10, 10], Batching(8192, 4096), updates=1)
    assert [0] in plan.micros


def test_packed_rows_fill_their_sequence() -> None:
    plan = make_plan(LENGTHS, Batching(8192, 4096, packing=True), updates=30)
    sizes = [sum(LENGTHS[row] for row in micro) for micro in plan.micros]
    assert max(sizes) <= 4096
    assert sum(sizes) / len(sizes) > 0.85 * 4096


def test_a_plan_depends_on_its_seed_alone() -> None:
    assert make_plan(LENGTHS, Batching(), seed=3) == make_plan(LENGTHS, Batching(), seed=3)
    assert make_plan(LENGTHS, Batching(), seed=3) != make_plan(LENGTHS, Batching(), seed=4)


def test_processes_share_every_update() -> None:
    assert make_plan(LENGTHS, Batching(8192, 4096), updates=5, ranks=3).per_update % 3 == 0


@pytest.mark.parametrize(("batching", "ranks"), [(Batching(8192, 4096), 8), (Batching(2048, 4096), 1)])
def test_an_update_has_about_its_tokens_whatever_a_process_could_take(batching: Batching, ranks: int) -> None:
    plan = make_plan(LENGTHS, batching, updates=40, ranks=ranks)
    sizes = [max(LENGTHS[row] for row in micro) * len(micro) for micro in plan.micros]
    assert plan.per_update % ranks == 0
    assert 0.7 * batching.batch_tokens < sum(sizes) / 40 < 1.2 * batching.batch_tokens


def test_epochs_differ_in_order() -> None:
    plan = make_plan(LENGTHS, Batching(), epochs=2)
    half = len(plan.micros) // 2
    assert plan.micros[:half] != plan.micros[half:]


def test_curriculum_grows_the_pool_from_easy_to_all() -> None:
    difficulties = [n % 4 for n in range(len(LENGTHS))]
    plan = make_plan(LENGTHS, Batching(), updates=60, difficulties=difficulties)
    met = [max(difficulties[row] for row in micro) for micro in plan.micros]
    first_met = [met.index(level) for level in range(4)]
    n = len(plan.micros)
    assert first_met[0] == 0
    assert first_met == sorted(first_met)
    assert n // 6 <= first_met[1] < first_met[2] < first_met[3] < 0.6 * n
    late = [difficulties[row] for micro in plan.micros[n // 2 :] for row in micro]
    assert {0, 1, 2, 3} == set(late)


def test_validation_reads_every_row_once() -> None:
    assert sorted(row for micro in in_order(LENGTHS, Batching()) for row in micro) == list(range(len(LENGTHS)))


# --- options ---------------------------------------------------------------------------------------------------------


def test_a_preset_with_changes() -> None:
    assert shape_named("nano") == PRESETS["nano"]
    assert shape_named("nano,layers=2,hidden=128,heads=4,kv_heads=2").layers == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("giant", "no preset 'giant'; there are nano"),
        ("nano,layer=2", "no 'layer'; near it: layers"),
        ("nano,layers=two", "Expected `int`"),
        ("nano,layers=0", "at least 1"),
        ("nano,heads=5", "multiple"),
        ("nano,kv_heads=3", "multiple"),
        ("nano,digits=4", "digits is at most 3"),
        ("", "no preset ''"),
    ],
)
def test_a_shape_that_does_not_fit(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        shape_named(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either --model or --new"),
        ({"model": "m", "new": "nano"}, "either --model or --new"),
        ({"new": "nano", "lora": 4}, "--new has none"),
        ({"model": "m", "merge": True}, "go with --lora"),
        ({"model": "m", "lora": 0}, "--lora must be above 0"),
        ({"new": "nano", "lr": 0.0}, "--lr must be above 0"),
        ({"new": "nano", "batch_tokens": -1}, "--batch-tokens must be above 0"),
        ({"new": "nano", "warmup": 1.0}, "--warmup lies in"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_options({"task": "genprm", **options}, Options)


def namespace(*words: str) -> dict[str, Any]:
    return vars(_parser().parse_args(["train", *words, "--output", "out"]))


def test_what_the_command_line_leaves_open_is_as_the_options_have_it() -> None:
    given = namespace("critic", "rows.jsonl", "--new", "nano", "--lr", "0.5", "--packing", "--schedule", "linear")
    assert read_options(given, Options) == Options("genprm", new="nano", lr=0.5, packing=True, schedule="linear")
    assert read_options(namespace("policy", "rows.jsonl", "--model", "m"), Options) == Options("policy", model="m")
    assert not {"epochs", "merge", "seed"} & given.keys()


def test_every_option_can_be_given_and_says_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _parser().parse_args(["train", "critic", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for field in fields(Options)[1:]:
        assert f"--{field.name.replace('_', '-')}" in shown
        assert field.metadata["help"] in shown
    assert "(default: 8192)" in shown


def test_rates_and_optimisers_by_kind() -> None:
    made = [Options("genprm", new="nano"), Options("genprm", model="m", lora=8), Options("genprm", model="m")]
    assert [options.rate for options in made] == [3e-3, 2e-4, 1e-5]
    assert [options.optimizer for options in made] == ["muon", "adamw", "adamw"]


def test_patience_needs_rows_to_validate_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, {"messages": GOOD})
    assert main(["train", "policy", str(path), "--new", "micro", "--output", "x", "--patience", "2"]) == 2
    assert "--valid" in capsys.readouterr().err
