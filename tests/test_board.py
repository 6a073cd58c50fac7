"""What rationales see of each other, when they stop, what they may not cost, and what does not fit."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import asdict, replace
from typing import Any, get_args

import pytest

from genprm.critic import Critic
from genprm.engines.scripted import Rule, ScriptedEngine
from genprm.errors import ConfigError, EngineLost, PromptTooLong
from genprm.protocols import GenPRMProtocol
from genprm.sandbox import Sandbox
from genprm.types import (
    NO_ERROR,
    Completion,
    Context,
    Critique,
    Method,
    Problem,
    Prompt,
    Sampling,
    Solution,
    StepCritique,
    Usage,
)
from tests.rooms import room

SOLUTION = Solution(Problem("What is 1 + 2 + 3 + 4?"), tuple(f"Step {k}: we add {k}." for k in range(1, 5)), "s")


class Chancy(ScriptedEngine):
    """Says which sample it is, and by chance (of the seed) that a step is wrong."""

    def __init__(self, share_of_no: int = 5) -> None:  # sixteenths
        no = tuple(self._verdict("No" if k < share_of_no else "Yes") for k in range(16))
        super().__init__(
            [
                Rule(when="[Code Output]", texts=no),
                Rule(when="```python\n", text="n = globals().get('n', 0) + 1\nprint('check', n)\n```\n"),
                Rule(text="I look at it.\n</analyze>\n"),
            ]
        )
        self.prompts: list[Prompt] = []

    @staticmethod
    def _verdict(word: str) -> str:
        return f"Seen.\n</verify>\n<output>\n**Judgement**: $\\boxed{{{word}}}$\n</output>\n"

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        self.prompts.append(prompt)
        return await super().complete(prompt, sampling)


def many(engine: Any, method: Method, solutions: Sequence[Solution], *, concurrency: int = 64) -> dict[str, Critique]:
    async def main(sandbox: Sandbox) -> dict[str, Critique]:
        critic = Critic(engine, sandbox, GenPRMProtocol(), method, concurrency=concurrency)
        async with aclosing(critic.critique_many(solutions)) as critiques:
            return {done.solution.id: done async for done in critiques}

    return room().run(main, policy="off")


def one(engine: Any, method: Method, solution: Solution = SOLUTION) -> Critique:
    return many(engine, method, [solution])[solution.id]


def verdicts(done: Critique) -> list[list[bool | None]]:
    return [[r.verdict for r in step.rationales] for step in done.steps]


# --- context -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_chain_keeps_a_samples_own_rationales_and_its_own_state() -> None:
    done = one(Chancy(), Method("s", "genprm", n=3))
    for step in done.steps:
        assert [r.checks[0].result.stdout for r in step.rationales] == [f"check {step.step + 1}\n"] * 3


@pytest.mark.slow
def test_first_goes_on_from_sample_0_in_text_and_in_state() -> None:
    engine = Chancy(8)
    done = one(engine, Method("s", "genprm", n=6, context="first"))
    leads = [step.rationales[0].text for step in done.steps]
    for prompt in engine.prompts:
        earlier = [m.content for m in prompt.messages if m.role == "assistant"]
        assert earlier == leads[: len(earlier)]
    for step in done.steps:
        assert [r.checks[0].result.stdout for r in step.rationales] == [f"check {step.step + 1}\n"] * 6
    assert len({r.text for step in done.steps for r in step.rationales}) > 4  # they did differ


def test_none_judges_every_step_for_itself_and_all_at_once() -> None:
    engine = Chancy()
    done = one(engine, Method("s", "genprm", n=2, context="none"))
    assert not any(m.role == "assistant" for prompt in engine.prompts for m in prompt.messages)
    assert {r.checks[0].result.stdout for step in done.steps for r in step.rationales} == {"check 1\n"}
    assert all(r.left_out == 0 for step in done.steps for r in step.rationales)
    last = [p for p in engine.prompts if SOLUTION.steps[3] in p.messages[-1].content]
    assert last[0].messages[-1].content == f"{SOLUTION.problem.text}\n" + "\n\n".join(SOLUTION.steps)
    assert last[0].opening == "<analyze>\nLet's analyze the Paragraph 4 step by step: "


# --- stopping ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("context", get_args(Context))
def test_the_exact_rule_names_the_same_steps_for_fewer_rationales(context: Context) -> None:
    solutions = [replace(SOLUTION, id=str(n)) for n in range(12)]
    everything = many(Chancy(), Method("s", "genprm", n=8, context=context), solutions)
    stopped = many(Chancy(), Method("s", "genprm", n=8, context=context, stopping="exact"), solutions)
    for name, done in everything.items():
        assert stopped[name].first_error == done.first_error
        assert [step.correct for step in stopped[name].steps] == [step.correct for step in done.steps]
        for step, full in zip(stopped[name].steps, done.steps, strict=True):
            # What was sampled is what would have been sampled.
            texts = [r.text for r in full.rationales[: len(step.rationales)]]
            assert [r.text for r in step.rationales] == texts
    n = [sum(len(step.rationales) for done in run.values() for step in done.steps) for run in (stopped, everything)]
    assert n[0] < 0.85 * n[1]
    assert sum(c.usage.calls for c in stopped.values()) == 3 * n[0]


@pytest.mark.slow
def test_a_sample_that_joins_late_writes_first_what_it_lacks() -> None:
    late = [
        done
        for done in many(
            Chancy(), Method("s", "genprm", n=8, stopping="exact"), [replace(SOLUTION, id=str(n)) for n in range(12)]
        ).values()
        if len(done.steps[3].rationales) > 4
    ]
    assert late
    for done in late:
        counts = [len(step.rationales) for step in done.steps]
        assert counts == sorted(counts, reverse=True)
        assert {r.checks[0].result.stdout for r in done.steps[3].rationales} == {"check 4\n"}


@pytest.mark.slow
def test_with_the_predictive_rule_who_joins_late_goes_on_from_anothers_past() -> None:
    solutions = [replace(SOLUTION, id=str(n)) for n in range(24)]
    runs = {}
    for stopping in ("exact", "predictive"):
        engine = Chancy(2)
        method = Method("s", "genprm", n=8, stopping=stopping, stop_error=0.02)
        runs[stopping] = many(engine, method, solutions)
    done = runs["predictive"]
    n = {name: sum(c.usage.rationales for c in run.values()) for name, run in runs.items()}
    assert n["predictive"] < 0.85 * n["exact"]
    joined = [c for c in done.values() if len(c.steps[3].rationales) > len(c.steps[2].rationales)]
    assert joined
    for critique in done.values():
        for step in critique.steps:  # the state is that of the past it goes on from
            assert {r.checks[0].result.stdout for r in step.rationales} == {f"check {step.step + 1}\n"}
            assert all(r.left_out == 0 for r in step.rationales)


@pytest.mark.slow
def test_stopping_and_stopping_at_the_first_error_go_together() -> None:
    solutions = [replace(SOLUTION, id=str(n)) for n in range(8)]
    everything = many(Chancy(8), Method("s", "genprm", n=8), solutions)
    short = many(Chancy(8), Method("s", "genprm", n=8, stopping="exact", stop_at_first_error=True), solutions)
    assert {k: c.first_error for k, c in short.items()} == {k: c.first_error for k, c in everything.items()}
    assert any(len(c.steps) < 4 for c in short.values())


def test_a_vote_over_indices_does_not_stop_early() -> None:
    with pytest.raises(ConfigError, match="cannot stop early"):
        one(Chancy(), Method("s", "genprm", vote="index", stopping="exact"))


# --- checks run once, and what things cost -------------------------------------------------------------------------


def test_checks_that_all_samples_write_alike_run_once() -> None:
    done = one(Chancy(), Method("s", "genprm", n=8))
    checks = [r.checks[0] for step in done.steps for r in step.rationales]
    assert Counter(check.reused for check in checks) == {False: 4, True: 28}
    usage = done.usage
    assert usage.sandbox_s == pytest.approx(sum(c.result.wall_s for c in checks if not c.reused))


def test_the_accounts_add_up() -> None:
    slow = ScriptedEngine([Rule(text="{Yes}$\n</output>\n", delay_s=0.05)])

    class Timed(ScriptedEngine):
        async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
            return replace(await slow.complete(prompt, sampling), seconds=0.05)

    async def main() -> Critique:
        async with Sandbox() as sandbox:
            protocol = GenPRMProtocol(analyze=False, verify=False)
            return await Critic(Timed([]), sandbox, protocol, Method("s", "g", n=4), concurrency=2).critique(SOLUTION)

    done = asyncio.run(main())
    per_step = sum((step.usage for step in done.steps), Usage())
    assert asdict(done.usage) == pytest.approx(asdict(per_step))
    assert done.usage.calls == 16
    assert done.usage.engine_s == pytest.approx(16 * 0.05)
    assert 0.3 < done.usage.waiting_s < 4 * done.seconds  # four at a time, two of which wait
    assert done.seconds > 0.4


@pytest.mark.slow
@pytest.mark.parametrize("context", ["first", "none"])
def test_no_more_processes_are_kept_than_somebody_may_go_on_from(context: Context) -> None:
    long = replace(SOLUTION, steps=tuple(f"Step {k}: we add {k}." for k in range(1, 13)))

    class Different(Chancy):
        async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
            done = await super().complete(prompt, sampling)
            text = done.text.replace("print(", f"print({sampling.seed}, ")  # no two samples write the same check
            return replace(done, text=text)

    async def main() -> int:
        left = 0
        async with Sandbox(policy="off", spares=0) as sandbox:
            method = Method("s", "genprm", n=3, context=context)
            critic = Critic(Different(), sandbox, GenPRMProtocol(), method, concurrency=3)
            async with aclosing(critic.stream(long)) as parts:
                async for part in parts:
                    if isinstance(part, StepCritique) and part.step == 11:
                        left = sum(session._worker is not None for session in sandbox._sessions)
        return left

    assert asyncio.run(main()) <= 3


# --- windows -------------------------------------------------------------------------------------------------------


class Narrow(Chancy):
    """With a window, in characters."""

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        size = sum(len(m.content) for m in prompt.messages) + len(prompt.opening)
        if size > self.window:
            raise PromptTooLong(f"{size} characters do not fit {self.window}")
        return await super().complete(prompt, sampling)


def test_what_outgrows_the_window_leaves_out_the_oldest_rationales_and_says_so() -> None:
    long = replace(SOLUTION, steps=tuple(f"Step {k}: we add {k}." for k in range(1, 11)))
    done = one(Narrow(1600), Method("s", "genprm", n=2), long)
    left_out = [{r.left_out for r in step.rationales} for step in done.steps]
    assert left_out[0] == {0}
    assert max(max(n) for n in left_out) >= 4
    assert all(len(n) == 1 for n in left_out)
    assert done.outcome == "ok"
    assert [r.outcome for step in done.steps for r in step.rationales] == ["ok"] * 20
    assert {r.checks[0].result.stdout for r in done.steps[9].rationales} == {"check 10\n"}  # the state goes on


def test_what_never_fits_is_too_long_and_no_verdict_is_made_up() -> None:
    done = one(Narrow(300), Method("s", "genprm", n=2))
    assert (done.outcome, done.first_error) == ("too_long", None)
    assert {r.outcome for step in done.steps for r in step.rationales} == {"too_long"}
    assert "do not fit 300" in done.error


@pytest.mark.slow
def test_every_step_sees_all_paragraphs_however_little_fits() -> None:
    engine = Narrow(1000)
    one(engine, Method("s", "genprm"))
    for prompt in engine.prompts:
        said = "\n".join(m.content for m in prompt.messages if m.role == "user")
        shown = [step in said for step in SOLUTION.steps]
        assert shown == sorted(shown, reverse=True)
        assert said.count("we add") == sum(shown)


# --- an engine that goes -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_engine_that_is_lost_ends_the_run_and_what_was_done_is_kept() -> None:
    class Leaving(Chancy):
        async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
            if len(self.prompts) >= 300:
                raise EngineLost("no answer for 300 s")
            return await super().complete(prompt, sampling)

    async def main(sandbox: Sandbox) -> tuple[list[Critique], int]:
        done = []
        critic = Critic(Leaving(0), sandbox, GenPRMProtocol(), Method("s", "genprm"), concurrency=4)
        solutions = (replace(SOLUTION, id=str(n)) for n in range(10_000))
        critiques = critic.critique_many(solutions)

        async def take() -> None:
            async for critique in critiques:
                done.append(critique)

        with pytest.raises(EngineLost, match="no answer for 300 s"):
            await take()
        return done, next(int(s.id) for s in solutions)

    done, taken = room().run(main)
    assert 1 <= len(done) <= 25
    assert all(r.outcome == "ok" for critique in done for step in critique.steps for r in step.rationales)
    assert taken < 90
    assert {critique.first_error for critique in done} == {NO_ERROR}
