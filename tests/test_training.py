"""Training with real models, small ones: what is learnt, from which tokens, and what a killed run comes to."""

import asyncio
import copy
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("transformers", reason="needs the extra train")
pytest.importorskip("accelerate", reason="needs the extra train")

import torch
from torch.nn import functional
from transformers import TrainingArguments

from genprm.api import open_critic
from genprm.cli import main
from genprm.engines.hf_tokenizer import HfTokenizer
from genprm.engines.rendering import Renderer
from genprm.engines.templates import CHATML, chatml
from genprm.errors import ConfigError, InputError
from genprm.protocols.chat import ChatProtocol, joined
from genprm.protocols.genprm import ANALYZE, VERIFY, GenPRMProtocol
from genprm.protocols.pieces import genprm_pieces
from genprm.training import attention
from genprm.training.conversations import Conversation, read_conversations
from genprm.training.encoding import Encoder, Example, encode_all
from genprm.training.loop import Collator, _loss_sum, _select_before_head
from genprm.training.models import weights_kind
from genprm.training.new import FIXED, Shape, new_model, new_tokenizer, shape_named
from genprm.training.optimizers import optimizer_for
from genprm.training.options import Options
from genprm.training.run import _arguments
from genprm.types import Completion, Critique, Message, Problem, Prompt, Sampling, Solution
from tests.training_rows import TINY, direct_rows, full_rows, solution

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> list[Conversation]:
    return read_conversations([full_rows(tmp_path_factory.mktemp("rows") / "full.jsonl", 60)])


@pytest.fixture(scope="module")
def tokenizer(full: list[Conversation]) -> Any:
    return new_tokenizer(shape_named(TINY), (m.content for row in full for m in row.messages))


@pytest.fixture(scope="module")
def examples(full: list[Conversation], tokenizer: Any) -> list[Example]:
    return list(encode_all(Encoder(Renderer(HfTokenizer(tokenizer)), "genprm"), full, seed=0))


def train(*words: object) -> int:
    return main(["train", *map(str, words)])


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return dict(load_file(folder / "model.safetensors"))


# --- the tokenizer of a new model ------------------------------------------------------------------------------------


def test_fixed_texts_are_one_token_each_and_no_control_tokens(tokenizer: Any) -> None:
    renderer = Renderer(HfTokenizer(tokenizer))
    assert [len(renderer.encode(text)) for text in FIXED] == [1] * len(FIXED)
    shown = Prompt((Message("user", "".join(FIXED)),), opening=VERIFY)
    rendered = renderer.render(shown, 10**6, 0)
    assert len(rendered.ids) < len(FIXED) + 20
    spelt = renderer.render(Prompt((Message("user", "<|im_end|>"),), opening="x"), 10**6, 0)
    assert tokenizer.eos_token_id not in spelt.ids


def test_verdicts_and_digits_are_tokens_of_their_own(tokenizer: Any) -> None:
    renderer = Renderer(HfTokenizer(tokenizer))
    for word in ("Yes", "No"):
        ids = renderer.encode(f"{{{word}}}$\n</output>\n")
        assert [renderer.word(token) for token in ids] == ["{", word, "}$\n</output>\n"]
    assert [renderer.word(token).strip() for token in renderer.encode("x = 12345.0")][-7:] == list("12345.0")
    vocabulary = [renderer.word(token) for token in range(len(tokenizer))]
    assert not [word for word in vocabulary if word not in FIXED and sum(letter.isdigit() for letter in word) > 1]


def test_its_template_is_chatml(tokenizer: Any) -> None:
    messages = (Message("system", "s"), Message("user", "u"), Message("assistant", "a\n"), Message("user", " v "))
    prompt = Prompt(messages, opening=ANALYZE.format(t=2))
    assert Renderer(HfTokenizer(tokenizer)).text(prompt) == chatml(prompt)


def test_any_text_comes_back(tokenizer: Any) -> None:
    renderer = Renderer(HfTokenizer(tokenizer))
    for text in ("naïve — 3½ 😀\r\n\t x", "Nothing Yesterday </output>\n", "a" * 50, "\x00\x7f"):
        assert tokenizer.backend_tokenizer.decode(renderer.encode(text)) == text


def test_a_vocabulary_that_is_too_small() -> None:
    with pytest.raises(ConfigError, match="no room"):
        new_tokenizer(Shape(vocabulary=270), ["x"])


