"""JSON in and out without loss."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genprm import records
from genprm.errors import InputError
from genprm.sandbox.result import Result
from genprm.types import (
    Check,
    Critique,
    Method,
    Problem,
    Rationale,
    Solution,
    StepCritique,
    Usage,
    Votes,
)
from tests.texts import TEXT

PROBABILITY = st.floats(0, 1)
RATIONALE = st.builds(
    Rationale,
    st.integers(0, 9),
    st.sampled_from(["ok", "forced", "no_verdict", "engine_error"]),
    text=TEXT,
    analysis=TEXT,
    checks=st.tuples(st.builds(Check, TEXT, st.builds(Result, st.sampled_from(["ok", "timeout"]), TEXT, TEXT))),
    verdict=st.none() | st.booleans(),
    p_yes=st.none() | PROBABILITY,
    usage=st.builds(Usage, st.integers(0), st.integers(0), st.integers(0), st.integers(0)),
)
CRITIQUE = st.builds(
    Critique,
    st.builds(Solution, st.builds(Problem, TEXT), st.tuples(TEXT, TEXT), TEXT, st.none() | st.integers(-1, 1)),
    st.builds(Method, TEXT, TEXT, seed=st.none() | st.integers(0, 2**31)),
    st.sampled_from(["ok", "failed"]),
    st.none() | st.integers(-1, 1),
    st.tuples(st.builds(StepCritique, st.just(0), st.builds(Votes), PROBABILITY, st.booleans(), st.tuples(RATIONALE))),
    seconds=st.floats(0, 1e9),
)


@settings(max_examples=40)
@given(CRITIQUE)
def test_there_and_back(critique: Critique) -> None:
    line = records.to_json(critique)
    assert b"\n" not in line
    assert records.from_json(line, Critique) == critique


def test_text_that_utf8_cannot_carry_does_not_break_a_run() -> None:
    line = records.to_json(Solution(Problem("\ud800"), ("a\udfff",)))
    assert records.from_json(line, Solution) == Solution(Problem("?"), ("a?",))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not JSON"),
        ("[]", "Expected `object`"),
        ('{"problem": {"text": 5}, "steps": []}', "field problem.text"),
        ('{"problem": {"text": ""}, "steps": ["a", 1]}', "field steps[1]"),
        (b"\xff", "not JSON"),
    ],
)
def test_what_is_no_record_is_named(line: str | bytes, said: str) -> None:
    with pytest.raises(InputError, match=r"results\.jsonl:3") as caught:
        records.from_json(line, Solution, "results.jsonl:3")
    assert said in str(caught.value)


def test_schema_speaks_of_every_field() -> None:
    definitions = records.schema()["$defs"]
    assert {"Critique", "StepCritique", "Rationale", "Check", "Result", "Method"} <= definitions.keys()
    assert set(definitions["Rationale"]["properties"]) >= {"outcome", "verdict", "p_yes", "checks"}


def test_the_page_on_the_result_file_names_every_field() -> None:
    page = (Path(__file__).parents[1] / "docs" / "results.md").read_text("utf-8")
    documented = set(re.findall(r"`(\w+)`", page))
    for name, definition in records.schema()["$defs"].items():
        assert set(definition["properties"]) <= documented, name
