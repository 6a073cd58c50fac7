"""Labelers: each on real text and real engines."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from genprm.critic import Critic
from genprm.engines import open_engine
from genprm.errors import ConfigError
from genprm.eval.simulated_policy import SimulatedPolicy
from genprm.protocols.genprm import GenPRMProtocol
from genprm.sandbox import Sandbox
from genprm.synth.labelers import Labeler
from genprm.synth.labelers.dropout import Dropout
from genprm.synth.labelers.heuristics import Heuristics, signs
from genprm.synth.labelers.judge import Judge
from genprm.synth.labelers.rollouts import Rollouts
from genprm.synth.labelers.search import TreeSearch
from genprm.synth.plans import read_plan
from genprm.synth.schemes import read_scheme
from genprm.synth.types import Attempt, Labelled
from genprm.types import Method, Problem, Solution
from tests.rooms import room
from tests.tiny_models import make_model

PROBLEM = "Ann has 3 boxes of 12 eggs and sells 6 eggs. How many eggs are left?"
STEPS = (
    "3 boxes of 12 eggs are 3 * 12 = 36 eggs.",
    "She sells 6, so 36 - 6 = 32 eggs are left.",
    "She sells 6, so 36 - 6 = 32 eggs are left.",
    "Wait, I made a mistake; let me check: 36 - 6 = 30.",
)


def attempt(*steps: str) -> Attempt:
    return Attempt(Solution(Problem(PROBLEM, "30"), steps or STEPS), "p", "right")


def labelled(labeler: Labeler, of: Attempt) -> Labelled:
    return asyncio.run(labeler.label(of))


def test_signs_of_progress() -> None:
    first, second, repeated, doubt = signs(PROBLEM, STEPS)
    assert (first.quantities, first.relations, first.redundancy) == (1, 1, 0.0)
    assert second.narrowing == 1.0
    assert (repeated.quantities, repeated.relations, repeated.redundancy) == (0, 0, 1.0)
    assert doubt.backtracking == doubt.verification == 1.0
    assert first.progress > repeated.progress
    assert second.progress > doubt.progress


def test_heuristics_label_every_step_of_any_text() -> None:
    found = labelled(Heuristics(), attempt(*STEPS, "", "=" * 100_000, "a=" * 50_000, "\ud800"))
    assert len(found.steps) == 8
    assert all(step.score is not None and 0 < step.score < 1 for step in found.steps)
    assert labelled(Heuristics(), attempt()) == labelled(Heuristics(), attempt())


def test_a_judge_finds_the_wrong_sum() -> None:
    async def judged(sandbox: Sandbox) -> Labelled:
        async with open_engine("symbolic") as asked:
            critic = Critic(asked, sandbox, GenPRMProtocol(), Method("symbolic", "genprm"))
            return await Judge(critic).label(attempt(*STEPS[:2]))

    found = room().run(judged)
    assert found.labeler == "judge:symbolic"
    assert [step.label for step in found.steps] == [True, False]
    assert found.first_error == 1
    assert all(step.confidence is not None and step.confidence >= 0.5 for step in found.steps)


def test_rollouts_and_search_find_where_hope_ends() -> None:
    for seed in range(5):
        policy = SimulatedPolicy(6, 0.15, dead=1.0, seed=seed)
        for number in range(20):
            written = policy.attempt(number)
            if written.grade == "right":
                continue
            truth = policy.right(written.solution.steps).index(False)
            rollouts = Rollouts(policy, read_plan("fixed:48"), read_scheme("hard"))
            search = TreeSearch(policy, read_scheme("hard"), simulations=96, first=8)
            assert labelled(rollouts, written).first_error == truth
            assert labelled(search, written).first_error == truth
            break


def test_a_search_keeps_to_its_bound_and_is_the_same_again() -> None:
    policy = SimulatedPolicy(6, 0.2, seed=1)
    written = policy.attempt(0)
    search = TreeSearch(policy, read_scheme("ratio:0.8"), simulations=40)
    one, other = asyncio.run(search.search(written)), asyncio.run(search.search(written))
    assert one == other
    assert one.usage.calls == 40
    assert one.start is not None
    assert one.start.n == 40  # every simulation is backed up to the root


def test_a_search_prefers_what_promises_more() -> None:
    """Its value of the problem lies above that of the bare policy, which does not choose."""
    gains = []
    for seed in range(6):
        policy = SimulatedPolicy(6, 0.3, dead=1.0, seed=seed)
        found = asyncio.run(TreeSearch(policy, read_scheme("hard"), 300, 0, 0.5).search(policy.attempt(0)))
        assert found.start is not None
        gains.append(found.start.value - policy.truth(())[0])
    assert sum(gains) / len(gains) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("reading", ["likelihood", "yes"])
def test_dropout_on_a_tiny_model(tmp_path: Path, reading: str) -> None:
    model = str(make_model(tmp_path / "tiny"))

    async def loaded(**options: float) -> Dropout:
        return await Dropout.load(model, reading=reading, passes=6, **options)  # type: ignore[arg-type]

    labeler = asyncio.run(loaded(rate=0.3))
    scores = labeler.scores(attempt())
    assert [len(given) for given in scores] == [6] * 4
    assert all(0 <= score <= 1 for given in scores for score in given)
    assert all(len(set(given)) > 1 for given in scores)  # it wavers
    assert labeler.scores(attempt()) == scores
    with ThreadPoolExecutor(4) as threads:  # as they come where many attempts are labelled at once
        assert list(threads.map(labeler.scores, [attempt()] * 8)) == [scores] * 8
    assert not any(module._forward_hooks for module in labeler.model.modules())
    found = labelled(labeler, attempt())
    assert all(step.confidence is not None and 0.5 <= step.confidence <= 1 for step in found.steps)
    with pytest.raises(ConfigError):
        asyncio.run(loaded(rate=1.0))
