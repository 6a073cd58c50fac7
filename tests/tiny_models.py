"""Tiny models with random weights and real chat templates, made in a second: what engines are tested on."""

from pathlib import Path
from typing import Any

from genprm.engines.templates import CHATML

WORDS = """Let's analyze the Paragraph 1 step by step: 2 + 3 = 5 and 5 * 4 = 20, which is right. Yes No
Let's use python code to find any potential error: print(2 + 3) assert hello world <analyze> </analyze> <verify>
</verify> <output> **Judgement**: $\\boxed{Yes}$ </output> {"first_error": 12, "verdict": true} ```python
```"""

DEEPSEEK_R1 = (
    "{{ bos_token }}"
    "{% for m in messages if m.role == 'system' %}{{ m.content }}{% endfor %}"
    "{% for m in messages %}"
    "{% if m.role == 'user' %}<｜User｜>{{ m.content }}"
    "{% elif m.role == 'assistant' %}<｜Assistant｜>{{ m.content.split('</think>')[-1] }}<｜end▁of▁sentence｜>"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<｜Assistant｜>{% endif %}"
)

# Each family's control tokens, True for those that its published tokenizers flag as special.
_FAMILIES: dict[str, tuple[str, str | None, str, dict[str, bool]]] = {
    "deepseek-r1": (
        DEEPSEEK_R1,
        "<｜begin▁of▁sentence｜>",
        "<｜end▁of▁sentence｜>",
        {
            "<｜end▁of▁sentence｜>": True,
            "<｜User｜>": False,
            "<｜Assistant｜>": False,
            "<｜begin▁of▁sentence｜>": True,
            "<think>": False,
            "</think>": False,
        },
    ),
    "chatml": (
        CHATML,
        None,
        "<|im_end|>",
        {
            "<|endoftext|>": True,
            "<|im_start|>": True,
            "<|im_end|>": True,
            "<think>": False,
            "</think>": False,
        },
    ),
}


def make_tokenizer(family: str = "chatml", ascii_only: bool = False) -> Any:
    """A byte-level BPE tokenizer of the family. ``ascii_only``: whatever is sampled from it is readable text."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    template, bos, eos, control = _FAMILIES[family]
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if ascii_only:
        alphabet = [letter for letter in alphabet if letter.isascii()] + ["Ġ", "Ċ"]
    trainer = trainers.BpeTrainer(vocab_size=512, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator([WORDS] * 3, trainer)
    backend.add_tokens([AddedToken(t, special=special, normalized=False) for t, special in control.items()])
    if bos:  # as the published ones: whoever reads a rendered prompt like any other text gets the token twice
        added = [(bos, backend.token_to_id(bos))]
        backend.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=added)
    names = {"eos_token": eos} | ({"bos_token": bos} if bos else {})
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **names)
    tokenizer.chat_template = template
    return tokenizer


def make_model(
    folder: Path, family: str = "chatml", window: int = 2048, hidden: int = 64, sliding: int | None = None
) -> Path:
    """A Llama of two layers with its tokenizer, saved in ``folder``; ``sliding``: a Mistral that looks back as far."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

    tokenizer = make_tokenizer(family, ascii_only=True)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    kind, made = (LlamaConfig, LlamaForCausalLM) if sliding is None else (MistralConfig, MistralForCausalLM)
    config = kind(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=window,
        initializer_range=0.3,  # so that the next token depends on the context, and is not about the same everywhere
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        **({} if sliding is None else {"sliding_window": sliding}),
    )
    made(config).to(torch.float32).save_pretrained(folder)
    return folder
