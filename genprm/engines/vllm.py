"""vLLM in this process: continuous batching over all calls in flight, prefix cache on, token ids in.

vLLM starts processes of its own, and Python starts them by importing the main module again: a script that opens this
engine does so under ``if __name__ == "__main__":``.

What vLLM prints is kept away from the terminal; with ``GENPRM_VLLM_LOG=1`` in the environment all of it is shown.
While an engine starts or closes, whatever this process writes to its standard output and error goes the same way.
"""

import asyncio
import gc
import itertools
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from importlib import util
from typing import IO, Any

from genprm.engines.hf_tokenizer import HfTokenizer
from genprm.engines.rendering import Rendered, Renderer
from genprm.engines.vllm_options import Adapter, adapter_in, read_options
from genprm.errors import ConfigError, EngineLost, EngineRefused, EngineUnavailable, MissingExtra
from genprm.types import Completion, Prompt, Sampling, Token, Usage

LOG = "GENPRM_VLLM_LOG"
_ENVIRONMENT = {
    "VLLM_LOGGING_LEVEL": "CRITICAL",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    "VLLM_WORKER_SHUTDOWN_TIMEOUT_SECONDS": "1",  # on CPU workers wait for a signal that comes only after this time
}
_DEFAULTS = {"enable_prefix_caching": "true", "use_tqdm_on_load": "false"}
# A prefill in parts breaks seeded sampling on CPU (generators there know no offset), so prompts are read whole. The
# prefix cache works in blocks, and 32 tokens are the smallest that the attention kernel takes. Its 2 GiB are said here,
# for otherwise nearly all memory of the machine must be free.
_CPU_DEFAULTS = {
    "enforce_eager": "true",
    "enable_chunked_prefill": "false",
    "block_size": "32",
    "kv_cache_memory_bytes": str(2 << 30),
}
_REDIRECTING = threading.Lock()
"""The standard streams are all the process's: engines start and close one at a time."""
_CAUSE = re.compile(r"^(?:\(.*?\) )?(?:\w+\.)*\w+(?:Error|Exception): (.+)$", re.MULTILINE)


class VllmEngine:
    """One model in vLLM. Make it with :meth:`start`."""

    protocols: frozenset[str] | None = None

    def __init__(self, name: str, running: "_Running", renderer: Renderer, adapter: "Adapter | None" = None) -> None:
        self.name = name
        self.window: int = running.core.model_config.max_model_len
        self._running = running
        self._renderer = renderer
        self._lora = adapter.request() if adapter else None
        self._most_logprobs: int = running.core.model_config.max_logprobs
        self._numbers = itertools.count()
        self._in_flight: set[str] = set()
        self._closed = False

    @classmethod
    async def start(
        cls, model: str, *, template: str | None = None, options: Mapping[str, str] | None = None
    ) -> "VllmEngine":
        """Load ``model``, a folder or a name on the hub. ``options`` are fields of vLLM's ``AsyncEngineArgs``.

        A folder with an adapter of peft brings its base model along.

        Raises:
            MissingExtra: vLLM is not installed.
            ConfigError: an option, the model or its chat template does not fit.
            EngineUnavailable: vLLM does not start, and why.
        """
        if util.find_spec("vllm") is None:
            raise MissingExtra("vllm", "vllm", f"engine vllm:{model}")
        # In a thread, so that the loop lives on; not left alone when cancelled, for it has started processes.
        starting = asyncio.ensure_future(asyncio.to_thread(_started, model, dict(options or {})))
        try:
            running = await asyncio.shield(starting)
        except asyncio.CancelledError:
            await asyncio.wait([starting])
            if not starting.exception():
                await asyncio.to_thread(starting.result().shut_down)
            raise
        try:
            renderer = Renderer(HfTokenizer(running.core.get_tokenizer()), template)
            return cls(f"vllm:{model}", running, renderer, adapter_in(model))
        except BaseException:
            await asyncio.to_thread(running.shut_down)
            raise

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        began = time.perf_counter()
        before = self._renderer.render(prompt, self.window, sampling.max_tokens)
        reply = await self._generated(before.ids, self._params(sampling))
        (written,) = reply.outputs
        return Completion(
            written.text,
            "length" if written.finish_reason == "length" else "stop",
            () if written.logprobs is None else self._tokens(before, written),
            Usage(len(before.ids), reply.num_cached_tokens or 0, len(written.token_ids), 1),
            time.perf_counter() - began,
            seam=self._renderer.seam(before, written.text, written.token_ids),
        )

    async def close(self) -> None:
        """Ends what is in flight, which vLLM would leave waiting for ever."""
        self._closed = True
        while self._in_flight and self._running.core is not None:
            await self._running.core.abort(list(self._in_flight))
            await asyncio.sleep(0.01)  # one that vLLM does not know yet is found the next time
        await asyncio.to_thread(self._running.shut_down)

    def counters(self) -> Mapping[str, float]:
        """As vLLM itself counts, since the start: tokens looked up in the prefix cache and found there, and the
        requests that ran and waited at its last step."""
        return {
            "prefix_cache_queries": self._running.queries,
            "prefix_cache_hits": self._running.hits,
            "running": self._running.n_running,
            "waiting": self._running.n_waiting,
        }

    async def _generated(self, ids: Sequence[int], params: Any) -> Any:
        from vllm import exceptions
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        refusals = (ValueError, getattr(exceptions, "VLLMClientError", ValueError))  # the latter in newer versions
        if self._closed:
            raise EngineUnavailable(f"{self.name} is closed")
        request = f"genprm-{next(self._numbers)}"
        stream = self._running.core.generate({"prompt_token_ids": list(ids)}, params, request, lora_request=self._lora)
        self._in_flight.add(request)
        try:
            async with aclosing(stream):
                replies = [reply async for reply in stream]
        except EngineDeadError:
            raise EngineLost(f"{self.name}: vLLM has died; {_more()}") from None
        except EngineGenerateError as error:
            raise EngineUnavailable(f"{self.name}: vLLM failed: {_said(error.__cause__ or error)}") from None
        except refusals as error:
            raise EngineRefused(f"{self.name}: vLLM refuses the request: {_said(error)}") from None
        finally:
            self._in_flight.remove(request)
        if not replies or replies[-1].outputs[0].finish_reason not in ("stop", "length"):
            raise EngineUnavailable(f"{self.name}: vLLM gave the request up")
        return replies[-1]

    def _params(self, sampling: Sampling) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        schema = sampling.schema
        most = self._most_logprobs  # negative: no limit
        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            repetition_penalty=sampling.repetition_penalty,
            max_tokens=sampling.max_tokens,
            stop=list(sampling.stop),
            include_stop_str_in_output=True,
            logprobs=(sampling.logprobs if most < 0 else min(sampling.logprobs, most)) or None,
            seed=sampling.seed,
            structured_outputs=None if schema is None else StructuredOutputsParams(json=dict(schema)),
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def _tokens(self, before: Rendered, written: Any) -> tuple[Token, ...]:
        pieces = self._renderer.pieces(before.ids, written.token_ids)
        return tuple(
            Token(piece, options[token].logprob, _top(options.values()))
            for piece, token, options in zip(pieces, written.token_ids, written.logprobs, strict=True)
        )


