"""What went wrong in a solution: by critiques that say it, real ones of the shipped engine and hostile ones."""

import json
import math
from pathlib import Path

import pytest

from genprm.cli import main
from genprm.sandbox.result import Result
from genprm.trajectory import Fault, analyse, told
from genprm.types import Check, Critique, Method, Problem, Rationale, Solution, StepCritique, Votes

ROOT = Path(__file__).resolve().parents[1]


def said(verdict: bool | None, printed: str = "", code: str = "", sample: int = 0) -> Rationale:
    checks = (Check(code, Result("ok", printed)),) if printed or code else ()
    return Rationale(sample, "no_verdict" if verdict is None else "ok", checks=checks, verdict=verdict)


def step(index: int, *rationales: Rationale, reward: float | None = None) -> StepCritique:
    yes, no = (sum(r.verdict is wanted for r in rationales) for wanted in (True, False))
    votes = Votes(yes, no, len(rationales) - yes - no)
    share = reward if reward is not None else yes / (yes + no) if yes + no else None
    return StepCritique(index, votes, share, None if share is None else share >= 0.5, rationales)


def critique(steps: list[str], critiques: list[StepCritique]) -> Critique:
    first = next((c.step for c in critiques if c.correct is False), -1)
    return Critique(Solution(Problem("p"), tuple(steps), "x"), Method("e", "genprm"), "ok", first, tuple(critiques))


def faults(steps: list[str], *wrong: StepCritique) -> tuple[Fault, ...]:
    by_step = {c.step: c for c in wrong}
    return analyse(critique(steps, [by_step.get(i, step(i, said(True))) for i in range(len(steps))])).faults


@pytest.mark.parametrize(
    ("text", "at", "kind"),
    [
        ("So 174 / 6 = 20 balls.", 1, "calculation"),
        ("So 174 / 6 = 29 balls.", 1, "setup"),
        ("So 174 / 6 = 29 balls.", 0, "first_step"),
        ("So 174 / 6 = 20 balls.", 0, "calculation"),
        ("Milo has 20 balls.", 1, "logic_jump"),
        ("Milo has 20 balls.", 0, "logic_jump"),
        ("She pays 100 / 3 = 33 dollars.", 1, "setup"),
        ("She pays 100 / 3 = 33.33 dollars.", 1, "setup"),
        ("She pays 100 / 3 = 33.43 dollars.", 1, "calculation"),
        ("It is 1,000 * 3 = 3,001.", 1, "calculation"),
        ("It is 3 - 10 = -7.", 1, "setup"),
        ("It is 3 - 10 = 7.", 1, "calculation"),
        (r"It is \frac{6}{2} apples.", 1, "setup"),
        ("First 2 * 3 = 6, and then 6 * 2 = 13.", 1, "calculation"),
        ("It took in 60 × $3 = $160.", 1, "calculation"),
        ("It took in 60 × $3 = $180.", 1, "setup"),
        ("So $3 + 4 = 8$.", 1, "calculation"),
        ("", 1, "logic_jump"),
    ],
)
def test_kinds_by_what_the_step_says(text: str, at: int, kind: str) -> None:
    steps = ["Fine.", "Fine."]
    steps[at] = text
    (fault,) = faults(steps, step(at, said(False)))
    assert (fault.step, fault.kind) == (at, kind)


def test_what_is_carried_forward_is_followed_to_its_cause() -> None:
    steps = ["2 * 3 = 7", "7 + 1 = 8", "8 + 1 = 9", "5 + 5 = 10", "8 * 2 = 17"]
    found = faults(steps, *(step(i, said(False)) for i in range(5)))
    assert [f.kind for f in found] == ["calculation", "carried_forward", "carried_forward", "setup", "calculation"]
    assert [f.cause for f in found] == [None, 0, 0, None, None]
    assert "Mend step 1 first" in found[2].suggestion


def test_a_wrong_way_to_a_right_value_is_not_carried_forward() -> None:
    found = faults(["2 + 3 = 6", "6 + 1 = 7"], step(0, said(False, "True False 6")), step(1, said(False)))
    assert [f.kind for f in found] == ["calculation", "setup"]
    assert "its value is right" in found[0].suggestion


def test_a_check_that_had_to_work_out_more_than_the_step() -> None:
    code = "bela = 17\ndrawer = mei + bela\nnew = drawer - 92\nprint(new)"
    steps = ["Mei has 528.", "So 528 - 92 = 436."]
    (fault,) = faults(steps, step(1, said(False, "453", code)))
    assert (fault.kind, fault.found, fault.claimed) == ("logic_jump", "453", "436")
    earlier = step(0, said(True, "1", "drawer = mei + 17"))
    known = critique(steps, [earlier, step(1, said(False, "453", code))])
    assert analyse(known).faults[0].kind == "setup"


