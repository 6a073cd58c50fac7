"""A tiny Llama that keeps to the form of the genprm protocol, trained on the spot from generated text.

It is no verifier: it calculates nothing, and calls a step wrong for its last word (see ``genprm.eval.bench.prose``),
at nine times in ten. It exists so that real engines can be tested and measured where there are no weights to be had:
real tokens, real log-probabilities, texts that end, code that runs, samples that disagree.

    python -m genprm.eval.bench.tiny FOLDER
"""

import argparse
import hashlib
import json
import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from genprm.engines.templates import deepseek_r1
from genprm.eval.bench.prose import SETTLING, WRONG_MARK, rationale, solutions
from genprm.protocols.genprm import ANALYZE, VERIFY, GenPRMProtocol
from genprm.types import Prompt, Solution

BOS, EOS, USER, ASSISTANT = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'] }}"
    "{% endif %}{% endfor %}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '" + USER + "' + message['content'] }}{% elif message['role'] == 'assistant' %}"
    "{{ '" + ASSISTANT + "' + message['content'].split('</think>')[-1] + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '" + ASSISTANT + "' }}{% endif %}"
)
_SETTLING_WEIGHT = 12.0


@dataclass(frozen=True, slots=True)
class Size:
    """Of the model and of its training."""

    layers: int = 2
    hidden: int = 128
    heads: int = 4
    vocabulary: int = 768
    window: int = 8192
    updates: int = 600
    batch_tokens: int = 1536
    sentences: int = 3
    """Of an analysis: 3 make a rationale of about a hundred tokens."""
    agreement: float = 0.9
    """How often a sample at temperature 0.6 says of a step what most samples say."""

    @property
    def taught_agreement(self) -> float:
        """The same at temperature 1, which is what it sees: temperature T takes p to p^(1/T) before normalising."""
        odds: float = (self.agreement / (1 - self.agreement)) ** 0.6
        return odds / (1 + odds)


def make_tiny(folder: Path | str, seed: int = 0, size: Size = Size(), *, verbose: bool = False) -> Path:
    """Train the model and save it with its tokenizer in Hugging Face form; needs torch and transformers.

    One core for about a minute. The same seed gives the same weights on the same machine.
    """
    import torch

    folder = Path(folder)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            tokenizer = _tokenizer(random.Random(seed), size)
            model = _model(size)
            _train(model, _batches(tokenizer, random.Random(seed + 1), size), size, verbose)
    finally:
        torch.set_num_threads(threads)
    from transformers.utils import logging

    logging.disable_progress_bar()
    model.save_pretrained(folder)
    _save_tokenizer(tokenizer, folder, size)
    return folder


def cached_tiny(cache: Path, seed: int = 0, size: Size = Size()) -> Path:
    """The model in ``cache``, made where it is not there yet."""
    name = f"tiny-{hashlib.blake2b(f'{size} {seed}'.encode(), digest_size=6).hexdigest()}"
    folder = cache / name
    if not (folder / "tokenizer_config.json").exists():
        cache.mkdir(parents=True, exist_ok=True)
        making = cache / f".{name}.{time.time_ns()}"
        make_tiny(making, seed, size).rename(folder)  # whole or not at all
    return folder


# --- the text that it learns ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Piece:
    """Text that is read as tokens by itself, as it is when an engine goes on from where it was."""

    text: str
    written: bool
    """By the model: this is what it learns."""


@dataclass(frozen=True, slots=True)
class _Text:
    """A conversation, cut where calls begin and end."""

    pieces: Sequence[_Piece]
    agrees: Sequence[bool]
    """Of each step, whether its rationale says what most samples should."""


class _Read(NamedTuple):
    """A text as tokens."""

    ids: list[int]
    weights: list[float]
    """Of each token in the loss."""
    others: list[int]
    """What might have stood in the place of a token that settles a verdict; elsewhere the token itself."""
    shares: list[float]
    """How often the token should come rather than the other one."""


_Batch = list[_Read]


def _conversation(rng: random.Random, solution: Solution, size: Size) -> _Text:
    """One conversation about all steps, as the protocol and the template put it."""
    agrees = [rng.random() < size.taught_agreement for _ in solution.steps]
    earlier: list[str] = []
    last: list[_Piece] = []
    for step, text in enumerate(solution.steps):
        right = text.endswith(WRONG_MARK) != agrees[step]
        parts = rationale(rng, right, size.sentences)
        last = [
            _Piece(ANALYZE.format(t=step + 1), False),
            _Piece(parts.analysis, True),
            _Piece(VERIFY, False),
            _Piece(parts.code, True),
            _Piece(f"[Code Output]\n\n```\n{_output(rng, right)}\n```\n", False),
            _Piece(parts.closing, True),
        ]
        earlier.append("".join(piece.text for piece in last))
    messages = GenPRMProtocol().messages(solution, len(solution.steps) - 1, earlier[:-1])
    return _Text([_Piece(deepseek_r1(Prompt(messages)), False), *last, _Piece(EOS, True)], agrees)


def _output(rng: random.Random, right: bool) -> str:
    """What its check may have printed. It writes code that fails now and then, and should go on from that too."""
    if rng.random() < 0.06:
        return f"Code execute Error: {rng.choice(('NameError: name', 'SyntaxError: invalid syntax', 'TypeError: not'))}"
    return f"{'value' if right else 'found'} {rng.choice((rng.randint(-90, 200), rng.randint(200, 9801)))}"