# --- the ids and the loss mask ---------------------------------------------------------------------------------------


def trained_text(tokenizer: Any, example: Example) -> str:
    """What carries loss, decoded; a bar where it is interrupted."""
    decode = tokenizer.backend_tokenizer.decode
    runs: list[list[int]] = [[]]
    for token, own in zip(example.ids, example.own, strict=True):
        if own:
            runs[-1].append(token)
        elif runs[-1]:
            runs.append([])
    return "|".join(decode(run, skip_special_tokens=False) for run in runs if run)


def whole_text(tokenizer: Any, example: Example) -> str:
    return str(tokenizer.backend_tokenizer.decode(list(example.ids), skip_special_tokens=False))


def with_template(tokenizer: Any, template: str) -> Any:
    other = copy.deepcopy(tokenizer)
    other.chat_template = template
    return other


def test_loss_is_on_the_models_own_tokens(full: list[Conversation], tokenizer: Any, examples: list[Example]) -> None:
    for row, example in zip(full, examples, strict=True):
        rationales = [m.content for m in row.messages if m.role == "assistant"]
        expected = [
            piece.text + "<|im_end|>" * (piece is pieces[-1])
            for pieces in map(genprm_pieces, rationales)
            for piece in pieces
            if piece.own
        ]
        assert trained_text(tokenizer, example) == "|".join(expected)
    assert "print(1)\n```\n|So.\n</verify>\n" in trained_text(tokenizer, examples[0])


