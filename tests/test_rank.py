"""Best of N: how scores become a choice, what ties and gaps do, and the command."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from genprm.candidates import Candidate, Group, read_groups
from genprm.cli import main
from genprm.errors import InputError
from genprm.rank import (
    NO_ANSWER,
    Choice,
    Ranked,
    aggregate,
    best,
    choices,
    failures,
    majority,
    weighted,
)
from genprm.rank_command import Chosen
from genprm.rank_run import all_compared, scored
from genprm.runs import Run
from genprm.scorers.base import Scores
from genprm.types import Problem, Solution
from tests.training_rows import write


def test_rules() -> None:
    scores = Scores((0.9, 0.5, 0.8), outcome=0.2)
    found = {rule: aggregate(scores, rule) for rule in ("last", "mean", "min", "product", "outcome", "hybrid")}
    expected = {
        "last": 0.8,
        "mean": 2.2 / 3,
        "min": 0.5,
        "product": 0.36,
        "outcome": 0.2,
        "hybrid": 0.06 + 0.7 * 2.2 / 3,
    }
    assert found == pytest.approx(expected)


def test_what_has_no_score_gets_none() -> None:
    assert aggregate(Scores((None, None)), "min") is None
    assert aggregate(Scores(()), "product") is None
    assert aggregate(Scores((0.9,), error="too long"), "mean") is None
    assert aggregate(Scores((0.9,)), "outcome") is None
    assert aggregate(Scores((0.9,)), "hybrid") is None
    assert aggregate(Scores((0.9, None)), "last") == 0.9, "a critic that stopped at the first error"


def test_ties_go_to_the_answer_that_more_share_and_then_to_the_first() -> None:
    assert best([0.5, 0.9, 0.9, 0.9], [0, 1, 2, 2]) == Choice(2, 3)
    assert best([0.9, 0.9], [0, 1]) == Choice(0, 2)
    assert best([None, 0.1], [0, 0]) == Choice(1, 1)
    assert best([None, None], [0, 0]) == Choice(None, 0)
    assert majority([1, 0, 0, 1]) == Choice(0, 2)
    assert weighted([0.5, 0.5], [7, 3]) == Choice(0, 2), "numbers of answers say nothing"
    assert weighted([0.5, 0.5, 1.0], [0, 0, 1]) == Choice(0, 2)


def test_votes() -> None:
    assert majority([0, 1, 1, NO_ANSWER, NO_ANSWER, NO_ANSWER]) == Choice(1, 1)
    assert majority([NO_ANSWER]) == Choice(None, 0)
    assert majority([]) == Choice(None, 0)
    assert weighted([0.9, 0.3, 0.5, None], [0, 1, 1, 1]) == Choice(0, 1)
    assert weighted([0.7, 0.3, 0.5, None], [0, 1, 1, 1]) == Choice(2, 1), "the best member stands for the answer"


def group(answers: list[str | None], reference: str | None = "5", right: bool | None = None) -> Group:
    problem = Problem("p", reference)
    made = (Candidate(Solution(problem, ("s",), id=f"0/{k}"), answer, right) for k, answer in enumerate(answers))
    return Group("0", problem, tuple(made))


def ranked_of(group: Group) -> Ranked:
    (ranked,) = asyncio.run(all_compared([group]))
    return ranked


def test_answers_are_grouped_as_mathematics() -> None:
    said: list[str | None] = ["1,000", "1000.0", None, "\\$1000", "Blue.", " blue", "", "7"]
    assert ranked_of(group(said)).answers == (0, 0, NO_ANSWER, 0, 1, 1, NO_ANSWER, 2)


def test_the_reference_does_not_break_ties() -> None:
    ranked = ranked_of(group(["6", "5"]))
    assert ranked.answers == (0, 1)
    assert ranked.right == (False, True)
    assert choices(ranked, "min") == {"majority": Choice(0, 2)}
    assert choices(ranked_of(group([])), "min")["best"] == Choice(None, 0)


def test_what_is_right_where_nobody_says() -> None:
    assert ranked_of(group(["6", None], None)).right == (None, None)
    assert ranked_of(group([None, "5"])).right == (False, True)
    assert ranked_of(group(["6"], "5", True)).right == (True,)
    assert ranked_of(group([])).right == ()


def test_what_is_missing_is_counted() -> None:
    empty = Group("1", Problem("q"), (Candidate(Solution(Problem("q"), ()), error="empty"),))
    ranked = [
        Ranked(group([]), (), ()),
        Ranked(empty, (NO_ANSWER,), (None,), (Scores((), error="empty"),)),
        Ranked(group(["5"]), (0,), (True,), (Scores((0.5,)),)),
    ]
    assert failures(ranked) == {
        "problem without candidates": 1,
        "candidate empty": 1,
        "candidate without an answer": 1,
        "candidate without a score": 1,
        "problem without a score": 1,
        "problem without an answer": 1,
    }


# --- files ---------------------------------------------------------------------------------------------------------

ROWS: list[dict[str, Any]] = [
    {
        "question": "What is 2 + 3?",
        "gt": 5,
        "candidates": [
            {"solution": "2 + 3 = 6\n\nSo \\boxed{6}", "completion": "6", "correct": False, "model": "m"},
            {"solution": "2 + 3 = 5\n\nSo \\boxed{5}", "correct": True},
            {"solution": "   "},
        ],
    },
    {"problem": "What is 2 * 4?", "answer": "8", "steps": ["2 * 4 = 9"], "final_answer": 9},
    {"problem": "What is 2 * 4?", "steps": ["2 * 4 = 8", "#### 8"]},
    {"problem": "Nobody tried.", "answer": "1", "candidates": []},
]


def test_both_forms_of_rows(tmp_path: Path) -> None:
    first, second, third = read_groups(str(write(tmp_path / "c.jsonl", ROWS)))
    assert [one.answer for one in first.candidates] == ["6", "5", None]
    assert [one.right for one in first.candidates] == [False, True, None]
    assert [one.error for one in first.candidates] == ["", "", "empty"]
    assert first.problem.answer == "5"
    assert [one.answer for one in second.candidates] == ["9", "8"]
    assert second.problem.answer == "8"
    assert [one.solution.id for one in second.candidates] == ["1/0", "1/1"]
    assert third.candidates == ()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"candidates": []}, "no text of the problem"),
        ({"problem": "p", "candidates": ["text"]}, r"field candidates\[0\]: must be an object"),
        ({"problem": "p", "candidates": [{"solution": 3}]}, r"candidates\[0\], field solution: must be text"),
        ({"problem": "p", "steps": ["a", 1]}, "field steps: must be texts"),
        ({"problem": "p", "gt": True, "steps": ["a"]}, "field answer: must be text or a number"),
    ],
)
def test_rows_that_do_not_fit(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_groups(str(write(tmp_path / "c.jsonl", [row])))


# --- the command ---------------------------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, list[Chosen]]:
    import msgspec

    code = main(["rank", *map(str, words), "--json"])
    return code, [msgspec.json.decode(line, type=Chosen) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.slow
def test_the_critic_chooses_where_votes_tie(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "c.jsonl", ROWS)
    scorer = "critic:symbolic,sandbox_level=process"
    code, (first, second, third) = run(capsys, source, "--scorer", scorer, "--run", tmp_path / "run")
    assert code == 1, "a problem has no candidates"
    assert (first.index, first.answer, first.right) == (1, "5", True)
    assert first.scores[2] is None
    assert (second.index, second.right) == (1, True)
    assert (third.index, third.right) == (None, None)
    code, again = run(capsys, source, "--scorer", scorer, "--run", tmp_path / "run", "--weighted")
    assert [one.index for one in again] == [1, 1, None]
    lines = (tmp_path / "run" / "results.jsonl").read_text().splitlines()
    assert len(lines) == 3, "nothing is scored twice"


def test_majority_without_a_scorer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "c.jsonl", ROWS)
    _, (first, second, _) = run(capsys, source, "--run", tmp_path / "run")
    assert (first.index, first.tied, second.index) == (0, 2, 0)
    assert main(["rank", str(source), "--run", str(tmp_path / "run")]) == 1
    told = capsys.readouterr().out
    assert "candidate empty: 1" in told
    assert "problem without candidates: 1" in told


def test_a_policy_that_repeats_itself_and_one_that_says_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "p.jsonl", [{"problem": "What is 2 + 3?", "answer": "5"}])
    for said, answer in (("2 + 3 = 5\n\nSo \\boxed{5}", "5"), ("   ", None)):
        script = tmp_path / f"{answer}.json"
        script.write_text(json.dumps({"text": said}))
        words = [source, "--policy", f"scripted:{script}", "-n", 3, "--run", tmp_path / f"run{answer}"]
        code, (one,) = run(capsys, *words)
        assert (code, one.answer) == (0 if answer else 1, answer)
        assert one.tied == (1 if answer else 0)


def test_scores_of_candidates_that_were_sampled_again_do_not_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The policy fails on a candidate; when it is asked again, all of them may have other texts."""
    source = write(tmp_path / "p.jsonl", [{"problem": "What is 2 + 3?", "answer": "5"}])
    script, judge = tmp_path / "s.json", tmp_path / "judge.json"
    judge.write_text(json.dumps({"text": "\\boxed{-1}"}))
    scorer = f"critic:scripted:{judge},protocol=judge"
    words = [source, "--policy", f"scripted:{script}", "-n", 2, "--run", tmp_path / "run", "--scorer", scorer]
    script.write_text(json.dumps({"error": "no power"}))
    code, (one,) = run(capsys, *words)
    assert (code, one.index, one.scores) == (1, None, (None, None))
    script.write_text(json.dumps({"text": "2 + 3 = 5\n\nSo \\boxed{5}"}))
    code, (one,) = run(capsys, *words)
    assert (code, one.index) == (0, 0)
    assert None not in one.scores


def test_scores_of_heads_that_were_trained_again_do_not_count(tmp_path: Path) -> None:
    class Told:
        name = f"head:{tmp_path},device=cpu"

        def __init__(self, value: float) -> None:
            self.value = value

        async def score(self, solutions: Sequence[Solution]) -> list[Scores]:
            return [Scores((self.value,)) for _ in solutions]

        async def close(self) -> None:
            return None

    def told(value: float) -> float | None:
        with Run(tmp_path / "run", {}) as kept:
            ((scores, *_),) = asyncio.run(scored([group(["5"])], Told(value), kept))
        return scores.steps[0]

    (tmp_path / "heads.safetensors").write_bytes(b"one")
    assert [told(0.1), told(0.2)] == [0.1, 0.1]
    (tmp_path / "heads.safetensors").write_bytes(b"two")
    assert [told(0.3), told(0.4)] == [0.3, 0.3]


def test_weights_need_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rank", str(write(tmp_path / "c.jsonl", ROWS)), "--weighted"]) == 2
    assert "--scorer" in capsys.readouterr().err
