"""Rows from what a policy wrote itself."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from genprm.answers import boxed
from genprm.cli import main
from genprm.errors import InputError
from genprm.protocols.policy import ACCEPTED, read_review
from genprm.synth.sampling import Sampled
from genprm.synth.stages import records_in
from genprm.synth.types import Attempt
from genprm.synth.world.attempts import attempt_rows
from genprm.types import NO_ERROR

PIPELINE = """
[problems]
source = "world:train:0-40"
[engines.policy]
engine = "world:0.3"
[solutions]
engine = "policy"
rounds = { right = 0, wrong = 1, first = 1, cap = 1, keep = 1 }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Attempts of a policy that errs in three steps of ten."""
    made = tmp_path_factory.mktemp("attempts")
    (made / "pipeline.toml").write_text(PIPELINE)
    assert main(["synth", "solutions", str(made)]) == 0
    return made / "1-solutions"


@pytest.fixture(scope="module")
def attempts(folder: Path) -> list[Attempt]:
    return [attempt for sampled in records_in(folder, Sampled) for attempt in sampled.attempts]


def _said(row: dict[str, Any]) -> list[str]:
    return [message["content"] for message in row["messages"]]


def test_wrong_attempts_are_mended_from_their_first_error(attempts: list[Attempt]) -> None:
    by_text = {"\n\n".join(one.solution.steps): one for one in attempts}
    rows = list(attempt_rows("revise", attempts, "train", 100))
    assert len(rows) > 10
    for row in rows:
        _, attempt, critique, answer = _said(row)
        source = by_text[attempt]
        assert not source.right
        named = int(critique.split()[1]) - 1
        assert answer.split("\n\n")[:named] == list(source.solution.steps[:named])
        assert boxed(answer) == source.solution.problem.answer
    assert rows[3:5] == list(attempt_rows("revise", attempts, "train", 2, 3))


def test_reviews_are_of_right_and_wrong_ones_in_turn(attempts: list[Attempt]) -> None:
    by_text = {"\n\n".join(one.solution.steps): one for one in attempts}
    rows = [_said(row) for row in attempt_rows("review", attempts, "train", 100)]
    assert [by_text[row[1]].right for row in rows] == [True, False] * (len(rows) // 2)
    for _, attempt, _, said in rows:
        found = read_review(said, attempt.count("\n\n") + 1)
        assert (found == NO_ERROR) == by_text[attempt].right == (said == ACCEPTED)


def test_what_is_not_known_teaches_nothing(attempts: list[Attempt]) -> None:
    """Steps in other words; a grade that no step accounts for."""
    wrong = next(one for one in attempts if not one.right)
    foreign = replace(wrong, solution=replace(wrong.solution, steps=("Hm.", *wrong.solution.steps)))
    assert list(attempt_rows("revise", [foreign, replace(wrong, grade="right")], "train", 10)) == []


def test_a_calculation_in_other_words_is_mended_too(attempts: list[Attempt]) -> None:
    """Where the end is wrong; such a step is taken to be about what should come next."""
    wrong = next(one for one in attempts if not one.right)
    for calculation in ("3 + 4 = 7", "5 / 0 = 3", "12 * 3 - 4 = 1"):
        strange = replace(wrong, solution=replace(wrong.solution, steps=(f"Well, {calculation}!", "Hm.")))
        (row,) = attempt_rows("revise", [strange], "train", 10)
        _, _, critique, answer = _said(row)
        assert critique.startswith("Paragraph 1 is wrong")
        assert boxed(answer) == wrong.solution.problem.answer
    for nothing in ("9 ^ 9 ^ 9 ^ 9 = 1", "07 + 1 = 8", "3 = 3"):
        strange = replace(wrong, solution=replace(wrong.solution, steps=(nothing,)))
        assert list(attempt_rows("revise", [strange], "train", 10)) == []


def test_attempts_at_problems_to_measure_by_are_refused(attempts: list[Attempt]) -> None:
    with pytest.raises(InputError, match="is an attempt at a problem of the split train"):
        list(attempt_rows("revise", attempts, "valid", 1))


def test_the_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "rows.jsonl"
    args = ["synth", "world", "train", "--attempts", str(folder), "-o", str(out)]
    assert main([*args, "--rows", "revise", "-n", "5"]) == 0
    assert len([json.loads(line) for line in out.read_text().splitlines()]) == 5
    assert main([*args, "--rows", "policy"]) == 2
    assert "--attempts goes with --rows revise or review" in capsys.readouterr().err
    assert main(["synth", "world", "train", "--attempts", str(tmp_path), "--rows", "revise"]) == 2
    assert "is no folder of solutions" in capsys.readouterr().err
