"""Scorers: published layouts against a plain computation of one solution at a time, and the critic."""

import asyncio
import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra hf")
pytest.importorskip("transformers", reason="needs the extra hf")

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken
from transformers import (
    AutoModelForTokenClassification,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2Model,
    Qwen2Tokenizer,
)

from genprm.errors import ConfigError
from genprm.scorers import Scores, open_scorer
from genprm.scorers.reading import ModelScorer, Parts, Reading
from genprm.types import Problem, Solution
from tests.tiny_models import make_tokenizer

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

SOLUTIONS = (
    Solution(Problem("What is 2 + 3?"), ("2 + 3 = 5", "The answer is 5.")),
    Solution(Problem("What is 5 * 4?"), ("5 * 4 = 20,\nwhich is right.",)),
    Solution(Problem("Hello?"), tuple(f"Step {k}: hello world {k * k}" for k in range(1, 8))),
    Solution(Problem("Say no."), ("No", "Yes", "print(2 + 3)")),
)


def scored(spec: str, solutions: Sequence[Solution]) -> list[Scores]:
    async def run() -> list[Scores]:
        async with open_scorer(spec) as scorer:
            return await scorer.score(solutions)

    return asyncio.run(run())


def tokenizer_with(*marks: str) -> Any:
    """As Qwen's, which transformers takes for every model of that kind, whatever its files say."""
    made = make_tokenizer(ascii_only=False)
    with TemporaryDirectory() as folder:
        made.save_pretrained(folder)
        tokenizer = Qwen2Tokenizer.from_pretrained(folder)
    tokenizer.add_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks])
    return tokenizer


def shape(tokenizer: Any, **more: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.3,
        **more,
    }


def publish(folder: Path, weights: dict[str, torch.Tensor], config: dict[str, Any], tokenizer: Any) -> None:
    """A folder as on the hub, with the code that it would bring named and not there."""
    tokenizer.save_pretrained(folder)
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))


def published(folder: Path, architecture: str, heads: dict[str, tuple[int, ...]], tokenizer: Any, prefix: str) -> Any:
    torch.manual_seed(1)
    config = Qwen2Config(**shape(tokenizer))
    body = Qwen2Model(config).eval()
    weights = {f"{prefix}model.{name}": tensor for name, tensor in body.state_dict().items()}
    weights[f"{prefix}lm_head.weight"] = torch.zeros(len(tokenizer), 32)
    weights |= {name: torch.randn(size) * 0.3 for name, size in heads.items()}
    auto = {"AutoModel": f"modeling_of_its_own.{architecture}", "AutoConfig": "configuration_of_its_own.Config"}
    publish(folder, weights, config.to_dict() | {"architectures": [architecture], "auto_map": auto}, tokenizer)
    return body, weights


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Callable[[Solution], list[float]]]:
    folder, tokenizer = tmp_path_factory.mktemp("qwen"), tokenizer_with("<extra_0>")
    heads = {"score.0.weight": (32, 32), "score.0.bias": (32,), "score.2.weight": (2, 32), "score.2.bias": (2,)}
    body, w = published(folder, "Qwen2ForProcessRewardModel", heads, tokenizer, "")

    def plainly(solution: Solution) -> list[float]:
        """As the model card has it: one conversation, softmax of the two logits at each mark."""
        text = (
            "<|im_start|>system\nPlease reason step by step, and put your final answer within \\boxed{}.<|im_end|>\n"
            f"<|im_start|>user\n{solution.problem.text}<|im_end|>\n"
            f"<|im_start|>assistant\n{'<extra_0>'.join(solution.steps)}<extra_0><|im_end|>\n"
        )
        ids = tokenizer(text, return_tensors="pt").input_ids
        hidden = body(input_ids=ids).last_hidden_state[0]
        inner = (hidden @ w["score.0.weight"].T + w["score.0.bias"]).relu()
        right = (inner @ w["score.2.weight"].T + w["score.2.bias"]).softmax(-1)[:, 1]
        return [
            float(p) for p, i in zip(right, ids[0], strict=True) if i == tokenizer.convert_tokens_to_ids("<extra_0>")
        ]

    return folder, plainly


