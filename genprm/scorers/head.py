"""Heads over a transformer's states: what ``genprm train head`` writes, and how it is read.

A folder holds the body in the Hugging Face format (or an adapter for one), its tokenizer, and beside them
``heads.json`` and ``heads.safetensors``. A solution is written as the problem (a turn of the user, where the tokenizer
has a chat template) and its steps, each with a separator behind it and in tokens of its own, so that a prefix has the
tokens of the whole. Steps are read at the end of their separator, the outcome at the last token.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModel, AutoTokenizer

from genprm.engines.hf import Device, DType, device_for, dtype_for, window_of
from genprm.engines.hf_tokenizer import HfTokenizer
from genprm.engines.rendering import Renderer
from genprm.errors import ConfigError, EngineRefused
from genprm.scorers.base import Scores
from genprm.scorers.loading import load_quietly, whole
from genprm.scorers.reading import ModelScorer, Parts, Reading, ToScores, Unreadable, is_causal
from genprm.types import Message, Prompt, Solution

Kind = Literal["outcome", "process", "progress", "confidence"]
"""A column of the head.

- ``outcome``: P(the final answer is right), of the whole.
- ``process``: Q, the probability that the policy ends right from after the step.
- ``progress``: A, the advantage of the step under the prover, in [-1, 1].
- ``confidence``: P(``progress`` is off by at most ``TOLERANCE``).
"""
KINDS: tuple[Kind, ...] = get_args(Kind)
TOLERANCE = 0.2
HEADS_JSON, HEADS_WEIGHTS = "heads.json", "heads.safetensors"


@dataclass(frozen=True, slots=True)
class Heads:
    """The content of ``heads.json``."""

    kinds: tuple[Kind, ...]
    """The columns, in their order."""
    chat: bool
    """The problem is a turn of the user, the steps one of the assistant."""
    separator: str = "\n\n"
    policy: str = ""
    """Under which ``process`` was estimated, as the rows say."""
    prover: str = ""
    """Under which ``progress`` was."""
    tolerance: float = TOLERANCE


class HeadModel(nn.Module):  # type: ignore[misc]
    """A body, and one linear layer with a column for each kind."""

    def __init__(self, body: Any, columns: int) -> None:
        super().__init__()
        self.body = body
        self.causal = is_causal(body)
        self.score = nn.Linear(body.config.get_text_config().hidden_size, columns)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def states(self, ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """``[rows, length]`` to ``[rows, length, size]``. Rows are padded on the right."""
        more = {"use_cache": False} if self.causal else {}
        states: torch.Tensor = self.body(input_ids=ids, attention_mask=mask, **more).last_hidden_state
        return states

    def forward(
        self, input_ids: torch.Tensor, rows: torch.Tensor, places: torch.Tensor, attention_mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Logits ``[places, columns]``, in float32."""
        found: torch.Tensor = self.score(
            self.states(input_ids, attention_mask)[rows, places].to(self.score.weight.dtype)
        )
        return found.float()

    def get_input_embeddings(self) -> Any:
        return self.body.get_input_embeddings()

    def get_output_embeddings(self) -> nn.Linear:
        """What the optimizer treats as such."""
        return self.score

    def gradient_checkpointing_enable(self, **kw: Any) -> None:
        self.body.gradient_checkpointing_enable(**kw)


def probabilities(logits: torch.Tensor, kinds: Sequence[Kind]) -> torch.Tensor:
    """What the columns mean: a probability each, and an advantage in [-1, 1] for ``progress``."""
    progress = torch.tensor([kind == "progress" for kind in kinds], device=logits.device)
    return torch.where(progress, logits.tanh(), logits.sigmoid())


class Writer:
    """Solutions as tokens, the same for training and for scoring. Control tokens that a text merely spells are letters.

    Raises:
        ConfigError: a chat template that does not take a plain conversation, or a tokenizer that is not a fast one.
    """

    def __init__(self, tokenizer: Any, heads: Heads) -> None:
        self._letters = HfTokenizer(tokenizer)
        self._renderer = Renderer(self._letters) if heads.chat else None
        begin = tokenizer.cls_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
        self._begin = [] if begin is None else [begin]
        self._separator = list(self._letters.letters(heads.separator))

    def encode(self, solution: Solution) -> Reading:
        """Places of all steps, and that of the whole. Raises Unreadable where the chat template refuses the problem."""
        ids, places = self._problem(solution.problem.text), []
        for step in solution.steps:
            ids += [*self._letters.letters(step), *self._separator]
            places.append(max(len(ids) - 1, 0))
        return Reading(ids, [*places, max(len(ids) - 1, 0)])

    def _problem(self, text: str) -> list[int]:
        if self._renderer is None:
            return [*self._begin, *self._letters.letters(text), *self._separator]
        try:
            return list(self._renderer.render(Prompt((Message("user", text),)), sys.maxsize, 0).ids)
        except EngineRefused as error:
            raise Unreadable(str(error)) from None


def load(
    folder: str,
    *,
    device: Device = "auto",
    dtype: DType = "auto",
    max_tokens: int = 16384,
    max_length: int | None = None,
) -> ModelScorer:
    """A scorer of the heads in ``folder``. ``max_tokens`` are read at once, ``max_length`` of a solution (default: the
    model's window).

    Raises:
        ConfigError: it holds no heads, or the body cannot be loaded.
    """
    source = Path(whole(folder, "head"))
    heads = read_heads(source)
    place = device_for(device)
    body, tokenizer = load_body(str(source), dtype_for(dtype, place))
    model = HeadModel(body, len(heads.kinds))
    model.score.load_state_dict(load_file(source / HEADS_WEIGHTS))
    model = model.to(place).eval()

    def read(states: torch.Tensor) -> torch.Tensor:
        return probabilities(model.score(states.to(model.score.weight.dtype)).float(), heads.kinds)

    window, pad = max_length or window_of(body), tokenizer.pad_token_id
    parts = Parts(
        Writer(tokenizer, heads).encode,
        model.states,
        read,
        _to_scores(heads.kinds),
        place,
        model.causal,
        window,
        0 if pad is None else pad,
    )
    return ModelScorer(f"head:{folder}", parts, max_tokens=max_tokens)


def read_heads(folder: Path) -> Heads:
    """Raises ConfigError where there are none."""
    try:
        return msgspec.json.decode((folder / HEADS_JSON).read_bytes(), type=Heads)
    except OSError:
        raise ConfigError(f"head:{folder}: there is no {HEADS_JSON}; genprm train head writes one") from None
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{folder / HEADS_JSON}: {error}") from None


def load_body(source: str, dtype: torch.dtype) -> tuple[Any, Any]:
    """A transformer without its language head, and its tokenizer. Raises ConfigError."""
    tokenizer = load_quietly(source, lambda: AutoTokenizer.from_pretrained(source))
    body = load_quietly(source, lambda: AutoModel.from_pretrained(source, dtype=dtype))
    if body.config.is_encoder_decoder:
        raise ConfigError(f"{source} has an encoder and a decoder; heads need one of them alone")
    return body, tokenizer


def _to_scores(kinds: Sequence[Kind]) -> ToScores:
    def scores(values: Sequence[Sequence[float]]) -> Scores:
        columns = dict(zip(kinds, zip(*values, strict=True), strict=True))
        return Scores(
            columns["process"][:-1] if "process" in columns else (None,) * (len(values) - 1),
            columns["outcome"][-1] if "outcome" in columns else None,
            columns.get("progress", ())[:-1],
            confidences=columns.get("confidence", ())[:-1],
        )

    return scores
