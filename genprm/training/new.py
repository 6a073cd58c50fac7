"""A model from nothing: a tokenizer learned from the rows, and a Llama that knows nothing but how to copy.

The tokenizer is a byte-level BPE that cuts numbers into single digits or a few at a time. The blank before a number
goes with the word before it: a number is the same token wherever it stands, and whoever copies it copies one token.
The protocol's fixed texts are tokens of their own, so that what every rationale repeats costs next to nothing.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

import msgspec

from genprm.engines.nano_tokenizer import words_around_numbers
from genprm.engines.options import near
from genprm.engines.templates import CHATML
from genprm.errors import ConfigError
from genprm.protocols.genprm import ANALYZE, JUDGE, STOP_ANALYSIS, STOP_VERDICT, SYSTEM, SYSTEM_DIRECT, VERIFY
from genprm.protocols.pieces import OUTPUT

START, END, BEGIN, PAD, UNKNOWN = "<|im_start|>", "<|im_end|>", "<|begin|>", "<|pad|>", "<|unknown|>"
FIXED = (
    SYSTEM,
    SYSTEM_DIRECT,
    *ANALYZE.split("{t}"),
    STOP_ANALYSIS,
    VERIFY,
    "```\n",
    OUTPUT,
    "</verify>\n",
    JUDGE,
    "}$\n" + STOP_VERDICT,
)
"""Tokens of their own. ``Yes`` and ``No`` stand between the last two, so that the verdict is read at one token."""


_OFTEN = 300
"""Rarer words become tokens only after the numbers."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Of a Llama and its tokenizer. Embeddings are tied."""

    hidden: int = 256
    layers: int = 5
    ffn: int = 768
    heads: int = 4
    kv_heads: int = 2
    vocabulary: int = 2560
    window: int = 4096
    rope_theta: float = 1e6
    """High, so that half of the rotations hardly change over the window: matches of content rest on those."""
    digits: int = 3
    """Of a number that make one token at most, 1 to 3. Who leaves arithmetic to code copies numbers, the longer the
    pieces the better; who calculates needs single digits."""


PRESETS = {
    "nano": Shape(),
    "small": Shape(hidden=192, layers=4, ffn=576, heads=6, kv_heads=3, vocabulary=1024, digits=1),
    "mini": Shape(hidden=128, layers=3, ffn=384, heads=4, kv_heads=2, vocabulary=1024, digits=1),
    "micro": Shape(hidden=96, layers=2, ffn=288, heads=3, kv_heads=3, vocabulary=1024, digits=1),
}


def shape_named(text: str) -> Shape:
    """``nano``, or with other values for some fields: ``nano,layers=4,hidden=224``.

    Raises:
        ConfigError: no such preset or field, or a value that does not fit.
    """
    name, *changes = text.split(",")
    if name not in PRESETS:
        raise ConfigError(f"there is no preset {name!r}; there are {', '.join(PRESETS)}")
    values = dataclasses.asdict(PRESETS[name])
    for change in changes:
        field, _, value = change.partition("=")
        if field not in values:
            raise ConfigError(f"--new {text}: there is no {field!r}; {near(field, values.keys())}")
        values[field] = value
    try:
        shape: Shape = msgspec.convert(values, Shape, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"--new {text}: {error}") from None
    _require_fit(shape, text)
    return shape


def _require_fit(shape: Shape, text: str) -> None:
    if min(dataclasses.astuple(shape)) < 1:
        raise ConfigError(f"--new {text}: every value is at least 1")
    if shape.hidden % (2 * shape.heads) or shape.heads % shape.kv_heads:
        raise ConfigError(f"--new {text}: hidden is a multiple of twice the heads, heads a multiple of kv_heads")
    if shape.digits > 3:
        raise ConfigError(f"--new {text}: digits is at most 3, for every number of so many digits becomes a token")


def new_model(shape: Shape, texts: Iterable[str], seed: int) -> tuple[Any, Any]:
    """A model of ``transformers`` in float32 and its tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from genprm.training.copying import begin_copying

    tokenizer = new_tokenizer(shape, texts)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        intermediate_size=shape.ffn,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=shape.window,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
        begin_copying(model)
        return model, tokenizer


def new_tokenizer(shape: Shape, texts: Iterable[str]) -> Any:
    """Learned from ``texts``; of ``transformers``, with the chat template.

    Raises:
        ConfigError: the vocabulary is too small for bytes and fixed texts.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    control = [UNKNOWN, BEGIN, END, START, PAD]
    learned = shape.vocabulary - len(FIXED)
    if learned < 256 + len(control) + 8:
        raise ConfigError(f"a vocabulary of {shape.vocabulary} leaves no room for words")
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(words_around_numbers(shape.digits)), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=learned,
        special_tokens=control,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(chain(_learned_from(texts), _numbers(shape.digits)), trainer)
    backend.add_tokens([AddedToken(text, normalized=False, special=False) for text in FIXED])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token=UNKNOWN,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        model_max_length=shape.window,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.add_special_tokens({"additional_special_tokens": [START]})
    tokenizer.chat_template = CHATML
    return tokenizer


def _numbers(digits: int) -> Iterator[str]:
    """All numbers of so few digits, each so often that it becomes a token, however rare it is in the rows, where the
    vocabulary has room for it."""
    return repeat("".join(f" {number}" for number in range(10**digits)), _OFTEN)


def _learned_from(texts: Iterable[str]) -> Iterator[str]:
    """The texts without the fixed ones, and the words of verdicts and roles so often that each is one token."""
    for n, text in enumerate(texts):
        for fixed in FIXED:
            text = text.replace(fixed, "\n")
        yield text
        yield f"{{{'Yes' if n % 2 else 'No'}}}\nsystem\nuser\nassistant\n"
