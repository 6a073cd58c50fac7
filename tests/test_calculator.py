"""A calculator for policies: what it computes, when it holds back, and a text that is written with it."""

import asyncio
from pathlib import Path

import pytest

from genprm.calculator import parted, value_of, values_in
from genprm.engines import open_engine
from genprm.engines.calculating import Calculating, after
from genprm.engines.scripted import Rule, ScriptedEngine
from genprm.synth.world import examples
from genprm.types import Completion, Message, Prompt, Sampling


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Compute 27 / 3 =", " 9"),
        ("6 * 3 * 7=", "126"),
        ("so she has 3024 * (100 - 25) / 100 =", " 2268"),
        ("497 × 60 =", " 29820"),
        ("gcd(12, 18) =", " 6"),
        ("2 ^ 5 =", " 32"),
        ("(3 + 4) mod 5 =", " 2"),
        ("7 - 9 =", " -2"),
        ("1,200 * 3 =", " 3600"),
        ("10 / 4 =", " 2.5"),
        ("10 / 3 =", " 3.33"),
        ("Of 5, 2 * 3 =", " 6"),
        ("It was 2019. 2 * 3 =", " 6"),
        ("x = 3 + 4 =", " 7"),
    ],
)
def test_values(text: str, value: str) -> None:
    assert value_of(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "So x =", "5 =", "=", "", "2 + 2", "1 / 0 =", "17 mod 0 =", "mod 5 =", "2 + =", "(2 + 3 =", "2 * x =", "2 == ",
        "9^9^9^9 =", "9" * 300 + " * 9 =", "(" * 150 + "1 + 1" + ")" * 20 + " =", "10^14 * 10^14 =", "2^0.5 + 1 =",
    ],
)  # fmt: skip
def test_where_there_is_nothing_to_compute_it_says_nothing(text: str) -> None:
    assert value_of(text) is None


def test_the_worlds_computations_are_all_within_its_reach() -> None:
    seen = 0
    for made in examples("valid", 16):
        for step in made.steps:
            if step.truth.correct and step.computation:
                values = [step.text[start:end].strip() for start, end in values_in(step.text)]
                assert str(step.claimed) in values
                seen += 1
    assert seen > 30


def test_wrong_values_are_none_that_it_put_there() -> None:
    assert [*values_in("2 * 3 = 7, and 2 * 3 = 6")] == [(22, 24)]
    assert [*values_in("2 * 3 = 61")] == []


GENERATED = (
    ("It", "is", "1728", "*", "2", "="),
    (",", "written", "down", ".", "So", "n", "="),
    ("3456", ",", "and", "the", "answer", "is", "\\", "boxed", "{", "3456", "}", "."),
)


def written(
    *rules: Rule, opening: str = "", stop: tuple[str, ...] = (), max_tokens: int = 100
) -> tuple[Completion, int]:
    engine = ScriptedEngine(rules)
    prompt = Prompt((Message("user", "How many?"),), opening)
    calculating = Calculating(engine, "calculator:scripted")
    return asyncio.run(calculating.complete(prompt, Sampling(stop=stop, seed=1, max_tokens=max_tokens))), engine.calls


def test_values_are_put_behind_computations_and_nothing_else() -> None:
    done, calls = written(
        Rule(" 3456, and the answer is \\boxed{3456}.", when="So n"),
        Rule(", written down. So n = 6.", when=" = 345"),
        Rule("It is 1728 * 2 = 5, and so on.", when="How many?"),
    )
    assert done.text == "It is 1728 * 2 = 3456, written down. So n = 3456, and the answer is \\boxed{3456}."
    assert done.finish == "stop"
    assert calls == done.usage.calls == 3
    assert done.usage.completion_tokens == sum(map(len, GENERATED))


def test_the_callers_stop_and_budget_hold() -> None:
    rules = (Rule(" 9 more\n\nand more", when=" 6"), Rule("2 * 3 = 5\n\n", when="How many?"))
    assert written(*rules, stop=("\n\n",))[0].text == "2 * 3 = 6 9 more\n\n"
    assert written(*rules, stop=("=",))[0].text == "2 * 3 ="
    done, calls = written(*rules, max_tokens=4)
    assert (done.text, done.finish, calls) == ("2 * 3 = 6", "length", 1)
    done, _ = written(*rules, max_tokens=5)
    assert (done.text, done.finish) == ("2 * 3 = 6 9", "length")


def test_an_opening_is_gone_on_from() -> None:
    done, _ = written(Rule(" is 3", when="= 3"), Rule(" =", when="2 + 1"), opening="We see that 2 + 1")
    assert done.text == " = 3 is 3"


class Watched:
    """An engine whose prompts are kept."""

    name = "watched"
    protocols: frozenset[str] | None = None

    def __init__(self, *texts: str) -> None:
        self.asked: list[Prompt] = []
        self._texts = iter(texts)

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        self.asked.append(prompt)
        return Completion(next(self._texts))

    async def close(self) -> None:
        return None


def gone_on(begun: str, *texts: str) -> tuple[str, list[Prompt]]:
    engine = Watched(*texts)
    prompt = after(Prompt((Message("user", "2 * 2 = 4?"),)), begun)
    return asyncio.run(Calculating(engine, "calculator:watched").complete(prompt, Sampling())).text, engine.asked


def test_a_text_that_is_gone_on_from_is_read_in_the_parts_of_training() -> None:
    begun = "It is 6 * 7 = 42 cm.\n\n"
    text, asked = gone_on(begun, "So 42 + 1 =", " cm.")
    assert text == "So 42 + 1 = 43 cm."
    assert asked[0].pieces == ("It is 6 * 7 =", " 42", " cm.\n\n")
    assert asked[1].pieces == ("It is 6 * 7 =", " 42", " cm.\n\nSo 42 + 1 =", " 43")
    for prompt in asked:
        assert "".join(prompt.pieces) == prompt.messages[-1].content + prompt.opening
    assert [part for part, _ in parted(begun + text)][:4] == [*asked[1].pieces[:3], " 43"]


def test_a_computation_that_a_text_has_half_of_is_computed_as_a_whole() -> None:
    assert gone_on("It is 24 * 126", " =", ".")[0] == " = 3024."
    assert gone_on("It is 24 * 12", "6 =", ".")[0] == "6 = 3024."


def test_it_goes_around_any_engine(tmp_path: Path) -> None:
    script = tmp_path / "script.jsonl"
    script.write_text('{"when": "4 + 4 =", "text": " apples."}\n{"text": "4 + 4 = 9"}\n')

    async def ask() -> str:
        async with open_engine(f"calculator:scripted:{script}") as engine:
            assert engine.name == f"calculator:scripted:{script}"
            return (await engine.complete(Prompt((Message("user", "?"),)), Sampling())).text

    assert asyncio.run(ask()) == "4 + 4 = 8 apples."
