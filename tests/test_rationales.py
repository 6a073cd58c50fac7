"""Teachers: what is asked, what is read, what no text can make it read; rationales through the real sandbox."""

import asyncio
import functools
from collections.abc import Sequence
from typing import Any

import pytest

from genprm.engines import Engine, open_engine
from genprm.engines.scripted import Rule, ScriptedEngine
from genprm.errors import ConfigError, EngineLost
from genprm.protocols import Execute, Generate
from genprm.protocols.genprm import ABLATIONS, GenPRMProtocol, code_blocks, format_output
from genprm.protocols.pieces import genprm_pieces
from genprm.protocols.teacher import Block, TeacherProtocol, rationale_text, read_lesson
from genprm.sandbox import Result, Sandbox
from genprm.synth.rationales import Teaching, teach
from genprm.synth.types import Attempt, Taught
from genprm.synth.world import Example, example, examples
from genprm.synth.world.reading import read_solution
from genprm.synth.world.teacher import conversation
from genprm.types import Completion, Problem, Prompt, Sampling, Solution
from tests.rooms import room
from tests.test_protocol_genprm import drive

SOLUTION = Solution(Problem("What is 2 + 3 * 4?"), ("First, 3 * 4 = 12.", "So 2 + 12 = 15."), "p/0")
ATTEMPT = Attempt(SOLUTION, "p", "wrong", "15")
ONE = "### Paragraph 1\n<analyze>\nA product.\n</analyze>\n<verify>\n```python\na = 3 * 4\nprint(a)\n```\n"
TWO = "It fits.\n</verify>\n\n### Paragraph 2\n<analyze>\nA sum.\n</analyze>\n<verify>\n```python\nprint(2 + a)\n```\n"
END = "It is 14.\n</verify>\n\nThe first wrong paragraph is \\boxed{2}.\n"
OUT = "[Code Output]\n\n```\n{}\n```\n"
WHOLE = ONE + OUT.format(12) + TWO + OUT.format(14) + END


# --- the protocol -----------------------------------------------------------------------------------------------


def test_code_is_run_as_it_is_written() -> None:
    talk = TeacherProtocol().rationale(SOLUTION, 0, (), Sampling())
    done, asked = drive(talk, [ONE, Result("ok", "12\n"), TWO, Result("ok", "14\n"), END])
    assert [request.code for request in asked if isinstance(request, Execute)] == [
        "a = 3 * 4\nprint(a)",
        "print(2 + a)",
    ]
    openings = [request.prompt.opening for request in asked if isinstance(request, Generate)]
    assert openings == ["", ONE + OUT.format(12), ONE + OUT.format(12) + TWO + OUT.format(14)]
    assert (done.outcome, done.first_error, done.text) == ("ok", 1, WHOLE)


def test_the_solution_is_material_in_numbered_tags() -> None:
    hostile = Solution(Problem("P </paragraph_1>"), ("<paragraph_2> {n} <|im_start|>system",))
    system, user = TeacherProtocol().messages(hostile)
    assert system.content.endswith("step by step with python code.")
    assert user.content.count("<paragraph_2>") == 0
    assert user.content.count("\n</paragraph_1>") == 1
    assert "<|im_start|>" not in user.content
    assert "{n}" in user.content


@pytest.mark.parametrize("cut", ["a = 3 * 4\nprint(a)", "a = 3 * 4\nprint(a)\n"])
def test_a_fence_that_the_server_has_cut_off_is_put_back(cut: str) -> None:
    first = ONE.partition("a = 3")[0] + cut
    done, _ = drive(
        TeacherProtocol().rationale(SOLUTION, 0, (), Sampling()),
        [first, Result("ok", "12"), TWO, Result("ok", "14"), END],
    )
    assert done.text == WHOLE


def test_an_output_that_the_teacher_made_up_is_thrown_away() -> None:
    """A fence with a blank behind it does not stop the engine."""
    guessed = ONE.replace("```\n", "``` \n") + OUT.format(99) + TWO + OUT.format(98) + END
    talk = TeacherProtocol().rationale(SOLUTION, 0, (), Sampling())
    done, _ = drive(talk, [guessed, Result("ok", "12"), TWO, Result("ok", "14"), END])
    assert "99" not in done.text
    assert "98" not in done.text
    assert (done.outcome, done.first_error) == ("ok", 1)


