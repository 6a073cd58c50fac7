"""Refinement: the loop on scripted engines, odd cases first; the transcript; the shipped models."""

import asyncio
import json
from pathlib import Path

import pytest

from genprm.answers import boxed
from genprm.api import open_critic
from genprm.cli import main
from genprm.critic import Critic
from genprm.engines import open_engine
from genprm.engines.scripted import Rule, ScriptedEngine
from genprm.errors import ConfigError, EngineLost, EngineUnavailable
from genprm.policy import Policy
from genprm.protocols import make_protocol
from genprm.protocols.policy import REVIEW, feedback, read_review, revise
from genprm.records import from_json, to_json
from genprm.refine import majority, refine, resample
from genprm.refining import Draft, Refinement, RefinePlan, Review, Version, changes
from genprm.reviewers import CriticReviewer, Reviewer, SelfReviewer, read_critique
from genprm.sandbox import Sandbox
from genprm.sandbox.result import Result
from genprm.scorers.base import over_steps
from genprm.show_refine import aligned
from genprm.types import (
    NO_ERROR,
    Check,
    Completion,
    Critique,
    Method,
    Problem,
    Prompt,
    Rationale,
    Sampling,
    Solution,
    StepCritique,
    Votes,
)

ROOT = Path(__file__).parents[1]
PROBLEM = Problem("What is 6 times 7?", "42")
WRONG, BETTER, RIGHT = "6 + 7 = 13.\n\n\\boxed{13}", "6 * 7 = 41.\n\n\\boxed{41}", "6 * 7 = 42.\n\n\\boxed{42}"
JUDGE = [Rule("\\boxed{-1}", when="= 42"), Rule("\\boxed{0}")]
"""A critic who knows one thing."""


def judged_review(score: float, first_error: int) -> Review:
    return Review(first_error == NO_ERROR, first_error, "Mend it.", score)


def solution(text: str) -> Solution:
    return Solution(PROBLEM, tuple(text.split("\n\n")), "p")


def by(rules: list[Rule], judge: list[Rule] | None = None, plan: RefinePlan | None = None, **how: object) -> Refinement:
    """A refinement by scripted engines; ``first`` in ``how`` is the text at the start."""
    first = how.pop("first", WRONG)

    async def run() -> Refinement:
        policy = Policy(ScriptedEngine(rules, "policy"), Sampling(max_tokens=200, seed=0))
        async with Sandbox() as sandbox:
            method = Method("scripted", "judge", vote="index")
            critic = Critic(ScriptedEngine(judge or JUDGE), sandbox, make_protocol("judge"), method)
            reviewer: Reviewer = SelfReviewer(policy) if how.get("alone") else CriticReviewer(critic)
            start = first if first is None or isinstance(first, Draft) else solution(str(first))
            return await refine(PROBLEM, start, policy, reviewer, plan or RefinePlan(), "p")

    return asyncio.run(run())


def answers(found: Refinement) -> list[str | None]:
    return [version.answer for version in found.versions]


# --- the loop ------------------------------------------------------------------------------------------------------


def test_what_is_rejected_is_revised_until_it_is_accepted() -> None:
    found = by([Rule(BETTER, when="6 + 7"), Rule(RIGHT)], plan=RefinePlan(base="last"))
    assert (found.outcome, answers(found)) == ("accepted", ["13", "41", "42"])
    assert found.chosen is found.versions[2]
    assert found.versions[2].changes == ("changed", "changed")
    assert found.versions[1].review is not None
    assert found.versions[1].review.first_error == 0
    assert [version and version.answer for version in map(found.at, range(4))] == ["13", "13", "42", "42"]
    assert found.usage.completion_tokens == sum(v.spent.completion_tokens for v in found.versions) > 0


def test_a_right_solution_is_left_as_it_is() -> None:
    found = by([Rule(error="nobody asks")], first=RIGHT)
    assert (found.outcome, len(found.versions)) == ("accepted", 1)


def test_without_a_first_solution_the_policy_writes_one() -> None:
    found = by([Rule(RIGHT)], first=None)
    assert (found.outcome, answers(found)) == ("accepted", ["42"])


def test_a_policy_that_repeats_itself_ends_it() -> None:
    found = by([Rule(WRONG)])
    assert (found.outcome, [v.state for v in found.versions]) == ("unchanged", ["ok", "repeated"])
    assert found.versions[1].tries == 2
    assert found.versions[1].review is None
    assert found.chosen is found.versions[0]


