"""Search: what is proposed, merged, ranked, dropped and paid for."""

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genprm.cli import main
from genprm.critic import Critic
from genprm.engines.base import Engine
from genprm.engines.calculating import after
from genprm.engines.remembering import RememberingEngine
from genprm.engines.scripted import Rule, ScriptedEngine
from genprm.engines.symbolic import SymbolicEngine
from genprm.errors import ConfigError, InputError
from genprm.inputs import read_solutions
from genprm.problems import read_problems
from genprm.protocols import label, make_protocol
from genprm.protocols.policy import solve
from genprm.provers import BestOf
from genprm.sandbox import Sandbox
from genprm.scorers.base import Scorer, Scores
from genprm.scorers.critic import CriticScorer
from genprm.search import (
    CompletionsScorer,
    EffectiveReward,
    EnginePolicy,
    SearchPlan,
    SearchResult,
    right_number,
    search,
)
from genprm.searching.remembering import RememberingScorer
from genprm.types import Completion, Message, Method, Problem, Prompt, Sampling, Solution, Usage
from tests.rooms import room
from tests.search_trees import TableScorer, Tree, TreeEngine

PROBLEM = Problem("What is it?", "7")
TREE: Tree = {
    "": ["good start", "bad start"],
    "good start": ["good middle", "poor middle"],
    "bad start": ["bad middle"],
    "good middle": ["so $\\boxed{7}$"],
    "poor middle": ["so $\\boxed{8}$"],
    "bad middle": ["so $\\boxed{9}$"],
}
VALUES = {
    "good start": 0.6,
    "bad start": 0.3,
    "good middle": 0.9,
    "poor middle": 0.2,
    "bad middle": 0.25,
    "so $\\boxed{7}$": 0.95,
    "so $\\boxed{8}$": 0.1,
    "so $\\boxed{9}$": 0.1,
}


def run(
    plan: SearchPlan,
    tree: Tree = TREE,
    values: Mapping[str, float | None] = VALUES,
    *,
    scorer: Scorer | None = None,
    prover: Scorer | None = None,
    alpha: float = 0.0,
    engine: TreeEngine | None = None,
) -> SearchResult:
    policy = EnginePolicy(engine or TreeEngine(tree))
    score = EffectiveReward(scorer or TableScorer(lambda step: values[step]), prover, alpha)
    return asyncio.run(search(PROBLEM, policy, score, plan))


# --- the algorithms ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["best-of-n", "step", "beam", "dvts"])
def test_every_algorithm_finds_what_the_values_point_to(algorithm: str) -> None:
    result = run(SearchPlan(algorithm, beam=2, expand=8))  # type: ignore[arg-type]
    assert result.outcome == "finished"
    assert result.steps == ("good start", "good middle", "so $\\boxed{7}$")
    assert result.answer == "7"
    assert [mark.q for mark in result.marks] == [0.6, 0.9, 0.95]
    assert result.rounds == (1 if algorithm == "best-of-n" else 3)


def test_the_first_round_is_as_wide_as_all_later_ones_together() -> None:
    result = run(SearchPlan("beam", beam=2, expand=3))
    assert result.counts["proposals"] == 6 + 6 + 6
    assert len(result.candidates) == 2
    assert result.candidates[0].steps == result.steps


def test_finished_paths_hold_their_places() -> None:
    tree = {"": ["$\\boxed{1}$", "slow"], "slow": ["slower"], "slower": ["$\\boxed{2}$"]}
    values = {"$\\boxed{1}$": 0.5, "slow": 0.4, "slower": 0.6, "$\\boxed{2}$": 0.7}
    plan = SearchPlan("beam", beam=2, expand=4)
    assert [c.answer for c in run(plan, tree, values).candidates] == ["2", "1"]
    early = run(SearchPlan("beam", beam=2, expand=4, enough=1), tree, values)
    assert (early.answer, early.rounds) == ("1", 1)