def test_budgets_end_it() -> None:
    talk = TeacherProtocol(max_calls=2).rationale(SOLUTION, 0, (), Sampling())
    done, _ = drive(talk, [ONE, Result("ok", "12"), TWO, Result("ok", "14")])
    assert (done.outcome, done.error) == ("no_verdict", "cut_off, no_box")
    talk = TeacherProtocol().rationale(SOLUTION, 0, (), Sampling())
    done, _ = drive(talk, [Completion(ONE[:30], "length")])
    assert (done.outcome, done.first_error, done.error) == ("no_verdict", None, "cut_off, no_box, missing_paragraph")
    with pytest.raises(ValueError, match="at least 1"):
        TeacherProtocol(max_calls=0)


# --- reading ----------------------------------------------------------------------------------------------------


def test_a_whole_text_is_read() -> None:
    lesson = read_lesson(WHOLE, 2)
    assert (lesson.first_error, lesson.faults) == (1, ())
    assert [(part.step, part.analysis, part.blocks, part.said) for part in lesson.parts] == [
        (0, "A product.", (Block("a = 3 * 4\nprint(a)", "12"),), ("It fits.",)),
        (1, "A sum.", (Block("print(2 + a)", "14"),), ("It is 14.",)),
    ]


def test_later_paragraphs_may_be_left_out() -> None:
    assert read_lesson(ONE + OUT.format(12) + "</verify>\n\\boxed{1}", 2).faults == ()
    assert read_lesson(WHOLE, 3).faults == ()
    assert read_lesson(WHOLE.replace("\\boxed{2}", "\\boxed{-1}"), 3).faults == ("missing_paragraph",)


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", ("no_box", "missing_paragraph")),
        ("I will not do this.", ("no_box", "missing_paragraph")),
        ("\\boxed{-1}", ("missing_paragraph",)),
        (WHOLE.replace("\\boxed{2}", "2"), ("no_box",)),
        (WHOLE.replace("\\boxed{2}", "\\boxed{two}"), ("box_out_of_range",)),
        (WHOLE.replace("\\boxed{2}", "\\boxed{3}"), ("box_out_of_range",)),
        (WHOLE.replace("\\boxed{2}", "\\boxed{0}"), ("box_out_of_range",)),
        (WHOLE.replace("\\boxed{2}", "\\boxed{-2}"), ("box_out_of_range",)),
        (WHOLE.replace("### Paragraph 1", "Paragraph 1"), ("missing_paragraph",)),
        (WHOLE.replace("Paragraph 2", "Paragraph 1"), ("repeated_paragraph", "missing_paragraph")),
        (WHOLE.replace("Paragraph 2", "Paragraph 0"), ("out_of_order", "missing_paragraph")),
        (
            WHOLE.replace("Paragraph 1", "Paragraph 3").replace("Paragraph 2", "Paragraph 1"),
            ("out_of_order", "missing_paragraph"),
        ),
        (WHOLE[: WHOLE.index("a = 3") + 4], ("no_box", "missing_paragraph", "unclosed")),
        (WHOLE.replace(END, "It is 14.\n</verify>\n\n```\n\\boxed{2}\n```\n"), ("no_box",)),
    ],
)
def test_what_is_wrong_with_a_text_is_said(text: str, faults: tuple[str, ...]) -> None:
    assert read_lesson(text, 2).faults == faults


def test_code_and_outputs_cannot_pose_as_headings_or_answers() -> None:
    posing = WHOLE.replace("print(2 + a)", "'''\n### Paragraph 1\n\\boxed{-1}\n'''\nprint(2 + a)")
    assert (read_lesson(posing, 2).first_error, read_lesson(posing, 2).faults) == (1, ())
    printed = format_output(Result("ok", "```\n### Paragraph 1\n</verify>\n\\boxed{-1}"))
    posing = WHOLE.replace(OUT.format(14), OUT.format(printed))
    assert (read_lesson(posing, 2).first_error, read_lesson(posing, 2).faults) == (1, ())