def test_last_rationales_stand_as_inference_has_them_and_earlier_ones_either_way(
    full: list[Conversation], tokenizer: Any, examples: list[Example]
) -> None:
    decode = tokenizer.backend_tokenizer.decode
    ways = set()
    for row, example in zip(full, examples, strict=True):
        text = decode(list(example.ids), skip_special_tokens=False)
        at = [text.index(ANALYZE.format(t=t)) for t in range(1, len(row.messages) // 2 + 1)]
        ways |= {text[:n].endswith("<|im_end|>\n<|im_start|>assistant\n") for n in at[:-1]}
        assert text[: at[-1]].endswith(row.messages[-2].content)
    assert ways == {True, False}


def test_policies_learn_their_last_turn(tokenizer: Any) -> None:
    turns = (Message("user", "q"), Message("assistant", "wrong"), Message("user", "No."), Message("assistant", "right"))
    example = Encoder(Renderer(HfTokenizer(tokenizer)), "policy").encode(Conversation(turns, "here"), random.Random(0))
    assert trained_text(tokenizer, example) == "right<|im_end|>"
    text = tokenizer.backend_tokenizer.decode(list(example.ids), skip_special_tokens=False)
    assert text == chatml(Prompt(turns)) + "<|im_end|>\n"
    asked = Renderer(HfTokenizer(tokenizer)).render(Prompt(turns[:-1]), 10**6, 0)
    assert tuple(example.ids[: len(asked.ids)]) == asked.ids


def test_policies_with_a_calculator_do_not_learn_its_values(tokenizer: Any) -> None:
    turns = (Message("user", "2 * 3 = 6?"), Message("assistant", "Here 2 * 3 = 6, or 7 - 1 = 5."))
    encoder = Encoder(Renderer(HfTokenizer(tokenizer)), "policy", calculator=True)
    example = encoder.encode(Conversation(turns, "here"), random.Random(0))
    assert trained_text(tokenizer, example) == "Here 2 * 3 =|, or 7 - 1 = 5.<|im_end|>"
    text = tokenizer.backend_tokenizer.decode(list(example.ids), skip_special_tokens=False)
    assert text == chatml(Prompt(turns)) + "<|im_end|>\n"


def test_chat_rationales_kept_as_one_text_become_turns(tokenizer: Any) -> None:
    made = Solution(Problem("p"), ("s",))
    turns = [Message("assistant", "Look."), Message("user", "Right?"), Message("assistant", '{"correct": "Yes"}')]
    row = Conversation((*ChatProtocol().messages(made, 0, []), Message("assistant", joined(turns))), "here")
    example = Encoder(Renderer(HfTokenizer(tokenizer)), "chat").encode(row, random.Random(0))
    assert trained_text(tokenizer, example) == 'Look.<|im_end|>|{"correct": "Yes"}<|im_end|>'


def test_control_tokens_that_a_row_spells_stay_letters(tokenizer: Any) -> None:
    turns = (Message("user", "<|im_end|> x"), Message("assistant", "{Yes} <|im_start|>"))
    example = Encoder(Renderer(HfTokenizer(tokenizer)), "policy").encode(Conversation(turns, "here"), random.Random(0))
    assert list(example.ids).count(tokenizer.eos_token_id) == 2  # those of the template
    assert trained_text(tokenizer, example) == "{Yes} <|im_start|><|im_end|>"


def test_a_template_that_changes_the_words_is_refused(tokenizer: Any) -> None:
    shouting = with_template(tokenizer, CHATML.replace("message['content']", "message['content'] | upper"))
    row = Conversation((Message("user", "Q"), Message("assistant", "quiet")), "rows.jsonl:7")
    with pytest.raises(InputError, match=r"rows.jsonl:7, field messages\[1\].content: the chat template"):
        Encoder(Renderer(HfTokenizer(shouting)), "policy").encode(row, random.Random(0))
    deaf = with_template(tokenizer, CHATML.replace("message['content']", "('…' if loop.last else message['content'])"))
    with pytest.raises(ConfigError, match="does not show what the assistant says"):
        Encoder(Renderer(HfTokenizer(deaf)), "policy")


THINKING = (
    "{% set ns = namespace(asked=0) %}"
    "{% for m in messages %}{% if m.role == 'user' %}{% set ns.asked = loop.index0 %}{% endif %}{% endfor %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and loop.index0 > ns.asked %}<think>\n\n</think>\n\n{% endif %}"
    "{{ m.content.strip('\n') }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""As that of Qwen3: only the last turn has a thought."""


def test_templates_that_write_the_last_turn_otherwise(full: list[Conversation], tokenizer: Any) -> None:
    renderer = Renderer(HfTokenizer(with_template(tokenizer, THINKING)))
    turns = (
        Message("user", "assistant\n"),
        Message("assistant", "\nno"),
        Message("user", "u"),
        Message("assistant", "no"),
    )
    example = Encoder(renderer, "policy").encode(Conversation(turns, "here"), random.Random(0))
    assert whole_text(tokenizer, example) == (
        "<|im_start|>user\nassistant<|im_end|>\n<|im_start|>assistant\nno<|im_end|>\n"
        "<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\nno<|im_end|>\n"
    )
    asked = renderer.render(Prompt(turns[:-1]), 10**6, 0)
    assert tuple(example.ids[: len(asked.ids)]) == asked.ids
    assert trained_text(tokenizer, example) == "<think>\n\n</think>\n\nno<|im_end|>"

    row = next(row for row in full if len(row.messages) > 4)
    earlier = [i for i, m in enumerate(row.messages) if m.role == "assistant"]
    example = Encoder(renderer, "genprm").encode(row, random.Random(0))
    assert "<think>" not in whole_text(tokenizer, example), "it is continued right after the user's words"
    asked = renderer.render(Prompt(row.messages[:-1], opening=ANALYZE.format(t=len(earlier))), 10**6, 0)
    closed = random.Random()
    closed.random = lambda: 1.0  # type: ignore[method-assign]
    example = Encoder(renderer, "genprm").encode(row, closed)
    assert tuple(example.ids[: len(asked.ids)]) == asked.ids


class Writer:
    """An engine that writes given texts, as the tokens that they have, and keeps what it read."""

    name = "writer"
    protocols: frozenset[str] | None = None

    def __init__(self, renderer: Renderer, texts: Sequence[str]) -> None:
        self._renderer = renderer
        self._texts = list(texts)
        self.ids: tuple[int, ...] = ()

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        before = self._renderer.render(prompt, 10**6, 0)
        text = self._texts.pop(0)
        written = tuple(self._renderer.encode(text))
        self.ids = before.ids + written
        return Completion(text, seam=self._renderer.seam(before, text, written))

    async def close(self) -> None: ...


def test_ids_are_those_that_the_critics_loop_reads(full: list[Conversation], tokenizer: Any) -> None:
    """The protocol is played through with real checks; its last call's tokens are the row's."""
    from genprm.critic import Critic
    from genprm.sandbox import Sandbox
    from genprm.types import Method

    row = next(row for row in full if len(row.messages) > 4)
    rationales = [m.content for m in row.messages if m.role == "assistant"]
    texts = [piece.text for text in rationales for piece in genprm_pieces(text) if piece.own]
    steps = [m.content for m in row.messages if m.role == "user"]
    problem, _, first = steps[0].partition("\n")
    made = Solution(Problem(problem), (first, *steps[1:]))
    writer = Writer(Renderer(HfTokenizer(tokenizer)), texts)

    async def judged() -> Critique:
        async with Sandbox(level="process") as sandbox:
            return await Critic(writer, sandbox, GenPRMProtocol(), Method("writer", "genprm")).critique(made)

    assert [step.rationales[0].text for step in asyncio.run(judged()).steps] == rationales
    closed = random.Random()
    closed.random = lambda: 1.0  # type: ignore[method-assign]  # earlier turns with their tags, as the last call saw them
    example = Encoder(Renderer(HfTokenizer(tokenizer)), "genprm").encode(row, closed)
    n = len(writer.ids)
    assert tuple(example.ids[:n]) == writer.ids
    assert tokenizer.backend_tokenizer.decode(list(example.ids[n:]), skip_special_tokens=False) == "<|im_end|>\n"


# --- the loss --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(full: list[Conversation]) -> Any:
    made, _ = new_model(shape_named(TINY), (m.content for row in full for m in row.messages), seed=0)
    return made.eval()


def plain_loss(model: Any, examples: Sequence[Example]) -> float:
    """Summed over the own tokens of each row by itself, by the book."""
    total = 0.0
    with torch.no_grad():
        for example in examples:
            ids = torch.tensor([list(example.ids)])
            logits = model(input_ids=ids).logits[0, :-1]
            own = torch.tensor(list(example.own[1:])).bool()
            total += float(functional.cross_entropy(logits[own], ids[0, 1:][own], reduction="sum"))
    return total


@pytest.mark.parametrize(("packing", "kind"), [(False, "sdpa"), (False, "blocks"), (True, "sdpa")])
def test_padded_packed_and_in_blocks_the_loss_is_the_same(
    full: list[Conversation], examples: list[Example], packing: bool, kind: str
) -> None:
    model, _ = new_model(shape_named(TINY), (m.content for row in full for m in row.messages), seed=0)
    expected = plain_loss(model.eval(), examples[:5])
    if kind == "blocks":
        model.set_attn_implementation(attention.register())
    _select_before_head(model)
    with torch.no_grad():
        found = float(_loss_sum(model, Collator(examples, pad=0, packing=packing)([0, 1, 2, 3, 4])))
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("length", [1, 7, attention.BLOCK, attention.BLOCK + 1, 2 * attention.BLOCK + 37])
def test_attention_in_blocks_is_causal_attention(length: int) -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, heads, length, 8, requires_grad=True) for heads in (4, 2, 2))
    found, _ = attention.attention(None, query, key, value, None)
    expected = functional.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
    assert torch.allclose(found.transpose(1, 2), expected, atol=1e-5)
    ours, theirs = (torch.autograd.grad(out.square().sum(), (query, key, value)) for out in (found, expected))
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(ours, theirs, strict=True))


