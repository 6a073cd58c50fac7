"""Solutions of problems: strategies, rounds, beams, files of solutions that there are already."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from genprm.engines.scripted import Rule, ScriptedEngine
from genprm.errors import ConfigError, EngineLost, InputError
from genprm.problems import Posed
from genprm.synth.beam import Beam, search
from genprm.synth.completing import Completer
from genprm.synth.existing import grade_existing, read_existing
from genprm.synth.grading import Grader
from genprm.synth.problems import read_problems
from genprm.synth.prompts import asked, opening
from genprm.synth.sampling import Rounds, Sampled, Solver, Strategy
from genprm.types import Completion, Problem, Prompt, Sampling
from tests.conftest import SharedData

POSED = Posed("p1", Problem("What is 40 + 2?", "42"), "here")
RIGHT, WRONG = "40 + 2 = 42.\n\nSo $\\boxed{42}$.", "40 + 2 = 41.\n\nSo $\\boxed{41}$."


def graded(use: Callable[[Grader], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        grader = Grader()
        try:
            return await use(grader)
        finally:
            await grader.close()

    return asyncio.run(run())


def sample(engine: Any, *strategies: Strategy, rounds: Rounds | None = None, max_tokens: int = 64) -> Sampled:
    async def use(grader: Grader) -> Sampled:
        solver = Solver(engine, grader, strategies or (Strategy(),), rounds, max_tokens=max_tokens)
        return await solver.sample(POSED)

    found: Sampled = graded(use)
    return found


# --- completions ---------------------------------------------------------------------------------------------------


class Listening(ScriptedEngine):
    """Remembers what it was asked."""

    def __init__(self, *rules: Rule) -> None:
        super().__init__(rules)
        self.asked: list[tuple[Prompt, Sampling]] = []

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        self.asked.append((prompt, sampling))
        return await super().complete(prompt, sampling)


def test_a_prefix_is_gone_on_with_in_a_turn_of_the_policy() -> None:
    engine = Listening(Rule(text="So $\\boxed{42}$."))

    async def use(grader: Grader) -> Any:
        completer = Completer(engine, grader)
        return [await completer.complete(POSED.problem, steps, 0) for steps in ((), ("40 + 2 = 42.",))]

    bare, rest = graded(use)
    assert (rest.text, rest.steps, rest.grade, rest.answer) == (
        "So $\\boxed{42}$.",
        ("So $\\boxed{42}$.",),
        "right",
        "42",
    )
    first, second = (prompt for prompt, _ in engine.asked)
    assert [message.role for message in first.messages] == ["user"]
    assert (first.opening, first.problem) == ("", POSED.problem.text)
    assert second.messages == (*first.messages, second.messages[-1])
    assert second.messages[-1].role == "assistant"
    assert second.messages[-1].content + second.opening == "40 + 2 = 42.\n\n"
    assert bare.grade == "right"


def test_the_seed_of_a_completion_hangs_on_prefix_and_number_alone() -> None:
    engine = Listening(Rule(text="x"))

    async def use(grader: Grader) -> None:
        for completer in (Completer(engine, grader), Completer(engine, grader), Completer(engine, grader, seed=1)):
            for steps in ((), ("a",)):
                for k in (1, 0):
                    await completer.complete(POSED.problem, steps, k)

    graded(use)
    seeds = [sampling.seed for _, sampling in engine.asked]
    assert seeds[:4] == seeds[4:8]
    assert len(set(seeds[4:])) == 8
    assert None not in seeds


def test_step_forcing_marks_steps_once() -> None:
    assert opening((), True) == "Step 1:"
    assert opening(("Step 1: a", "b"), True) == "Step 1: a\n\nStep 2: b\n\nStep 3:"
    assert opening(("a", "b")) == "a\n\nb\n\n"
    engine = Listening(Rule(text=" a = 1\n\nStep 2: so \\boxed{42}"))
    found = sample(engine, Strategy("forced"), rounds=Rounds(first=1, cap=1))
    assert found.attempts[0].solution.steps == ("Step 1: a = 1", "Step 2: so \\boxed{42}")
    prompt = engine.asked[0][0]
    assert prompt.messages[-1].content + prompt.opening == "Step 1:"


def test_prompts_have_names_or_are_templates() -> None:
    assert asked("{problem} Now!", "2 {problem}?")[0].content == "2 {problem}? Now!"
    with pytest.raises(ConfigError, match="unknown prompt 'nonsense'; there are solve, careful, brief"):
        asked("nonsense", "p")


def test_a_solution_that_was_finished_already_is_graded_by_its_prefix() -> None:
    async def use(grader: Grader) -> Any:
        return await Completer(ScriptedEngine([Rule(text="")]), grader).complete(POSED.problem, (RIGHT,), 0)

    assert (graded(use).grade, graded(use).steps) == ("right", ())


# --- rounds --------------------------------------------------------------------------------------------------------


def test_rounds_grow_up_to_the_cap() -> None:
    assert Rounds(first=4, growth=2, cap=64).sizes() == [4, 8, 16, 32, 4]
    assert Rounds(first=3, growth=1, cap=8).sizes() == [3, 3, 2]
    for wrong in ({"first": 0}, {"first": 9, "cap": 8}, {"growth": 0.5}, {"keep": -1}):
        with pytest.raises(ConfigError, match="rounds need"):
            Rounds(**wrong)


def test_it_ends_when_right_and_wrong_are_there() -> None:
    engine = ScriptedEngine([Rule(texts=(RIGHT, WRONG))])
    found = sample(engine, rounds=Rounds(first=2, cap=64))
    assert found.kinds == "both"
    assert found.draws < 64
    assert engine.calls == found.draws
    assert found.grades["right"] + found.grades["wrong"] == found.draws
    assert found.repeated == found.draws - 2
    assert {attempt.grade for attempt in found.attempts} == {"right", "wrong"}
    assert all(attempt.solution.id == f"p1/{attempt.how['draw']}" for attempt in found.attempts)


@pytest.mark.parametrize(
    ("text", "kinds", "grade"),
    [
        (WRONG, "only_wrong", "wrong"),
        (RIGHT, "only_right", "right"),
        ("I do not know.", "only_wrong", "no_answer"),
        ("on and on " * 1000, "only_wrong", "cut_off"),
    ],
)
def test_a_problem_that_is_never_solved_or_never_missed_ends_at_the_cap(text: str, kinds: str, grade: str) -> None:
    found = sample(ScriptedEngine([Rule(text=text)]), rounds=Rounds(first=2, cap=7))
    assert (found.kinds, found.draws, dict(found.grades)) == (kinds, 7, {grade: 7})
    assert (len(found.attempts), found.repeated) == (1, 6)


def test_texts_without_a_step_are_left_out_and_failures_are_no_evidence() -> None:
    found = sample(ScriptedEngine([Rule(text="  \n")]), rounds=Rounds(first=2, cap=2))
    assert (found.kinds, found.empty, found.attempts, dict(found.grades)) == ("neither", 2, (), {"no_answer": 2})
    found = sample(ScriptedEngine([Rule(error="out of order")]), rounds=Rounds(first=2, cap=2))
    assert (found.kinds, found.error, found.attempts) == ("neither", "out of order", ())
    assert dict(found.grades) == {"failed": 2}


def test_no_more_of_a_kind_are_kept_than_asked_for() -> None:
    texts = tuple(f"{n} is odd.\n\n\\boxed{{{n}}}" for n in range(50))
    found = sample(ScriptedEngine([Rule(texts=texts)]), rounds=Rounds(first=32, cap=32, keep=3))
    assert len(found.attempts) == 3 + (found.grades.get("right", 0) > 0)
    assert found.surplus + found.repeated + len(found.attempts) == 32


def test_strategies_take_turns_and_say_how() -> None:
    engine = Listening(Rule(text=RIGHT))
    found = sample(
        engine, Strategy(), Strategy(temperature=1.2, prompt="Q: {problem}"), rounds=Rounds(first=4, cap=4, right=5)
    )
    assert [sampling.temperature for _, sampling in engine.asked] == [0.7, 1.2, 0.7, 1.2]
    assert engine.asked[1][0].messages[0].content == f"Q: {POSED.problem.text}"
    assert found.attempts[0].how["strategy"] == "plain"
    assert found.attempts[0].how["engine"] == "scripted"


def test_an_engine_that_is_lost_is_no_data() -> None:
    class Lost(ScriptedEngine):
        async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
            raise EngineLost("gone")

    for strategy in (Strategy(), Strategy("beam")):
        with pytest.raises(EngineLost):
            sample(Lost([Rule()]), strategy)


# --- beam ----------------------------------------------------------------------------------------------------------


def beam(engine: Any, beam: Beam) -> Any:
    return graded(lambda grader: search(Completer(engine, grader, max_tokens=30), POSED.problem, beam, 0))


def test_a_beam_keeps_what_is_more_likely() -> None:
    rules = [
        Rule(when="fair", text="Then \\boxed{42}", p_yes=0.9),
        Rule(texts=("Yes is fair\n\nmore", "No is fair\n\nmore"), p_yes=0.9),
    ]
    paths, error = beam(ScriptedEngine(rules), Beam(2, 6, 8))
    assert error == ""
    assert [path.steps for path in paths] == [
        ("Yes is fair", "Then \\boxed{42}"),
        ("No is fair", "Then \\boxed{42}"),
    ]
    assert paths[0].score > paths[1].score
    assert {path.finish for path in paths} == {"stop"}


def test_a_step_that_does_not_end_and_steps_without_end_are_bounded() -> None:
    paths, _ = beam(ScriptedEngine([Rule(text="on " * 1000, p_yes=0.5)]), Beam(2, 3, 8))
    assert [(len(path.steps), path.finish) for path in paths] == [(1, "length")]
    engine = ScriptedEngine([Rule(text="again\n\nagain", p_yes=0.5)])
    paths, _ = beam(engine, Beam(2, 3, 8))
    assert [(len(path.steps), path.finish) for path in paths] == [(8, "length")]
    assert engine.calls == 8 * 3  # what is the same is gone on with once


def test_a_beam_needs_log_probabilities() -> None:
    with pytest.raises(ConfigError, match="needs log-probabilities, which scripted does not give"):
        beam(ScriptedEngine([Rule(text="x")]), Beam())


def test_solutions_of_a_beam_are_graded() -> None:
    engine = ScriptedEngine([Rule(when="fair", text="Then \\boxed{42}", p_yes=0.9), Rule(text="fair\n\nx", p_yes=0.9)])
    found = sample(engine, Strategy("beam", width=2, branching=2), rounds=Rounds(first=1, cap=1))
    assert [(attempt.solution.id, attempt.grade) for attempt in found.attempts] == [("p1/0.0", "right")]
    assert found.attempts[0].how["width"] == "2"


def test_a_beam_whose_engine_fails_is_a_failure() -> None:
    found = sample(ScriptedEngine([Rule(error="no power")]), Strategy("beam"), rounds=Rounds(first=1, cap=1))
    assert (dict(found.grades), found.error) == ({"failed": 1}, "no power")


# --- problems, and solutions that there are ------------------------------------------------------------------------


def rows(path: Path, *values: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return str(path)


def test_problems_of_the_world() -> None:
    found = read_problems("world:train:5-9:2").posed
    assert [one.id for one in found] == [f"world-train-2-{n}" for n in range(5, 9)]
    for bad in ("world:train", "world:nowhere:0-5", "world:train:5-5", "world:train:0-5:9"):
        with pytest.raises(InputError, match=r"world|difficulty"):
            read_problems(bad)


def test_problems_of_a_file(tmp_path: Path) -> None:
    source = rows(
        tmp_path / "p.jsonl",
        {"question": "q1", "answer": "thinking\n#### 1,200"},
        {"problem": "q2", "solution": "so \\boxed{x+1}"},
        {"problem": "q1", "answer": 7},
        {"problem": "q3", "answer": ""},
        {"id": 9, "problem": "q4", "gt": 7},
    )
    found = read_problems(source)
    assert [(one.id, one.problem.answer) for one in found.posed] == [("p-0", "1,200"), ("p-1", "x+1"), ("9", "7")]
    assert (found.repeated, found.unanswered) == (1, 1)
    assert len(read_problems(source, limit=2).posed) == 2
    with pytest.raises(InputError, match=r"p\.jsonl:1, field text: there is no text of the problem"):
        read_problems(source, fields={"problem": "text"})
    with pytest.raises(InputError, match=r"field fields\.nonsense"):
        read_problems(source, fields={"nonsense": "x"})


@pytest.mark.slow
def test_problems_of_a_dataset(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_list([{"q": "1 + 1?", "a": "2"}]).to_parquet(tmp_path / "train.parquet")
    found = read_problems(str(tmp_path), split="train", fields={"problem": "q", "answer": "a"})
    assert [(one.id, one.problem) for one in found.posed] == [("train-0", Problem("1 + 1?", "2"))]


def test_existing_solutions_of_a_file(tmp_path: Path) -> None:
    source = rows(
        tmp_path / "s.jsonl",
        {"problem": "q1", "answer": "42", "steps": ["a", "so \\boxed{42}"], "generator": "somebody"},
        {"problem": "q1", "answer": "42", "text": "b\n\nso \\boxed{41}"},
    )
    (existing,) = read_existing(source)
    found = graded(lambda grader: grade_existing(existing, grader))
    assert [(a.solution.steps, a.grade, a.solution.generator) for a in found.attempts] == [
        (("a", "so \\boxed{42}"), "right", "somebody"),
        (("b", "so \\boxed{41}"), "wrong", ""),
    ]
    assert [a.solution.id for a in found.attempts] == ["s-0/0", "s-0/1"]
    bad = rows(tmp_path / "bad.jsonl", {"problem": "q", "answer": "1", "each": [{"x": 1}]})
    with pytest.raises(InputError, match=r"each\[0\], field solution: there are no steps"):
        read_existing(bad, fields={"each": "each"})


@pytest.mark.slow
def test_real_solutions_are_graded_as_their_authors_graded_them(shared_data: SharedData) -> None:
    path = shared_data("bon") / "gsm8k_n8.jsonl"
    existing = read_existing(str(path), limit=60, fields={"each": "candidates"})
    given = [json.loads(line) for line in path.read_text().splitlines()[:60]]

    async def use(grader: Grader) -> list[Sampled]:
        return [await grade_existing(one, grader) for one in existing]

    pairs = []
    for one, row in zip(graded(use), given, strict=True):
        right = {attempt.solution.id.rpartition("/")[2]: attempt.right for attempt in one.attempts}
        pairs += [(right[str(n)], c["correct"]) for n, c in enumerate(row["candidates"]) if str(n) in right]
    agreed = sum(ours == theirs for ours, theirs in pairs)
    assert len(pairs) > 200  # many are the same text
    assert agreed / len(pairs) > 0.98