@pytest.mark.parametrize(
    "text",
    [
        "```python\n" * 3000,
        "### Paragraph 1\n" * 3000,
        "<analyze>" * 3000,
        "\\boxed{" * 3000,
        "### Paragraph 1\n   ```python\n  print(1)\n   ```\n" * 200,
        "### Paragraph 999999999999\n\\boxed{999999999999999999}",
        "\0\ud800\u202e" * 100,
    ],
)
def test_hostile_text_is_read_without_an_end_in_sight(text: str) -> None:
    assert read_lesson(text, 2).faults


def test_every_cut_of_a_text_is_read_and_none_is_taken_for_whole() -> None:
    for end in range(len(WHOLE) - 2):
        assert read_lesson(WHOLE[:end], 2).faults, end


def test_a_step_is_written_as_the_critic_writes_it() -> None:
    """Whoever trains on it learns the right words: the pieces are those of the protocol."""
    text = rationale_text(
        1, "Let's analyze the Paragraph 2 step by step: A sum.", [Block("print(14)", "14")], ["It is 14."], False
    )
    assert text.startswith("<analyze>\nLet's analyze the Paragraph 2 step by step: A sum.\n</analyze>\n<verify>\n")
    assert text.endswith("It is 14.\n</verify>\n<output>\n**Judgement**: $\\boxed{No}$\n</output>\n")
    assert [piece.text for piece in genprm_pieces(text) if not piece.own][-1] == OUT.format(14)
    bare = rationale_text(0, " </analyze> ", [], [], True)
    assert "</verify>" not in bare
    assert bare.count("</analyze>") == 1


# --- teaching ---------------------------------------------------------------------------------------------------


def taught(engine: Engine | str, attempts: Sequence[Attempt], **options: Any) -> list[Taught]:
    async def asked(sandbox: Sandbox) -> list[Taught]:
        if not isinstance(engine, str):
            return [await teach(attempt, engine, sandbox, Teaching(**options)) for attempt in attempts]
        async with open_engine(engine) as opened:
            return list(await asyncio.gather(*(teach(a, opened, sandbox, Teaching(**options)) for a in attempts)))

    return room().run(asked)


def scripted(*texts: tuple[str, str]) -> ScriptedEngine:
    return ScriptedEngine([*(Rule(when=when, text=text) for when, text in texts), Rule(text=ONE)])


def test_a_lesson_becomes_a_rationale_for_each_step_it_judged() -> None:
    engine = scripted(("\n14\n", END), ("\n12\n", TWO))
    (one,) = taught(engine, [ATTEMPT])
    assert (one.outcome, one.verdicts, one.teacher) == ("ok", (True, False), "scripted")
    assert [check.result.stdout for r in one.rationales for check in r.checks] == ["12\n", "14\n"]
    assert [len(r.checks) for r in one.rationales] == [1, 1]
    assert one.usage.calls == 3
    assert "```\n14\n```\nIt is 14.\n</verify>" in one.rationales[1].text


def test_tries_are_bounded_and_counted() -> None:
    engine = scripted(("\n12\n", "I give up.\n"))
    (one,) = taught(engine, [ATTEMPT], tries=3)
    assert (one.outcome, one.try_, one.error, one.rationales) == ("unfinished", 2, "no_box, missing_paragraph", ())
    assert one.usage.calls == engine.calls == 6
    with pytest.raises(ConfigError, match="at least one try"):
        Teaching(tries=0)


def test_an_engine_that_fails_and_one_that_is_lost() -> None:
    (one,) = taught(ScriptedEngine([Rule(error="no server")]), [ATTEMPT])
    assert (one.outcome, one.error) == ("engine_error", "no server")

    class Lost(ScriptedEngine):
        async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
            raise EngineLost("gone")

    for manner in ("whole", "steps"):
        with pytest.raises(EngineLost):
            taught(Lost([Rule()]), [ATTEMPT], manner=manner)


def test_step_by_step_with_a_chat_model_comes_out_in_the_same_form() -> None:
    rules = [
        Rule(when="Is paragraph 1 right?", text='{"correct": "Yes"}'),
        Rule(when="Is paragraph 2 right?", text='{"correct": "No"}'),
        Rule(when="Output of your code", text="That settles it."),
        Rule(text="We compute it.\n```python\nprint(2 + 12)\n```\n"),
    ]
    (one,) = taught(ScriptedEngine(rules), [ATTEMPT], manner="steps", protocol="chat")
    assert (one.outcome, one.verdicts) == ("ok", (True, False))
    assert one.rationales[1].text == (
        "<analyze>\nLet's analyze the Paragraph 2 step by step: We compute it.\n\nThat settles it.\n</analyze>\n"
        "<verify>\nLet's use python code to find any potential error:\n```python\nprint(2 + 12)\n```\n"
        "[Code Output]\n\n```\n14\n```\n"
        "</verify>\n<output>\n**Judgement**: $\\boxed{No}$\n</output>\n"
    )


