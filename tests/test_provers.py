"""Provers: best-of-K values, distinguishability and alignment, against figures worked out by hand."""

import asyncio
import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from genprm.cli import main
from genprm.errors import ConfigError
from genprm.eval.provers import Proposed, State, prover_of, to_report, values
from genprm.provers import BestOf, Values, alignment, best_of, best_of_counts, distinguishability, mean
from genprm.synth.world import examples
from genprm.types import Solution, Usage
from tests.search_trees import TableScorer
from tests.test_search import PROBLEM


def exact(*rows: list[float]) -> Values:
    """Values without noise: both halves are the same."""
    return np.stack([np.array(rows), np.array(rows)], axis=-1)


def test_the_best_of_k_by_hand() -> None:
    assert best_of(0.5, 2) == 0.75
    assert best_of(0.3, 1) == pytest.approx(0.3)
    assert (best_of(0.0, 9), best_of(1.0, 9)) == (0, 1)


@pytest.mark.parametrize(("right", "n", "k"), [(2, 5, 2), (0, 4, 2), (4, 4, 3), (1, 6, 6), (3, 7, 1)])
def test_counts_give_the_share_of_sets_with_a_right_one(right: int, n: int, k: int) -> None:
    grades = [True] * right + [False] * (n - right)
    sets = list(combinations(grades, k))
    assert best_of_counts(right, n, k) == pytest.approx(sum(map(any, sets)) / len(sets))


def test_counts_at_the_edges() -> None:
    assert best_of_counts(0, 0, 4) is None
    assert best_of_counts(1, 2, 4) == best_of(0.5, 4)  # more than there are completions


def test_a_best_of_k_scorer_turns_every_value_and_keeps_the_cost() -> None:
    scorer = TableScorer({"a": 0.5, "b": None}.get, outcome=lambda step: 0.7, advantage=lambda step: 0.1)
    (scores,) = asyncio.run(BestOf(scorer, 3).score([Solution(PROBLEM, ("a", "b"))]))
    assert scores.steps == (0.875, None)
    assert (scores.outcome, scores.advantages) == (None, ())
    assert scores.usage == Usage(prompt_tokens=10, completion_tokens=2, calls=1)
    with pytest.raises(ConfigError):
        BestOf(scorer, 0)


def test_distinguishability_by_hand() -> None:
    """Q = (0.2, 0.6, 0.4): mean 0.4, squares 0.04 + 0.04 + 0, by n - 1: 0.04."""
    found = distinguishability(exact([0.2, 0.6, 0.4], [0.5, 0.5, 0.5], [0.0, 1.0, np.nan]))
    assert found == pytest.approx([0.04, 0.0, 0.5])
    assert np.isnan(distinguishability(exact([0.2, np.nan], [np.nan, np.nan]))).all()


def test_alignment_by_hand() -> None:
    """A^mu = (-0.1, 0.1), A^pi = (-0.3, 0.3): 0.06 by n - 1; turned round, -0.06; with an indifferent prover, 0."""
    prover = exact([0.4, 0.6], [0.6, 0.4], [0.5, 0.5])
    policy = exact([0.1, 0.7], [0.1, 0.7], [0.1, 0.7])
    assert alignment(prover, policy) == pytest.approx([0.06, -0.06, 0])


def test_what_is_added_to_all_steps_of_a_state_changes_nothing() -> None:
    """The value of the state itself, by which an advantage differs from a value."""
    rng = np.random.default_rng(1)
    one, other = rng.random((2, 5, 4, 2))
    moved = one - rng.random((5, 1, 1))
    assert distinguishability(moved) == pytest.approx(distinguishability(one))
    assert alignment(moved, other) == pytest.approx(alignment(one, other))


def test_noise_of_counting_is_no_difference() -> None:
    """Steps of one and the same value, each counted from 8 completions, half by half: the plain variance would be
    0.5 * 0.5 / 8 = 0.031."""
    counts = np.random.default_rng(2).binomial(4, 0.5, size=(2000, 4, 2)) / 4
    found = mean(distinguishability(counts))
    assert found.value == pytest.approx(0, abs=0.004)
    assert counts.mean(axis=2).var(axis=1, ddof=1).mean() == pytest.approx(0.031, abs=0.003)
    assert mean(alignment(counts, counts)).value == pytest.approx(0, abs=0.004)


