"""Small Llamas on a CPU, without torch: the weights that ship with genprm, and folders like theirs.

====================  ==========================================================================
``nano``              the shipped verifier
``nano:policy``       the shipped policy
``nano:FOLDER``       any plain Llama with a byte-level BPE tokenizer, in the form of Hugging Face
====================  ==========================================================================
"""

import asyncio
import threading
from importlib import resources
from pathlib import Path

from threadpoolctl import threadpool_limits

from genprm.engines.local import LocalEngine
from genprm.engines.nano_config import read_config, read_stops, read_tensors
from genprm.engines.nano_model import Llama
from genprm.engines.nano_tokenizer import NanoTokenizer
from genprm.engines.rendering import Renderer
from genprm.errors import ConfigError

POLICY = "policy"
"""The name of the shipped policy, which has a calculator at hand."""
SHIPPED = {"": "nano", POLICY: "policy"}
"""Models by name, and their folders in ``genprm/weights``."""


class _OneThread:
    """While anybody holds it, matrix products of this process take one thread.

    The matrices here are too small for two: threads wait for one another, a hundred times as long as they compute
    where the processor has other things to do, such as the checks.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders: set[int] = set()
        self._limits: threadpool_limits | None = None

    def hold(self, who: object) -> None:
        with self._lock:
            self._holders.add(id(who))
            if self._limits is None:
                self._limits = threadpool_limits(1, "blas")

    def release(self, who: object) -> None:
        """By one who may have done so before."""
        with self._lock:
            self._holders.discard(id(who))
            if self._limits is not None and not self._holders:
                self._limits.restore_original_limits()
                self._limits = None


_ONE_THREAD = _OneThread()


class NanoEngine(LocalEngine):
    """One small Llama. Make it with :meth:`load`. While one is open, matrix products of the process take one thread."""

    @classmethod
    async def load(
        cls,
        model: str = "",
        *,
        template: str | None = None,
        max_batch: int = 64,
        max_model_len: int | None = None,
        cache_tokens: int = 32768,
    ) -> "NanoEngine":
        """Load ``model``: empty for the shipped verifier, ``policy`` for the shipped policy, else a folder.

        ``max_batch`` sequences are written at once; ``cache_tokens`` are kept for calls that begin alike.

        Raises:
            ConfigError: a file of the folder is missing, torn or of a kind that is not computed here, and which; or
                an option does not fit.
        """
        name = f"nano:{model}" if model else "nano"
        folder = _folder(name, model)
        backend, tokenizer, stops, window = await asyncio.to_thread(_loaded, folder, max_model_len)
        renderer = Renderer(tokenizer, template)
        engine = cls(name, backend, renderer, stops, window=window, max_batch=max_batch, cache_tokens=cache_tokens)
        _ONE_THREAD.hold(engine)
        return engine

    async def close(self) -> None:
        try:
            await super().close()
        finally:
            _ONE_THREAD.release(self)


def shipped(model: str) -> Path:
    """The folder of shipped weights."""
    return Path(str(resources.files("genprm"))) / "weights" / model


def _folder(name: str, model: str) -> Path:
    if model in SHIPPED:
        folder = shipped(SHIPPED[model])
        if model and Path(model).is_dir():
            raise ConfigError(
                f"{name} is the shipped {model}, and there is a folder {model} here, too; that one is nano:./{model}"
            )
    else:
        folder = Path(model).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"{name}: there is no folder {folder}")
    return folder


def _loaded(folder: Path, max_model_len: int | None) -> tuple[Llama, NanoTokenizer, int | list[int] | None, int]:
    config = read_config(folder)
    window = max_model_len or config.max_position_embeddings
    tokenizer = NanoTokenizer(folder)
    return Llama(config, read_tensors(folder, config), window), tokenizer, read_stops(folder, config), window