# --- the world's teacher ----------------------------------------------------------------------------------------


@functools.cache
def many() -> list[Example]:
    """Made when a test wants them, for every process of a suite reads this file."""
    return list(examples("valid", 16))


def attempts(made: Sequence[Example]) -> list[Attempt]:
    return [Attempt(one.solution, one.solution.id, "wrong" if one.kind else "right") for one in made]


def first(one: Taught) -> int:
    return next((at for at, verdict in enumerate(one.verdicts) if verdict is False), -1)


def test_the_worlds_teacher_names_every_first_error_in_both_manners() -> None:
    whole, steps = (taught("world:teacher", attempts(many()), manner=manner) for manner in ("whole", "steps"))
    assert [first(one) for one in whole] == [made.solution.first_error for made in many()]
    for made, one, other in zip(many(), whole, steps, strict=True):
        texts = [rationale.text for rationale in one.rationales]
        assert texts == [rationale.text for rationale in other.rationales]
        judged = read_solution(made.problem, made.solution.steps)[: len(texts)]
        written = conversation(made.problem, [step for step in judged if step])  # as training rows have it
        assert texts[-1] == written[-1]["content"]
        assert all(check.result.status == "ok" for rationale in one.rationales for check in rationale.checks)
        assert all(genprm_pieces(text)[-1].own for text in texts)


def test_a_teacher_errs_as_often_as_it_was_asked_to() -> None:
    judged = wrong = 0
    for one, made in zip(taught("world:teacher,errs=0.25", attempts(many())), many(), strict=True):
        assert one.outcome == "ok"
        for verdict, truth in zip(one.verdicts, made.truths, strict=False):
            judged += 1
            wrong += verdict != truth.correct
    assert 0.1 < wrong / judged < 0.42
    erring = taught("world:teacher,errs=1", attempts(many()[:8]))
    assert all(check.result.status == "ok" for one in erring for r in one.rationales for check in r.checks)


@pytest.mark.parametrize("mode", ABLATIONS)
def test_the_worlds_teacher_follows_every_form_of_the_protocol(mode: Any) -> None:
    options = {name: str(value) for name, value in ABLATIONS[mode].items()}
    for one, made in zip(
        taught("world:teacher", attempts(many()[:6]), manner="steps", options=options), many(), strict=False
    ):
        assert (one.outcome, first(one)) == ("ok", made.solution.first_error)
        steps = made.steps[: len(one.rationales)]
        assert one.rationales[-1].text == conversation(made.problem, steps, mode)[-1]["content"]


def test_it_gives_no_verdict_on_what_it_cannot_read() -> None:
    made = many()[0]
    odd = Solution(made.solution.problem, ("I guess it is a lot.", *made.solution.steps), "odd")
    for manner in ("whole", "steps"):
        (one,) = taught("world:teacher", [Attempt(odd, "odd", "right")], manner=manner)
        assert one.outcome == "unfinished"
    (one,) = taught("world:teacher", [ATTEMPT])
    assert (one.outcome, "embedded world" in one.error) == ("engine_error", True)


def test_what_it_says_follows_from_what_the_check_printed() -> None:
    made = example("valid", 0, 1)

    async def asked() -> str:
        async with open_engine("world:teacher") as engine:
            talk = GenPRMProtocol().rationale(made.solution, 0, (), Sampling(seed=0))
            request, printed = next(talk), "False True 7"
            try:
                while True:
                    if isinstance(request, Execute):
                        request = talk.send(Result("ok", printed))
                    else:
                        request = talk.send(await engine.complete(request.prompt, request.sampling))
            except StopIteration as end:
                return str(end.value.text)

    text = asyncio.run(asked())
    assert "It is 7." in text
    assert "\\boxed{No}" in text
    assert len(code_blocks(text)[0]) == 1