def test_subtrees_do_not_compete() -> None:
    """A beam goes where the values are; each subtree of dvts goes on with its own best, good or bad."""
    tree = {"": ["a", "b"], "a": ["aa", "ab"], "b": ["ba"]}
    values = {"a": 0.9, "b": 0.1, "aa": 0.8, "ab": 0.7, "ba": 0.2}
    beam = run(SearchPlan("beam", beam=2, expand=8), tree, values)
    assert {c.steps for c in beam.candidates} == {("a", "aa"), ("a", "ab")}
    narrow = run(SearchPlan("dvts", beam=12, expand=1), tree, values)
    assert len(narrow.candidates) == 12
    assert ("b", "ba") in {c.steps for c in narrow.candidates}
    assert "merged" not in narrow.counts


def test_the_same_seed_finds_the_same() -> None:
    plan = SearchPlan("beam", beam=2, expand=2, seed=3)
    assert run(plan) == run(plan)
    found = {run(SearchPlan("step", expand=1, seed=seed)).steps for seed in range(12)}
    assert len(found) == 3  # and another seed may find another


def test_fewer_whole_solutions_are_the_first_of_more() -> None:
    few, many = (run(SearchPlan("best-of-n", expand=n)) for n in (3, 12))
    assert {c.steps for c in few.candidates} <= {c.steps for c in many.candidates}
    assert sum(c.weight for c in many.candidates) == 12


# --- the score -----------------------------------------------------------------------------------------------------

STATES: Tree = {"": ["rich", "poor"], "rich": ["rich, worse"], "poor": ["poor, better"]}


def test_q_alone_keeps_a_bad_step_of_a_rich_state_and_progress_does_not() -> None:
    """The example of arXiv 2410.08146, figure 2: one step loses, the other gains, and Q prefers the loser."""
    values = {"rich": 0.6, "poor": 0.5, "rich, worse": 0.55, "poor, better": 0.54}
    plan = SearchPlan("beam", beam=2, expand=8, choice="effective")
    by_q = run(plan, STATES, values)
    assert by_q.steps[-1] == "rich, worse"
    by_progress = run(plan, STATES, values, alpha=1.0)
    assert by_progress.steps[-1] == "poor, better"
    mark = by_progress.marks[-1]
    assert mark.q == 0.54
    assert mark.advantage == pytest.approx(0.04)
    assert mark.score == pytest.approx(0.58)
    assert run(plan, STATES, values, alpha=math.inf).marks[-1].score == pytest.approx(0.04)


def test_alpha_0_is_q_alone_and_no_prover_is_asked() -> None:
    prover = TableScorer(lambda step: 0.5)
    plan = SearchPlan("beam", beam=2, expand=3)
    assert run(plan, prover=prover, alpha=0.0) == run(plan)
    assert prover.asked == 0


def test_progress_is_that_of_the_prover() -> None:
    prover = TableScorer({"good start": 0.1, "bad start": 0.9, "bad middle": 1.0, "good middle": 0.0}.get, "prover")
    plan = SearchPlan("beam", beam=2, expand=8, max_steps=2, choice="effective")
    result = run(plan, prover=prover, alpha=10.0)
    assert result.steps == ("bad start", "bad middle")
    assert [mark.prover for mark in result.marks] == [0.9, 1.0]
    assert result.marks[1].advantage == pytest.approx(0.1)
    assert result.marks[0].advantage is not None
    assert 0 < result.marks[0].advantage < 0.8  # less the mean of what was proposed
    assert result.account.prover.calls > 0
    assert result.score == "Q[table] + 10 A[prover]"


def test_a_scorer_s_own_advantages_go_before_differences() -> None:
    scorer = TableScorer(lambda step: VALUES[step], advantage=lambda step: 0.125)
    assert run(SearchPlan(), scorer=scorer, alpha=1.0).marks[-1].advantage == 0.125


def test_a_prover_that_is_a_function_of_the_scorer_costs_nothing_more() -> None:
    scorer = TableScorer(lambda step: VALUES[step])
    result = run(SearchPlan("beam", beam=2, expand=4), scorer=scorer, prover=BestOf(scorer, 2), alpha=1.0)
    assert result.account.prover == Usage()
    assert result.marks[1].advantage == pytest.approx((1 - 0.1**2) - (1 - 0.4**2))
    itself = run(SearchPlan("beam", beam=2, expand=4), scorer=scorer, prover=scorer, alpha=1.0)
    assert itself.account.prover == Usage()
    alone = BestOf(TableScorer(lambda step: VALUES[step]), 2)
    dear = run(SearchPlan("beam", beam=2, expand=4), prover=alone, alpha=1.0)
    assert dear.marks == result.marks
    assert dear.account.prover == dear.account.scorer


