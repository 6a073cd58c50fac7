"""Policies of the world without weights, through the engine's door."""

import asyncio
import subprocess
import sys
import time

import pytest

from genprm.answers import boxed, same_number
from genprm.engines import Engine, open_engine
from genprm.errors import ConfigError, EngineRefused
from genprm.protocols.policy import REVISE, revise, solve
from genprm.splitting import split_steps
from genprm.synth.world import examples
from genprm.synth.world.reading import first_error, read_problem, read_solution
from genprm.synth.world.rows import asked_to_revise
from genprm.types import Completion, Message, Prompt, Sampling

TEXT = (
    "Ana has 40 cups. Ben has 7 more cups than Ana. Uma has 3 times as many cups as Ben. "
    "Tom has 1/3 as many cups as Uma. What number is Tom's cups?"
)
STEPS = ("Ben has 40 + 7 = 47 cups.", "Uma has 47 * 3 = 141 cups.", "Tom has 141 / 3 = 47 cups.")
WRONG = "Ben has 40 - 7 = 33 cups."


def complete(spec: str, *prompts: Prompt, n: int = 1, **sampling: object) -> list[Completion]:
    """``n`` completions of each prompt, by seed."""

    async def asked() -> list[Completion]:
        async with open_engine(spec) as engine:
            return [await engine.complete(p, Sampling(seed=k, **sampling)) for p in prompts for k in range(n)]  # type: ignore[arg-type]

    return asyncio.run(asked())


def share(spec: str, opening: str, n: int = 400) -> float:
    """Of right answers from a prefix: its value."""
    said = complete(spec, Prompt(solve(TEXT), opening), n=n)
    return sum(same_number(boxed(opening + one.text), "47") for one in said) / n


def test_without_mistakes_it_solves_every_problem_in_the_worlds_language() -> None:
    made = list(examples("test", 22))
    for one, said in zip(made, complete("world:0", *(Prompt(solve(m.problem.text)) for m in made)), strict=True):
        assert same_number(boxed(said.text), str(one.problem.answer))
        assert first_error(read_solution(one.problem, split_steps(said.text))) == -1


@pytest.mark.slow
def test_mistakes_come_at_the_rate_that_was_asked_for_and_are_of_all_kinds() -> None:
    made = list(examples("test", 60))
    steps = wrong = 0
    kinds = set()
    for one, said in zip(made, complete("world:0.2", *(Prompt(solve(m.problem.text)) for m in made)), strict=True):
        read = read_solution(one.problem, split_steps(said.text))
        assert None not in read
        own = [step for step in read if step and step.truth.kind != "carried"]  # what follows is no mistake of its own
        first = next((at for at, step in enumerate(own) if not step.truth.correct), None)
        steps += len(own) if first is None else first + 1
        wrong += first is not None
        kinds |= {step.truth.kind for step in own}
    assert 0.14 < wrong / steps < 0.27
    assert len(kinds) > 7


def test_values_of_prefixes_are_what_the_rates_say() -> None:
    """Three steps are left, two, one: a mistake in any is the end of it, but where it leaves the value right."""
    spec = "world:0.3,kinds=slip"
    for left, opening in enumerate(["\n\n".join(STEPS[:n]) + "\n\n" for n in (3, 2, 1)]):
        assert share(spec, opening) == pytest.approx(0.7**left, abs=0.08)
    assert share(spec, "") == pytest.approx(0.7**3, abs=0.08)


def test_after_a_mistake_only_who_mends_it_gets_there() -> None:
    assert share("world:0.1", WRONG, 100) == 0
    assert 0.2 < share("world:0,mends=0.15", WRONG) < share("world:0,mends=0.5", WRONG)
    assert share("world:0,mends=1", WRONG, 50) == 1
    problem = read_problem(TEXT)
    assert problem is not None
    for said in complete("world:0,mends=0.3", Prompt(solve(TEXT), WRONG), n=50):
        read = read_solution(problem, split_steps(WRONG + said.text))
        assert None not in read
        assert read[-1] is not None
        assert read[-1].truth.correct == same_number(boxed(said.text), "47") == read[-1].truth.reachable


def test_it_goes_on_from_what_the_prefix_claims() -> None:
    said = complete("world:0,terse=0", Prompt(solve(TEXT), WRONG + "\n\n"), n=20)
    assert all("33" in one.text and "\\boxed{33}" in one.text for one in said)
    assert not any(one.text.startswith("\n") for one in said)
    assert all(one.text.startswith("\n\n") for one in complete("world:0", Prompt(solve(TEXT), WRONG), n=5))


def test_the_opening_may_begin_in_a_turn_of_its_own() -> None:
    """As the engine with a calculator asks."""
    apart = Prompt((*solve(TEXT), Message("assistant", WRONG)), "\n\n")
    assert complete("world:0.1", apart, n=5) == complete("world:0.1", Prompt(solve(TEXT), WRONG + "\n\n"), n=5)
    said = complete("calculator:world:0", Prompt(solve(TEXT)), n=5)
    assert all(same_number(boxed(one.text), "47") for one in said)


@pytest.mark.parametrize("cut", [3, 9, 14, 20])
def test_a_step_that_was_cut_off_is_gone_on_with(cut: int) -> None:
    opening = STEPS[0][:cut]
    whole = [opening + one.text for one in complete("world:0,terse=0.2", Prompt(solve(TEXT), opening), n=10)]
    problem = read_problem(TEXT)
    assert problem is not None
    assert all(first_error(read_solution(problem, split_steps(text))) == -1 for text in whole)


