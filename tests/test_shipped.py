"""The models that ship with the package: there, small, and able to do what their cards say."""

import asyncio
import json
import random
import re
from pathlib import Path

import pytest

from genprm import open_critic
from genprm.answers import boxed, same_number
from genprm.engines import open_engine
from genprm.engines.calculating import Calculating, after
from genprm.engines.nano import NanoEngine, shipped
from genprm.engines.nano_tokenizer import NanoTokenizer
from genprm.engines.rendering import Renderer
from genprm.inputs import read_solutions
from genprm.protocols.policy import solve
from genprm.synth.world import examples
from genprm.training.conversations import Conversation
from genprm.training.encoding import Encoder
from genprm.types import NO_ERROR, Completion, Critique, Message, Prompt, Sampling, Solution

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "genprm" / "weights"
SIZES = {"nano": 12e6, "policy": 8e6}
"""Bytes that a folder may have."""


def judged(engine: str, solutions: list[Solution], **options: object) -> list[Critique]:
    async def run() -> list[Critique]:
        async with open_critic(engine, **options) as critic:  # type: ignore[arg-type]
            found = {c.solution.id: c async for c in critic.critique_many(solutions)}
            return [found[solution.id] for solution in solutions]

    return asyncio.run(run())


@pytest.mark.parametrize("name", SIZES)
def test_they_are_small_and_have_a_card(name: str) -> None:
    files = [path for path in (WEIGHTS / name).iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= SIZES[name]
    card = (WEIGHTS / name / "README.md").read_text()
    for part in ("Data", "Command", "Figures", "Limits"):
        assert f"## {part}" in card
    config = json.loads((WEIGHTS / name / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]


@pytest.mark.slow
@pytest.mark.parametrize(("example", "first_error"), [("savings", 3), ("garden", NO_ERROR)])
def test_nano_judges_the_examples(example: str, first_error: int) -> None:
    (critique,) = judged("nano", read_solutions(str(ROOT / "examples" / f"{example}.md")), n=4)
    assert critique.first_error == first_error
    for step in critique.steps:
        for rationale in step.rationales:
            assert rationale.checks


@pytest.mark.slow
def test_nano_finds_most_first_errors_of_unseen_problems() -> None:
    made = list(examples("valid", 40))
    critiques = judged("nano", [example.solution for example in made], n=1)
    right = sum(c.first_error == example.solution.first_error for c, example in zip(critiques, made, strict=True))
    assert right >= 34, "the card says 9 of 10"


@pytest.mark.slow
def test_the_policy_solves_some_unseen_problems() -> None:
    made = [example for example in examples("valid", 200) if not example.kind][:60]
    sampling = Sampling(temperature=0.0, max_tokens=512)

    async def answers() -> list[str | None]:
        async with open_engine("nano:policy") as engine:
            asked = (engine.complete(Prompt(solve(example.problem.text)), sampling) for example in made)
            return [boxed(said.text) for said in await asyncio.gather(*asked)]

    right = sum(map(same_number, asyncio.run(answers()), (example.solution.problem.answer for example in made)))
    assert 24 <= right < 54, "the card says something over a half"


class Watched(NanoEngine):
    """Keeps the ids of what it is asked."""

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        self.read = self._renderer.render(prompt, self.window, 0).ids
        return await super().complete(prompt, sampling)


@pytest.mark.slow
def test_the_policy_reads_a_prefix_in_the_tokens_that_it_was_trained_on() -> None:
    """Of 30 solutions of its own: the tokens as it wrote them, those of a row of training, and those of every prefix
    that it is given as text. Greedy: what is drawn by chance may spell a word in other tokens than the tokenizer's."""
    problems = [example.problem.text for example in examples("valid", 30)]
    encoder = Encoder(Renderer(NanoTokenizer(shipped("policy"))), "policy", calculator=True)

    async def check(engine: Watched, problem: str) -> int:
        policy, prompt = Calculating(engine, "policy"), Prompt(solve(problem))
        said = await policy.complete(prompt, Sampling(0.0, max_tokens=300))
        row = Conversation((*prompt.messages, Message("assistant", said.text)), "here")
        trained = tuple(encoder.encode(row, random.Random(0)).ids)
        assert said.seam is not None
        prefixes = 0
        for found in re.finditer("\n\n", said.text):
            await policy.complete(after(prompt, said.text[: found.end()]), Sampling(max_tokens=1, seed=0))
            assert engine.read == trained[: len(engine.read)]
            prefixes += 1
        if said.finish == "stop":
            assert trained[: len(said.seam.ids)] == said.seam.ids
            assert len(trained) - len(said.seam.ids) <= 2
        return prefixes

    async def run() -> int:
        engine = await Watched.load("policy")
        assert isinstance(engine, Watched)
        try:
            return sum([await check(engine, problem) for problem in problems])
        finally:
            await engine.close()

    assert asyncio.run(run()) > 60


@pytest.mark.slow
def test_nano_says_in_transformers_what_it_says_without() -> None:
    pytest.importorskip("transformers")
    solutions = [example.solution for example in examples("valid", 10)]
    here, there = (judged(engine, solutions, n=1, temperature=0.0) for engine in ("nano", f"hf:{WEIGHTS / 'nano'}"))
    for one, other in zip(here, there, strict=True):
        assert one.first_error == other.first_error
        for step, same in zip(one.steps, other.steps, strict=True):
            assert step.rationales[0].text == same.rationales[0].text
            assert step.reward == pytest.approx(same.reward, abs=1e-3)