def test_two_optimisers_as_one_keep_their_state(model: Any) -> None:
    both = optimizer_for(model, lr=0.01, weight_decay=0.1, muon=True)
    assert {id(p) for group in both.param_groups for p in group["params"]} == {id(p) for p in model.parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    both.step()
    again = optimizer_for(model, lr=0.5, weight_decay=0.0, muon=True)
    again.load_state_dict(both.state_dict())
    assert [group["lr"] for group in again.param_groups] == [0.01, 0.01]
    assert str(again.state_dict()) == str(both.state_dict())
    both.zero_grad()
    assert all(p.grad is None for p in model.parameters())


# --- whole runs ------------------------------------------------------------------------------------------------------

QUICK = [
    "--batch-tokens",
    "1200",
    "--micro-tokens",
    "600",
    "--log-every",
    "2",
    "--save-every",
    "5",
    "--precision",
    "fp32",
]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return direct_rows(tmp_path_factory.mktemp("rows") / "direct.jsonl", 400)


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return direct_rows(tmp_path_factory.mktemp("rows") / "valid.jsonl", 10, seed=1)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, rows: Path, valid: Path) -> Path:
    """A critic that holds steps wrong for a word."""
    folder = tmp_path_factory.mktemp("models") / "base"
    words = ["--new", TINY, "--updates", "80", "--lr", "3e-2", "--eval-every", "40", *QUICK]
    assert train("critic", rows, "--valid", valid, "--output", folder, *words) == 0
    return folder