def test_of_several_drafts_the_best_goes_on() -> None:
    drafted = RefinePlan(turns=1, tries=1, drafts=8)
    found = by([Rule(texts=(BETTER, WRONG, RIGHT))], plan=drafted)
    assert (found.outcome, answers(found)) == ("accepted", ["13", "42"])
    version = found.versions[1]
    assert version.usage.calls == 8
    assert version.review is not None
    assert version.review.usage.calls == 2, "what was drawn twice, or was there before, is not reviewed again"
    one = by([Rule(texts=(BETTER, WRONG, RIGHT))], plan=RefinePlan(turns=1, tries=1))
    assert one.versions[1].usage.calls == 1


def test_a_draft_that_cannot_be_read_stands_behind_one_that_can() -> None:
    plan = RefinePlan(turns=1, tries=1, drafts=8)
    found = by([Rule(texts=("I would rather not.", BETTER))], plan=plan)
    assert found.versions[1].answer == "41"
    assert by([Rule(error="out of order")], plan=plan).outcome == "policy_failed"
    assert by([Rule(WRONG)], plan=plan).outcome == "unchanged"


def test_a_critic_that_rejects_everything_costs_all_turns_and_changes_nothing() -> None:
    texts = tuple(f"{n} steps.\n\n\\boxed{{{n}}}" for n in range(40))
    found = by([Rule(texts=texts)], [Rule("\\boxed{0}")], RefinePlan(tries=9), first=RIGHT)
    assert (found.outcome, len(found.versions)) == ("turns", 4)
    assert found.chosen is found.versions[0], "no version is better, so none replaces the first"


@pytest.mark.parametrize(
    ("said", "state"),
    [("", "empty"), (" \n\n ", "empty"), ("I would rather not.", "no_answer"), ("word " * 300, "cut_off")],
)
def test_a_revision_that_is_none_never_leads(said: str, state: str) -> None:
    found = by([Rule(said)], [Rule("\\boxed{-1}", when="rather"), Rule("\\boxed{0}")])
    assert found.versions[1].state == state
    assert found.versions[1].review is None
    assert found.chosen is found.versions[0]
    assert found.outcome in ("turns", "unchanged")


def test_a_policy_that_writes_nothing_at_all() -> None:
    found = by([Rule("")], first=None)
    assert (found.outcome, found.chosen) == ("unreadable", None)
    assert found.versions[0].state == "empty"


def test_engines_that_fail_are_outcomes() -> None:
    broken = by([Rule(error="out of order")])
    assert (broken.outcome, broken.failed) == ("policy_failed", True)
    assert "out of order" in broken.versions[1].error
    assert broken.chosen is broken.versions[0]
    unjudged = by([Rule(RIGHT)], [Rule(error="no power")])
    assert (unjudged.outcome, unjudged.failed) == ("reviewer_failed", True)
    assert by([Rule(error="out of order")], first=None).outcome == "policy_failed"


def test_a_critic_without_a_verdict_is_not_taken_for_one_that_accepts() -> None:
    found = by([Rule(RIGHT)], [Rule("Who knows.")])
    assert (found.outcome, len(found.versions)) == ("no_verdict", 1)
    assert found.versions[0].review is not None
    assert found.versions[0].review.accepted is None


@pytest.mark.parametrize("first", [Draft(("word word word",), "cut_off"), "So it is.\n\nAgain.\n\nAgain.\n\nAgain."])
def test_of_what_never_came_to_its_end_a_fresh_one_is_written(first: Draft | str) -> None:
    """No critic reads it, and no revision goes on from it; that it was so is counted."""
    texts = [Rule("\\boxed{0} revised", when="mistake"), Rule(texts=("word " * 300, RIGHT))]
    judge = [Rule(error="nobody asks", when="word word"), Rule(error="nobody asks", when="Again."), *JUDGE]
    found = by(texts, judge, RefinePlan(tries=9), first=first)
    assert (found.outcome, found.versions[-1].answer) == ("accepted", "42")
    assert found.fresh == len(found.versions) - 1 >= 1
    assert all(version.base is None for version in found.versions)
    assert found.versions[0].review is None
    assert found.at(0) is found.versions[0]
    assert found.chosen is found.versions[-1]
    assert from_json(to_json(found), Refinement).fresh == found.fresh


def test_a_policy_that_never_comes_to_an_end() -> None:
    found = by([Rule("word " * 300)], first=None)
    assert (found.outcome, [version.state for version in found.versions]) == ("unchanged", ["cut_off", "repeated"])
    assert found.chosen is found.versions[0]
    assert by([Rule(texts=("word " * 300, "woe " * 300))], first=None, plan=RefinePlan(tries=1)).outcome in (
        "turns",
        "unchanged",
    )


