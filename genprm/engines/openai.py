"""Any server that speaks the OpenAI API: vLLM, SGLang, llama.cpp, TGI, hosted ones.

A prompt with an opening goes to ``/completions`` as raw text (the opening must be continued, which chat endpoints
do not promise); a prompt without one goes to ``/chat/completions``, where the server's own template applies.
"""

import asyncio
import math
import os
import random
import time
from typing import Any

import httpx
import msgspec

from genprm.engines.templates import Template, template_for
from genprm.errors import ConfigError, EngineRefused, EngineUnavailable
from genprm.records import to_json
from genprm.types import Completion, Finish, Prompt, Sampling, Token, Usage

KEYS = ("GENPRM_API_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the key, first wins."""
_RETRIED = {408, 409, 425, 429, 500, 502, 503, 504, 529}


class OpenAIEngine:
    """A client for one model on one server. Make it with :meth:`connect`."""

    protocols: frozenset[str] | None = None

    def __init__(
        self,
        url: str,
        model: str,
        *,
        template: str | None = None,
        timeout_s: float = 600.0,
        retries: int = 6,
        connections: int = 256,
        api_key: str | None = None,
    ) -> None:
        """``template``: of ``genprm.engines.templates``, None to tell by the model's name. ``timeout_s`` bounds one
        call; a call is tried ``1 + retries`` times, waiting 0.5 s, 1 s, 2 s, … (at most 30 s) or as long as the
        server asks. The key comes from the environment where none is given."""
        self.name = f"{url}#{model}"
        self.model = model
        self._template_name = template
        self._template: Template | None = None
        self._retries = retries
        self._extended = True
        key = _key(api_key)
        try:
            self._http = httpx.AsyncClient(
                base_url=url.rstrip("/"),
                headers={"Authorization": f"Bearer {key}"} if key else {},
                timeout=httpx.Timeout(timeout_s, connect=10.0),
                limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            )
            if (self._http.base_url.port or 0) > 65535:
                raise ConfigError(f"{url!r} is no address: ports end at 65535")
        except httpx.InvalidURL as error:
            raise ConfigError(f"{url!r} is no address: {error}") from None

    @classmethod
    async def connect(cls, url: str, model: str | None = None, **options: Any) -> "OpenAIEngine":
        """Reach the server, and settle the model: the one named, or the only one that it serves.

        Raises:
            EngineUnavailable: the server cannot be reached.
            EngineRefused: it says no (wrong key, no such model).
            ConfigError: it serves several models and none was named.
        """
        engine = cls(url, model or "", **options)
        engine._retries, retries = 0, engine._retries
        try:
            served = await engine._served(optional=model is not None)
            engine.model = _chosen(model, served, url)
            engine.name = f"{url}#{engine.model}"
        except BaseException:
            await engine.close()
            raise
        engine._retries = retries
        return engine

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        started = time.perf_counter()
        body: dict[str, Any] = {"model": self.model, **_sampling_fields(sampling)}
        if prompt.opening:
            path = "/completions"
            body["prompt"] = self._render(prompt)
            if sampling.logprobs:
                body["logprobs"] = sampling.logprobs
        else:
            path = "/chat/completions"
            body["messages"] = [{"role": m.role, "content": m.content} for m in prompt.messages]
            if sampling.logprobs:
                body |= {"logprobs": True, "top_logprobs": sampling.logprobs}
        reply = await self._ask(path, body, _extensions(sampling))
        return _completion(reply, sampling, time.perf_counter() - started, self._here)

    async def close(self) -> None:
        await self._http.aclose()

    async def _served(self, optional: bool) -> list[str]:
        """Names of the models there. ``optional``: a server that keeps no list is no failure."""
        try:
            reply = await self._call("GET", "/models")
        except EngineRefused as refused:
            if optional and refused.status == 404:
                return []
            raise
        return _names(reply)

    async def _ask(self, path: str, body: dict[str, Any], extensions: dict[str, Any]) -> dict[str, Any]:
        """With what vLLM and SGLang understand beyond the API, until a server says that it does not."""
        if self._extended:
            try:
                return await self._call("POST", path, body | extensions)
            except EngineRefused as refused:
                if refused.status not in (400, 422) or not any(name in str(refused) for name in extensions):
                    raise
                self._extended = False
        return await self._call("POST", path, body)

    def _render(self, prompt: Prompt) -> str:
        if self._template is None:
            self._template = template_for(self._template_name, self.model)
        return self._template(prompt)

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One call, tried again while the failure may pass."""
        content = None if body is None else to_json(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        trouble = ""
        for attempt in range(1 + self._retries):
            wait: float | None = None
            try:
                response = await self._http.request(method, self._url(path), content=content, headers=headers)
            except httpx.HTTPError as error:
                trouble = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            else:
                if response.is_success:
                    return _decoded(response, self._here)
                trouble = f"HTTP {response.status_code}: {_message(response)}"
                if response.status_code not in _RETRIED:
                    hint = _hint(response.status_code)
                    raise EngineRefused(f"{self._here} refused {path}: {trouble}{hint}", response.status_code)
                wait = _retry_after(response)
            if attempt < self._retries:
                await asyncio.sleep(wait if wait is not None else _back_off(attempt))
        tries = f" after {1 + self._retries} tries" if self._retries else ""
        raise EngineUnavailable(f"no answer from {self._here}{tries}: {trouble}")

    @property
    def _here(self) -> str:
        return str(self._http.base_url).rstrip("/")

    def _url(self, path: str) -> str:
        return self._here + path


def _sampling_fields(sampling: Sampling) -> dict[str, Any]:
    """What every server knows."""
    fields: dict[str, Any] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
    }
    if sampling.stop:
        fields["stop"] = list(sampling.stop)
    if sampling.seed is not None:
        fields["seed"] = sampling.seed
    return fields


def _extensions(sampling: Sampling) -> dict[str, Any]:
    """What vLLM and SGLang know beyond the API. Where a server does not, protocols put stop strings back themselves."""
    fields: dict[str, Any] = {}
    if sampling.top_k:
        fields["top_k"] = sampling.top_k
    if sampling.repetition_penalty != 1.0:
        fields["repetition_penalty"] = sampling.repetition_penalty
    if sampling.stop:
        fields |= {"include_stop_str_in_output": True, "no_stop_trim": True}
    return fields


def _completion(reply: dict[str, Any], sampling: Sampling, seconds: float, here: str) -> Completion:
    if "choices" not in reply and "error" in reply:
        raise EngineUnavailable(f"{here} answers with an error: {_said(reply)}")
    try:
        choice = reply["choices"][0]
        message = choice.get("message")
        text = (message.get("content") if message is not None else choice["text"]) or ""
        if not isinstance(text, str):
            raise TypeError("text")
        finish: Finish = "length" if choice.get("finish_reason") == "length" else "stop"
        if finish == "stop":
            text = _closed(text, choice, sampling.stop)
        return Completion(text, finish, _tokens(choice.get("logprobs")), _usage(reply.get("usage")), seconds)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise EngineUnavailable(f"the reply of {here} is not what the API promises ({type(error).__name__})") from None


def _closed(text: str, choice: dict[str, Any], stops: tuple[str, ...]) -> str:
    """The text with the stop string that ended it, also where the server has cut it off.

    vLLM names it in ``stop_reason``, SGLang in ``matched_stop``. Where a server names none, it is added only if
    there is just one that it can have been.
    """
    if any(text.endswith(stop) for stop in stops):
        return text
    matched = choice.get("stop_reason", choice.get("matched_stop"))
    if isinstance(matched, str) and matched in stops:
        return text + matched
    unnamed = "stop_reason" not in choice and "matched_stop" not in choice
    return text + stops[0] if unnamed and len(stops) == 1 else text


def _tokens(logprobs: dict[str, Any] | None) -> tuple[Token, ...]:
    if not logprobs:
        return ()
    if "content" in logprobs:  # chat
        return tuple(
            _token(item["token"], item["logprob"], {top["token"]: top["logprob"] for top in item["top_logprobs"]})
            for item in logprobs["content"] or ()
        )
    tops = logprobs.get("top_logprobs") or [None] * len(logprobs["tokens"])
    return tuple(
        _token(text, logprob, dict(top or {}))
        for text, logprob, top in zip(logprobs["tokens"], logprobs["token_logprobs"], tops, strict=True)
    )


def _token(text: str, logprob: float | None, top: dict[str, float | None]) -> Token:
    known = {text: float(value) for text, value in top.items() if value is not None}
    return Token(text, -math.inf if logprob is None else float(logprob), known)


def _usage(usage: dict[str, Any] | None) -> Usage:
    usage = usage or {}
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return Usage(int(usage.get("prompt_tokens") or 0), int(cached), int(usage.get("completion_tokens") or 0), 1)


def _decoded(response: httpx.Response, here: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(response.content, type=dict[str, Any])
    except msgspec.MsgspecError:
        raise EngineUnavailable(
            f"{here} answers, but not as an OpenAI-compatible server: {_message(response)}"
        ) from None


def _message(response: httpx.Response) -> str:
    """What the server says of its error, in a line."""
    try:
        text = _said(msgspec.json.decode(response.content))
    except (msgspec.MsgspecError, RecursionError):
        text = " ".join(response.text.split())
    return text[:300] or response.reason_phrase


def _said(reply: Any) -> str:
    error = reply.get("error", reply) if isinstance(reply, dict) else reply
    return " ".join(str(error.get("message", error) if isinstance(error, dict) else error).split())[:300]


def _key(given: str | None) -> str | None:
    """The key, without the newline that files and pipes leave behind. It is never part of a message."""
    key = given or next((os.environ[name] for name in KEYS if os.environ.get(name)), "")
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(f"the key for the server (from {' or '.join(KEYS)}) holds characters that no key has")
    return key or None


def _hint(status: int) -> str:
    return f" (the key is read from {' or '.join(KEYS)})" if status in (401, 403) else ""


def _names(reply: dict[str, Any]) -> list[str]:
    data = reply.get("data")
    return (
        [str(item["id"]) for item in data if isinstance(item, dict) and "id" in item] if isinstance(data, list) else []
    )


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


def _back_off(attempt: int) -> float:
    """Doubling, with jitter so that many calls do not come back at once."""
    return min(0.5 * 2.0**attempt, 30.0) * random.uniform(0.75, 1.25)