@pytest.mark.parametrize("alpha", [-1.0, math.nan])
def test_alphas_that_are_none(alpha: float) -> None:
    with pytest.raises(ConfigError, match="alpha"):
        EffectiveReward(TableScorer(lambda step: 0.5), None, alpha)


# --- the choice ----------------------------------------------------------------------------------------------------

ENDS: Tree = {"": ["a $\\boxed{1}$", "b $\\boxed{1.0}$", "c $\\boxed{2}$", "d"]}
END_VALUES = {"a $\\boxed{1}$": 0.3, "b $\\boxed{1.0}$": 0.4, "c $\\boxed{2}$": 0.9, "d": 0.95}


def test_choices_differ() -> None:
    outcome = TableScorer(lambda step: END_VALUES[step], outcome=lambda step: float(step.startswith("a")))
    found = {
        choice: run(SearchPlan("best-of-n", expand=24, choice=choice), ENDS, scorer=outcome)
        for choice in ("last", "outcome", "majority")
    }
    assert found["last"].steps == ("d",)
    assert found["last"].counts["no_answer"] == 1
    assert found["outcome"].answer == "1"
    assert found["majority"].answer == "1.0"  # 1 and 1.0 vote together, for the better of the two
    votes = {candidate.answer: candidate.weight for candidate in found["majority"].candidates}
    assert votes["1"] + votes["1.0"] > max(votes["2"] or 0, votes[None])
    assert sum(votes.values()) == 24


def test_a_choice_without_its_figures_is_counted() -> None:
    result = run(SearchPlan("best-of-n", expand=4, choice="outcome"), ENDS, END_VALUES)
    assert result.counts["no_basis"] == 1
    assert result.outcome == "finished"


# --- what can go wrong ---------------------------------------------------------------------------------------------


def test_equal_proposals_are_judged_once() -> None:
    scorer = TableScorer(lambda step: 0.5)
    result = run(SearchPlan("beam", beam=2, expand=4), {"": ["same  step", "same step"]}, scorer=scorer)
    assert result.counts == {"judged": 1, "merged": 7, "no_answer": 1, "proposals": 8}
    assert scorer.asked == 1
    assert result.candidates[0].weight == 8


def test_a_policy_that_repeats_itself_comes_to_no_end() -> None:
    result = run(SearchPlan("step", expand=3), {"": ["again"], "again": [" again "]}, {"again": 0.5})
    assert (result.outcome, result.steps) == ("unfinished", ("again",))
    assert result.counts["repeated"] == 3
    assert result.counts["stuck"] == 1


def test_a_policy_that_never_ends_is_stopped() -> None:
    endless = {"": ["step 0"]} | {f"step {i}": [f"step {i + 1}"] for i in range(50)}
    plan = SearchPlan("step", expand=2, max_steps=5)
    result = run(plan, endless, scorer=TableScorer(lambda step: 0.5))
    assert (result.outcome, len(result.steps), result.rounds) == ("unfinished", 5, 5)
    assert result.counts["too_many_steps"] == 1


@pytest.mark.parametrize(("step", "why"), [("", "empty"), (" \n ", "empty"), ("!", "engine_error")])
@pytest.mark.parametrize("algorithm", ["beam", "best-of-n"])
def test_nothing_at_all_is_a_result(algorithm: str, step: str, why: str) -> None:
    plan = SearchPlan(algorithm, beam=1, expand=4)  # type: ignore[arg-type]
    result = run(plan, {"": [step]}, {})
    assert (result.outcome, result.steps, result.answer) == ("nothing", (), None)
    assert result.counts == {why: 4, "proposals": 4, "stuck": 1}