class _Running:
    """vLLM's engine, and what it counts: this has the methods of its stat loggers, and need not be one of its classes.

    It alone holds the engine, which must be gone before the interpreter is.
    """

    def __init__(self) -> None:
        self.core: Any = None
        self.queries = self.hits = self.n_running = self.n_waiting = 0

    def record(self, scheduler_stats: Any, *_: Any, **__: Any) -> None:
        if scheduler_stats is not None:
            self.queries += scheduler_stats.prefix_cache_stats.queries
            self.hits += scheduler_stats.prefix_cache_stats.hits
            self.n_running = scheduler_stats.num_running_reqs
            self.n_waiting = scheduler_stats.num_waiting_reqs

    def log(self) -> None: ...

    def log_engine_initialized(self) -> None: ...

    def record_sleep_state(self, *_: Any, **__: Any) -> None: ...

    def shut_down(self) -> None:
        with _quiet():
            if self.core is not None:
                self.core.shutdown()
            self.core = None
        gc.collect()  # its objects stand in cycles


def _started(model: str, options: dict[str, str]) -> _Running:
    """Takes seconds, and must be called in the environment that vLLM's processes are to have."""
    if not os.environ.get(LOG):
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
    running = _Running()
    with _quiet() as log:
        config = _config(model, options)
        from vllm.v1.engine.async_llm import AsyncLLM

        try:
            running.core = AsyncLLM.from_vllm_config(
                config, stat_loggers=[lambda *_: running], disable_log_stats=True, enable_log_requests=False
            )
        except Exception as error:  # of any kind, also of libraries below vLLM
            raise EngineUnavailable(f"vLLM does not start with {model}: {_cause(log, error)}; {_more()}") from None
    return running


def _config(model: str, options: dict[str, str]) -> Any:
    try:
        from vllm import AsyncEngineArgs
        from vllm.platforms import current_platform
    except ImportError as error:
        raise ConfigError(f"the installed vLLM cannot be imported: {_said(error)}") from None
    defaults = _DEFAULTS | (_CPU_DEFAULTS if current_platform.is_cpu() else {})
    adapter = adapter_in(model)
    parsed = read_options(options, defaults | (adapter.options if adapter else {}))
    parsed.model = adapter.base if adapter else model
    try:
        return AsyncEngineArgs.from_cli_args(parsed).create_engine_config()
    except Exception as error:  # whatever the model's files and vLLM's own checks raise
        raise ConfigError(f"vLLM does not take model {model} with these options: {_said(error)}") from None


@contextmanager
def _quiet() -> Iterator[IO[bytes] | None]:
    """Standard output and error of this process, and for good those of the processes started here, go to a file."""
    if os.environ.get(LOG):
        yield None
        return
    with _REDIRECTING, tempfile.TemporaryFile() as log:
        sys.stdout.flush()
        sys.stderr.flush()
        kept = [(fd, os.dup(fd)) for fd in (1, 2)]
        for fd, _ in kept:
            os.dup2(log.fileno(), fd)
        try:
            yield log
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for fd, old in kept:
                os.dup2(old, fd)
                os.close(old)


def _cause(log: IO[bytes] | None, error: BaseException) -> str:
    """The first error that the started processes have written, for vLLM itself only says that there was one."""
    if log is not None:
        log.seek(0)
        if found := _CAUSE.search(log.read().decode("utf-8", "replace")):
            return _one_line(found[1])
    return _said(error)


def _said(error: BaseException) -> str:
    return _one_line(str(error) or type(error).__name__)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300].rstrip(" .")


def _more() -> str:
    return f"{LOG}=1 shows its log"


def _top(options: Any) -> dict[str, float]:
    """By text. Several ids may read alike: the likeliest counts."""
    top: dict[str, float] = {}
    for option in options:
        top[option.decoded_token] = max(option.logprob, top.get(option.decoded_token, option.logprob))
    return top