def test_an_engine_that_fails_after_an_empty_draft_has_failed() -> None:
    """Both have no text, and neither repeats the other."""
    policy = ScriptedEngine([Rule(""), Rule("")], "policy")

    class Failing:
        name = "failing"
        protocols: frozenset[str] | None = None

        async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
            if policy.calls >= 2:
                raise EngineUnavailable("no power")
            return await policy.complete(prompt, sampling)

        async def close(self) -> None:
            return None

    async def run() -> Refinement:
        async with Sandbox() as sandbox:
            method = Method("scripted", "judge", vote="index")
            critic = Critic(ScriptedEngine(JUDGE), sandbox, make_protocol("judge"), method)
            asked = Policy(Failing(), Sampling(max_tokens=200, seed=0))
            return await refine(PROBLEM, solution(WRONG), asked, CriticReviewer(critic), RefinePlan(), "p")

    found = asyncio.run(run())
    assert [version.state for version in found.versions] == ["ok", "empty", "engine_error"]
    assert found.failed


def test_the_budget_of_tokens_ends_it() -> None:
    texts = tuple(f"{n} steps.\n\n\\boxed{{{n}}}" for n in range(40))
    found = by([Rule(texts=texts)], [Rule("\\boxed{0}")], RefinePlan(turns=9, tokens=12, tries=9))
    assert found.outcome == "tokens"
    assert 1 < len(found.versions) < 10


def test_from_the_faulty_step_on_the_good_prefix_is_kept() -> None:
    first = "There are 6.\n\n6 + 7 = 13.\n\n\\boxed{13}"
    rules = [Rule("6 * 7 = 42.\n\n\\boxed{42}", when="There are 6."), Rule(error="the prefix is not in the prompt")]
    judge = [Rule("\\boxed{-1}", when="= 42"), Rule("\\boxed{1}")]
    found = by(rules, judge, RefinePlan(scope="error"), first=first)
    assert found.outcome == "accepted"
    assert found.versions[1].solution.steps == ("There are 6.", "6 * 7 = 42.", "\\boxed{42}")
    assert found.versions[1].changes == ("kept", "changed", "changed")


def test_an_engine_that_is_lost_ends_the_work() -> None:
    class Lost(ScriptedEngine):
        async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
            raise EngineLost("gone")

    async def run() -> None:
        policy = Policy(Lost([Rule("x")]))
        await refine(PROBLEM, solution(WRONG), policy, SelfReviewer(policy), RefinePlan())

    with pytest.raises(EngineLost):
        asyncio.run(run())


@pytest.mark.parametrize(
    "plan",
    [RefinePlan(turns=0), RefinePlan(tries=0), RefinePlan(tokens=0), RefinePlan(margin=1), RefinePlan(margin=-0.1)],
)
def test_plans_without_sense(plan: RefinePlan) -> None:
    with pytest.raises(ConfigError):
        plan.require_sound()


def test_a_record_goes_into_json_and_back() -> None:
    found = by([Rule(BETTER, when="6 + 7"), Rule(RIGHT)])
    assert from_json(to_json(found), Refinement) == found


# --- who reviews ---------------------------------------------------------------------------------------------------


def test_self_refine_takes_the_policy_at_its_word() -> None:
    rules = [Rule("All paragraphs are right.", when="Review this"), Rule(RIGHT)]
    assert by(rules, alone=True).outcome == "accepted"
    rules = [Rule("Paragraph 1 is wrong. It is a product.", when="Review this"), Rule(BETTER)]
    found = by(rules, alone=True, plan=RefinePlan(turns=1))
    assert found.outcome == "turns"
    assert found.chosen is found.versions[1], "without scores the last that can be read leads"


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("All paragraphs are right.", NO_ERROR),
        ("Paragraph 2 is wrong.\nIt is about apples.", 1),
        ("I looked. Step **3** is incorrect, all steps are right before it.", 2),
        ("Paragraph 4 is wrong.", None),
        ("Paragraph 0 is wrong.", None),
        ("Paragraph 99999 is wrong.", None),
        ("Not all is well.", None),
        ("", None),
        ("Paragraph " * 10_000, None),
    ],
)
def test_reviews_are_read(text: str, first: int | None) -> None:
    assert read_review(text, 3) == first


def test_scores_of_solutions() -> None:
    assert over_steps([0.5, None, 1.0], "min") == 0.5
    assert over_steps([0.5, None, 1.0], "mean") == 0.75
    assert over_steps([0.5, 0.5], "product") == 0.25
    assert over_steps([None], "min") is None


