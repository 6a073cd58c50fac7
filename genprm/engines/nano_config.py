"""Configuration and weights of a plain Llama, from a folder in the usual form, without transformers."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from genprm.errors import ConfigError

_Count = Annotated[int, msgspec.Meta(gt=0)]


class _Rope(msgspec.Struct, frozen=True):
    rope_theta: float = 10000.0
    rope_type: Literal["default"] = "default"


class _Generation(msgspec.Struct, frozen=True):
    eos_token_id: int | list[int] | None = None


class LlamaConfig(msgspec.Struct, frozen=True):
    """Fields of ``config.json``, by their names there; what this runtime does not compute is refused."""

    model_type: Literal["llama"]
    vocab_size: _Count
    hidden_size: _Count
    intermediate_size: _Count
    num_hidden_layers: _Count
    num_attention_heads: _Count
    num_key_value_heads: _Count
    head_dim: _Count = 0
    max_position_embeddings: _Count = 2048
    rms_norm_eps: float = 1e-6
    rope_parameters: _Rope | None = None
    rope_theta: float = 10000.0
    rope_scaling: None = None
    hidden_act: Literal["silu"] = "silu"
    attention_bias: bool = False
    mlp_bias: bool = False
    tie_word_embeddings: bool = False
    eos_token_id: int | list[int] | None = None

    def __post_init__(self) -> None:
        if not self.head_dim:
            msgspec.structs.force_setattr(self, "head_dim", self.hidden_size // self.num_attention_heads)
        if self.rope_parameters:
            msgspec.structs.force_setattr(self, "rope_theta", self.rope_parameters.rope_theta)
        if self.num_attention_heads % self.num_key_value_heads or self.head_dim % 2:
            raise ValueError("heads are no multiple of the key-value heads, or of an odd size")
        if self.attention_bias or self.mlp_bias:
            raise ValueError("it has biases")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of all tensors, each [out, in], by their names in the weights' file."""
        hidden, inner = self.hidden_size, self.intermediate_size
        heads, kv = self.num_attention_heads * self.head_dim, self.num_key_value_heads * self.head_dim
        layer: dict[str, tuple[int, ...]] = {
            "input_layernorm": (hidden,),
            "self_attn.q_proj": (heads, hidden),
            "self_attn.k_proj": (kv, hidden),
            "self_attn.v_proj": (kv, hidden),
            "self_attn.o_proj": (hidden, heads),
            "post_attention_layernorm": (hidden,),
            "mlp.gate_proj": (inner, hidden),
            "mlp.up_proj": (inner, hidden),
            "mlp.down_proj": (hidden, inner),
        }
        shapes = {"model.embed_tokens.weight": (self.vocab_size, hidden), "model.norm.weight": (hidden,)}
        if not self.tie_word_embeddings:
            shapes["lm_head.weight"] = (self.vocab_size, hidden)
        for at in range(self.num_hidden_layers):
            shapes |= {f"model.layers.{at}.{name}.weight": shape for name, shape in layer.items()}
        return shapes


def read_config(folder: Path) -> LlamaConfig:
    """Raises ConfigError where the file is missing, torn or of a model that this runtime is not for."""
    path = folder / "config.json"
    try:
        return msgspec.json.decode(read_bytes(path), type=LlamaConfig)
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path}: this is no configuration of a plain Llama: {error}") from None


def read_stops(folder: Path, config: LlamaConfig) -> int | list[int] | None:
    """Ids that end a text: of ``generation_config.json`` where there is one, else of ``config.json``."""
    path = folder / "generation_config.json"
    if not path.exists():
        return config.eos_token_id
    try:
        return msgspec.json.decode(read_bytes(path), type=_Generation).eos_token_id
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path}: {error}") from None


def read_tensors(folder: Path, config: LlamaConfig) -> dict[str, NDArray[np.float32]]:
    """The weights, as float32 whatever they are in the file.

    Raises:
        ConfigError: the file is missing or torn, or its tensors are not those of the configuration.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = folder / "model.safetensors"
    try:
        stored = load(read_bytes(path))
    except (SafetensorError, KeyError) as error:  # the latter: a kind of number that numpy has not
        raise ConfigError(f"{path}: this is no file of weights in float16 or float32: {error}") from None
    for name, shape in config.shapes().items():
        if name not in stored:
            raise ConfigError(f"{path}: there is no tensor {name}")
        if stored[name].dtype.kind != "f":
            raise ConfigError(f"{path}: tensor {name} is of {stored[name].dtype}")
        if stored[name].shape != shape:
            raise ConfigError(f"{path}: tensor {name} has shape {stored[name].shape}, config.json says {shape}")
    return {name: stored[name].astype(np.float32) for name in config.shapes()}


def read_bytes(path: Path) -> bytes:
    """Raises ConfigError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