def test_the_value_that_most_checks_found() -> None:
    votes = [said(False, f"False {value}\n", sample=i) for i, value in enumerate(["12", "15", "12"])]
    (fault,) = faults(["Fine.", "3 + 3 = 6"], step(1, *votes, said(False, "None"), said(True, "99")))
    assert fault.found == "12"
    assert "finds 12 in place of 6" in fault.suggestion


def test_severity_falls_with_the_place_and_with_doubt() -> None:
    steps = [f"{n} + 1 = {n + 1}" for n in (10, 20, 30, 40)]
    early, late = (faults(steps, step(at, said(False)))[0].severity for at in (0, 3))
    assert early == 1.0
    assert math.isclose(late, 0.625)
    (doubtful,) = faults(steps, step(0, said(False), reward=0.4))
    assert math.isclose(doubtful.severity, 0.6)


def test_warnings() -> None:
    (sure,) = faults(["3 + 3 = 7"], step(0, said(False), said(False)))
    assert sure.warning == ""
    (divided,) = faults(["3 + 3 = 7"], step(0, said(False), said(False), said(True)))
    assert "divided" in divided.warning
    assert "Warning: " in "\n".join(
        told(analyse(critique(["3 + 3 = 7"], [step(0, said(False), said(True), reward=0.4)])))
    )
    (missing,) = faults(["3 + 3 = 7"], step(0, said(False), said(None)))
    assert "1 rationales gave no verdict" in missing.warning
    jump = "a = x\nb = a\nprint(b)"
    (differ,) = faults(["Fine.", "3 + 3 = 6"], step(1, said(False), said(False, "7", jump, 1)))
    assert "differ" in differ.warning


def test_nothing_wrong_nothing_known_and_no_steps() -> None:
    assert told(analyse(critique(["a"], [step(0, said(True))]))) == ["No faulty step."]
    unknown = analyse(critique(["a", "b"], [step(0, said(None)), step(1, said(True))]))
    assert unknown.unknown == (0,)
    assert told(unknown) == ["No verdict on step 1."]
    assert analyse(critique(["a"], [])).faults == ()


def test_hostile_checks_and_steps_come_to_an_end() -> None:
    codes = ["(" * 5000, "x = = 3", "\x00", "def f(: pass", "-" * 20_000 + "1", "x = " + "[" * 300 + "]" * 300]
    votes = [said(False, "1" * 5000, code, i) for i, code in enumerate(codes)]
    texts = [
        "= " * 5000,
        "1 / 0 = 5",
        "9" * 3000 + " = " + "9" * 3000,
        "2 ^ 9999999 = 3",
        "=" * 1000 + "1" * 6000,
        ("1 " * 100 + "=") * 500,
    ]
    found = faults(texts, *(step(i, *votes) for i in range(len(texts))))
    assert len(found) == len(texts)


def test_the_command_shows_it_and_gives_it_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    no, yes = ({"text": f"{{{word}}}$\n</output>\n"} for word in ("No", "Yes"))
    (tmp_path / "script.jsonl").write_text(f"{json.dumps({'when': '2316', **no})}\n{json.dumps(yes)}")
    engine = ["--engine", f"scripted:{tmp_path / 'script.jsonl'}"]
    options = ["--option", "analyze=false", "--option", "verify=false", "--analysis"]
    run = ["critique", str(ROOT / "examples" / "savings.md"), *engine, *options]
    main(run)
    assert "Analysis of the solution" in capsys.readouterr().out
    main([*run, "--json"])
    record = json.loads(capsys.readouterr().out)
    assert record["id"] == "savings"
    assert set(record) == {"id", "first_error", "faults", "unknown"}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kinds_are_those_of_the_world() -> None:
    """By nano's critiques of wrong solutions whose kind of error is known."""
    import asyncio

    from genprm.api import open_critic
    from genprm.synth.world import example

    kinds = {"slip": "calculation", "written": "calculation", "jump": "logic_jump", "dropped": "logic_jump"}
    made = {e.solution.id: e for e in (example("valid", index) for index in range(1, 40, 2))}

    async def judged() -> list[Critique]:
        async with open_critic("nano", n=1) as critic:
            return [c async for c in critic.critique_many([e.solution for e in made.values()])]

    right = total = 0
    for result in asyncio.run(judged()):
        truths = made[result.solution.id].truths
        for fault in analyse(result).faults:
            truth = truths[fault.step]
            other = "setup" if fault.step else "first_step"
            wanted = "carried_forward" if truth.kind == "carried" else kinds.get(truth.kind, other)
            total += not truth.correct
            right += not truth.correct and fault.kind == wanted
    assert total >= 20
    assert right / total > 0.85
