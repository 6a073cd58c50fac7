"""The loop, with the scripted engine and the real sandbox."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

import pytest

from genprm.critic import Critic
from genprm.engines.scripted import Rule, ScriptedEngine
from genprm.errors import ConfigError
from genprm.protocols import GenPRMProtocol, JudgeProtocol
from genprm.sandbox import Sandbox
from genprm.types import NO_ERROR, Completion, Critique, Method, Problem, Prompt, Sampling, Solution, StepCritique
from tests.rooms import room

T = TypeVar("T")
SOLUTION = Solution(Problem("What is 2 + 3 * 4?"), ("First, 3 * 4 = 12.", "So 2 + 12 = 15.", "The answer is 15."))


def verdict(word: str) -> str:
    return f"Seen.\n</verify>\n<output>\n**Judgement**: $\\boxed{{{word}}}$\n</output>\n"


def engine(*verdicts: Rule) -> ScriptedEngine:
    """Analyses, writes a check that counts how often the session has been used, then follows the verdicts."""
    return ScriptedEngine(
        [
            *verdicts,
            Rule(when="```python\n", text="n = globals().get('n', 0) + 1\nprint('check', n)\n```\n"),
            Rule(text="I look at it.\n</analyze>\n"),
        ]
    )


def answers(*rules: tuple[str, str, float | None]) -> ScriptedEngine:
    """For each step, told by words in it: the verdict that ends its rationale, and its P(Yes)."""
    known = {step: (word, p) for step, word, p in rules}

    class Steps(ScriptedEngine):
        async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
            if prompt.opening.endswith("```\n"):
                word, p = next(v for step, v in known.items() if step in prompt.messages[-1].content)
                return await ScriptedEngine([Rule(text=verdict(word), p_yes=p)]).complete(prompt, sampling)
            return await super().complete(prompt, sampling)

    return Steps(engine().rules)


ALL_RIGHT = answers(("First", "Yes", 0.9), ("So 2", "Yes", 0.8), ("The answer", "Yes", 0.7))
SECOND_WRONG = answers(("First", "Yes", 0.9), ("So 2", "No", 0.1), ("The answer", "No", 0.2))


def run(
    asked: Any, work: Callable[[Critic], Awaitable[T]], method: Method | None = None, *, concurrency: int = 64
) -> T:
    async def main(sandbox: Sandbox) -> T:
        protocol = GenPRMProtocol()
        return await work(
            Critic(asked, sandbox, protocol, method or Method("scripted", "genprm"), concurrency=concurrency)
        )

    return room().run(main)


def critique(asked: Any, method: Method | None = None, solution: Solution = SOLUTION) -> Critique:
    return run(asked, lambda critic: critic.critique(solution), method)


def test_a_wrong_step_is_named_and_everything_is_kept() -> None:
    done = critique(SECOND_WRONG)
    assert (done.outcome, done.first_error) == ("ok", 1)
    assert [step.correct for step in done.steps] == [True, False, False]
    assert [step.reward for step in done.steps] == pytest.approx([0.9, 0.1, 0.2])
    rationale = done.steps[1].rationales[0]
    assert rationale.analysis == "I look at it."
    assert rationale.checks[0].result.status == "ok"
    assert done.usage.calls == 9
    assert done.usage == sum((s.rationales[0].usage for s in done.steps), start=type(done.usage)())


def test_state_lives_across_the_checks_of_a_sample_and_is_not_shared_between_samples() -> None:
    done = critique(ALL_RIGHT, Method("scripted", "genprm", n=3))
    assert done.first_error == NO_ERROR
    for step in done.steps:
        assert [r.checks[0].result.stdout for r in step.rationales] == [f"check {step.step + 1}\n"] * 3


def test_each_sample_keeps_its_own_earlier_rationales() -> None:
    prompts: list[Prompt] = []

    class Listening(ScriptedEngine):
        async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
            prompts.append(prompt)
            return await ALL_RIGHT.complete(prompt, sampling)

    done = critique(Listening([]), Method("scripted", "genprm", n=2))
    written = {r.text for r in done.steps[0].rationales}
    later = [p for p in prompts if len(p.messages) == 4]
    assert later
    assert all(p.messages[2].role == "assistant" and p.messages[2].content in written for p in later)
    # A server's prefix cache serves what is the same to the byte: a later call only adds to an earlier one.
    assert all(p.messages[:2] == prompts[0].messages for p in prompts)


@pytest.mark.slow
def test_stop_at_the_first_error_does_not_pay_for_the_rest() -> None:
    asked = answers(("First", "Yes", 0.9), ("So 2", "No", 0.1), ("The answer", "No", 0.2))
    done = critique(asked, Method("scripted", "genprm", n=2, stop_at_first_error=True))
    assert (done.first_error, len(done.steps)) == (1, 2)
    assert done.usage.calls == 2 * 2 * 3
    unknown = answers(("First", "Yes", 0.9), ("So 2", "Maybe", 0.1), ("The answer", "No", 0.2))
    done = critique(unknown, Method("scripted", "genprm", stop_at_first_error=True))
    assert (done.outcome, len(done.steps)) == ("no_verdict", 2)  # what comes after cannot change that
    with pytest.raises(ConfigError, match="cannot stop at the first error"):
        critique(asked, Method("scripted", "genprm", vote="index", stop_at_first_error=True))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_critique_whatever_else_is_in_flight() -> None:
    split = ScriptedEngine(
        [
            Rule(when="[Code Output]", texts=(verdict("Yes"), verdict("No")), p_yes=0.4),
            Rule(when="```python\n", text="print(1)\n```\n"),
            Rule(text="a\n</analyze>\n"),
        ]
    )
    method = Method("scripted", "genprm", n=8)

    async def beside_others(critic: Critic) -> Critique:
        others = [Solution(SOLUTION.problem, SOLUTION.steps, str(n)) for n in range(5)]
        done = await asyncio.gather(critic.critique(SOLUTION), *map(critic.critique, others))
        return done[0]

    verdicts = [
        [r.verdict for s in done.steps for r in s.rationales]
        for done in (critique(split, method), run(split, beside_others, method))
    ]
    assert verdicts[0] == verdicts[1]
    assert {True, False} <= set(verdicts[0])
    other = critique(split, Method("scripted", "genprm", n=8, seed=1))
    assert [r.verdict for s in other.steps for r in s.rationales] != verdicts[0]


@pytest.mark.slow
def test_steps_are_handed_out_as_soon_as_they_are_judged() -> None:
    class Slow(ScriptedEngine):
        async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
            if "The answer" in prompt.messages[-1].content:
                await asyncio.sleep(0.2)
            return await ALL_RIGHT.complete(prompt, sampling)

    async def times(critic: Critic) -> list[tuple[float, StepCritique | Critique]]:
        seen = []
        async with aclosing(critic.stream(SOLUTION)) as parts:
            async for part in parts:
                seen.append((time.perf_counter(), part))
        return seen

    seen = run(Slow([]), times)
    assert [type(part) for _, part in seen] == [StepCritique] * 3 + [Critique]
    assert seen[2][0] - seen[1][0] > 0.3  # of three calls of a fifth of a second


@pytest.mark.slow
def test_an_engine_that_fails_on_one_step_ends_that_chain_only() -> None:
    class Broken(ScriptedEngine):
        async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
            if "So 2" in prompt.messages[-1].content and sampling.seed and sampling.seed % 2:
                return await ScriptedEngine([Rule(error="no route to host")]).complete(prompt, sampling)
            return await ALL_RIGHT.complete(prompt, sampling)

    done = critique(Broken([]), Method("scripted", "genprm", n=8))
    missing = [step.votes.missing for step in done.steps]
    assert missing[0] == 0
    assert 0 < missing[1] == missing[2] < 8
    lost = next(r for r in done.steps[2].rationales if r.outcome == "engine_error")
    assert lost.error == "not asked: no route to host (step 2)"
    assert (done.outcome, done.first_error) == ("ok", NO_ERROR)


def test_an_engine_that_fails_for_good_leaves_no_verdict_and_says_so() -> None:
    done = critique(ScriptedEngine([Rule(error="no route to host")]))
    assert (done.outcome, done.first_error, done.error) == ("engine_error", None, "no route to host")
    assert [step.reward for step in done.steps] == [None, None, None]


@pytest.mark.slow
def test_a_check_that_never_ends_is_one_time_out_and_not_a_hang() -> None:
    looping = ScriptedEngine(
        [
            Rule(when="[Code Output]", text=verdict("Yes")),
            Rule(when="```python\n", text="while True: pass\n```\n"),
            Rule(text="a\n</analyze>\n"),
        ]
    )

    async def main() -> Critique:
        from genprm.sandbox import Limits

        async with Sandbox(Limits(cpu_s=0.3)) as sandbox:
            return await Critic(looping, sandbox, GenPRMProtocol(), Method("s", "genprm")).critique(SOLUTION)

    done = asyncio.run(main())
    assert [step.rationales[0].checks[0].result.status for step in done.steps] == ["timeout"] * 3
    assert (done.outcome, done.first_error) == ("ok", NO_ERROR)


async def _all(critic: Critic, solutions: Sequence[Solution]) -> list[Critique]:
    async with aclosing(critic.critique_many(solutions)) as critiques:
        return [done async for done in critiques]


@pytest.mark.slow
def test_many_solutions_share_one_bound() -> None:
    busy = most = 0

    class Counting(ScriptedEngine):
        async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
            nonlocal busy, most
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0.001)
            busy -= 1
            return await ALL_RIGHT.complete(prompt, sampling)

    solutions = [Solution(SOLUTION.problem, SOLUTION.steps, str(n)) for n in range(30)]
    done = run(Counting([]), lambda critic: _all(critic, solutions), Method("s", "genprm", n=2), concurrency=7)
    assert sorted(int(c.solution.id) for c in done) == list(range(30))
    assert most == 7


def test_solutions_are_taken_one_by_one_from_what_may_be_endless() -> None:
    taken = 0

    def endless() -> Any:
        nonlocal taken
        while True:
            taken += 1
            yield Solution(SOLUTION.problem, SOLUTION.steps, str(taken))

    async def first_ten(critic: Critic) -> int:
        seen = 0
        async with aclosing(critic.critique_many(endless())) as critiques:
            async for _ in critiques:
                seen += 1
                if seen == 10:
                    break
        return len(asyncio.all_tasks())

    assert run(ALL_RIGHT, first_ten, concurrency=4) == 1  # nothing is left running
    assert taken <= 10 + 3 * 4  # those in a check or between two leave their place at the engine to others


def test_a_solution_that_breaks_the_program_is_recorded_and_the_run_goes_on() -> None:
    class Buggy(ScriptedEngine):
        async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
            if "poison" in prompt.messages[1].content:
                raise RuntimeError("a bug")
            return await ALL_RIGHT.complete(prompt, sampling)

    solutions = [Solution(Problem("poison"), SOLUTION.steps, "bad"), SOLUTION]
    done = {c.solution.id: c for c in run(Buggy([]), lambda critic: _all(critic, solutions))}
    assert (done["bad"].outcome, done["bad"].error) == ("failed", "RuntimeError: a bug")
    assert done[""].outcome == "ok"


def test_cancelling_gives_everything_back() -> None:
    asked = ScriptedEngine([Rule(text="a\n</analyze>\n", delay_s=30)])

    async def stopped(critic: Critic) -> float:
        task = asyncio.create_task(critic.critique(SOLUTION))
        await asyncio.sleep(0.2)
        began = time.perf_counter()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(asyncio.all_tasks()) == 1
        return time.perf_counter() - began

    assert run(asked, stopped, Method("s", "genprm", n=4)) < 10


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"vote": "medain"}, "unknown vote 'medain'"),
        ({"threshold": math.nan}, "threshold"),
        ({"temperature": math.nan}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"n": 0}, "at least one"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        critique(ALL_RIGHT, Method("s", "genprm", **fields))


def test_what_was_learnt_before_an_engine_failed_is_kept() -> None:
    class Breaks(ScriptedEngine):
        async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
            if "[Code Output]" in prompt.opening:
                return await ScriptedEngine([Rule(error="gone")]).complete(prompt, sampling)
            return await ALL_RIGHT.complete(prompt, sampling)

    lost = critique(Breaks([])).steps[0].rationales[0]
    assert (lost.outcome, lost.usage.calls, lost.checks[0].result.stdout) == ("engine_error", 3, "check 1\n")
    assert "I look at it." in lost.text


def test_the_judge_votes_over_indices() -> None:
    asked = ScriptedEngine([Rule(texts=("\\boxed{1}", "\\boxed{1}", "\\boxed{-1}", "I cannot tell."))])

    async def main() -> Critique:
        async with Sandbox() as sandbox:
            method = Method("s", "judge", n=16, vote="index")
            return await Critic(asked, sandbox, JudgeProtocol(), method).critique(SOLUTION)

    done = asyncio.run(main())
    with pytest.raises(ConfigError, match="votes by index"):
        Critic(asked, Sandbox(), JudgeProtocol(), Method("s", "judge"))
    assert done.first_error == 1
    assert len(done.judgements) == 16
    assert done.steps[1].votes.no == sum(r.first_error == 1 for r in done.judgements)
    assert done.steps[0].votes.missing == sum(r.first_error is None for r in done.judgements)


def test_a_critic_by_another_method_shares_what_may_be_in_flight() -> None:
    class Busy(ScriptedEngine):
        now = most = 0

        async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0.01)
            self.now -= 1
            return await super().complete(prompt, sampling)

    async def both(critic: Critic) -> tuple[Critique, Critique]:
        other = critic.by(Method("busy", "genprm", n=4, threshold=0.95))
        return await asyncio.gather(critic.critique(SOLUTION), other.critique(SOLUTION))

    busy = Busy(ALL_RIGHT.rules)
    busy.rules = (Rule(when="[Code Output]", text=verdict("Yes"), p_yes=0.9), *busy.rules)
    first, second = run(busy, both, concurrency=2)
    assert (first.first_error, second.first_error, second.method.n) == (NO_ERROR, 0, 4)
    assert busy.most == 2
