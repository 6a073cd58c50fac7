"""Reading what an OpenAI-compatible server answers: completions, and errors."""

import math
import re
from typing import Any

import httpx
import msgspec

from genprm.types import Completion, Finish, Sampling, Token, Usage

_BROKEN_OFF = ("abort", "error")
"""Ends of completions that are none, in the words of vLLM and SGLang; another try may go better."""


class NotTheAPI(Exception):
    """An answer that is not what the API promises."""


def decoded(response: httpx.Response) -> dict[str, Any]:
    """Raises NotTheAPI where the answer is no JSON object."""
    try:
        return msgspec.json.decode(response.content, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        raise NotTheAPI(f"answers, but not as an OpenAI-compatible server: {error_text(response)}") from None


def read_completion(reply: dict[str, Any], sampling: Sampling, seconds: float) -> Completion:
    """Raises NotTheAPI where a field is missing or of another kind."""
    if "choices" not in reply and "error" in reply:
        raise NotTheAPI(f"answers with an error: {said(reply)}")
    try:
        choice = reply["choices"][0]
        text, reasoning = _texts(choice)
        ended = choice.get("finish_reason")
        if ended in _BROKEN_OFF:
            raise NotTheAPI(f"the server broke the completion off: {ended}")
        finish: Finish = "length" if ended == "length" else "stop"
        if finish == "stop":
            text = _closed(text, choice, sampling.stop)
        tokens = _tokens(choice.get("logprobs"))
        if reasoning:
            tokens = _after_reasoning(tokens, text)
        return Completion(text, finish, tokens, _usage(reply.get("usage")), seconds, reasoning)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise NotTheAPI(f"the reply is not what the API promises ({type(error).__name__})") from None


def _texts(choice: dict[str, Any]) -> tuple[str, str]:
    """Text and reasoning. vLLM calls the latter ``reasoning``, others and its older versions ``reasoning_content``."""
    message = choice.get("message")
    if message is None:
        text, reasoning = choice["text"], ""
    else:
        text = message.get("content")
        reasoning = message.get("reasoning_content") or message.get("reasoning")
    text, reasoning = text or "", reasoning or ""
    if not (isinstance(text, str) and isinstance(reasoning, str)):
        raise TypeError("text")
    return text, reasoning


def _after_reasoning(tokens: tuple[Token, ...], text: str) -> tuple[Token, ...]:
    """The tokens of ``text``, where a server gives those of the reasoning before it too; () where none fit."""
    joined = "".join(token.text for token in tokens)
    start = joined.rfind(text) if text else -1
    at = 0
    for n, token in enumerate(tokens):
        if at == start:
            return tokens[n:]
        at += len(token.text)
    return ()


def _closed(text: str, choice: dict[str, Any], stops: tuple[str, ...]) -> str:
    """The text with the stop string that ended it, also where the server has cut it off.

    vLLM names it in ``stop_reason``, SGLang in ``matched_stop``. Where a server names none, it is added only if
    there is just one that it can have been, and the text ended of itself, not by a filter or for reasons untold.
    """
    if any(text.endswith(stop) for stop in stops):
        return text
    matched = choice.get("stop_reason", choice.get("matched_stop"))
    if isinstance(matched, str) and matched in stops:
        return text + matched
    unnamed = choice.get("finish_reason") == "stop" and "stop_reason" not in choice and "matched_stop" not in choice
    return text + stops[0] if unnamed and len(stops) == 1 else text


def _tokens(logprobs: dict[str, Any] | None) -> tuple[Token, ...]:
    if not logprobs:
        return ()
    if "content" in logprobs:  # chat
        return tuple(
            _token(item["token"], item["logprob"], {t["token"]: t["logprob"] for t in item.get("top_logprobs") or ()})
            for item in logprobs["content"] or ()
        )
    tops = logprobs.get("top_logprobs") or [None] * len(logprobs["tokens"])
    return tuple(
        _token(text, logprob, dict(top or {}))
        for text, logprob, top in zip(logprobs["tokens"], logprobs["token_logprobs"], tops, strict=True)
    )


def _token(text: str, logprob: float | None, top: dict[str, float | None]) -> Token:
    if not all(isinstance(one, str) for one in (text, *top)):
        raise TypeError("token")
    known = {text: float(value) for text, value in top.items() if value is not None}
    return Token(text, -math.inf if logprob is None else float(logprob), known)


def _usage(usage: dict[str, Any] | None) -> Usage:
    usage = usage or {}
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return Usage(int(usage.get("prompt_tokens") or 0), int(cached), int(usage.get("completion_tokens") or 0), 1)


def error_text(response: httpx.Response) -> str:
    """What the server says of its error, in a line."""
    try:
        text = said(msgspec.json.decode(response.content))
    except (msgspec.MsgspecError, RecursionError):
        text = " ".join(response.text[:10_000].split())
    return text[:300] or response.reason_phrase


def said(reply: Any) -> str:
    error = reply.get("error", reply) if isinstance(reply, dict) else reply
    return " ".join(str(error.get("message", error) if isinstance(error, dict) else error).split())[:300]


# --- prompts that do not fit ----------------------------------------------------------------------------------------

# In the words of vLLM, SGLang, llama.cpp (server and Python), TGI, OpenAI and those who copy them. A limit on the
# completion alone is another matter: leaving out parts of the prompt would not help.
_TOO_LONG = re.compile(
    r"context_length_exceeded|exceed_context_size_error"
    r"|(?:maximum|model's) (?:context|model|prompt) length"
    r"|longer than the (?:maximum model|model's context) length"
    r"|exceeds? (?:the )?(?:available context size|context window|maximum allowed (?:input )?length)"
    r"|cannot be greater than max_(?:model_len|total_tokens)"
    r"|`inputs`(?: tokens \+ `max_new_tokens`)? must (?:be <=|have less than)"
    r"|context size has been exceeded|prompt is too long|string_above_max_length",
    re.IGNORECASE,
)
_AT_MOST = re.compile(
    r"at most (\d{1,9}) (?:completion|output) tokens|max_tokens\W+must be (?:less than or equal to|<=) \W?(\d{1,9})",
    re.IGNORECASE,
)


def is_too_long(response: httpx.Response) -> bool:
    """Whether it refuses the prompt for its length. llama.cpp has said so with status 500 too, but with a type."""
    text = response.text[:1000]  # some repeat the whole request after that
    if response.status_code in (400, 413, 422):
        return response.status_code == 413 or _TOO_LONG.search(text) is not None
    return response.status_code == 500 and "exceed_context_size_error" in text


def completion_limit(text: str) -> int | None:
    """The most tokens that a server writes in one completion, where its refusal says so."""
    found = _AT_MOST.search(text)
    return int(found[1] or found[2]) if found else None


def is_cut(completion: Completion, max_tokens: int, window: int | None) -> bool:
    """Whether a server with this window (tokens; None: not told) has left less room than the budget, without a word.

    A prompt that it shortened is not noticed: the number of characters in a token differs too much to tell by it.
    """
    usage = completion.usage
    if not window or completion.finish != "length" or not 0 < usage.completion_tokens < max_tokens:
        return False
    return usage.prompt_tokens + usage.completion_tokens >= window - 1