def test_intervals_hold_the_mean_and_shrink() -> None:
    rng = np.random.default_rng(3)
    few, many = mean(rng.normal(1, 1, 40)), mean(rng.normal(1, 1, 4000))
    for figure in (few, many):
        assert figure.low is not None
        assert figure.value is not None
        assert figure.high is not None
        assert figure.low < figure.value < figure.high
    assert few.high - few.low > 5 * (many.high - many.low)  # type: ignore[operator]
    twice = np.repeat(rng.normal(1, 1, 40), 2)
    apart, together = mean(twice), mean(twice, [str(n // 2) for n in range(80)])
    assert apart.value == together.value
    assert together.high - together.low > 1.2 * (apart.high - apart.low)  # type: ignore[operator]
    assert together.states == 80
    assert mean(np.array([np.nan])) == mean(np.array([]))
    assert mean(np.array([0.5, np.nan])).states == 1


# --- the command ---------------------------------------------------------------------------------------------------


def test_names_of_provers() -> None:
    assert prover_of("bo:4", "nano:policy") == ("nano:policy", 4)
    assert prover_of("bo:2:hf:M", "nano:policy") == ("hf:M", 2)
    assert prover_of("hf:M", "nano:policy") == ("hf:M", 1)
    with pytest.raises(ConfigError):
        prover_of("bo:x", "nano:policy")


def state(number: int, *proposals: Proposed) -> State:
    return State("p", number, (), proposals, 0, Usage())


def test_a_step_counts_as_often_as_it_was_proposed() -> None:
    one = Proposed("a", 3, {"e": ((2, 2), (2, 2))})
    other = Proposed("b", 1, {"e": ((0, 2), (1, 2))})
    found = values([state(0, one, other), state(1), state(2, Proposed("c", 1, {"e": ((0, 0), (0, 0))}))], "e", 1)
    assert found.shape == (3, 4, 2)
    assert found[0].tolist() == [[1, 1], [1, 1], [1, 1], [0, 0.5]]
    assert np.isnan(found[1:]).all()


def test_the_report_ranks_a_prover_that_sees_above_one_that_does_not() -> None:
    counts = [{"pi": ((q, 4), (q, 4)), "blind": ((4, 4), (4, 4))} for q in (0, 2)]
    states = [state(i, *(Proposed(str(j), 1, each) for j, each in enumerate(counts))) for i in range(5)]
    report = to_report(states, ["bo:2", "blind"], "pi", {})
    found = {each.prover: each for each in report.provers}
    assert list(found) == ["pi", "bo:2", "blind"]
    assert found["pi"].distinguishability.value == pytest.approx(0.125)
    assert found["bo:2"].distinguishability.value == pytest.approx((5 / 6) ** 2 / 2)  # of 4 with 2 right: 5 of 6 pairs
    assert found["bo:2"].alignment.value == pytest.approx(0.5 * 5 / 6 / 2)
    assert found["blind"].distinguishability.value == 0
    assert found["blind"].value.value == 1
    assert found["pi"].distinguishability.states == 5


def script(folder: Path) -> str:
    """Right after a good beginning, wrong after a bad one."""
    rules: list[dict[str, object]] = []
    for made in examples("valid", 3):
        text, answer = made.solution.problem.text, made.solution.problem.answer
        for say, said in (("good", answer), ("bad", "-1")):
            rules.append({"when": f"A {say} one: {text}", "text": f"It is $\\boxed{{{said}}}$."})
    for made in examples("valid", 3):
        text, answer = made.solution.problem.text, made.solution.problem.answer
        starts = [f"A {say} one: {text}\n\nIt is $\\boxed{{{said}}}$." for say, said in (("good", answer), ("bad", -1))]
        rules.append({"when": text, "texts": starts})
    path = folder / "script.jsonl"
    path.write_text("".join(json.dumps(rule) + "\n" for rule in rules))
    return f"scripted:{path}"


def command(folder: Path, *more: str) -> list[str]:
    options = ["--policy", script(folder), "--problems", "3", "--split", "valid", "--run", str(folder / "run")]
    return ["eval", "provers", *options, "--steps", "6", "-k", "4", "--prover", "bo:2", *more]


@pytest.mark.slow  # draws
def test_the_command_measures_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(tmp_path)) == 0
    path = tmp_path / "run" / "report.json"
    report = json.loads(path.read_text())
    assert [each["prover"] for each in report["provers"]][1] == "bo:2"
    assert report["states"] == 6
    policy = report["provers"][0]["distinguishability"]
    assert policy["value"] > 0.05  # a state that has its first step leaves no choice
    results = tmp_path / "run" / "results.jsonl"
    kept = results.read_bytes()
    results.write_bytes(kept[: len(kept) // 2])
    assert main(command(tmp_path)) == 0
    assert json.loads(path.read_text()) == report
    assert sorted(results.read_bytes().splitlines()) == sorted(kept.splitlines())
    assert "going on" in capsys.readouterr().err
    assert main(command(tmp_path, "--seed", "1")) == 2


@pytest.mark.parametrize("wrong", [["-k", "3"], ["-k", "0"], ["--states", "0"], ["--prover", "bo:"]])
def test_options_that_do_not_fit(tmp_path: Path, wrong: list[str]) -> None:
    assert main(command(tmp_path, *wrong)) == 2
    assert not (tmp_path / "run").exists()
