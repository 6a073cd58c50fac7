"""Conversations as others have them: read whole, or refused under a name."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from genprm.cli import main
from genprm.inputs import read_solutions
from genprm.protocols.genprm import ANALYZE, JUDGE, SYSTEM, VERIFY, GenPRMProtocol
from genprm.protocols.pieces import OUTPUT
from genprm.rows import Row as SourceRow
from genprm.synth.dataset_rows import Row
from genprm.synth.importing import Refused, import_rows
from genprm.synth.rationale_text import Malformed, read_rationale
from genprm.synth.types import Taught
from genprm.training.conversations import read_conversations
from genprm.types import NO_ERROR, Message
from tests.conftest import SharedData

ROOT = Path(__file__).resolve().parents[1]
STEPS = ("Half of 48 is 24.", "48 + 24 = 70, so 70.")
PROBLEM = "Natalia sold 48 clips in April and half as many in May. How many in all?"


def text(step: int = 0, verdict: str = "Yes", code: str = "print(48 / 2)", output: str = "24.0") -> str:
    return (
        f"{ANALYZE.format(t=step + 1)}It is half.\n</analyze>\n{VERIFY}{code}\n```\n{OUTPUT}{output}\n```\n"
        f"The output agrees.\n</verify>\n{JUDGE}{{{verdict}}}$\n</output>\n"
    )


def turns(first: str = f"{PROBLEM}\n{STEPS[0]}", last: str = "") -> list[dict[str, str]]:
    said = (text(0), last or text(1, "No", "print(48 + 24)", "72"))
    return [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": first},
        {"role": "assistant", "content": said[0]},
        {"role": "user", "content": STEPS[1]},
        {"role": "assistant", "content": said[1]},
    ]


def taken(**values: Any) -> Row:
    found = one(**values)
    assert isinstance(found, Row), found
    return found


def one(**values: Any) -> Row | Refused:
    (found,) = import_rows([SourceRow("x.jsonl:3", values)], "teacher")
    return found


def test_a_conversation_is_taken_apart() -> None:
    made = taken(conversations=turns(), id=12)
    solution, taught = made.attempt.solution, made.taught
    assert taught is not None
    assert (made.id, solution.problem.text, solution.steps) == ("12", PROBLEM, STEPS)
    assert [r.verdict for r in taught.rationales] == [True, False]
    assert [r.analysis for r in taught.rationales] == ["It is half."] * 2
    assert [(c.code, c.result.stdout) for c in taught.rationales[1].checks] == [("print(48 + 24)", "72")]
    assert (taught.teacher, taught.outcome, made.attempt.grade) == ("teacher", "ok", "unparsed")


def conversation(taught: Taught, protocol: GenPRMProtocol) -> tuple[Message, ...]:
    """The turns in which a critic writes these rationales."""
    said = [rationale.text for rationale in taught.rationales]
    return (*protocol.messages(taught.attempt.solution, len(said) - 1, said[:-1]), Message("assistant", said[-1]))


def test_back_again_it_is_the_same_conversation() -> None:
    made = taken(messages=turns())
    assert made.taught is not None
    assert conversation(made.taught, GenPRMProtocol()) == made.messages
    asked = taken(messages=turns(f"Question: {PROBLEM}\n\n{STEPS[0]}"))
    assert asked.taught is not None
    assert conversation(asked.taught, GenPRMProtocol(join="question")) == asked.messages


def test_keys_of_sharegpt() -> None:
    names = {"user": "human", "assistant": "gpt"}
    bare = [{"from": names[t["role"]], "value": t["content"]} for t in turns()[1:]]
    assert taken(conversations=bare, system=SYSTEM).messages == taken(messages=turns()).messages
    assert taken(conversations=bare).messages == taken(messages=turns()).messages[1:]


@pytest.mark.parametrize(
    ("first", "values", "problem", "step", "how"),
    [
        ("P one.\nStep 1: s", {}, "P one.", "Step 1: s", "marked"),
        ("P one.\nmore\n\nStep 1: s\n\nand", {}, "P one.\nmore", "Step 1: s\n\nand", "marked"),
        ("P.\ns", {}, "P.", "s", "only"),
        ("Question: P.\nmore\n\ns\nt", {}, "P.\nmore", "s\nt", "only"),
        ("Question: P.\n\ns\n\nt", {}, "P.", "s\n\nt", "guessed"),
        ("P.\ns\nt", {}, "P.", "s\nt", "guessed"),
        ("P.\nmore\ns\nt", {"problem": "P.\nmore"}, "P.\nmore", "s\nt", "given"),
        ("Question: P.\n\nQ.\n\ns", {"problem": "P.\n\nQ."}, "P.\n\nQ.", "s", "given"),
    ],
)
def test_where_the_problem_ends(first: str, values: dict[str, str], problem: str, step: str, how: str) -> None:
    made = taken(messages=turns(first), **values)
    solution = made.attempt.solution
    assert (solution.problem.text, solution.steps[0], made.attempt.how["cut"]) == (problem, step, how)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "no_messages"),
        ({"messages": "text"}, "no_messages"),
        ({"messages": []}, "turns"),
        ({"messages": turns()[:1]}, "turns"),
        ({"messages": turns()[:4]}, "turns"),
        ({"messages": [*turns(), *turns()]}, "turns"),
        ({"messages": turns()[::-1]}, "turns"),
        ({"messages": [*turns(), 3]}, "message"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "role"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "role"),
        ({"messages": [{"role": "user", "content": None}]}, "content"),
        ({"messages": [{"role": "user", "content": "  "}]}, "content"),
        ({"messages": turns("the problem alone")}, "no_step"),
        ({"messages": turns("\nstep")}, "no_step"),
        ({"messages": turns(), "problem": "Another one"}, "other_problem"),
        ({"messages": turns(), "problem": 3}, "problem"),
        ({"messages": turns(), "label": 2}, "label"),
        ({"messages": turns(), "label": True}, "label"),
        ({"messages": turns(last="Yes, right.")}, "no_tags"),
    ],
)
def test_what_is_refused_and_why(values: dict[str, Any], reason: str) -> None:
    found = one(**values)
    assert isinstance(found, Refused)
    assert (found.where, found.reason) == ("x.jsonl:3", reason)


def test_every_cut_of_a_rationale_is_refused() -> None:
    whole = text()
    for end in range(len(whole.rstrip()) - 1):
        with pytest.raises(Malformed):
            read_rationale(whole[:end], 0)
    assert read_rationale(whole.rstrip(), 0).verdict is True


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (text() + text(), "tags"),
        (text().replace("</analyze>", ""), "tags"),
        (text(output="</output>"), "tags"),
        (text() + "And more.", "after_end"),
        ("Well. " + text(), "opening"),
        (text().replace("Let's analyze", "Let us analyze"), "opening"),
        (text().replace("Let's use python", "Use python"), "opening"),
        (text(1), "paragraph"),
        (text(verdict="Maybe"), "no_verdict"),
        (text().replace("boxed{Yes}", "boxed{Yes} \\boxed{No}"), "no_verdict"),
        (text().replace("The output", "[Code Output]\n\n```\n7\n```\nThe output"), "output_without_code"),
        (text().replace("The output", "```python\nprint(1)"), "open_code"),
    ],
)
def test_rationales_that_are_none(said: str, reason: str) -> None:
    with pytest.raises(Malformed) as error:
        read_rationale(said, 0)
    assert error.value.reason == reason


def test_other_forms_of_a_rationale() -> None:
    output = f"{JUDGE}{{No}}$\n</output>\n"
    assert read_rationale(output, 4).verdict is False
    assert read_rationale(f"{ANALYZE.format(t=5)}a\n</analyze>\n{output}", 4).analysis == "a"
    not_run = f"{VERIFY}print(1)\n```\nIt prints 1.\n</verify>\n{output}"
    assert read_rationale(not_run, 4).checks == ()
    failed = read_rationale(text(output="Code execute Error: NameError: x"), 0).checks[0].result
    assert (failed.status, failed.error) == ("error", "NameError: x")
    late = read_rationale(text(output="Code execute time out: 5 s"), 0).checks[0].result
    assert (late.status, late.stdout) == ("timeout", "")


def test_several_checks() -> None:
    said = text().replace("The output agrees.", f"Again:\n```python\nprint(2)\n```\n{OUTPUT}2\n```\nIt agrees.")
    assert [(c.code, c.result.stdout) for c in read_rationale(said, 0).checks] == [
        ("print(48 / 2)", "24.0"),
        ("print(2)", "2"),
    ]


def test_the_worlds_conversations_come_through(tmp_path: Path) -> None:
    """All that our own protocol writes is of its form, and labels come out as the world made them."""
    path = tmp_path / "world.jsonl"
    assert main(["synth", "world", "valid", "-n", "22", "--rows", "critic", "-o", str(path)]) == 0
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    found = list(import_rows(SourceRow(str(n), row) for n, row in enumerate(rows)))
    assert [f.reason for f in found if isinstance(f, Refused)] == []
    kinds = [(bool(row["kind"]), _first_error(made)) for row, made in zip(rows, found, strict=True)]
    assert all(wrong == (first != NO_ERROR) for wrong, first in kinds)


def _first_error(made: Row | Refused) -> int:
    assert isinstance(made, Row)
    assert made.taught is not None
    verdicts = [rationale.verdict for rationale in made.taught.rationales]
    return verdicts.index(False) if False in verdicts else NO_ERROR


def test_the_command_writes_rows_that_training_and_critique_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = tmp_path / "theirs.jsonl", tmp_path / "ours" / "rows.jsonl"
    rows = [{"conversations": turns()}, {"conversations": turns()[:2]}, {"conversations": turns(), "id": "b"}]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["synth", "import", str(source), "-o", str(output), "--teacher", "QwQ-32B"]) == 1
    said = capsys.readouterr().err
    assert f"{source}:2: turns: user" in said
    assert "2 rows, 4 steps, 1 refused" in said
    assert len(read_conversations([output])) == 2
    solutions = read_solutions(output)
    assert [(s.id, s.first_error, s.steps) for s in solutions] == [("row-0", 1, STEPS), ("b", 1, STEPS)]
    assert json.loads(output.read_text().splitlines()[0])["teacher"] == "QwQ-32B"


def test_a_torn_file_is_refused_as_a_whole(tmp_path: Path) -> None:
    source = tmp_path / "theirs.jsonl"
    source.write_text(json.dumps({"messages": turns()}) + '\n{"messages": [{"ro')
    assert main(["synth", "import", str(source), "-o", str(tmp_path / "rows.jsonl")]) == 2
    source.write_text('{"messages": []}\n')
    assert main(["synth", "import", str(source), "-o", str(tmp_path / "rows.jsonl")]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["theirs.jsonl"]


def test_check_as_a_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, known = tmp_path / "data.jsonl", tmp_path / "eval.jsonl"
    solution = {"problem": "Add 1 and 2, please.", "steps": ["1 + 2 = 3", "So the answer is 3."]}
    rows = [{"messages": turns()}, solution, {**solution, "id": "copy"}, {"messages": [1]}]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    known.write_text(json.dumps({"problem": PROBLEM}) + "\n")
    words = ["synth", "check", str(data), "--against", str(known)]
    run = [sys.executable, "-m", "genprm", *words, "--list"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"{data}:4: message" in done.stderr
    assert "3 solutions, 1 kept" in done.stdout
    assert "copy\tnear_duplicate\trow-1" in done.stdout
    assert f"row-0\tcontaminated\t{known}:1" in done.stdout
    assert main([*words, "--json"]) == 1
    record = json.loads(capsys.readouterr().out)
    assert (record["kept"], record["dropped"]) == (1, {"contaminated": 1, "near_duplicate": 1})
    assert record["refused"] == {"message": 1}


def test_a_published_transcript(shared_data: SharedData) -> None:
    """A rationale of the published 7B in its own words, whose last request and its answer its driver printed."""
    lines = shared_data("genprm_demo/transcripts.jsonl").read_text().splitlines()
    (whole,) = (said for said in (json.loads(line)["text"] for line in lines) if "</output>" in said)
    asked, written = (part for part in whole.split("<analyze>") if "[Code Output]" in part or "</output>" in part)
    closing = written.partition("</output>")[0].rpartition("```python\\n")[2] + "</output>"
    said = ("<analyze>" + asked.partition("\n----")[0] + closing).replace("\\n", "\n")
    read = read_rationale(said, 0)
    assert read.verdict is True
    assert len(read.checks) == said.count("[Code Output]") > 0
    assert read.analysis.startswith("1. The problem states")
