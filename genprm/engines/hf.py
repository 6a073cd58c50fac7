"""transformers in this process: small weights on a machine without vLLM, on CPU, CUDA or MPS."""

import asyncio
import math
from importlib import util
from pathlib import Path
from typing import Any, Literal

from genprm.engines.local import LocalEngine
from genprm.engines.rendering import Renderer
from genprm.errors import ConfigError, EngineUnavailable, MissingExtra

Device = Literal["auto", "cuda", "mps", "cpu"]
DType = Literal["auto", "float32", "bfloat16", "float16"]


class HfEngine(LocalEngine):
    """One causal language model. Make it with :meth:`load`."""

    @classmethod
    async def load(
        cls,
        model: str,
        *,
        template: str | None = None,
        device: Device = "auto",
        dtype: DType = "auto",
        max_batch: int = 64,
        max_model_len: int | None = None,
        cache_tokens: int = 65536,
    ) -> "HfEngine":
        """Load ``model``, a folder or a name on the hub.

        ``auto`` is the first device that there is of CUDA, MPS and CPU, and bfloat16 on CUDA, else float32.
        ``max_batch`` sequences are written at once; ``cache_tokens`` are kept for calls that begin alike.

        Raises:
            MissingExtra: torch or transformers is not installed.
            ConfigError: the model, its chat template or an option does not fit.
            EngineUnavailable: the device has no memory for it.
        """
        for package in ("torch", "transformers"):
            if util.find_spec(package) is None:
                raise MissingExtra(package, "hf", f"engine hf:{model}")
        from genprm.engines.hf_batch import HfBackend
        from genprm.engines.hf_tokenizer import HfTokenizer

        loaded, tokenizer = await asyncio.to_thread(load_model, model, device, dtype)
        window = max_model_len or window_of(loaded)
        if window is None:
            raise ConfigError("the model does not say how long its window is; say it with the option max_model_len")
        if _slides(loaded):  # which counts columns, and so cannot take a row with a gap
            cache_tokens = 0
        return cls(
            f"hf:{model}",
            HfBackend(loaded),
            Renderer(HfTokenizer(tokenizer), template),
            loaded.generation_config.eos_token_id,
            window=window,
            max_batch=max_batch,
            cache_tokens=cache_tokens,
        )


def load_model(model: str, device: Device = "auto", dtype: DType = "auto") -> tuple[Any, Any]:
    """The model, on its device, and its tokenizer. A folder with an adapter of peft brings its base model along.

    Raises:
        MissingExtra: an adapter without peft.
        ConfigError: they cannot be loaded.
        EngineUnavailable: the device has no memory for them.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    path = Path(model).expanduser()
    if not path.is_dir() and (path.is_absolute() or model.startswith((".", "~"))):
        raise ConfigError(f"hf:{model}: there is no such folder")
    if (path / "adapter_config.json").exists() and util.find_spec("peft") is None:
        raise MissingExtra("peft", "train", f"the adapter {model}")
    logging.disable_progress_bar()
    place = device_for(device)
    try:
        source = str(path) if path.is_dir() else model
        tokenizer = AutoTokenizer.from_pretrained(source)
        loaded = AutoModelForCausalLM.from_pretrained(source, dtype=dtype_for(dtype, place))
    except (OSError, ValueError, KeyError, RuntimeError) as error:  # transformers' own ways to say that it cannot
        raise ConfigError(f"hf:{model} cannot be loaded: {_first_line(error)}") from None
    if getattr(loaded, "_is_stateful", False):
        raise ConfigError(f"hf:{model} keeps a state that is no attention cache, which this engine does not know")
    try:
        return loaded.to(place).eval(), tokenizer
    except torch.OutOfMemoryError:
        raise EngineUnavailable(f"hf:{model}: {place} has no memory for it; a smaller dtype may fit") from None


def device_for(device: Device) -> str:
    """The device that is meant. Raises ConfigError where it is not there."""
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return next(name for name, is_there in there.items() if is_there)
    if not there[device]:
        raise ConfigError(f"engine hf: there is no device {device} here")
    return device


def dtype_for(dtype: DType, device: str) -> Any:
    """That of torch which is meant."""
    import torch

    return getattr(torch, {"auto": "bfloat16" if device == "cuda" else "float32"}.get(dtype, dtype))


def window_of(model: Any) -> int | None:
    """Tokens that the model has positions for; None where it does not say."""
    length = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return None if length is None or not 0 < length < math.inf else int(length)


def _slides(model: Any) -> bool:
    """Whether some layer sees only the last tokens."""
    config = model.config.get_text_config()
    layers = set(getattr(config, "layer_types", None) or ())
    return bool(layers - {"full_attention"}) or getattr(config, "sliding_window", None) is not None


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300].rstrip(" .:")