def judged(engine: str, seed: int = 9) -> list[tuple[bool | None, float]]:
    """Greedy verdicts on every step of some solutions, and P(Yes)."""
    asked = solutions(seed)

    async def run() -> list[Critique]:
        options = {"analyze": "false", "verify": "false"}
        async with open_critic(engine, options=options, temperature=0.0, sandbox_level="process") as critic:
            return [result async for result in critic.critique_many(asked)]

    critiques = sorted(asyncio.run(run()), key=lambda critique: asked.index(critique.solution))
    found = [(step.rationales[0].verdict, step.rationales[0].p_yes) for c in critiques for step in c.steps]
    assert all(p is not None for _, p in found)
    return [(verdict, p or 0.0) for verdict, p in found]


def solutions(seed: int) -> list[Solution]:
    rng = random.Random(seed)
    return [solution(rng) for _ in range(6)]


def right(seed: int = 9) -> list[bool]:
    return ["surely" not in step for made in solutions(seed) for step in made.steps]


def test_a_new_model_learns_and_judges(base: Path) -> None:
    losses = [entry["loss"] for entry in metrics(base) if "loss" in entry]
    valid = [entry["eval_loss"] for entry in metrics(base) if "eval_loss" in entry]
    assert losses[0] > 1.0
    assert losses[-1] < 0.1
    assert valid[-1] < 0.1
    assert [verdict for verdict, _ in judged(f"hf:{base}")] == right()
    assert weights(base)["model.norm.weight"].dtype == torch.float16
    config = json.loads((base / "config.json").read_text())
    assert config["use_cache"] is True
    assert None not in (config["bos_token_id"], config["eos_token_id"], config["pad_token_id"])


def test_the_same_command_again_is_done_and_another_is_refused(
    base: Path, rows: Path, valid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--new", TINY, "--updates", "80", "--lr", "3e-2", "--eval-every", "40", *QUICK]
    before = (base / "model.safetensors").stat().st_mtime_ns
    assert train("critic", rows, "--valid", valid, "--output", base, *words) == 0
    assert (base / "model.safetensors").stat().st_mtime_ns == before
    assert train("critic", rows, "--valid", valid, "--output", base, *words, "--seed", "1") == 2
    assert "was begun with seed = 0, now it is 1; name another folder with --output" in capsys.readouterr().err
    assert train("critic", valid, "--output", base, *words, "--valid", valid) == 2
    assert "with other rows" in capsys.readouterr().err


def test_a_killed_run_comes_to_the_same_weights(tmp_path: Path, rows: Path) -> None:
    words = ["critic", rows, "--new", TINY, "--updates", "40", "--seed", "3", *QUICK]
    assert train(*words, "--output", tmp_path / "whole") == 0
    command = [sys.executable, "-m", "genprm", "train", *map(str, words), "--output", str(tmp_path / "killed")]
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    checkpoint = tmp_path / "killed" / "checkpoints" / "checkpoint-10" / "trainer_state.json"
    deadline = time.monotonic() + 200
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "report.json").exists()
    torn = checkpoint.parents[1] / "checkpoint-39"  # as one that it was writing
    torn.mkdir()
    (torn / "model.safetensors").write_bytes(b"")
    with (tmp_path / "killed" / "metrics.jsonl").open("a") as journal:  # as what it told before
        journal.write('{"update": 38, "loss": 1.0}\n{"update": 39')
    assert train(*words, "--output", tmp_path / "killed") == 0
    assert not torn.exists()
    whole, killed = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert all(torch.equal(whole[name], killed[name]) for name in whole)
    updates = [entry["update"] for entry in metrics(tmp_path / "killed")]
    assert updates == sorted(set(updates))
    assert updates[-1] == 40
    assert (tmp_path / "killed" / "start").is_dir()
    state = json.loads((tmp_path / "killed" / "checkpoints" / "checkpoint-40" / "trainer_state.json").read_text())
    assert state["log_history"][0]["step"] == 2, "it went on, and did not begin again"


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Path:
    """The critic of ``base``, taught the opposite."""
    pytest.importorskip("peft", reason="needs the extra train")
    folder = tmp_path_factory.mktemp("models") / "adapter"
    opposite = direct_rows(folder.with_suffix(".jsonl"), 300, seed=5, wrong="!surely")
    words = ["--model", base, "--lora", "8", "--lr", "1e-2", "--updates", "80", "--warmup", "0.1", *QUICK]
    assert train("critic", opposite, "--output", folder, *words) == 0
    assert train("critic", opposite, "--output", folder.with_name("merged"), "--merge", *words) == 0
    return folder


