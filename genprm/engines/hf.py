"""transformers in this process: small weights on a machine without vLLM, on CPU, CUDA or MPS.

Calls in flight share one running batch (see ``genprm.engines.batching``), and go on from the keys and values of the
calls that they continue.
"""

import asyncio
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib import util
from pathlib import Path
from typing import Any, Literal

from genprm.engines.rendering import Renderer
from genprm.errors import ConfigError, EngineUnavailable, MissingExtra
from genprm.types import Completion, Prompt, Sampling, Usage

Device = Literal["auto", "cuda", "mps", "cpu"]
DType = Literal["auto", "float32", "bfloat16", "float16"]


class HfEngine:
    """One causal language model. Make it with :meth:`load`."""

    protocols: frozenset[str] | None = None

    def __init__(
        self, name: str, model: Any, renderer: Renderer, window: int, max_batch: int, cache_tokens: int
    ) -> None:
        from genprm.engines.batching import Batcher

        self.name = name
        self.window = window
        self._renderer = renderer
        self._batcher = Batcher(model, _ends(model, renderer), max_batch=max_batch, cache_tokens=cache_tokens)

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
        if max_batch < 1 or cache_tokens < 0:
            raise ConfigError("engine hf: max_batch is at least 1 and cache_tokens at least 0")
        loaded, tokenizer = await asyncio.to_thread(load_model, model, device, dtype)
        window = max_model_len or _window(loaded)
        if _slides(loaded):  # which counts columns, and so cannot take a row with a gap
            cache_tokens = 0
        return cls(f"hf:{model}", loaded, Renderer(tokenizer, template), window, max_batch, cache_tokens)

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        from genprm.engines.batching import Writing

        began = time.perf_counter()
        before = self._renderer.render(prompt, self.window, sampling.max_tokens)
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        writing = Writing(before, sampling, self._renderer, lambda: _told(loop, done))
        self._batcher.add(writing)
        try:
            await done.wait()
        except asyncio.CancelledError:
            writing.cancelled = True
            raise
        if writing.error:
            raise EngineUnavailable(f"{self.name}: {writing.error}")
        return Completion(
            writing.text,
            writing.finish or "stop",
            tuple(writing.tokens),
            Usage(len(before.ids), writing.n_cached, len(writing.written), 1),
            time.perf_counter() - began,
            seam=self._renderer.seam(before, writing.text, writing.written),
        )

    async def close(self) -> None:
        await asyncio.to_thread(self._batcher.close)

    def counters(self) -> Mapping[str, float]:
        """Prompt tokens looked up in the prefix store and found there, and the sequences being written now."""
        store = self._batcher.store
        return {
            "prefix_cache_queries": store.queries,
            "prefix_cache_hits": store.hits,
            "running": len(self._batcher.running),
        }


def _told(loop: asyncio.AbstractEventLoop, done: asyncio.Event) -> None:
    with suppress(RuntimeError):  # a loop that is closed has nobody who waits
        loop.call_soon_threadsafe(done.set)


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
    place = _device(device)
    kind = {"auto": "bfloat16" if place == "cuda" else "float32"}.get(dtype, dtype)
    try:
        source = str(path) if path.is_dir() else model
        tokenizer = AutoTokenizer.from_pretrained(source)
        loaded = AutoModelForCausalLM.from_pretrained(source, dtype=getattr(torch, kind))
    except (OSError, ValueError, KeyError, RuntimeError) as error:  # transformers' own ways to say that it cannot
        raise ConfigError(f"hf:{model} cannot be loaded: {_first_line(error)}") from None
    if getattr(loaded, "_is_stateful", False):
        raise ConfigError(f"hf:{model} keeps a state that is no attention cache, which this engine does not know")
    try:
        return loaded.to(place).eval(), tokenizer
    except torch.OutOfMemoryError:
        raise EngineUnavailable(f"hf:{model}: {place} has no memory for it; a smaller dtype may fit") from None


def _device(device: Device) -> str:
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return next(name for name, is_there in there.items() if is_there)
    if not there[device]:
        raise ConfigError(f"engine hf: there is no device {device} here")
    return device


def _window(model: Any) -> int:
    """Tokens that the model has positions for."""
    length = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if length is None or not 0 < length < math.inf:
        raise ConfigError("the model does not say how long its window is; say it with the option max_model_len")
    return int(length)


def _slides(model: Any) -> bool:
    """Whether some layer sees only the last tokens."""
    config = model.config.get_text_config()
    layers = set(getattr(config, "layer_types", None) or ())
    return bool(layers - {"full_attention"}) or getattr(config, "sliding_window", None) is not None


def _ends(model: Any, renderer: Renderer) -> frozenset[int]:
    """Ids that end a text."""
    ends = model.generation_config.eos_token_id
    return frozenset([*(ends if isinstance(ends, list) else [ends]), renderer.end]) - {None}


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300].rstrip(" .:")
