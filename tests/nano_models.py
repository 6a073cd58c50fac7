"""Small Llamas with random weights, made without torch, and what the engine should compute of them, written plainly."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from genprm.engines.nano_config import LlamaConfig, read_config
from genprm.engines.nano_tokenizer import _LETTERS, words_around_numbers
from genprm.engines.templates import CHATML

CONTROL = ("<|im_end|>", "<|im_start|>")
FIXED = ("<analyze>\nLet's analyze the Paragraph ", "</analyze>\n", "}$\n</output>\n")
WORDS = ("Yes", "No", "Ġstep", "Ġthe", "print", "is", "Ġis", "ĊĊ", "ĠĠ", "Ġ7", "Ġ120", "205")

Tensors = dict[str, NDArray[np.float32]]


SPLIT = {"type": "Split", "behavior": "Isolated", "invert": False}
DIGITS: dict[str, dict[str, Any]] = {
    "bare": {"type": "Digits", "individual_digits": True},
    "one": SPLIT | {"pattern": {"Regex": words_around_numbers(1)}},
    "three": SPLIT | {"pattern": {"Regex": words_around_numbers(3)}},
}
"""Ways to cut numbers."""


def tokenizer_json(digits: str = "bare") -> dict[str, Any]:
    """A byte-level BPE that joins the words above, letter after letter."""
    vocabulary = {text: i for i, text in enumerate((*CONTROL, *_LETTERS))}
    merges = []
    for word in WORDS:
        for at in range(1, len(word)):
            if word[: at + 1] not in vocabulary:
                vocabulary[word[: at + 1]] = len(vocabulary)
                merges.append([word[:at], word[at]])
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    added = [flags | {"id": vocabulary[text], "content": text, "special": True} for text in CONTROL]
    added += [flags | {"id": len(vocabulary) + at, "content": text, "special": False} for at, text in enumerate(FIXED)]
    bytes_ = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [DIGITS[digits], bytes_ | {"use_regex": DIGITS[digits]["type"] == "Digits"}],
        },
        "post_processor": None,
        "decoder": bytes_,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges, "unk_token": None, "byte_fallback": False},
    }


def make_nano(folder: Path, kind: str = "float32", config: Mapping[str, object] | None = None) -> Path:
    """A folder in the usual form; ``config`` goes into its ``config.json``, ``kind`` is that of its numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizer_json()
    fields = {
        "model_type": "llama",
        "vocab_size": len(tokenizer["model"]["vocab"]) + len(FIXED),
        "hidden_size": 48,
        "intermediate_size": 80,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"},
        "tie_word_embeddings": True,
        "eos_token_id": 0,
    } | dict(config or {})
    (folder / "config.json").write_text(json.dumps(fields))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    settings = {"eos_token": CONTROL[0], "chat_template": CHATML}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    rng = np.random.default_rng(0)
    shapes = read_config(folder).shapes()
    tensors = {name: rng.normal(len(shape) == 1, 0.3, shape).astype(kind) for name, shape in shapes.items()}
    save_file(tensors, folder / "model.safetensors")
    return folder


def logprobs(config: LlamaConfig, tensors: Tensors, ids: Sequence[int]) -> NDArray[np.float64]:
    """After each of the ids [tokens, vocabulary], in the plainest way and in float64."""
    w = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    n, size, group = len(ids), config.head_dim, config.num_attention_heads // config.num_key_value_heads

    def norm(x: NDArray[Any], name: str) -> NDArray[Any]:
        scaled: NDArray[Any] = x / np.sqrt((x**2).mean(-1, keepdims=True) + config.rms_norm_eps) * w[name]
        return scaled

    def heads(x: NDArray[Any]) -> NDArray[Any]:
        split: NDArray[Any] = x.reshape(n, -1, size).swapaxes(0, 1)
        return split

    angles = np.arange(n)[:, None] * config.rope_theta ** -(np.arange(0, size, 2) / size)
    cos, sin = (np.concatenate([part, part], -1) for part in (np.cos(angles), np.sin(angles)))

    def rotated(x: NDArray[Any]) -> NDArray[Any]:
        turned = np.concatenate([-x[..., size // 2 :], x[..., : size // 2]], -1)
        both: NDArray[Any] = x * cos + turned * sin
        return both

    x = w["model.embed_tokens.weight"][list(ids)]
    for at in range(config.num_hidden_layers):
        layer = f"model.layers.{at}."
        y = norm(x, layer + "input_layernorm.weight")
        query, key, value = (heads(y @ w[f"{layer}self_attn.{name}_proj.weight"].T) for name in "qkv")
        key, value = rotated(key).repeat(group, 0), value.repeat(group, 0)
        scores = rotated(query) @ key.swapaxes(1, 2) / np.sqrt(size) + np.triu(np.full((n, n), -np.inf), 1)
        chances = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (chances / chances.sum(-1, keepdims=True) @ value).swapaxes(0, 1).reshape(n, -1)
        x = x + mixed @ w[layer + "self_attn.o_proj.weight"].T
        y = norm(x, layer + "post_attention_layernorm.weight")
        gate, up = (y @ w[f"{layer}mlp.{name}_proj.weight"].T for name in ("gate", "up"))
        x = x + (gate / (1 + np.exp(-gate)) * up) @ w[layer + "mlp.down_proj.weight"].T
    head = w["model.embed_tokens.weight" if config.tie_word_embeddings else "lm_head.weight"]
    logits = norm(x, "model.norm.weight") @ head.T
    found: NDArray[np.float64] = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return found
