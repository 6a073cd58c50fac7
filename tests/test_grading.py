"""Final answers and their comparison, the hostile ones too."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import Any

import pytest

from genprm import comparing
from genprm.answers import final_answer
from genprm.synth.grading import Grader
from genprm.synth.types import Grade

needs_math_verify = pytest.mark.skipif(find_spec("math_verify") is None, reason="Math-Verify is not installed")


def graded(use: Callable[[Grader], Awaitable[object]], limit_s: float = 5.0, workers: int = 1) -> object:
    async def run() -> object:
        grader = Grader(workers, limit_s)
        try:
            return await use(grader)
        finally:
            await grader.close()

    return asyncio.run(run())


def grade(answer: str, reference: str) -> object:
    async def use(grader: Grader) -> Grade:
        return (await grader.grade(f"So it is $\\boxed{{{answer}}}$.", reference))[0]

    return graded(use)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("… $\\boxed{42}$. The answer is 7.", "42"),
        ("4 + 4 = 8\n#### 1,208 \n", "1,208"),
        ("#### 3\nno:\n#### 4", "4"),
        ("The answer is 5.", "5"),
        ("So the final answer is: **$12$**.", "12"),
        ("The answer is $\\frac{1}{2}$. I hope it is right.", "\\frac{1}{2}"),
        ("the answer to the problem is -3.5", "-3.5"),
        ("My answer = 8 apples!", "8 apples"),
        ("The answer is", None),
        ("The answers are easy. 42", None),
        ("\\boxed{}", None),
        ("\\boxed{42", None),
        ("So the answer is $\\boxed{42", None),
        ("The answer is 5. That is \\boxed{", "5"),
        ("#### ", None),
        ("", None),
    ],
)
def test_final_answers(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer


@pytest.mark.parametrize("part", ["the answer is ", "#### ", "the answer to the ", "answer = $", "\\boxed{", "\\("])
def test_final_answers_of_long_text_take_no_time(part: str) -> None:
    began = time.process_time()
    final_answer(part * 20_000)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("text", "finish", "expected"),
    [
        ("\\boxed{1,000.0}", "stop", ("right", "1,000.0")),
        ("\\boxed{1000\\%}", "stop", ("right", "1000\\%")),
        ("\\boxed{999}", "stop", ("wrong", "999")),
        ("The answer is blue.", "stop", ("wrong", "blue")),
        ("I give up.", "stop", ("no_answer", None)),
        ("I go on and on", "length", ("cut_off", None)),
        ("\\boxed{1000} and on and on", "length", ("right", "1000")),
    ],
)
def test_grades_without_any_process(text: str, finish: str, expected: tuple[str, str | None]) -> None:
    assert graded(lambda grader: grader.grade(text, "1000", finish)) == expected  # type: ignore[arg-type]


@needs_math_verify
def test_grades_by_mathematics() -> None:
    async def use(grader: Grader) -> dict[tuple[str, str], str]:
        pairs = [
            ("\\frac{1}{2}", "0.5"),
            ("(x-1)(x+1)", "x^2-1"),
            ("\\dfrac12", "\\frac{1}{2}"),
            ("\\{2,1\\}", "\\{1,2\\}"),
            ("(2,1)", "(1,2)"),
            ("x^2", "x^3"),
            ("from", "form"),
            ("\\text{Blue}", "blue"),
            ("\\int", "3"),
        ]
        return {pair: (await grader.grade(f"\\boxed{{{pair[0]}}}", pair[1]))[0] for pair in pairs}

    found = graded(use)
    assert list(found.values()) == [  # type: ignore[attr-defined]
        "right", "right", "right", "right", "wrong", "wrong", "wrong", "right", "unparsed",
    ]  # fmt: skip


@needs_math_verify
@pytest.mark.slow
@pytest.mark.parametrize(
    "hostile",
    ["9^{9^{9^{9}}}", "\\sum_{n=1}^{10^{12}} \\frac{1}{n^3+\\sin(n)}", "(" * 3000 + "1" + ")" * 3000, "10^{10^{10}}!"],
)
def test_an_answer_that_hangs_the_comparison_is_bounded(hostile: str) -> None:
    async def use(grader: Grader) -> list[tuple[Grade, str | None]]:
        others = [grader.grade(f"\\boxed{{x+{n}}}", f"{n}+x") for n in range(4)]
        return await asyncio.gather(grader.grade(f"\\boxed{{{hostile}}}", "x+7"), *others)

    began = time.monotonic()
    found: Any = graded(use, limit_s=1.0, workers=2)
    (worst, answer), *others = found
    assert time.monotonic() - began < 30
    assert worst in ("timeout", "unparsed", "wrong")
    assert answer == hostile
    assert others == [("right", f"x+{n}") for n in range(4)]


@needs_math_verify
@pytest.mark.slow
def test_a_tower_of_powers_is_killed() -> None:
    async def use(grader: Grader) -> Grade:
        return (await grader.grade("\\boxed{9^{9^{9^{9}}}}", "x+7"))[0]

    assert graded(use, limit_s=1.0) == "timeout"


@needs_math_verify
@pytest.mark.slow
def test_equal_answers_are_grouped() -> None:
    answers = ["0.5", None, "3", "\\frac{1}{2}", "3.0", "x+1", "1+x", None, "3"]

    async def run() -> list[int]:
        comparer = comparing.Comparer(workers=1)
        try:
            return await comparer.equivalent_groups(answers)
        finally:
            await comparer.close()

    assert asyncio.run(run()) == [0, -1, 1, 0, 1, 2, 2, -1, 1]


def test_without_math_verify_it_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(comparing, "find_spec", lambda name: None)
    monkeypatch.setattr(comparing, "_said_without", False)
    assert grade("\\frac{1}{2}", "0.5") == "unparsed"
    assert grade("\\frac{1}{2}", "\\dfrac{1}{2}") == "right"
    assert grade("7", "8") == "wrong"
    assert capsys.readouterr().err.count("Math-Verify") == 1
