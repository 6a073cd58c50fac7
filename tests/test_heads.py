"""Heads: what they learn, from which rows, what a killed run comes to, and that they score as they were trained."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("transformers", reason="needs the extra train")
pytest.importorskip("accelerate", reason="needs the extra train")

import torch

from genprm.cli import main
from genprm.errors import ConfigError, InputError
from genprm.scorers import Scores, open_scorer
from genprm.scorers.head import Kind
from genprm.training.head_options import HeadOptions
from genprm.training.heads import losses
from genprm.training.values import Target, read_valuations, with_best_of, with_outcomes, with_prover
from genprm.types import Problem, Solution
from tests.tiny_models import make_model
from tests.training_rows import TINY, solution, write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore")]


def valued(rng: random.Random, n: int = 16) -> dict[str, Any]:
    """A line as the values stage writes it: a step that is sure of itself loses nearly all."""
    made = solution(rng, 3)
    good, values = True, []
    for step in made.steps:
        good = good and "surely" not in step
        values.append({"right": n - 1 if good else 1, "n": n, "low": 0.0, "high": 1.0, "known": False, "lost": 0})
    return {
        "attempt": {
            "solution": {"problem": {"text": made.problem.text, "answer": "3"}, "steps": made.steps, "id": "w/0"},
            "problem_id": "w",
            "grade": "right" if good else "wrong",
        },
        "start": {"right": n - 1, "n": n, "low": 0.0, "high": 1.0},
        "values": values,
        "policy": "nano:policy fixed:16",
    }


def rows(path: Path, n: int, seed: int = 0) -> Path:
    rng = random.Random(seed)
    return write(path, [valued(rng) for _ in range(n)])


def scored(folder: Path, solutions: Sequence[Solution]) -> list[Scores]:
    async def run() -> list[Scores]:
        async with open_scorer(f"head:{folder}") as scorer:
            return await scorer.score(solutions)

    return asyncio.run(run())


def train(*words: object) -> int:
    return main(["train", "head", *map(str, words)])


# --- rows ----------------------------------------------------------------------------------------------------------


def test_lines_of_the_values_stage(tmp_path: Path) -> None:
    line = valued(random.Random(0))
    line["values"] = [{"right": 8, "n": 16}, {"right": 0, "n": 0}, {"right": 0, "n": 0, "known": True}]
    line["attempt"]["grade"] = "timeout"
    again = json.loads(json.dumps(line))
    again["values"][0]["right"] = 4
    (row,) = read_valuations([write(tmp_path / "v.jsonl", [line, again])])
    assert row.process == (Target(0.25, 16), None, Target(0.0, 1))
    assert row.outcome is None, "a timeout is no evidence"
    assert row.policy == "nano:policy fixed:16"


def test_a_folder_of_the_values_stage(tmp_path: Path) -> None:
    """A line holds the solutions of a problem; one that failed there holds none."""
    first, second = valued(random.Random(0)), valued(random.Random(1))
    lines: list[dict[str, Any]] = [
        {"key": "p", "record": [first, second], "error": ""},
        {"key": "q", "record": None, "error": "the engine failed"},
    ]
    write(tmp_path / "results.jsonl", lines)
    one, other = read_valuations([tmp_path])
    assert (one, other) == tuple(
        replace(row, where=f"{tmp_path / 'results.jsonl'}:1, record[{i}]")
        for i, row in enumerate(read_valuations([write(tmp_path / "plain.jsonl", [first, second])]))
    )
    write(tmp_path / "results.jsonl", [{"key": "p", "record": [first, 3]}])
    with pytest.raises(InputError, match=r"results\.jsonl:1, field record: must be a list of objects"):
        read_valuations([tmp_path])


def test_a_folder_of_the_solutions_stage_teaches_outcomes(tmp_path: Path) -> None:
    line = valued(random.Random(0))
    right = line["attempt"] | {"grade": "right"}
    other = json.loads(json.dumps(right)) | {"grade": "wrong"}
    other["solution"]["steps"] = ["2"]
    write(
        tmp_path / "results.jsonl", [{"key": "p", "record": {"attempts": [right, other]}}, {"key": "q", "record": None}]
    )
    one, two = read_valuations([tmp_path])
    assert (one.outcome, two.outcome) == (Target(1.0), Target(0.0))
    assert (set(one.process), two.process) == ({None}, (None,))
    assert [set(row.process) for row in with_outcomes([one, two])] == [{Target(1.0)}, {Target(0.0)}]
    values = write(tmp_path / "values.jsonl", [line | {"values": [{"right": 1, "n": 2}] * len(one.process)}])
    both = read_valuations([values, tmp_path])
    assert [len(row.process) and row.process[0] for row in both] == [Target(0.5, 2), None], "values stay"
    assert [len(row.process) and row.process[0] for row in with_outcomes(both)] == [Target(0.5, 2), Target(0.0)]
    write(tmp_path / "results.jsonl", [{"key": "p", "record": {"attempts": [{"solution": {"steps": 3}}]}}])
    with pytest.raises(
        InputError, match=r"results\.jsonl:1, record, field attempts\[0\]: is no solution with its steps"
    ):
        read_valuations([tmp_path])


def test_advantages_are_under_the_prover(tmp_path: Path) -> None:
    line = valued(random.Random(0))
    line["values"] = [{"right": 8, "n": 16}, {"right": 8, "n": 16}, {"right": 0, "n": 8}]
    line["start"] = {"right": 4, "n": 16}
    (row,) = read_valuations([write(tmp_path / "v.jsonl", [line])])
    (best,) = with_best_of([row], 2)
    expected = [0.75 - (1 - 0.75**2), 0.0, -0.75]
    assert [target and target.value for target in best.progress] == pytest.approx(expected)
    assert best.progress[2] is not None
    assert best.progress[2].n == 8
    assert best.process == row.process, "Q stays the policy's"
    line["values"] = [{"right": 16, "n": 16}, None, {"right": 0, "n": 8}]
    (other,) = with_prover([row], read_valuations([write(tmp_path / "p.jsonl", [line])]))
    assert other.progress == (Target(0.75, 16), None, None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"values": [0.5]}, "field values: there are 1 for 2 steps"),
        ({"values": [0.5, 1.5]}, r"field values\[1\]: must be a number between 0 and 1, or null, not the number 1.5"),
        ({"values": [0.5, True]}, r"field values\[1\]: must be a number"),
        ({"advantages": [-1.5, 0]}, r"field advantages\[0\]: must be a number between -1 and 1"),
        ({"right": "yes"}, "field right: must be true or false"),
        ({"right": True, "n": 0}, "field n: must be at least 1"),
        ({}, "there are no values"),
        ({"attempt": {"grade": "right"}, "values": []}, "no line of the values stage"),
        ({"steps": [], "right": True}, "field steps"),
    ],
)
def test_rows_that_do_not_fit(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = write(tmp_path / "bad.jsonl", [{"problem": "p", "steps": ["a", "b"]} | change])
    with pytest.raises(InputError, match=said) as error:
        read_valuations([path])
    assert error.value.where == f"{path}:1"


def test_options_that_do_not_fit() -> None:
    assert HeadOptions("heads", new=TINY, heads="progress,outcome").trained == ("outcome", "progress")
    assert HeadOptions("heads", new=TINY, head_weights="process=2").weights == {"outcome": 0.3, "process": 2.0}
    for wrong in ({"heads": "value"}, {"heads": ""}, {"head_weights": "process"}, {"head_weights": "progress=1"}):
        with pytest.raises(ConfigError, match="--head"):
            HeadOptions("heads", new=TINY, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="--packing"):
        HeadOptions("heads", new=TINY, packing=True)


# --- losses --------------------------------------------------------------------------------------------------------


def test_the_loss_is_the_binomial_likelihood() -> None:
    """3 right of 4: the loss over n times the share is that of four single outcomes."""
    logit = torch.tensor([[0.7]])
    found = losses(logit, torch.tensor([[0.75]]), torch.tensor([[4.0]]), ("process",), False)
    p = logit.sigmoid()
    assert float(found[0]) == pytest.approx(float(-(3 * p.log() + (1 - p).log())))


@pytest.mark.parametrize("cross_entropy", [False, True])
def test_the_advantage_loss_is_least_at_the_truth(cross_entropy: bool) -> None:
    kinds: tuple[Kind, ...] = ("progress", "confidence")
    values, weights = torch.tensor([[-0.4, 0.0]]), torch.tensor([[1.0, 0.0]])
    at = {
        a: float(losses(torch.tensor([[a, 0.0]]).atanh(), values, weights, kinds, cross_entropy)[0])
        for a in (-0.6, -0.4, -0.2, 0.4)
    }
    assert min(at, key=lambda a: at[a]) == -0.4


def test_confidence_learns_whether_the_advantage_is_near() -> None:
    kinds: tuple[Kind, ...] = ("progress", "confidence")
    values, weights = torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]])

    def loss(guess: float, sure: float) -> float:
        return float(losses(torch.tensor([[guess, sure]]), values, weights, kinds, False)[1])

    assert loss(0.1, 3.0) < loss(0.1, -3.0)
    assert loss(0.9, 3.0) > loss(0.9, -3.0)


# --- runs ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heads")
    data = rows(folder / "v.jsonl", 400)
    code = train(
        data, "--new", TINY, "--heads", "outcome,process,progress", "--prover-best-of", 4, "--updates", 120,
        "--batch-tokens", 2048, "--output", folder / "model", "--valid", rows(folder / "valid.jsonl", 40, 1),
    )  # fmt: skip
    assert code == 0
    return folder / "model"


def test_heads_learn_what_the_rows_say(trained: Path) -> None:
    test = [solution(random.Random(f"test {k}"), 3) for k in range(60)]
    q, advantage, outcome = [], [], []
    for scores, made in zip(scored(trained, test), test, strict=True):
        first = next((i for i, step in enumerate(made.steps) if "surely" in step), None)
        q += [(value or 0) > 0.5 for value in scores.steps] if first is None else []
        q += [] if first is None else [((value or 0) > 0.5) == (i < first) for i, value in enumerate(scores.steps)]
        advantage += [((value or 0) < -0.3) == (i == first) for i, value in enumerate(scores.advantages)]
        outcome.append(((scores.outcome or 0) > 0.5) == (first is None))
        assert all(0 <= (sure or 0) <= 1 for sure in scores.confidences)
    assert [sum(hits) / len(hits) > 0.9 for hits in (q, advantage, outcome)] == [True] * 3
    kept = json.loads((trained / "heads.json").read_text())
    assert kept["kinds"] == ["outcome", "process", "progress", "confidence"]
    assert kept["prover"] == "best of 4: nano:policy fixed:16"


def test_batches_and_prefixes_do_not_change_scores(trained: Path) -> None:
    made = solution(random.Random(7), 3)
    whole, prefix, bare, long = scored(
        trained,
        [
            made,
            Solution(made.problem, made.steps[:2]),
            Solution(made.problem, ()),
            Solution(Problem("p"), ("a " * 9999,)),
        ],
    )
    (alone,) = scored(trained, [made])
    assert whole.steps == pytest.approx(alone.steps, abs=1e-5)
    assert prefix.steps == pytest.approx(whole.steps[:2], abs=1e-5)
    assert bare.steps == ()
    assert bare.outcome is not None
    assert long.steps == (None,)
    assert long.outcome is None
    assert long.error.startswith("too long: ")


@pytest.mark.parametrize("merge", [False, True])
def test_adapters(tmp_path: Path, merge: bool) -> None:
    pytest.importorskip("peft")
    base = make_model(tmp_path / "base")
    words = [rows(tmp_path / "v.jsonl", 20), "--model", base, "--lora", 4, "--updates", 2, "--batch-tokens", 512]
    assert train(*words, "--output", tmp_path / "out", *(["--merge"] if merge else [])) == 0
    assert (tmp_path / "out" / "adapter_config.json").exists() is not merge
    (scores,) = scored(tmp_path / "out", [solution(random.Random(0), 2)])
    assert not scores.error
    assert None not in scores.steps


def test_an_encoder(tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    from tests.tiny_models import make_tokenizer

    made = make_tokenizer()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made.backend_tokenizer, pad_token="<|endoftext|>")
    tokenizer.save_pretrained(tmp_path / "base")
    config = BertConfig(
        vocab_size=len(made), hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    BertModel(config).save_pretrained(tmp_path / "base")
    words = [rows(tmp_path / "v.jsonl", 20), "--model", tmp_path / "base", "--updates", 2, "--batch-tokens", 512]
    assert train(*words, "--output", tmp_path / "out") == 0
    some = [solution(random.Random(k), 1 + k) for k in range(3)]
    together = scored(tmp_path / "out", some)
    for made_alone, one in zip([scored(tmp_path / "out", [each])[0] for each in some], together, strict=True):
        assert made_alone.steps == pytest.approx(one.steps, abs=1e-5), "padding is seen by no one"


def test_the_shipped_policy_is_a_start(tmp_path: Path) -> None:
    policy = Path("genprm/weights/policy")
    data = rows(tmp_path / "v.jsonl", 10)
    assert train(data, "--model", policy, "--updates", 1, "--batch-tokens", 256, "--output", tmp_path / "out") == 0
    (scores,) = scored(tmp_path / "out", [solution(random.Random(0), 2)])
    assert len(scores.steps) == 2
    assert not scores.error


def test_a_killed_run_comes_to_the_same_weights(tmp_path: Path) -> None:
    data = rows(tmp_path / "v.jsonl", 100)
    words = ["train", "head", data, "--new", TINY, "--updates", 30, "--save-every", 5, "--batch-tokens", 1024]
    alone = os.environ | {"OMP_NUM_THREADS": "1"}  # sums of several threads are not the same twice
    whole, command = (
        [sys.executable, "-m", "genprm", *map(str, words), "--output", str(tmp_path / name)]
        for name in ("whole", "killed")
    )
    assert subprocess.run(whole, env=alone, check=False).returncode == 0
    run = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=alone)
    while not list((tmp_path / "killed").glob("checkpoints/checkpoint-*/trainer_state.json")) and run.poll() is None:
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL, "it ended before it was killed"
    assert subprocess.run(command, env=alone, check=False).returncode == 0
    for name in ("model.safetensors", "heads.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()


def test_nothing_is_written_where_rows_teach_a_head_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write(tmp_path / "v.jsonl", [{"problem": "p", "steps": ["a"], "advantages": [0.5]}] * 2)
    assert train(data, "--new", TINY, "--output", tmp_path / "out") == 2
    assert "head 'outcome'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_without_heads(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no heads\.json"):
        scored(tmp_path, [])
