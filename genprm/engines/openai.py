"""Any server that speaks the OpenAI API: vLLM, SGLang, llama.cpp, TGI, hosted ones.

A prompt with an opening goes to ``/completions`` as raw text (the opening must be continued, which chat endpoints
do not promise); a prompt without one goes to ``/chat/completions``, where the server's own template applies.

What may pass is waited for: refused and broken connections, hangs, status 408, 409, 425, 429 and 5xx, answers that are
no answer. How long, and who asks in the meantime, is the business of :mod:`genprm.engines.outages`.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx

from genprm.engines.connections import KEYS, Connections, most_connections
from genprm.engines.dialect import Dialect
from genprm.engines.outages import Health, Trouble, back_off
from genprm.engines.replies import NotTheAPI, decoded, error_text, is_cut, is_too_long, read_completion
from genprm.engines.templates import Template, template_for
from genprm.errors import ConfigError, EngineLost, EngineRefused, EngineUnavailable, PromptTooLong
from genprm.records import to_json
from genprm.types import Completion, Message, Prompt, Sampling

T = TypeVar("T")

TRIES = 5
"""Of one call that fails while the server answers others."""
BUSY_TRIES = 50
"""Of one call in all, most of them refused for being one too many."""
OUTAGES = 20
"""Of one call that fails each time because the server goes away: it may be what takes it down."""
HANG_S = 120.0
"""A call that takes this long, and five times as long as any other has, hangs."""
_PROBE_S = 30.0
_BUSY = {429, 503, 529}
_PASSING = {408, 409, 425, 500, 502, 504} | _BUSY


def to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class OpenAIEngine:
    """A client for one model on one server, in one event loop. Make it with :meth:`connect`."""

    protocols: frozenset[str] | None = None

    def __init__(
        self,
        url: str,
        model: str,
        *,
        template: str | None = None,
        timeout_s: float = 600.0,
        patience_s: float = 300.0,
        connections: int = 1024,
        api_key: str | None = None,
        on_trouble: Callable[[str], None] = to_stderr,
    ) -> None:
        """``template``: of ``genprm.engines.templates``, None to tell by the model's name. ``timeout_s`` bounds one
        try of a call. A server that has answered nothing for ``patience_s`` is given up; ``on_trouble`` is told a line
        when it is away and when it is back. The key comes from the environment where none is given."""
        self.name = f"{url}#{model}"
        self.model = model
        self._template_name = template
        self._template: Template | None = None
        self._timeout_s = timeout_s
        self._connections = Connections(url, api_key)
        self._here = self._connections.base
        self._slots = asyncio.Semaphore(most_connections(connections))
        self._health = Health(self._here, patience_s, self._probe, on_trouble)
        self._dialect = Dialect(lambda line: on_trouble(f"{self._here}: {line}"))
        self._window: int | None = None
        """Of the model, in tokens, where the server tells."""
        self._path = "/chat/completions"
        self._answers = 0
        self._slowest_s = 0.0

    @classmethod
    async def connect(cls, url: str, model: str | None = None, **options: Any) -> "OpenAIEngine":
        """Reach the server, and settle the model: the one named, or the only one that it serves.

        Raises:
            EngineUnavailable: the server cannot be reached.
            EngineRefused: it says no (wrong key, no such model).
            ConfigError: it serves several models and none was named.
        """
        engine = cls(url, model or "", **options)
        try:
            served = await engine._served(optional=model is not None)
            engine.model = _chosen(model, list(served), url)
            engine._window = served.get(engine.model)
            engine.name = f"{url}#{engine.model}"
        except BaseException:
            await engine.close()
            raise
        return engine

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        """See :class:`~genprm.engines.base.Engine`.

        Raises:
            EngineUnavailable: this call fails each time while the server answers others, or takes it down.
            EngineLost: the server has answered nothing for as long as one has patience.
            PromptTooLong: prompt and budget do not fit the model's window, as far as the server tells.
            EngineRefused: it says no.
        """
        started = time.perf_counter()
        text = self._render(prompt) if prompt.opening else None
        path = "/chat/completions" if text is None else "/completions"

        def read(reply: dict[str, Any]) -> Completion:
            return read_completion(reply, sampling, time.perf_counter() - started)

        async with self._slots:
            completion = await self._understood(path, prompt, text, sampling, read)
        if is_cut(completion, sampling.max_tokens, self._window):
            usage = completion.usage
            said = f"{usage.prompt_tokens} + {usage.completion_tokens} tokens fill its window of {self._window}"
            raise PromptTooLong(f"{self._here} cut what did not fit: {said}")
        return completion

    @property
    def away_s(self) -> float:
        """For how many seconds the server has not even answered probes; 0 where it does."""
        return self._health.away_s

    async def close(self) -> None:
        self._health.close()
        await self._connections.close()

    async def _served(self, optional: bool) -> dict[str, int | None]:
        """The models there, with their windows. ``optional``: a server that keeps no list is no failure."""
        try:
            return _models(await self._send("GET", "/models", None, self._timeout_s))
        except Trouble as trouble:
            raise EngineUnavailable(f"no answer from {self._here}: {trouble}") from None
        except EngineRefused as refused:
            if optional and refused.status == 404:
                return {}
            raise

    async def _understood(
        self, path: str, prompt: Prompt, text: str | None, sampling: Sampling, read: Callable[[dict[str, Any]], T]
    ) -> T:
        """Ask; where the server refuses a field, ask without it."""
        body = self._dialect.body(self.model, prompt, text, sampling)
        while True:
            try:
                return await self._answered(path, to_json(body), read)
            except EngineRefused as refused:
                if isinstance(refused, PromptTooLong) or refused.status not in (400, 422):
                    raise
                self._dialect.learn(str(refused), body)
                other = self._dialect.body(self.model, prompt, text, sampling)
                if other == body:
                    raise
                body = other

    async def _answered(self, path: str, content: bytes, read: Callable[[dict[str, Any]], T]) -> T:
        """One call, tried again while the failure may pass."""
        tries = own = outages = 0
        self._path = path
        while True:
            await self._health.turn()
            sent_at = time.monotonic()
            try:
                answer = read(await self._send("POST", path, content, self._limit_s()))
            except EngineRefused:
                self._health.answered()
                raise
            except (Trouble, NotTheAPI) as failed:
                trouble = failed if isinstance(failed, Trouble) else Trouble(str(failed))
            else:
                self._note(time.monotonic() - sent_at)
                return answer
            is_own = await self._health.is_own(trouble, sent_at)
            tries += 1
            if not trouble.busy:
                own += is_own
                outages += not is_own
            if own == TRIES or outages == OUTAGES or tries == BUSY_TRIES:
                raise EngineUnavailable(f"no answer from {self._here} after {tries} tries: {trouble}")
            if is_own:
                await self._health.rest(back_off(tries - 1) if trouble.wait_s is None else trouble.wait_s)

    async def _send(self, method: str, path: str, content: bytes | None, limit_s: float) -> dict[str, Any]:
        """One try. Raises Trouble where the failure may pass."""
        headers = {} if content is None else {"Content-Type": "application/json"}
        try:
            async with asyncio.timeout(limit_s) as clock:
                with self._connections.one() as client, self._health.watching(clock):
                    response = await client.request(method, self._here + path, content=content, headers=headers)
        except TimeoutError:
            if self._health.lost:
                raise EngineLost(self._health.lost) from None
            raise Trouble(f"no answer within {limit_s:g} s") from None
        except httpx.HTTPError as error:
            raise Trouble(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__) from None
        if not response.is_success:
            raise self._failure(response, path)
        try:
            return decoded(response)
        except NotTheAPI as error:
            raise Trouble(str(error)) from None

    def _failure(self, response: httpx.Response, path: str) -> Exception:
        status = response.status_code
        what = f"HTTP {status}: {error_text(response)}"
        if is_too_long(response):
            return PromptTooLong(f"{self._here} refused {path}: {what}", status)
        if status in _PASSING:
            return Trouble(what, _retry_after(response), status in _BUSY)
        return EngineRefused(f"{self._here} refused {path}: {what}{_hint(status)}", status)

    async def _probe(self) -> None:
        """Ask for a single token, in the way that the last call was asked. A refusal is an answer too."""
        raw = "1" if self._path == "/completions" else None
        tiny = Sampling(temperature=1.0, top_p=1.0, top_k=0, max_tokens=1)
        body = self._dialect.body(self.model, Prompt((Message("user", "1"),)), raw, tiny)
        try:
            reply = await self._send("POST", self._path, to_json(body), min(self._timeout_s, _PROBE_S))
            read_completion(reply, tiny, 0.0)
        except EngineRefused:
            pass
        except NotTheAPI as error:
            raise Trouble(str(error)) from None

    def _limit_s(self) -> float:
        """Of one try: less than the time-out where others have been answered much faster."""
        if self._answers < 20:
            return self._timeout_s
        return min(self._timeout_s, max(HANG_S, 5 * self._slowest_s))

    def _note(self, seconds: float) -> None:
        self._health.answered()
        self._answers += 1
        self._slowest_s = max(self._slowest_s, seconds)

    def _render(self, prompt: Prompt) -> str:
        if self._template is None:
            self._template = template_for(self._template_name, self.model)
        return self._template(prompt)


def _hint(status: int) -> str:
    return f" (the key is read from {' or '.join(KEYS)})" if status in (401, 403) else ""


def _models(reply: dict[str, Any]) -> dict[str, int | None]:
    """Names, with the window in tokens where it is told (vLLM, SGLang)."""
    data = reply.get("data")
    items = [item for item in data if isinstance(item, dict) and "id" in item] if isinstance(data, list) else []
    windows = [item.get("max_model_len") for item in items]
    return {
        str(item["id"]): window if isinstance(window, int) else None
        for item, window in zip(items, windows, strict=True)
    }


def _chosen(model: str | None, served: list[str], url: str) -> str:
    if model is not None:
        if served and model not in served:
            raise EngineRefused(f"{url} does not serve {model!r}, but {_listed(served)}")
        return model
    if len(served) != 1:
        raise ConfigError(f"{url} serves {_listed(served)}; name one with --model")
    return served[0]


def _listed(served: list[str]) -> str:
    return (", ".join(served[:8]) + (", …" if len(served) > 8 else "")) or "no models by name"


def _retry_after(response: httpx.Response) -> float | None:
    try:
        return min(max(float(response.headers["Retry-After"]), 0.0), 120.0)
    except (KeyError, ValueError):
        return None