def _texts(rng: random.Random, size: Size) -> Iterator[_Text]:
    """Conversations of 1 to 8 steps without end; every other ends in a marked step, some have one before."""
    while True:
        (solution,) = solutions(1, 8, rng.getrandbits(32), wrong=1.0)
        marked = next(step for step in solution.steps if step.endswith(WRONG_MARK))
        others = [step for step in solution.steps if step != marked]
        rng.shuffle(others)
        before = others[1 : rng.choice((1, 1, 1, 2, 2, 3, 4, 6, 8))]
        if before and rng.random() < 0.3:
            before[rng.randrange(len(before))] = marked
        steps = (*before, marked if rng.random() < 0.5 else others[0])
        yield _conversation(rng, Solution(solution.problem, steps), size)


def _batches(tokenizer: Any, rng: random.Random, size: Size) -> Iterator[_Batch]:
    """Without end, texts of about one length together."""
    texts = _texts(rng, size)
    while True:
        drawn = sorted((_read(tokenizer, next(texts), rng, size) for _ in range(64)), key=lambda read: len(read.ids))
        batches: list[_Batch] = [[]]
        for read in drawn:
            if batches[-1] and len(read.ids) * (len(batches[-1]) + 1) > size.batch_tokens:
                batches.append([])
            batches[-1].append(read)
        rng.shuffle(batches)
        yield from batches


def _read(tokenizer: Any, text: _Text, rng: random.Random, size: Size) -> _Read:
    """Tokens piece by piece; for every other text all before one of the calls is read as one, as servers do.

    What others wrote weighs half, as most of it is what the model wrote before; the words that settle the verdict
    weigh most, since little else tells whether the paragraph was looked at.
    """
    pieces = text.pieces
    if rng.random() < 0.5:
        begin = rng.choice([n for n, piece in enumerate(pieces) if piece.written])
        before = "".join(piece.text for piece in pieces[:begin])
        pieces = [_Piece(before, False), *pieces[begin:]]
    good, odd = ([tokenizer.encode(space + word).ids[0] for space in ("", " ")] for word in SETTLING)
    other = dict(zip([*good, *odd], [*odd, *good], strict=True))
    agrees = iter(text.agrees)
    read = _Read([], [], [], [])
    for piece in pieces:
        for token in tokenizer.encode(piece.text).ids:
            settles = token in other
            usual = size.taught_agreement if settles and next(agrees) else 1 - size.taught_agreement
            read.ids.append(token)
            read.weights.append(_SETTLING_WEIGHT if settles else 1.0 if piece.written else 0.5)
            read.others.append(other.get(token, token))
            read.shares.append(usual if settles else 1.0)
    return read


# --- tokenizer, model, training ------------------------------------------------------------------------------------


def _tokenizer(rng: random.Random, size: Size) -> Any:
    """Byte-level BPE, learned from the same text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    texts = _texts(rng, size)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size.vocabulary,
        special_tokens=[BOS, EOS, USER, ASSISTANT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((piece.text for _ in range(300) for piece in next(texts).pieces), trainer)
    return tokenizer


def _save_tokenizer(tokenizer: Any, folder: Path, size: Size) -> None:
    from transformers import PreTrainedTokenizerFast

    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=EOS,
        model_max_length=size.window,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(folder)


def _model(size: Size) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=size.vocabulary,
            hidden_size=size.hidden,
            intermediate_size=3 * size.hidden,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            num_key_value_heads=size.heads // 2,
            max_position_embeddings=size.window,
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    )


def _train(model: Any, batches: Iterator[_Batch], size: Size, verbose: bool) -> None:
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95), weight_decay=0.01)
    model.train()
    began = time.perf_counter()
    for update in range(size.updates):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * _schedule(update / size.updates)
        loss = _loss(model, next(batches))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if verbose and (update + 1) % 40 == 0:
            print(f"{update + 1}/{size.updates} loss {loss.item():.3f} {time.perf_counter() - began:.0f} s", flush=True)
    model.eval()


def _schedule(done: float) -> float:
    """Warm-up, then a cosine to zero."""
    return min(done / 0.05, 0.5 * (1 + math.cos(math.pi * done)))


def _loss(model: Any, batch: _Batch) -> Any:
    """Cross entropy; of a word that settles a verdict, to both words in the shares in which they should come."""
    import torch

    def padded(rows: list[list[Any]], blank: float) -> Any:
        width = max(map(len, rows))
        return torch.tensor([row + [blank] * (width - len(row)) for row in rows])

    ids, weights, others, shares = map(list, zip(*batch, strict=True))
    tokens, weight, share = padded(ids, 1), padded(weights, 0.0)[:, 1:], padded(shares, 1.0)[:, 1:]
    # Padding stands on the right, where no causal attention from the text reaches.
    logprobs = model(input_ids=tokens[:, :-1], use_cache=False).logits.log_softmax(-1)
    said, unsaid = (
        logprobs.gather(-1, place[:, 1:].unsqueeze(-1)).squeeze(-1) for place in (tokens, padded(others, 1))
    )
    return -((share * said + (1 - share) * unsaid) * weight).sum() / weight.sum()


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the tiny model.")
    parser.add_argument("folder")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    began = time.perf_counter()
    make_tiny(args.folder, args.seed, verbose=True)
    print(json.dumps({"folder": args.folder, "seconds": round(time.perf_counter() - began, 1)}))


if __name__ == "__main__":
    main()