def test_a_path_with_nothing_more_to_say_is_at_its_end() -> None:
    result = run(SearchPlan("step", expand=2), {"": ["all"], "all": [""]}, {"all": 0.5})
    assert (result.outcome, result.steps, len(result.marks)) == ("finished", ("all",), 1)
    assert result.counts["judged"] == 1


def test_failures_of_some_do_not_stop_the_others() -> None:
    tree = {"": ["!", "fine", ""], "fine": ["$\\boxed{7}$", "!"]}
    result = run(SearchPlan("beam", beam=2, expand=12), tree, {"fine": 0.5, "$\\boxed{7}$": 0.5})
    assert result.answer == "7"
    assert result.counts["engine_error"] > 0
    assert result.counts["empty"] > 0


def test_steps_without_a_score_come_last_and_are_counted() -> None:
    tree = {"": ["unknown $\\boxed{1}$", "known $\\boxed{2}$"]}
    values = {"unknown $\\boxed{1}$": None, "known $\\boxed{2}$": 0.01}
    result = run(SearchPlan("beam", beam=2, expand=8), tree, values)
    assert [c.answer for c in result.candidates] == ["2", "1"]
    assert result.counts["unscored"] == 1
    assert result.candidates[1].marks[0].q is None
    assert result.candidates[1].marks[0].error == "it was told to"
    only = run(SearchPlan("beam", beam=2, expand=8), tree, dict.fromkeys(values))
    assert only.outcome == "finished"
    assert only.counts["no_basis"] == 1


def test_paths_under_the_floor_are_dropped() -> None:
    result = run(SearchPlan("beam", beam=4, expand=4, floor=0.5))
    assert [c.answer for c in result.candidates] == ["7"]
    assert result.counts["pruned"] == 2  # the bad start, and the poor middle
    nothing = run(SearchPlan("beam", beam=4, expand=4, floor=2.0))
    assert (nothing.outcome, nothing.steps) == ("unfinished", ("good start",))


def test_steps_that_are_cut_off_are_none() -> None:
    result = run(SearchPlan("step", expand=3, step_tokens=1), {"": ["two words"]}, {})
    assert result.counts == {"cut_off": 3, "proposals": 3, "stuck": 1}


@given(st.integers(1, 120), st.sampled_from(["best-of-n", "step", "beam", "dvts"]), st.integers(0, 9))
def test_the_budget_of_tokens_is_never_exceeded(budget: int, algorithm: str, seed: int) -> None:
    plan = SearchPlan(algorithm, beam=2, expand=3, max_tokens=budget, seed=seed)  # type: ignore[arg-type]
    result = run(plan)
    assert result.account.policy.completion_tokens <= budget
    if result.outcome != "finished":
        assert result.counts.keys() & {"budget", "cut_off"}