def test_an_answer_ends_it_and_nonsense_is_passed_over() -> None:
    answered = "\n\n".join(STEPS) + " The answer is $\\boxed{47}$."
    assert complete("world:0", Prompt(solve(TEXT), answered))[0].text == ""
    nonsense = "I think of something else\u2026\n\n"
    assert same_number(boxed(complete("world:0", Prompt(solve(TEXT), nonsense))[0].text), "47")


def test_numbered_steps_stay_numbered() -> None:
    (forced,) = complete("world:0", Prompt(solve(TEXT), "Step 1:"))
    steps = split_steps("Step 1:" + forced.text)
    assert [step.partition(":")[0] for step in steps] == [f"Step {k + 1}" for k in range(len(steps))]
    assert len(steps) >= 3
    for opening, begins in [
        (f"Step 1: {STEPS[0]}\n\nStep 2:", " "),
        (f"Step 1: {STEPS[0]}\n\nStep 2: ", ""),
        (f"Step 1: {STEPS[0]}\n\n", "Step 2: "),
        (f"Step 1: {STEPS[0]}", "\n\nStep 2: "),
        ("Step 1: Ben has 40 + 7", " = 47 cups.\n\nStep 2: "),
        ("Step 1: Dear me", "\n\nStep 2: "),
    ]:
        (said,) = complete("world:0,terse=0", Prompt(solve(TEXT), opening))
        assert said.text.startswith(begins)
        steps = split_steps(opening + said.text)
        assert [step.partition(":")[0] for step in steps] == [f"Step {k + 1}" for k in range(len(steps))]


def test_a_revision_keeps_what_stood_before_the_named_step() -> None:
    attempt = "\n\n".join(
        [STEPS[0], "Uma has 47 + 3 = 50 cups.", "Tom has 50 / 3 = 16 cups. The answer is $\\boxed{16}$."]
    )
    for said in complete("world:0", Prompt(revise(TEXT, attempt, 'Paragraph 2 is wrong: "…"')), n=5):
        assert said.text.startswith(STEPS[0] + "\n\n")
        assert same_number(boxed(said.text), "47")
    wrong = [made for made in examples("test", 22) if made.kind and made.form == "plain"]
    for made, said in zip(wrong, complete("world:0", *(Prompt(asked_to_revise(m)) for m in wrong)), strict=True):
        assert same_number(boxed(said.text), str(made.problem.answer))
    vague = (*solve(TEXT), Message("assistant", attempt), Message("user", "Think again." + REVISE))
    assert same_number(boxed(complete("world:0", Prompt(vague))[0].text), "47")


def test_the_same_seed_gives_the_same_text_and_budgets_hold() -> None:
    prompt = Prompt(solve(TEXT))
    assert complete("world:0.3", prompt, n=5) == complete("world:0.3", prompt, n=5)
    assert len({one.text for one in complete("world:0.3", prompt, n=20)}) > 10
    assert len({one.text for one in complete("world:0.3", prompt, n=20, temperature=0.0)}) == 1
    (short,) = complete("world:0", prompt, max_tokens=7)
    assert (short.finish, short.usage.completion_tokens) == ("length", 7)
    (stopped,) = complete("world:0", prompt, stop=("\n\n",))
    assert stopped.finish == "stop"
    assert stopped.text.endswith("\n\n")
    assert stopped.text.count("\n\n") == 1
    assert stopped.usage.prompt_tokens > 40


def test_other_prompts_are_refused_as_failures_of_the_engine() -> None:
    with pytest.raises(EngineRefused, match="problems of the embedded world"):
        complete("world:0", Prompt(solve("What is 2 + 2?")))
    with pytest.raises(EngineRefused):
        complete("world:0", Prompt(()))
    (said,) = complete("world:0", Prompt((Message("user", f"Solve this.\n\n{TEXT}"),)))
    assert same_number(boxed(said.text), "47")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("world:1.5", "err"),
        ("world:often", "err"),
        ("world:0.1,mend=0.2", "no option 'mend'"),
        ("world:0.1,mends", "is no option"),
        ("world:0.1,mends=0,mends=1", "twice"),
        ("world:0.1,kinds=slip+typo", "typo"),
        ("world:teacher,errs=2", "errs"),
        ("world:", "unknown engine"),
    ],
)
def test_a_spec_that_does_not_fit_is_named(spec: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        complete(spec)


def test_genprm_does_not_import_the_world_for_other_engines() -> None:
    code = "import sys, genprm.engines; print([name for name in sys.modules if name.startswith('genprm.synth')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


async def _rate(engine: Engine, n: int) -> float:
    prompts = [Prompt(solve(made.problem.text)) for made in examples("test", 20)]
    for prompt in prompts:
        await engine.complete(prompt, Sampling(seed=0))
    began = time.process_time()
    await asyncio.gather(*(engine.complete(prompts[k % 20], Sampling(seed=k)) for k in range(n)))
    return n / (time.process_time() - began)


def test_completions_are_quick() -> None:
    async def measured() -> float:
        async with open_engine("world:0.1,mends=0.1") as engine:
            return await _rate(engine, 500)

    assert asyncio.run(measured()) > 600  # a second of processor time; thousands on an idle machine