LEADS = [
    (judged_review(0.5, 1), judged_review(0.5 + 1e-5, 1), False),
    (judged_review(0.5, 1), judged_review(0.56, 1), True),
    (judged_review(0.99, 1), judged_review(0.2, NO_ERROR), True),
]


@pytest.mark.parametrize(("before", "after", "leads"), LEADS)
def test_noise_does_not_lead_and_what_is_accepted_does(before: Review, after: Review, leads: bool) -> None:
    class Told:
        name = "told"

        async def review(self, made: Solution, turn: int) -> Review:
            return after if turn else before

    policy = Policy(ScriptedEngine([Rule(BETTER)], "policy"), Sampling(max_tokens=200, seed=0))
    found = asyncio.run(refine(PROBLEM, solution(WRONG), policy, Told(), RefinePlan(turns=1), "p"))
    assert (found.chosen is found.versions[1]) == leads


def judged(*rewards: float, first_error: int | None) -> Critique:
    steps = tuple(StepCritique(n, Votes(), reward) for n, reward in enumerate(rewards))
    made = Solution(PROBLEM, ("One.", "Two.", "Three.", "Four."))
    return Critique(made, Method("scripted", "judge"), "ok", first_error, steps)


def test_progress_tells_rejected_solutions_apart() -> None:
    """By where they go wrong: the least reward is next to nothing in both, and what is left of it is noise."""
    early, late = judged(1e-5, 0.9, 0.9, 0.9, first_error=0), judged(0.9, 0.9, 0.8, 1e-6, first_error=3)
    assert read_critique(early, "min").score > read_critique(late, "min").score  # type: ignore[operator]
    assert read_critique(early).score == pytest.approx(0, abs=1e-4)
    assert read_critique(late).score == pytest.approx(0.75)
    assert read_critique(judged(0.6, 0.6, 0.6, 0.6, first_error=NO_ERROR)).score == 1
    assert read_critique(judged(0.9, 0.9, 0.9, 0.49, first_error=3)).score == pytest.approx((3 + 0.49) / 4)
    assert read_critique(judged(first_error=2)).score == pytest.approx(0.5), "a verdict without rewards"
    assert read_critique(judged(0.9, first_error=None)).score is None


def test_feedback_names_the_step_and_shows_what_ran() -> None:
    failed = Check("print(x)", Result("error", error="NameError: name 'x' is not defined"))
    ran = Check("print(6 * 7 == 13)", Result("ok", stdout="False\n"))
    said = Rationale(0, "ok", analysis="It is a product.", checks=(failed, ran), verdict=False)
    told = feedback(1, "6 + 7 = 13", said)
    assert told == 'Paragraph 2 is wrong: "6 + 7 = 13"\nIt is a product.\nCheck:\nprint(6 * 7 == 13)\nOutput:\nFalse'
    quoted = feedback(1, "6 + 7\n= 13", said, "quote")
    assert quoted.startswith("> 6 + 7\n> = 13\n")
    assert "False" in quoted
    only = feedback(0, "x", Rationale(0, "ok", checks=(failed,)))
    assert "NameError" in only
    assert "refine the solution" in revise("p", "a", quoted, "quote")[-1].content


# --- resampling ----------------------------------------------------------------------------------------------------


def sampled(rules: list[Rule], budgets: tuple[int, ...] = (), turns: int = 3) -> Refinement:
    policy = Policy(ScriptedEngine(rules, "policy"))
    return asyncio.run(resample(PROBLEM, None, policy, RefinePlan(turns=turns), "p", budgets))


def test_resampling_takes_the_majority() -> None:
    found = sampled([Rule(texts=(WRONG, RIGHT, "\\boxed{42.0}"))], turns=9)
    assert len(found.versions) == 10
    assert found.outcome == "samples"
    assert found.chosen is not None
    rights = sum(answer != "13" for answer in answers(found))
    assert (found.chosen.answer != "13") == (rights > 5 or (rights == 5 and answers(found)[0] != "13"))


def test_resampling_writes_what_it_may_and_no_more() -> None:
    found = sampled([Rule(RIGHT)], (30, 30, 100))
    one = found.versions[0].usage.completion_tokens
    spent = [found.spent(turn).completion_tokens for turn in range(4)]
    assert spent[0] == one
    assert all(budget <= has < budget + one for has, budget in zip(spent[1:], (30, 30, 100), strict=True))


def test_resampling_up_to_the_tokens_of_the_plan() -> None:
    policy = Policy(ScriptedEngine([Rule(RIGHT)], "policy"))
    found = asyncio.run(resample(PROBLEM, None, policy, RefinePlan(turns=1, tokens=50)))
    assert 50 <= found.usage.completion_tokens < 50 + found.versions[0].usage.completion_tokens