def test_an_adapter_loads_and_judges_as_its_merged_weights_do(adapter: Path) -> None:
    losses = [entry["loss"] for entry in metrics(adapter) if "loss" in entry]
    assert losses[-1] < 0.5 * losses[0]
    assert not (adapter / "model.safetensors").exists()
    taught, merged = judged(f"hf:{adapter}"), judged(f"hf:{adapter.with_name('merged')}")
    assert [verdict for verdict, _ in taught] == [not verdict for verdict in right()]
    assert [verdict for verdict, _ in merged] == [verdict for verdict, _ in taught]
    assert [p for _, p in merged] == pytest.approx([p for _, p in taught], abs=0.02)


def test_an_adapter_in_vllm_gives_the_same_verdicts(adapter: Path) -> None:
    pytest.importorskip("vllm", reason="needs the extra vllm", exc_type=ImportError)
    in_hf, in_vllm = judged(f"hf:{adapter}"), judged(f"vllm:{adapter}")
    assert [verdict for verdict, _ in in_vllm] == [verdict for verdict, _ in in_hf]
    assert [p for _, p in in_vllm] == pytest.approx([p for _, p in in_hf], abs=0.03)


def test_an_adapter_is_not_trained_on(
    tmp_path: Path, adapter: Path, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("critic", rows, "--model", adapter, "--output", tmp_path / "out") == 2
    assert "is an adapter, which is not trained on; name the model" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_model_in_the_home_folder(tmp_path: Path, base: Path, rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(base.parent))
    words = ["--model", f"~/{base.name}", "--updates", "1", *QUICK]
    assert train("critic", rows, "--output", tmp_path / "out", *words) == 0
    assert weights(tmp_path / "out")["model.norm.weight"].dtype == torch.float16, "as those that it began with"


def test_early_stopping_keeps_the_best(tmp_path: Path, base: Path, valid: Path) -> None:
    """Rows that teach the opposite of the validation rows: it can only get worse."""
    opposite = direct_rows(tmp_path / "opposite.jsonl", 100, seed=5, wrong="!surely")
    words = ["--model", base, "--lr", "3e-3", "--updates", "40", "--patience", "2", "--eval-every", "2", *QUICK]
    assert train("critic", opposite, "--valid", valid, "--output", tmp_path / "out", *words) == 0
    losses = [entry["eval_loss"] for entry in metrics(tmp_path / "out") if "eval_loss" in entry]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["updates"] < 40
    assert report["valid_loss"] == pytest.approx(min(losses))

    def again() -> dict[str, Any]:
        """As if it had been killed just before it reported."""
        (tmp_path / "out" / "report.json").unlink()
        assert train("critic", opposite, "--valid", valid, "--output", tmp_path / "out", *words) == 0
        found: dict[str, Any] = json.loads((tmp_path / "out" / "report.json").read_text())
        return found

    assert again() == report, "it had ended"
    last = tmp_path / "out" / "checkpoints" / f"checkpoint-{report['updates']}" / "trainer_state.json"
    state = json.loads(last.read_text())
    state["stateful_callbacks"]["EarlyStoppingCallback"]["attributes"]["early_stopping_patience_counter"] = 1
    last.write_text(json.dumps(state))
    assert again()["updates"] == report["updates"] + 2, "it had waited once"


def test_rows_that_are_too_long_are_left_out_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = full_rows(tmp_path / "rows.jsonl", 30)
    words = ["--new", TINY, "--updates", "2", "--max-length", "100", *QUICK]
    assert train("critic", rows, "--output", tmp_path / "out", *words, "--packing", "--precision", "bf16") == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert 0 < report["left_out"] < 30
    assert f"{report['left_out']} of 30 rows have more than 100 tokens" in capsys.readouterr().err
    assert train("critic", rows, "--output", tmp_path / "none", *words[: -len(QUICK)], "--max-length", "5") == 2
    assert "none of the 30 rows has" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_rows_to_validate_on_that_are_too_long_are_counted_too(
    tmp_path: Path, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The window is the least of the model's and what is asked for."""
    words = ["critic", rows, "--new", f"{TINY},window=150", "--max-length", "1000", "--updates", "2", *QUICK]
    long = full_rows(tmp_path / "long.jsonl", 30)
    assert train(*words, "--valid", long, "--output", tmp_path / "out") == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["rows"], report["left_out"], report["valid_rows"]) == (400, 0, 30)
    assert 0 < report["valid_left_out"] < 30
    assert f"{report['valid_left_out']} of 30 rows to validate on have more than 150 tokens" in capsys.readouterr().err
    longest = [line for line in long.read_text().splitlines() if len(json.loads(line)["messages"]) > 6]
    long.write_text("\n".join(longest))
    assert train(*words, "--valid", long, "--output", tmp_path / "none") == 2
    assert "rows to validate on has at most 150 tokens" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--new", "giant"], "no preset 'giant'"),
        (["--new", f"{TINY},vocabulary=270"], "no room for words"),
        (["--model", "./nowhere"], "no such folder"),
        (["--new", TINY, "--max-length", "5"], "none of the 400 rows"),
    ],
)
def test_what_is_refused_leaves_the_folder_free(
    tmp_path: Path, rows: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("critic", rows, *words, "--output", tmp_path / "out") == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_process_takes_one_gpu_of_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def two(args: TrainingArguments) -> torch.device:
        args._n_gpu = 2
        return torch.device("cpu")

    monkeypatch.setattr(TrainingArguments, "_setup_devices", property(two))
    assert _arguments(Options("genprm", new=TINY), tmp_path).n_gpu == 1


def test_what_is_calculated_in_float32_has_its_weights_in_it() -> None:
    made = [Options("policy", model="m", lora=lora, precision=p) for lora in (8, None) for p in ("auto", "fp32")]
    assert [weights_kind(options) for options in made] == ["auto", "float32", "float32", "float32"]


@pytest.mark.parametrize("words", [["policy"], ["critic", "--protocol", "chat"], ["critic", "--curriculum"]])
def test_every_task_leaves_a_model(tmp_path: Path, words: list[str]) -> None:
    rows = full_rows(tmp_path / "rows.jsonl", 30)
    assert train(*words, rows, "--output", tmp_path / "out", "--new", TINY, "--updates", "2", *QUICK) == 0
    assert weights(tmp_path / "out")


def test_checkpointing_and_bf16_change_little(tmp_path: Path, base: Path, rows: Path) -> None:
    losses = []
    for name, words in {"plain": [], "other": ["--checkpointing", "--precision", "bf16"]}.items():
        common = ["--model", base, "--updates", "4", *QUICK]
        assert train("critic", rows, "--output", tmp_path / name, *common, *words) == 0
        losses.append([entry["loss"] for entry in metrics(tmp_path / name) if "loss" in entry])
    assert losses[1] == pytest.approx(losses[0], rel=0.05, abs=0.02)
    assert losses[1] != losses[0]


def test_two_processes_come_to_what_one_comes_to(
    tmp_path: Path, rows: Path, valid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "critic", rows, "--valid", valid, "--new", TINY, "--updates", "6", *QUICK]
    assert main([*map(str, words), "--output", str(tmp_path / "one")]) == 0
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "-m", "genprm", *map(str, words)]
    ended = subprocess.run(
        [*command, "--output", str(tmp_path / "two")],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("6 updates, validation loss") == 1  # only the first process speaks
    one, two = (json.loads((tmp_path / name / "report.json").read_text()) for name in ("one", "two"))
    assert one["valid_loss"] == pytest.approx(two["valid_loss"], rel=1e-3)
    (tmp_path / "two" / "report.json").unlink()
    assert main([*map(str, words), "--output", str(tmp_path / "two")]) == 2
    assert "was begun with processes = 2, now it is 1" in capsys.readouterr().err
    found, expected = weights(tmp_path / "two"), weights(tmp_path / "one")
    apart = {name: float((found[name] - expected[name]).norm() / expected[name].norm()) for name in expected}
    assert max(apart.values()) < 0.02, apart  # sums in another order, which Muon makes larger
