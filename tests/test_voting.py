"""Votes: the three rules, ties, and votes that are missing."""

import pytest

from genprm import voting
from genprm.types import NO_ERROR, Outcome, Rationale, StepCritique, Vote, Votes


def said(*verdicts: float | bool | None) -> list[Rationale]:
    """One rationale a verdict: a probability, a bare verdict, or none at all."""
    made = []
    for sample, verdict in enumerate(verdicts):
        outcome: Outcome = "no_verdict" if verdict is None else "ok"
        if isinstance(verdict, bool) or verdict is None:
            made.append(Rationale(sample, outcome, verdict=verdict))
        else:
            made.append(Rationale(sample, outcome, verdict=verdict > 0.5, p_yes=verdict))
    return made


def steps(*rows: list[Rationale], vote: Vote = "mean") -> list[StepCritique]:
    return [voting.judge_step(step, rationales, vote, 0.5) for step, rationales in enumerate(rows)]


@pytest.mark.parametrize(
    ("verdicts", "vote", "reward"),
    [
        ([0.9, 0.1, 0.2], "mean", 0.4),
        ([0.9, 0.1, 0.2], "majority", 1 / 3),
        ([0.9, None], "mean", 0.9),
        ([True, False], "mean", 0.5),
        ([0.8, False], "mean", 0.4),  # an engine without log-probabilities counts 1 or 0
        ([None, None], "mean", None),
        ([None], "majority", None),
        ([0.51, 0.51, 0.0], "majority", 2 / 3),
    ],
)
def test_reward(verdicts: list[float | bool | None], vote: Vote, reward: float | None) -> None:
    assert voting.reward(said(*verdicts), vote) == (None if reward is None else pytest.approx(reward))


def test_a_tie_is_no_error_and_the_threshold_is_strict() -> None:
    assert voting.judge_step(0, said(True, False), "mean", 0.5).correct is True
    assert voting.judge_step(0, said(0.7), "mean", 0.7).correct is True
    assert voting.judge_step(0, said(0.7), "mean", 0.71).correct is False


def test_missing_votes_are_counted_and_not_guessed() -> None:
    step = voting.judge_step(0, said(None, None), "mean", 0.5)
    assert (step.votes, step.reward, step.correct, step.confidence) == (Votes(0, 0, 2), None, None, None)


def test_rationales_are_kept_in_the_order_of_their_samples() -> None:
    first, second = said(0.9, 0.8)
    assert voting.judge_step(0, [second, first], "mean", 0.5).rationales == (first, second)


def test_first_error() -> None:
    assert voting.first_error(steps(said(0.9), said(0.2), said(0.1)), 3, "mean") == (1, "ok")
    assert voting.first_error(steps(said(0.9), said(0.8)), 2, "mean") == (NO_ERROR, "ok")
    assert voting.first_error(steps(said(0.9), said(0.2)), 5, "mean") == (1, "ok")  # stopped there


def test_a_step_without_a_verdict_hides_what_comes_after_but_not_what_came_before() -> None:
    assert voting.first_error(steps(said(None), said(0.1)), 2, "mean") == (None, "no_verdict")
    assert voting.first_error(steps(said(0.1), said(None)), 2, "mean") == (0, "ok")
    failed = [Rationale(0, "engine_error", error="gone")]
    assert voting.first_error(steps(said(0.9), failed), 2, "mean") == (None, "engine_error")


def test_a_vote_over_indices_is_not_a_vote_over_steps() -> None:
    """Samples name 0, 1 and 2: each step has a majority of Yes, yet every sample saw an error."""
    rows = (said(False, True, True), said(True, False, True), said(True, True, False))
    assert voting.first_error(steps(*rows), 3, "majority") == (NO_ERROR, "ok")
    assert voting.first_error(steps(*rows, vote="index"), 3, "index") == (2, "ok")


@pytest.mark.parametrize(
    ("indices", "winner"),
    [([0, 0, 1], 0), ([0, 1], 1), ([0, NO_ERROR], NO_ERROR), ([2, 2, NO_ERROR, 0, 0], 2), ([], None)],
)
def test_most_frequent(indices: list[int], winner: int | None) -> None:
    assert voting.most_frequent(indices) == winner


def test_a_sample_with_a_missing_verdict_before_its_error_names_no_index() -> None:
    rows = steps(said(None, True), said(False, False), vote="index")
    assert voting.chain_indices(rows) == [1]


def test_judgements_of_whole_solutions() -> None:
    named = [Rationale(s, "ok", first_error=index) for s, index in enumerate([1, 1, NO_ERROR])]
    lost = Rationale(3, "no_verdict")
    assert voting.judge_indices([*named, lost]) == (1, "ok")
    assert voting.judge_indices([lost]) == (None, "no_verdict")
    rows = voting.steps_from_indices([*named, lost], 3)
    assert [row.votes for row in rows] == [Votes(3, 0, 1), Votes(1, 2, 1), Votes(1, 0, 3)]
    assert [row.correct for row in rows] == [True, False, True]