@pytest.mark.parametrize(
    "wrong", [{"beam": 0}, {"expand": -1}, {"max_tokens": 0}, {"algorithm": "best"}, {"floor": math.nan}]
)
def test_plans_that_are_none(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        SearchPlan(**wrong)  # type: ignore[arg-type]


# --- the accounting ------------------------------------------------------------------------------------------------


@given(st.sampled_from(["best-of-n", "step", "beam", "dvts"]), st.integers(1, 3), st.integers(1, 4), st.integers(0, 99))
def test_what_is_accounted_for_is_what_the_engines_said(algorithm: str, beam: int, expand: int, seed: int) -> None:
    engine, prover = TreeEngine(TREE), TableScorer(lambda step: 0.5)
    scorer = TableScorer(lambda step: VALUES[step])
    plan = SearchPlan(algorithm, beam, expand, seed=seed)  # type: ignore[arg-type]
    account = run(plan, engine=engine, scorer=scorer, prover=prover, alpha=0.5).account
    assert account.policy == engine.said
    assert (account.scorer.calls, account.prover.calls) == (scorer.asked, prover.asked)
    assert account.generated == engine.said.completion_tokens + 2 * (scorer.asked + prover.asked)
    assert account.total == account.generated + 10 * (scorer.asked + prover.asked)


# --- exact values --------------------------------------------------------------------------------------------------


@st.composite
def trees(draw: st.DrawFn) -> tuple[Tree, dict[str, float]]:
    """A tree with two to three ways on, and for every step the best that can still be reached."""
    tree: dict[str, list[str]] = {}
    best: dict[str, float] = {}

    def grow(name: str, depth: int) -> float:
        if depth == 0 or (depth < 3 and draw(st.booleans())):
            best[name] = draw(st.integers(0, 10)) / 10
            return best[name]
        tree[name] = [f"{name}{letter}" for letter in "xyz"[: draw(st.integers(2, 3))]]
        best[name] = max(grow(child, depth - 1) for child in tree[name])
        return best[name]

    grow("", 3)
    return tree, best


@settings(max_examples=40)
@given(trees(), st.integers(1, 3), st.sampled_from(["step", "beam", "dvts"]))
def test_exact_values_lead_to_the_best_end_and_no_best_of_n_beats_it(
    grown: tuple[Tree, dict[str, float]], beam: int, algorithm: str
) -> None:
    tree, best = grown
    found = run(SearchPlan(algorithm, beam, expand=48), tree, best)  # type: ignore[arg-type]
    assert best[found.steps[-1]] == best[""]
    sampled = run(SearchPlan("best-of-n", expand=8), tree, best)
    assert best[found.steps[-1]] >= best[sampled.steps[-1]]


# --- values by completions -----------------------------------------------------------------------------------------


def value(tree: Tree, steps: tuple[str, ...], k: int = 40, best_of: int = 1) -> tuple[float | None, Usage, Usage]:
    async def scored() -> tuple[float | None, Usage, Usage]:
        engine = TreeEngine(tree)
        scorer = RememberingScorer(CompletionsScorer(EnginePolicy(engine), right_number, k, best_of=best_of))
        (scores,) = await scorer.score([Solution(PROBLEM, steps)])
        (again,) = await scorer.score([Solution(PROBLEM, steps)])
        assert again == scores  # charged for once more, and not asked once more
        return scores.steps[-1], scores.usage, engine.said

    return asyncio.run(scored())


def test_values_are_shares_of_right_completions() -> None:
    found, usage, said = value(TREE, ("good start",))
    assert found is not None
    assert 0.25 < found < 0.75
    assert usage == said
    assert usage.calls == 40
    assert value(TREE, ("bad start",))[0] == 0
    better, _, _ = value(TREE, ("good start",), best_of=4)
    assert better is not None
    assert better > found


def test_a_path_with_an_answer_is_graded_itself() -> None:
    assert value(TREE, ("good start", "good middle", "so $\\boxed{7}$")) == (1, Usage(), Usage())
    assert value(TREE, ("so $\\boxed{8}$",)) == (0, Usage(), Usage())


def test_completions_that_fail_are_no_evidence() -> None:
    found, _, _ = value({"": ["!"], "begun": ["!", "$\\boxed{7}$"]}, ("begun",))
    assert found == 1
    assert value({"": ["!"], "begun": ["!"]}, ("begun",))[0] is None


def test_an_engine_goes_on_behind_what_it_wrote() -> None:
    """Behind words of the model's turn, which a template would otherwise take for the user's."""
    prompt = Prompt(solve("P"), problem="P")
    begun = after(prompt, "One.\n\n")
    assert begun.messages[-1] == Message("assistant", "One.")
    assert begun.opening == "\n\n"
    assert after(begun, "Two.\n\n").opening == "\n\nTwo.\n\n"
    assert after(prompt, "") == prompt


# --- the command ---------------------------------------------------------------------------------------------------

SCRIPT = [
    {"when": "Half of it is 3.", "text": "So it is $\\boxed{6}$."},
    {"when": "Half of it is 4.", "text": "So it is $\\boxed{8}$."},
    {"texts": ["Half of it is 3.\n\nSo it is $\\boxed{6}$.", "Half of it is 4.\n\nSo it is $\\boxed{8}$."]},
]


@pytest.fixture
def scripted(tmp_path: Path) -> str:
    (tmp_path / "script.jsonl").write_text("".join(json.dumps(rule) + "\n" for rule in SCRIPT))
    rows = [{"id": "one", "problem": "Twice three?", "answer": "6"}, {"question": "Twice four?", "answer": "8"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"scripted:{tmp_path / 'script.jsonl'}"


def test_the_command_shows_steps_scores_and_costs(
    tmp_path: Path, scripted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--policy", scripted, "--scorer", "completions:4", "--alpha", "1", "--prover", "bo:2", "--beam", "2"]
    assert main(["search", str(tmp_path / "rows.jsonl"), *options]) == 0
    said = capsys.readouterr().out
    assert "Step 1 · Q 1.000" in said
    assert "Answer: 6, which is right" in said
    assert "Answer: 8, which is right" in said
    assert "tokens written" in said


def test_a_run_goes_on_and_gives_the_same(tmp_path: Path, scripted: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--policy", scripted, "--scorer", "completions:4", "--json", "--run", str(tmp_path / "run")]
    assert main(["search", str(tmp_path / "rows.jsonl"), *options]) == 0
    first = capsys.readouterr().out
    results = tmp_path / "run" / "results.jsonl"
    lines = results.read_bytes()
    results.write_bytes(lines[: len(lines) - 20])  # killed while it wrote
    assert main(["search", str(tmp_path / "rows.jsonl"), *options]) == 0
    assert capsys.readouterr().out == first
    assert sorted(results.read_bytes().splitlines()) == sorted(lines.splitlines())
    assert [json.loads(line)["result"]["answer"] for line in first.splitlines()] == ["6", "8"]
    assert main(["search", str(tmp_path / "rows.jsonl"), *options, "--beam", "3"]) == 2
    assert "beam = 4, now it is 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "one of --scorer SPEC and --engine SPEC"),
        (["--scorer", "completions:x"], "needs a whole number above 0, not 'x'"),
        (["--scorer", "completions:2", "--prover", "bo:0", "--alpha", "1"], "needs a whole number above 0, not '0'"),
        (["--scorer", "completions:2", "--alpha", "-1"], "alpha"),
        (["--scorer", "completions:2", "--beam", "0"], "beam above 0"),
        (["--scorer", "completions:2", "--limit", "0"], "--limit"),
    ],
)
def test_options_that_do_not_fit(
    tmp_path: Path, scripted: str, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", str(tmp_path / "rows.jsonl"), "--policy", scripted, *options]) == 2
    assert said in capsys.readouterr().err


def test_completions_need_an_answer_to_be_graded_by(
    tmp_path: Path, scripted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "problem.txt").write_text("Twice three?")
    source = str(tmp_path / "problem.txt")
    assert main(["search", source, "--policy", scripted, "--scorer", "completions:2"]) == 2
    assert "does not have" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"problem": ""}\n', "rows.jsonl:1, field problem: there is no text of the problem"),
        ('{"problem": 3}\n', "field problem: must be text"),
        ('{"problem": "a", "id": "x"}\n{"problem": "b", "id": "x"}\n', "two problems have the id 'x'"),
        ('{"problem": "a"', "rows.jsonl:1"),
        ("", "is empty"),
    ],
)
def test_rows_that_are_no_problems(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "rows.jsonl").write_text(content)
    with pytest.raises(InputError, match=r"rows\.jsonl") as error:
        read_problems(str(tmp_path / "rows.jsonl"))
    assert said in str(error.value)


@pytest.mark.parametrize("example", sorted(Path("examples").glob("*.md")), ids=lambda path: path.stem)
def test_a_problem_is_read_without_its_solution(example: Path) -> None:
    """A policy that reads the solution too would go on from its mistakes."""
    [posed], [solution] = read_problems(str(example)), read_solutions(example)
    assert (posed.id, posed.problem) == (solution.id, solution.problem)


def test_a_text_without_a_problem(tmp_path: Path) -> None:
    (tmp_path / "half.md").write_text("# Solution\n\nBecause.\n")
    with pytest.raises(InputError, match=r"half\.md: there is no problem"):
        read_problems(str(tmp_path / "half.md"))


def test_a_scripted_engine_is_a_policy() -> None:
    engine = ScriptedEngine([Rule(text="First.\n\nThen $\\boxed{7}$.")])
    policy = EnginePolicy(engine)
    written = asyncio.run(policy.propose(PROBLEM, "", None, seed=0, max_tokens=99))
    assert (written.text, written.end) == ("First.\n\n", "step")
    whole = asyncio.run(policy.propose(PROBLEM, "", None, seed=0, max_tokens=99, whole=True))
    assert (whole.text, whole.end) == ("First.\n\nThen $\\boxed{7}$.", "end")


# --- what is remembered --------------------------------------------------------------------------------------------


def test_a_second_search_is_charged_and_pays_nothing() -> None:
    async def found() -> list[tuple[SearchResult, int, int]]:
        engine, scorer = TreeEngine(TREE), TableScorer(VALUES.__getitem__)
        policy, remembering = EnginePolicy(RememberingEngine(engine)), RememberingScorer(scorer)
        results = []
        for forgets in (False, False, True):
            if forgets:
                policy = EnginePolicy(RememberingEngine(engine))
                remembering.forget(PROBLEM)
            result = await search(PROBLEM, policy, EffectiveReward(remembering), SearchPlan("beam", 2, expand=8))
            results.append((result, engine.said.calls, scorer.asked))
        return results

    (first, calls, asked), (second, still, too), (third, twice, anew) = asyncio.run(found())
    assert first == second == third
    assert first.account.policy.calls == calls == still
    assert (twice, too, anew) == (2 * calls, asked, 2 * asked)


class Counting:
    """An engine that counts what it is asked."""

    def __init__(self, engine: Engine) -> None:
        self.name, self.protocols, self.asked = engine.name, engine.protocols, 0
        self._engine = engine

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        self.asked += 1
        return await self._engine.complete(prompt, sampling)

    async def close(self) -> None:
        await self._engine.close()


def test_a_critic_of_a_path_that_grows_judges_the_new_step_alone() -> None:
    steps = ("2 + 3 = 5", "5 * 4 = 20", "20 - 1 = 18")
    paths = [Solution(Problem("What is 2 + 3, times 4, less 1?"), steps[:n]) for n in (1, 2, 3)]

    async def scored(sandbox: Sandbox) -> tuple[list[Scores], list[Scores], list[int]]:
        engine = Counting(SymbolicEngine())
        protocol = make_protocol("genprm")
        method = Method(engine.name, label(protocol), n=2, stopping="none")
        critic = Critic(engine, sandbox, protocol, method)
        whole = [(await CriticScorer("", critic).score([path]))[0] for path in paths]
        growing = CriticScorer("", critic, growing=True)
        grown, asked = [], []
        for path in paths:
            before = engine.asked
            grown += await growing.score([path])
            asked.append(engine.asked - before)
        return whole, grown, asked

    whole, grown, asked = room().run(scored)
    assert [s.steps for s in grown] == [s.steps for s in whole]
    assert {s.last_usage for s in whole} == {None}
    assert [s.last_usage and s.last_usage.calls for s in grown] == asked
    assert sum(asked) == grown[-1].usage.calls


def test_an_engine_remembers_the_latest_and_what_has_a_seed() -> None:
    async def asked(places: int, seeds: Sequence[int | None]) -> int:
        engine = Counting(TreeEngine(TREE))
        remembering = RememberingEngine(engine, places)
        for seed in seeds:
            await remembering.complete(Prompt((Message("user", "What is it?"),)), Sampling(seed=seed))
        return engine.asked

    assert asyncio.run(asked(2, [1, 2, 1, 2])) == 2
    assert asyncio.run(asked(2, [1, 2, 3, 2, 3, 1])) == 4
    assert asyncio.run(asked(2, [None, None])) == 2


def test_what_a_scorer_failed_on_is_asked_again() -> None:
    scorer = TableScorer({"bad": None, "good": 0.5}.get)
    remembering = RememberingScorer(scorer)
    solutions = [Solution(PROBLEM, (name,)) for name in ("bad", "good", "bad")]
    for _ in range(2):
        assert [each.steps for each in asyncio.run(remembering.score(solutions))] == [(None,), (0.5,), (None,)]
    assert scorer.asked == 3
