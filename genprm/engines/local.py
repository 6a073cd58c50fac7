"""What engines that compute in this process have in common.

Calls in flight share one running batch (see ``genprm.engines.batching``), and go on from the keys and values of the
calls that they continue.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress

from genprm.engines.backend import Backend
from genprm.engines.batching import Batcher, Writing
from genprm.engines.rendering import Renderer
from genprm.errors import ConfigError, EngineUnavailable
from genprm.types import Completion, Prompt, Sampling, Usage


class LocalEngine:
    """A backend, the batcher that keeps it busy, and the way to it. ``stops`` are ids that end a text beside the
    tokenizer's own."""

    protocols: frozenset[str] | None = None

    def __init__(
        self,
        name: str,
        backend: Backend,
        renderer: Renderer,
        stops: int | list[int] | None,
        *,
        window: int,
        max_batch: int,
        cache_tokens: int,
    ) -> None:
        if window < 1 or max_batch < 1 or cache_tokens < 0:
            raise ConfigError(f"{name}: max_batch and max_model_len are at least 1 and cache_tokens at least 0")
        self.name = name
        self.window = window
        self._renderer = renderer
        ends = frozenset([*(stops if isinstance(stops, list) else [stops]), renderer.end]) - {None}
        self._batcher = Batcher(backend, ends, max_batch=max_batch, cache_tokens=cache_tokens)

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
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