def agree(found: Sequence[Scores], plainly: Callable[[Solution], list[float]]) -> None:
    with torch.no_grad():
        for scores, solution in zip(found, SOLUTIONS, strict=True):
            assert not scores.error
            assert list(scores.steps) == pytest.approx(plainly(solution), abs=1e-5)
            assert len(scores.steps) == len(solution.steps)
            assert scores.usage.prompt_tokens > 0
    together = [p for scores in found for p in scores.steps if p is not None]
    assert max(together) - min(together) > 0.05, "a model that says the same of everything would pass"


def test_qwen_layout(qwen: tuple[Path, Callable[[Solution], list[float]]]) -> None:
    folder, plainly = qwen
    agree(scored(f"prm:{folder},max_tokens=200", SOLUTIONS), plainly)


def test_batches_do_not_change_scores(qwen: tuple[Path, Callable[[Solution], list[float]]]) -> None:
    alone = [scored(f"prm:{qwen[0]}", [solution])[0] for solution in SOLUTIONS]
    for one, other in zip(alone, scored(f"prm:{qwen[0]}", SOLUTIONS), strict=True):
        assert one.steps == pytest.approx(other.steps, abs=1e-5)


def test_what_cannot_be_read_has_an_error_and_no_scores(qwen: tuple[Path, Callable[[Solution], list[float]]]) -> None:
    hostile = Solution(Problem("a"), ("one <extra_0> two", "three"))
    long = Solution(Problem("a"), ("word " * 600,))
    found = scored(f"prm:{qwen[0]}", [hostile, long, SOLUTIONS[0], Solution(Problem("a"), ())])
    assert found[0].steps == (None, None)
    assert "<extra_0>" in found[0].error
    assert found[1].steps == (None,)
    assert found[1].error.startswith("too long: ")
    assert not found[2].error
    assert found[3].steps == ()
    assert not found[3].error


def test_weights_that_are_missing_are_not_made_up(tmp_path: Path) -> None:
    heads: dict[str, tuple[int, ...]] = {"score.0.weight": (32, 32), "score.0.bias": (32,)}
    published(tmp_path, "Qwen2ForProcessRewardModel", heads, tokenizer_with("<extra_0>"), "")
    with pytest.raises(ConfigError, match=r"score\.2\.bias"):
        scored(f"prm:{tmp_path}", SOLUTIONS)


@pytest.mark.parametrize("prefix", ["", "pretrained_model."])
def test_skywork_layout(tmp_path: Path, prefix: str) -> None:
    tokenizer = tokenizer_with()
    heads = {"v_head.summary.weight": (1, 32), "v_head.summary.bias": (1,)}
    body, w = published(tmp_path, "Qwen2ForPrmModel", heads, tokenizer, prefix)
    line_end = tokenizer.encode("\n")[-1]

    def plainly(solution: Solution) -> list[float]:
        """As the published inference code: lines, each with a line end behind it, which carries the reward."""
        ids, ends = tokenizer.encode(solution.problem.text + "\n"), []
        for step in solution.steps:
            for line in step.split("\n"):
                ids += [*tokenizer.encode(line), line_end]
            ends.append(len(ids) - 1)
        hidden = body(input_ids=torch.tensor([ids])).last_hidden_state[0]
        value = hidden @ w["v_head.summary.weight"].T + w["v_head.summary.bias"]
        return [float(value[end, 0].sigmoid()) for end in ends]

    agree(scored(f"prm:{tmp_path}", SOLUTIONS), plainly)


def test_token_classification_layout(tmp_path: Path) -> None:
    tokenizer = tokenizer_with()
    torch.manual_seed(2)
    config = Qwen2Config(**shape(tokenizer), num_labels=2)
    model = AutoModelForTokenClassification.from_config(config).eval()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)

    def plainly(solution: Solution) -> list[float]:
        ids, ends = tokenizer.encode(solution.problem.text), []
        for step in solution.steps:
            ids += tokenizer.encode(step) + tokenizer.encode("\n\n")
            ends.append(len(ids) - 1)
        return [float(model(torch.tensor([ids])).logits[0, end].softmax(-1)[1]) for end in ends]

    agree(scored(f"prm:{tmp_path},separator=\\n\\n", SOLUTIONS), plainly)


def causal(folder: Path, tokenizer: Any) -> Any:
    torch.manual_seed(3)
    model = LlamaForCausalLM(LlamaConfig(**shape(tokenizer))).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model


