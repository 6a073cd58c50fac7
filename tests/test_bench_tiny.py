"""The tiny model: that it keeps to the form, which is all that it is for. Slow: it is trained here."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from genprm import open_critic
from genprm.engines.templates import deepseek_r1
from genprm.eval.bench.prose import solutions
from genprm.eval.bench.tiny import EOS, Size, cached_tiny, make_tiny
from genprm.protocols import Execute, Generate, GenPRMProtocol
from genprm.sandbox.result import Result
from genprm.types import Completion, Critique, Finish, Message, Prompt, Rationale, Sampling, Token, Usage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


class Loaded:
    """Samples token by token, with the tokens kept across calls or the whole text read again."""

    def __init__(self, folder: Path, temperature: float) -> None:
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self._model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
        self._temperature = temperature
        self._random = torch.Generator().manual_seed(0)

    def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        ids = self.tokenizer(deepseek_r1(prompt), add_special_tokens=False).input_ids
        written: list[int] = []
        tokens: list[Token] = []
        text, past, new = "", None, ids
        with torch.inference_mode():
            while len(written) < sampling.max_tokens and not any(stop in text for stop in sampling.stop):
                out = self._model(torch.tensor([new]), past_key_values=past, use_cache=True)
                past, logits = out.past_key_values, out.logits[0, -1]
                drawn = torch.multinomial((logits / self._temperature).softmax(-1), 1, generator=self._random).item()
                if drawn == self.tokenizer.eos_token_id:
                    return Completion(text, "stop", tuple(tokens))
                written, new = [*written, drawn], [drawn]
                tokens.append(self._token(drawn, logits.log_softmax(-1)))
                text = self.tokenizer.decode(written)
        finish: Finish = "stop" if any(stop in text for stop in sampling.stop) else "length"
        return Completion(text, finish, tuple(tokens), Usage(len(ids), 0, len(written), 1))

    def _token(self, drawn: int, logprobs: Any) -> Token:
        values, places = logprobs.topk(20)
        top = {self.tokenizer.decode([p]): v for v, p in zip(values.tolist(), places.tolist(), strict=True)}
        return Token(self.tokenizer.decode([drawn]), logprobs[drawn].item(), top)

    def judge(self, talk: Any) -> Rationale:
        request = next(talk)
        try:
            while True:
                if isinstance(request, Execute):
                    compile(request.code, "check", "exec")
                    request = talk.send(Result("ok", "value 12\n" if "value" in request.code else "found 12\n"))
                elif isinstance(request, Generate):
                    request = talk.send(self.complete(request.prompt, request.sampling))
        except StopIteration as end:
            rationale: Rationale = end.value
            return rationale


def test_it_keeps_to_the_form_and_looks_at_the_mark(tiny: Path) -> None:
    loaded = Loaded(tiny, temperature=0.6)
    verdicts: dict[bool, list[bool | None]] = {True: [], False: []}
    outcomes = []
    for solution in solutions(8, 8, seed=5, wrong=1.0):
        earlier: list[str] = []
        for step in range(8):
            rationale = loaded.judge(GenPRMProtocol().rationale(solution, step, earlier, Sampling()))
            earlier.append(rationale.text)
            outcomes.append(rationale.outcome)
            verdicts[step == solution.first_error].append(rationale.verdict)
            assert rationale.p_yes is not None
    assert outcomes.count("ok") >= 0.9 * len(outcomes)
    assert verdicts[False].count(True) > 0.8 * len(verdicts[False])
    assert verdicts[False].count(False) > 0  # samples disagree
    assert verdicts[True].count(False) > 0.4 * len(verdicts[True])


def test_nano_and_transformers_critique_alike(tiny: Path) -> None:
    """The same weights, read by two runtimes: greedily the same words, the same checks, the same P(Yes)."""

    async def critiqued(engine: str, **options: Any) -> Critique:
        async with open_critic(engine, temperature=0.0, stopping="none", **options) as critic:
            (solution,) = solutions(1, 5, seed=5, wrong=1.0)
            return await critic.critique(solution)

    ours = asyncio.run(critiqued(f"nano:{tiny}", template="deepseek-r1"))
    theirs = asyncio.run(critiqued(f"hf:{tiny}", engine_options={"device": "cpu"}))
    assert ours.outcome == "ok"
    assert (ours.first_error, ours.usage.completion_tokens) == (theirs.first_error, theirs.usage.completion_tokens)
    for one, other in zip(ours.steps, theirs.steps, strict=True):
        (mine,), (same,) = one.rationales, other.rationales
        assert (mine.text, mine.verdict) == (same.text, same.verdict)
        assert mine.p_yes == pytest.approx(same.p_yes, abs=1e-3)
        assert [check.result.stdout for check in mine.checks] == [check.result.stdout for check in same.checks]


def test_its_chat_template_is_that_of_the_published_checkpoints(tiny: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny)
    turns = [("system", "S"), ("user", "one"), ("assistant", "a</think>b"), ("user", "two")]
    messages = tuple(Message(role, content) for role, content in turns)  # type: ignore[arg-type]
    rendered = tokenizer.apply_chat_template([{"role": r, "content": c} for r, c in turns], tokenize=False)
    assert rendered == deepseek_r1(Prompt(messages))
    ids = tokenizer(rendered, add_special_tokens=False).input_ids
    assert tokenizer.decode(ids) == rendered
    assert ids[0] == tokenizer.bos_token_id
    assert tokenizer.eos_token_id in ids
    assert tokenizer(EOS, add_special_tokens=False).input_ids == [tokenizer.eos_token_id]


def test_the_same_seed_gives_the_same_weights_and_a_cache_is_used(tmp_path: Path) -> None:
    size = Size(layers=1, hidden=64, heads=2, updates=2)

    def weights(folder: Path) -> Any:
        return transformers.AutoModelForCausalLM.from_pretrained(folder).model.embed_tokens.weight

    first, again, other = (make_tiny(tmp_path / name, seed, size) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert torch.equal(weights(first), weights(again))
    assert not torch.equal(weights(first), weights(other))
    cached = cached_tiny(tmp_path / "cache", 0, size)
    stamp = (cached / "model.safetensors").stat().st_mtime_ns
    assert cached_tiny(tmp_path / "cache", 0, size) == cached
    assert (cached / "model.safetensors").stat().st_mtime_ns == stamp
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [cached.name]
