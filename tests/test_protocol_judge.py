"""The one-shot judge: how it asks, and what it makes of answers."""

from typing import Literal

import pytest

from genprm.protocols import Generate, JudgeProtocol
from genprm.protocols.judge import read_index
from genprm.types import Problem, Sampling, Solution
from tests.test_protocol_genprm import drive

SOLUTION = Solution(Problem("Let {x} be \\boxed{7}."), ("a = {base}", "b", "c"))


@pytest.mark.parametrize(
    ("text", "base", "index"),
    [
        ("… so paragraph 1 is wrong: \\boxed{1}", 0, 1),
        ("… so paragraph 1 is wrong: \\boxed{1}", 1, 0),
        ("\\boxed{-1}", 0, -1),
        ("\\boxed{-1}", 1, -1),
        ("first \\boxed{0}, no: \\boxed{2}", 0, 2),
        ("$\\boxed{\\text{2}}$", 0, 2),
        ("\\boxed{ 2 }", 0, 2),
        ("\\boxed{3}", 0, None),  # no such step
        ("\\boxed{0}", 1, None),
        ("\\boxed{-2}", 0, None),
        ("\\boxed{1.5}", 0, None),
        ("\\boxed{paragraph_1}", 0, None),
        ("\\boxed{1", 0, None),
        ("1", 0, None),
        ("", 0, None),
        ("<think>\\boxed{0}</think> none: \\boxed{-1}", 0, -1),
        ("<think>\\boxed{0}</think> I do not know", 0, None),
        ("\\boxed{" + "9" * 100_000 + "}", 0, None),
        ("\\boxed{" * 50_000, 0, None),
    ],
)
def test_reading_an_index(text: str, base: Literal[0, 1], index: int | None) -> None:
    assert read_index(text, 3, base) == index


@pytest.mark.parametrize("base", [0, 1])
def test_the_question_says_from_where_it_counts(base: Literal[0, 1]) -> None:
    done, asked = drive(JudgeProtocol(base=base).rationale(SOLUTION, 0, (), Sampling()), [f"\\boxed{{{1 + base}}}"])
    assert isinstance(asked[0], Generate)
    question = asked[0].prompt.messages[0].content
    assert f"the first paragraph has the number {base}" in question
    assert f"<paragraph_{base}>\na = {{base}}\n</paragraph_{base}>" in question
    assert "Let {x} be \\boxed{7}." in question
    assert asked[0].prompt.opening == ""
    assert (done.outcome, done.first_error) == ("ok", 1)


def test_an_answer_without_an_index_is_no_verdict() -> None:
    done, _ = drive(JudgeProtocol().rationale(SOLUTION, 0, (), Sampling()), ["All is well."])
    assert (done.outcome, done.first_error) == ("no_verdict", None)
