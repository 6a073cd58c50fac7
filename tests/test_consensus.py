"""Consensus of labels and teacher, its rates, and the rows that come of it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from genprm.errors import ConfigError
from genprm.protocols.genprm import ABLATIONS, SYSTEM
from genprm.protocols.teacher import Block, rationale_text
from genprm.synth.consensus import Mode, agree, n_kept, to_report
from genprm.synth.conversations import Code, to_conversation
from genprm.synth.types import Attempt, Kept, Label, Labelled, StepLabel, Taught, TeacherOutcome
from genprm.synth.world import example
from genprm.synth.world.teacher import conversation
from genprm.training.conversations import read_conversations
from genprm.types import Problem, Rationale, Solution

Y, N, U = True, False, None


def attempt(n_steps: int = 3, name: str = "p/0") -> Attempt:
    steps = tuple(f"Step {k}." for k in range(n_steps))
    return Attempt(Solution(Problem("P"), steps, name), "p", "right")


def labelled(*labels: Label, labeler: str = "hard", name: str = "p/0") -> Labelled:
    return Labelled(attempt(len(labels), name), labeler, tuple(StepLabel(label) for label in labels))


def taught(*verdicts: bool | None, n_steps: int = 3, outcome: TeacherOutcome = "ok", name: str = "p/0") -> Taught:
    rationales = tuple(
        Rationale(
            0, "ok", rationale_text(k, f"Of {k}.", [Block(f"print({k})", str(k))], ["So."], bool(yes)), verdict=yes
        )
        for k, yes in enumerate(verdicts)
    )
    return Taught(attempt(n_steps, name), "teacher", outcome, rationales)


@pytest.mark.parametrize(
    ("labels", "verdicts", "kept", "steps", "reason"),
    [
        ((Y, Y, Y), (Y, Y, Y), True, (Y, Y, Y), ""),
        ((Y, N, N), (Y, N), True, (Y, Y), ""),
        ((Y, N, Y), (Y, N), True, (Y, Y), ""),  # what comes after the first error is judged by nobody
        ((Y, N, U), (Y, N), True, (Y, Y), ""),
        ((N, N, N), (N,), True, (Y,), ""),
        ((Y, N, N), (Y, Y, Y), False, (Y, N), "disagree"),
        ((Y, Y, Y), (Y, N), False, (Y, N), "disagree"),
        ((Y, Y, N), (Y, N), False, (Y, N), "disagree"),
        ((N, Y, Y), (Y, Y, Y), False, (N,), "disagree"),
        ((Y, U, Y), (Y, Y, Y), False, (Y,), "unsure"),
        ((Y, Y, Y), (Y, Y), False, (Y, Y), "no_verdict"),
        ((Y, Y, Y), (Y, U), False, (Y,), "no_verdict"),
        ((Y, Y, Y), (), False, (), "no_verdict"),
    ],
)
def test_a_solution_is_kept_where_all_steps_agree(
    labels: Sequence[Label], verdicts: Sequence[bool | None], kept: bool, steps: tuple[bool, ...], reason: str
) -> None:
    found = agree(labelled(*labels), taught(*verdicts))
    assert found == Kept("p/0", kept, steps, reason)
    assert n_kept(found) == (len(steps) if kept else 0)


@pytest.mark.parametrize(
    ("labels", "verdicts", "count", "reason"),
    [
        ((Y, Y, Y), (Y, Y, Y), 3, ""),
        ((Y, N, N), (Y, N), 2, ""),
        ((Y, Y, N), (Y, N), 1, "disagree"),
        ((Y, U, Y), (Y, Y, Y), 1, "unsure"),
        ((N, Y, Y), (Y, Y, Y), 0, "disagree"),
        ((U, Y, Y), (Y, Y, Y), 0, "unsure"),
        ((Y, Y, Y), (Y, Y), 2, "no_verdict"),
    ],
)
def test_by_step_the_agreeing_beginning_is_kept(
    labels: Sequence[Label], verdicts: Sequence[bool], count: int, reason: str
) -> None:
    found = agree(labelled(*labels), taught(*verdicts), "step")
    assert (n_kept(found), found.kept, found.reason) == (count, count > 0, reason)


def test_unsure_labels_may_be_ignored() -> None:
    assert agree(labelled(Y, U, Y), taught(Y, Y, Y), unsure="ignore") == Kept("p/0", True, (Y, Y, Y))
    assert agree(labelled(Y, U, Y), taught(Y, N), unsure="ignore") == Kept("p/0", True, (Y, Y))
    assert agree(labelled(Y, U, N), taught(Y, Y, Y), unsure="ignore").reason == "disagree"


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [("unfinished", "no_verdict"), ("engine_error", "teacher_failed"), ("failed", "teacher_failed")],
)
@pytest.mark.parametrize("mode", ["solution", "step"])
def test_a_teacher_that_failed_keeps_nothing(outcome: TeacherOutcome, reason: str, mode: Mode) -> None:
    found = agree(labelled(Y, Y, Y), taught(Y, outcome=outcome), mode)
    assert found == Kept("p/0", False, (), reason)


def test_labels_of_another_attempt_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"labels are of 'p/0', rationales of 'p/1'"):
        agree(labelled(Y, Y), taught(Y, Y, Y, name="p/1"))
    assert agree(Labelled(attempt(), "hard", ()), taught(Y, Y, Y)).reason == "no_labels"


def test_rates_by_reason_step_and_labeler() -> None:
    pairs = [
        (labelled(Y, Y, Y), taught(Y, Y, Y)),
        (labelled(Y, N, N), taught(Y, N)),
        (labelled(Y, N, N), taught(Y, Y, Y)),
        (labelled(Y, U, Y), taught(Y, Y, Y)),
        (labelled(Y, Y, Y, labeler="ratio:0.8"), taught(outcome="engine_error")),
    ]
    report = to_report((labels, said, agree(labels, said)) for labels, said in pairs)
    assert (report.kept.right, report.kept.n) == (2, 5)
    assert report.kept.low == pytest.approx(0.118, abs=1e-3)  # Wilson's interval of 2 in 5
    assert report.kept.high == pytest.approx(0.769, abs=1e-3)
    assert {name: share.right for name, share in report.reasons.items()} == {
        "disagree": 1,
        "teacher_failed": 1,
        "unsure": 1,
    }
    hard, ratio = report.labelers
    assert (hard.labeler, hard.kept.n, ratio.labeler, ratio.kept.right) == ("hard", 4, "ratio:0.8", 0)
    assert hard.verdicts == {"right/right": 6, "wrong/right": 1, "wrong/wrong": 1}
    assert [(rate.step, rate.agreed.right, rate.agreed.n) for rate in hard.steps] == [(0, 4, 4), (1, 2, 3), (2, 1, 1)]
    assert to_report([]).kept.n == 0


# --- rows -------------------------------------------------------------------------------------------------------


def said(row: dict[str, Any] | None) -> list[bool]:
    assert row is not None
    return ["\\boxed{Yes}" in turn["content"] for turn in row["messages"] if turn["role"] == "assistant"]


def test_rows_are_read_by_the_trainer(tmp_path: Path) -> None:
    rows = [to_conversation(taught(Y, N), code=code) for code in ("run", "written", "none")]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    read = read_conversations([path])
    assert [len(row.messages) for row in read] == [5, 5, 5]
    assert read[0].messages[0].content == SYSTEM
    assert read[0].messages[1].content == "P\nStep 0."


@pytest.mark.parametrize(("code", "mode"), [("run", "full"), ("written", "no-run"), ("none", "analysis")])
def test_the_forms_are_those_of_the_worlds_rows(code: Code, mode: Any) -> None:
    made = example("valid", 3)
    full = conversation(made.problem, made.steps[: (made.solution.first_error or 0) + 1])
    texts = [turn["content"] for turn in full if turn["role"] == "assistant"]
    truths = [truth.correct for truth in made.truths]
    lesson = Taught(
        Attempt(made.solution, "p", "wrong"),
        "world:teacher",
        "ok",
        tuple(Rationale(0, "ok", text, verdict=yes) for text, yes in zip(texts, truths, strict=False)),
    )
    row = to_conversation(lesson, code=code)
    assert row is not None
    assert mode in ABLATIONS
    assert (row["mode"], row["first_error"]) == (mode, made.solution.first_error)
    assert row["messages"] == conversation(made.problem, made.steps[: len(texts)], mode)


def test_rows_end_where_what_is_kept_ends() -> None:
    lesson = taught(Y, Y, Y)
    labels = labelled(Y, U, Y)
    assert said(to_conversation(lesson)) == [True, True, True]
    short = to_conversation(lesson, agree(labels, lesson, "step"))
    assert said(short) == [True]
    assert short is not None
    assert short["first_error"] is None  # nobody has said what the other steps are
    assert to_conversation(lesson, agree(labels, lesson)) is None
    assert to_conversation(taught(outcome="unfinished")) is None


def test_verdicts_may_be_those_of_the_labels() -> None:
    lesson = taught(Y, Y, Y)
    row = to_conversation(lesson, labelled=labelled(Y, N, N), verdicts="labels")
    assert said(row) == [True, False]
    assert row is not None
    assert (row["first_error"], row["labeler"], row["verdicts"], row["n_steps"]) == (1, "hard", "labels", 3)
    assert said(to_conversation(lesson, labelled=labelled(Y, U, N), verdicts="labels")) == [True]
    assert said(to_conversation(taught(Y, N), labelled=labelled(Y, Y, Y), verdicts="labels")) == [True, True]
    assert to_conversation(lesson, labelled=labelled(U, Y, Y), verdicts="labels") is None
    with pytest.raises(ConfigError, match="need labels"):
        to_conversation(lesson, verdicts="labels")
