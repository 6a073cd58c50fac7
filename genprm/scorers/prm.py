"""Published discriminative reward models in the Hugging Face format, without the code that they bring.

Their own modelling code is not run: two kinds of heads stand here with the names that the published weights have.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForTokenClassification,
    AutoTokenizer,
    Qwen2Config,
    Qwen2Model,
    Qwen2PreTrainedModel,
)

from genprm.engines.hf import Device, DType, device_for, dtype_for, window_of
from genprm.errors import ConfigError
from genprm.scorers import layouts
from genprm.scorers.base import Scores
from genprm.scorers.loading import load_quietly, whole
from genprm.scorers.reading import ModelScorer, Parts, is_causal

Layout = Literal["qwen", "skywork", "tokens", "shepherd", "turns"]
_BY_NAME: dict[str, Layout] = {
    "shepherd": "shepherd",
    "rlhflow": "turns",
    "mistral-data": "turns",
    "deepseek-data": "turns",
}


class QwenRewardModel(Qwen2PreTrainedModel):  # type: ignore[misc]
    """``Qwen2ForProcessRewardModel``: two layers over the hidden states, a logit each for wrong and right."""

    def __init__(self, config: Qwen2Config) -> None:
        super().__init__(config)
        self.model = Qwen2Model(config)
        size = config.hidden_size
        self.score = nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, getattr(config, "num_labels", 2)))
        self.post_init()


class _ValueHead(nn.Module):  # type: ignore[misc]
    def __init__(self, size: int) -> None:
        super().__init__()
        self.summary = nn.Linear(size, 1)


class SkyworkRewardModel(Qwen2PreTrainedModel):  # type: ignore[misc]
    """``Qwen2ForPrmModel``: one value for each token."""

    def __init__(self, config: Qwen2Config) -> None:
        super().__init__(config)
        self.model = Qwen2Model(config)
        self.v_head = _ValueHead(config.hidden_size)
        self.post_init()


def load(
    model: str,
    *,
    layout: Layout | None = None,
    device: Device = "auto",
    dtype: DType = "auto",
    separator: str = "\n",
    max_tokens: int = 16384,
    max_length: int | None = None,
) -> ModelScorer:
    """A scorer of ``model``, a folder or a name on the hub.

    ``layout`` is one of ``genprm.scorers.layouts``, by default by the architecture and the name. ``separator`` is that
    of layout ``tokens``; ``max_tokens`` are read at once, ``max_length`` of a solution (default: the model's window).

    Raises:
        ConfigError: the model cannot be loaded, lacks weights of its layout, or has a layout that is not known.
    """
    source = whole(model, "prm")
    config = load_quietly(model, lambda: AutoConfig.from_pretrained(source))
    chosen = layout or layout_of(model, config)
    place = device_for(device)
    tokenizer = load_quietly(model, lambda: AutoTokenizer.from_pretrained(source))
    net = load_quietly(model, lambda: _loaded(chosen, source, dtype_for(dtype, place)))
    net = net.to(place).eval()
    parts = _parts(chosen, net, tokenizer, separator.replace("\\n", "\n"), place, max_length or window_of(net))
    return ModelScorer(f"prm:{model}", parts, max_tokens=max_tokens)


def layout_of(model: str, config: Any) -> Layout:
    """By the architecture that the config names, then by the model's name. Raises ConfigError."""
    architecture = (getattr(config, "architectures", None) or [""])[0]
    if architecture == "Qwen2ForProcessRewardModel":
        return "qwen"
    if architecture == "Qwen2ForPrmModel":
        return "skywork"
    if architecture.endswith("ForTokenClassification"):
        return "tokens"
    for part, layout in _BY_NAME.items():
        if part in model.lower():
            return layout
    raise ConfigError(
        f"prm:{model}: the layout of {architecture or 'this model'} is not known; say it with the option layout: "
        + ", ".join(get_args(Layout))
    )


def _loaded(layout: Layout, source: str, dtype: torch.dtype) -> Any:
    """With all its weights. Raises ConfigError where some are missing: transformers would make them up."""
    kinds: dict[Layout, Any] = {"qwen": QwenRewardModel, "skywork": SkyworkRewardModel}
    kinds |= {"tokens": AutoModelForTokenClassification}
    renamed = {"key_mapping": {r"^pretrained_model\.": ""}} if layout == "skywork" else {}
    made = kinds.get(layout, AutoModelForCausalLM)
    net, found = made.from_pretrained(source, dtype=dtype, output_loading_info=True, **renamed)
    if missing := sorted(found["missing_keys"]):
        raise ConfigError(f"prm:{source} has no weights {', '.join(missing[:3])}, which the layout {layout} needs")
    return net


def _parts(layout: Layout, net: Any, tokenizer: Any, separator: str, device: str, window: int | None) -> Parts:
    def body(ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        out = states(input_ids=ids, attention_mask=mask)
        return out.logits if layout == "tokens" else out.last_hidden_state

    states = net if layout == "tokens" else net.base_model
    encode = {"qwen": layouts.qwen, "skywork": layouts.skywork, "shepherd": layouts.shepherd, "turns": layouts.turns}
    written = layouts.tokens(tokenizer, separator) if layout == "tokens" else encode[layout](tokenizer)
    pad = tokenizer.pad_token_id
    return Parts(
        written,
        body,
        _head(layout, net, tokenizer),
        _to_scores,
        device,
        is_causal(net),
        window,
        0 if pad is None else pad,
    )


def _head(layout: Layout, net: Any, tokenizer: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """States to P(right), ``[places, 1]``."""
    match layout:
        case "qwen":
            return lambda states: net.score(states).float().softmax(-1)[:, 1:2]
        case "skywork":
            return lambda states: net.v_head.summary(states).float().sigmoid()
        case "tokens":
            return lambda logits: logits.float().softmax(-1)[:, 1:2]
        case _:
            pair = torch.tensor([layouts.last_id(tokenizer, word) for word in (layouts.GOOD, layouts.BAD)])
            words = net.get_output_embeddings().weight[pair.to(net.device)]
            return lambda states: (states @ words.T).float().softmax(-1)[:, :1]


def _to_scores(values: Sequence[Sequence[float]]) -> Scores:
    return Scores(tuple(value for (value,) in values))