def test_a_policy_that_never_writes_does_not_resample_for_ever() -> None:
    found = sampled([Rule("")], (5, 5, 5))
    assert len(found.versions) == 1000
    assert found.chosen is None


def test_majority_without_answers_and_with_ties() -> None:
    def version(text: str) -> Version:
        return Version(0, solution(text) if text else Solution(PROBLEM, ()), "ok", None, boxed(text))

    assert majority([version("")]) is None
    assert majority([version(""), version("no box")]) == 1
    assert majority([version("\\boxed{1}"), version("\\boxed{2}")]) == 0
    assert majority([version("\\boxed{1}"), version("\\boxed{2}"), version("\\boxed{2.0}")]) == 1


# --- what people see -----------------------------------------------------------------------------------------------


def test_steps_are_laid_beside_each_other() -> None:
    assert list(aligned(["a", "b", "c"], ["a", "x", "y", "c"])) == [
        (" ", 0, 0), ("~", 1, 1), ("+", None, 2), (" ", 2, 3),
    ]  # fmt: skip
    assert list(aligned(["a", "b"], [])) == [("-", 0, None), ("-", 1, None)]
    assert changes(("a", "b"), ("a", "c", "d")) == ("kept", "changed", "new")


def files(folder: Path) -> list[str]:
    """A command on scripted engines."""
    policy, critic, source = folder / "policy.jsonl", folder / "critic.jsonl", folder / "sum.md"
    policy.write_text(json.dumps({"text": RIGHT}) + "\n")
    rules = [{"when": "= 42", "text": "\\boxed{-1}"}, {"text": "\\boxed{0}"}]
    critic.write_text("".join(json.dumps(rule) + "\n" for rule in rules))
    source.write_text(f"Problem: {PROBLEM.text}\n\nSolution: {WRONG}\n")
    engines = ["--policy", f"scripted:{policy}", "--engine", f"scripted:{critic}", "--protocol", "judge"]
    return ["refine", str(source), *engines]


@pytest.mark.parametrize("columns", ["160", "60"])
def test_the_transcript_has_room_or_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert main(files(tmp_path)) == 0
    out = capsys.readouterr().out
    assert "Accepted" in out
    assert ("before" in out) == (columns == "160")


def test_the_command_keeps_a_run_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = [*files(tmp_path), "--run", str(tmp_path / "run"), "--json"]
    assert main(asked) == 0
    first = capsys.readouterr().out
    found = from_json(first, Refinement)
    assert (found.outcome, answers(found)) == ("accepted", ["13", "42"])
    assert main(asked) == 0
    assert capsys.readouterr().out == first, "the very same record, its seconds included"
    assert main([*asked, "--turns", "2"]) == 2


def test_every_reviewer_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for reviewer, code in (("self", 1), ("resample", 0)):
        assert main([*files(tmp_path), "--reviewer", reviewer]) == code
        assert "Answer: " in capsys.readouterr().out


@pytest.mark.parametrize("more", [("--turns", "0"), ("--margin", "2"), ("--tokens", "0"), ("--policy", "nobody")])
def test_bad_options(tmp_path: Path, more: tuple[str, str]) -> None:
    assert main([*files(tmp_path), *more, "--run", str(tmp_path / "run")]) == 2
    assert not (tmp_path / "run").exists()


def test_nothing_to_refine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["refine"]) == 2
    assert "nothing to refine" in capsys.readouterr().err


@pytest.mark.slow
def test_the_shipped_models_mend_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["refine", str(ROOT / "examples" / "savings.md")]) in (0, 1)
    out = capsys.readouterr().out
    assert "step 4 is wrong" in out
    assert "Before: 386." in out or "Answer: 386." in out


@pytest.mark.slow
def test_a_real_policy_goes_on_from_a_prefix() -> None:
    async def run() -> Draft:
        async with open_engine("nano:policy") as engine, open_critic("nano") as critic:
            policy = Policy(engine, Sampling(temperature=0.0, max_tokens=300, seed=0))
            steps = ("Ada has 3 * 7 = 21 apples.", "Ben has 21 + 5 = 27 apples. The answer is $\\boxed{27}$.")
            wrong = Solution(Problem("Ada fills 3 bags with 7 apples each. Ben has 5 more apples than Ada."), steps)
            review = await CriticReviewer(critic).review(wrong, 0)
            return await policy.revise(wrong, review.feedback or REVIEW, 1, "1")

    draft = asyncio.run(run())
    assert draft.steps[0] == "Ada has 3 * 7 = 21 apples."
    assert len(draft.steps) > 1