def test_math_shepherd_layout(tmp_path: Path) -> None:
    folder = tmp_path / "math-shepherd-tiny"
    tokenizer = tokenizer_with("ки")
    model = causal(folder, tokenizer)
    good, bad, tag = (tokenizer.encode(word)[-1] for word in ("+", "-", "ки"))

    def plainly(solution: Solution) -> list[float]:
        said = "\n".join(
            f"{'' if step.startswith('Step') else f'Step {k}: '}{step} ки" for k, step in enumerate(solution.steps, 1)
        )
        ids = tokenizer(f"{solution.problem.text} {said}", return_tensors="pt").input_ids
        pairs = model(ids).logits[0, :, [good, bad]].softmax(-1)[:, 0]
        return [float(p) for p in pairs[ids[0] == tag]]

    agree(scored(f"prm:{folder}", SOLUTIONS), plainly)


def test_turns_layout(tmp_path: Path) -> None:
    """The published code asks step by step, each time with one turn more."""
    tokenizer = tokenizer_with()
    model = causal(tmp_path, tokenizer)
    good, bad = (tokenizer.encode(word)[-1] for word in "+-")

    def plainly(solution: Solution) -> list[float]:
        text, found = "", []
        for k, step in enumerate(solution.steps):
            asked = step if k else f"{solution.problem.text} {step}"
            text += f"<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n"
            logits = model(tokenizer(text, return_tensors="pt").input_ids).logits[0, -1, [good, bad]]
            found.append(float(logits.softmax(-1)[0]))
            text += "+<|im_end|>\n"
        return found

    agree(scored(f"prm:{tmp_path},layout=turns", SOLUTIONS), plainly)


def test_a_layout_that_is_not_known_is_asked_for(tmp_path: Path) -> None:
    causal(tmp_path / "some", tokenizer_with())
    with pytest.raises(ConfigError, match="option layout"):
        scored(f"prm:{tmp_path / 'some'}", SOLUTIONS)
    with pytest.raises(ConfigError, match="'layuot'"):
        scored(f"prm:{tmp_path / 'some'},layuot=turns", SOLUTIONS)
    with pytest.raises(ConfigError, match="unknown scorer"):
        scored("orm:x", SOLUTIONS)
    with pytest.raises(ConfigError, match="no such folder"):
        scored("prm:./nowhere", SOLUTIONS)


def test_the_critic_scores_by_its_rewards() -> None:
    right = Solution(Problem("What is 2 + 3, times 4?"), ("2 + 3 = 5", "5 * 4 = 20"), id="a")
    wrong = Solution(Problem("What is 2 + 3, times 4?"), ("2 + 3 = 6", "6 * 4 = 24"), id="b")
    spec = "critic:symbolic,n=3,stopping=none,sandbox_level=process"

    async def run() -> list[Scores]:
        async with open_scorer(spec) as scorer:
            assert scorer.name == spec
            return await scorer.score([right, wrong, Solution(Problem("x"), ())])

    good, bad, empty = asyncio.run(run())
    assert min(p for p in good.steps if p is not None) > 0.5
    assert bad.steps[0] is not None
    assert bad.steps[0] < 0.5
    assert len(good.votes) == 2
    assert len(good.votes[0]) == 3
    assert empty.error
    assert not empty.steps


def test_a_scorer_that_is_closed_ends_after_the_batch_that_it_reads() -> None:
    begun, go_on = threading.Event(), threading.Event()
    read = []

    def body(ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        read.append(len(ids))
        begun.set()
        go_on.wait(10)
        return torch.zeros(*ids.shape, 1)

    def to_scores(values: Sequence[Sequence[float]]) -> Scores:
        return Scores(tuple(value for (value,) in values))

    parts = Parts(lambda solution: Reading([1, 2], [1]), body, lambda states: states, to_scores, "cpu", causal=True)
    scorer = ModelScorer("some", parts, max_tokens=2)  # one solution a batch

    async def run() -> None:
        scoring = asyncio.create_task(scorer.score([*SOLUTIONS, *SOLUTIONS]))
        await asyncio.to_thread(begun.wait, 10)
        await scorer.close()
        go_on.set()
        with pytest.raises(RuntimeError, match="closed"):
            await scoring

    asyncio.run(run())
    assert read == [1]
