"""Score files of discriminative verifiers, small ones and the real ones."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from genprm.errors import InputError
from genprm.eval.scores import evaluate_scores, print_scores, read_scores

ROW = {"id": "a", "label": 1, "n_steps": 3, "model": "m", "scores": [0.9, 0.2]}


def row(**fields: object) -> dict[str, object]:
    """The good row with some fields changed; None takes one away."""
    return {name: value for name, value in {**ROW, **fields}.items() if value is not None}


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    return path


def test_models_are_scored_split_by_split(tmp_path: Path) -> None:
    correct = row(id="b", label=-1, scores=[0.9, 0.6, 0.5])
    write(tmp_path / "x.jsonl", ROW, correct, row(model="k", scores=[0.4, 0.2]))
    write(tmp_path / "y.jsonl", ROW, correct)
    k, m = evaluate_scores(tmp_path)
    assert (k.model, m.model, m.threshold) == ("k", "m", 0.5)
    assert [(s.split, s.error_accuracy, s.correct_accuracy, s.f1) for s in m.splits] == [("x", 1, 1, 1), ("y", 1, 1, 1)]
    assert m.mean.f1 == 1
    assert [(s.split, s.error_accuracy, s.correct_accuracy, s.f1) for s in k.splits] == [("x", 0, None, None)]
    assert k.mean.f1 is None
    # the threshold itself is still right; above it, it is wrong
    assert evaluate_scores(tmp_path / "y.jsonl", 0.55)[0].splits[0].correct_accuracy == 0


@pytest.mark.parametrize(
    ("bad", "field", "words"),
    [
        (row(label=None), "label", "is missing"),
        (row(label=True), "label", "must be a whole number, not true"),
        (row(label=3), "label", "must lie between -1 and 2 for 3 steps, not 3"),
        (row(label=-2), "label", "must lie between"),
        (row(n_steps=None), "n_steps", "is missing"),
        (row(n_steps=0), "n_steps", "must be at least 1"),
        (row(n_steps="3"), "n_steps", "must be a whole number"),
        (row(id=None), "id", "is missing"),
        (row(id=5), "id", "must be text"),
        (row(model=""), "model", "is missing"),
        (row(scores=None), "scores", "is missing"),
        (row(scores=[]), "scores", "there are 0 scores; label 1 of 3 steps needs 2"),
        (row(scores=[0.9]), "scores", "there are 1 scores"),
        (row(scores=[0.9] * 4), "scores", "there are 4 scores"),
        (row(label=-1), "scores", "label -1 of 3 steps needs 3"),
        (row(scores=0.5), "scores", "must be a list"),
        (row(scores=[0.5, None]), "scores[1]", "must be a number, not null"),
        (row(scores=[0.5, True]), "scores[1]", "must be a number, not true"),
        (row(scores=[0.5, "0.5"]), "scores[1]", "must be a number, not text ('0.5')"),
        (ROW, "id", "'a' was scored by m at"),
        (["a"], "", "must be an object"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, bad: object, field: str, words: str) -> None:
    path = write(tmp_path / "x.jsonl", ROW, bad)
    with pytest.raises(InputError) as caught:
        read_scores(path)
    assert caught.value.where == f"{path}:2"
    assert caught.value.field == field
    assert words in str(caught.value)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no \.jsonl file"):
        read_scores(tmp_path)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_scores(tmp_path / "absent.jsonl")
    (tmp_path / "x.jsonl").write_text(json.dumps(ROW) + '\n{"id": "b", "scores": [NaN')
    with pytest.raises(InputError, match=r"x.jsonl:2: is not JSON: invalid character at column 24"):
        read_scores(tmp_path)


def test_the_threshold_is_a_number(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be a number"):
        evaluate_scores(write(tmp_path / "x.jsonl", ROW), float("nan"))


def test_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "x[b].jsonl", ROW, row(id="b", label=-1, scores=[0.9, 0.6, 0.5]))
    write(tmp_path / "y.jsonl", row(model="[red]k\x1b[31m"))
    print_scores(evaluate_scores(tmp_path), Console(width=80))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["model", "x[b]", "y", "mean"]
    assert lines[2:4] == [["[red]k[31m", "-", "-", "-"], ["m", "100.0", "-", "100.0"]]


@pytest.mark.slow
def test_published_scores_are_reproduced(shared_data: Callable[[str], Path]) -> None:
    """Qwen2.5-Math-7B-PRM800K at 0.5, on 250 rows a split (FoVer, psunlpgroup)."""
    models = {score.model: score for score in evaluate_scores(shared_data("prm_scores"), 0.5)}
    found = models["Qwen2.5-Math-7B-PRM800K"]
    f1 = {split.split: f"{100 * split.f1:.1f}" for split in found.splits if split.f1 is not None}
    assert f1 == {"gsm8k": "66.8", "math": "61.9", "olympiadbench": "56.7", "omnimath": "47.4"}
    assert all(split.n == 250 and not split.missing for split in found.splits)
