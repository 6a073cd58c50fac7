"""What is asked of an OpenAI-compatible server, in the dialect that this one understands.

Servers differ in what they know beyond the API, and in what they leave out of it. Everything is asked for at first;
a refusal that names a field teaches the dialect to do without.
"""

import re
from collections.abc import Callable
from typing import Any

from genprm.engines.replies import completion_limit
from genprm.types import Prompt, Sampling

_SCHEMA = re.compile(r"response_format|json_schema|structured|guided|grammar", re.IGNORECASE)
_FEW_LOGPROBS = 5
_EXTENSIONS = ("top_k", "repetition_penalty", "include_stop_str_in_output", "no_stop_trim", "add_special_tokens")


class Dialect:
    """Bodies for one server. ``say`` is told what is done without."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._extended = True
        self._schema = True
        self._most_logprobs: int | None = None
        self._most_tokens: int | None = None
        self._budget = "max_tokens"

    def body(self, model: str, prompt: Prompt, text: str | None, sampling: Sampling) -> dict[str, Any]:
        """``text``: the prompt as the raw text that is to be continued, None for a chat turn."""
        body: dict[str, Any] = {"model": model, **self._sampling_fields(sampling)}
        logprobs = sampling.logprobs if self._most_logprobs is None else min(sampling.logprobs, self._most_logprobs)
        if text is not None:
            body |= {"prompt": text} | ({"logprobs": logprobs} if logprobs else {})
            # Templates write the beginning-of-text token themselves; a second one is not what models were trained on.
            return body | ({"add_special_tokens": False} if self._extended else {})
        body["messages"] = [{"role": m.role, "content": m.content} for m in prompt.messages]
        if logprobs:
            body |= {"logprobs": True, "top_logprobs": logprobs}
        if sampling.schema is not None and self._schema:
            wanted = {"name": "answer", "schema": sampling.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": wanted}
        return body

    def learn(self, refusal: str, body: dict[str, Any]) -> None:
        """From the words in which ``body`` was refused. Bodies are other ones afterwards, if there is anything to learn
        from them; many calls in flight may be refused for the same reason."""
        if any(name in refusal for name in _EXTENSIONS if name in body):
            self._extended = False
        elif "response_format" in body and _SCHEMA.search(refusal):
            self._do_without_schema()
        elif "logprobs" in body and "logprobs" in refusal:
            asked = body.get("top_logprobs", body["logprobs"])
            self._do_with_logprobs(_FEW_LOGPROBS if asked > _FEW_LOGPROBS else 0)
        elif self._budget in body and "max_completion_tokens" in refusal and "max_tokens" in refusal:
            self._budget = "max_completion_tokens"
        elif (most := completion_limit(refusal)) is not None:
            self._most_tokens = min(self._most_tokens or most, most)

    def _do_without_schema(self) -> None:
        if self._schema:
            self._schema = False
            self._say("no structured output there; going on without it")

    def _do_with_logprobs(self, most: int) -> None:
        if self._most_logprobs is None or most < self._most_logprobs:
            self._most_logprobs = most
            if not most:
                self._say("no log-probabilities there; going on without them")

    def _sampling_fields(self, sampling: Sampling) -> dict[str, Any]:
        most = sampling.max_tokens if self._most_tokens is None else min(sampling.max_tokens, self._most_tokens)
        fields: dict[str, Any] = {"temperature": sampling.temperature, "top_p": sampling.top_p}
        fields[self._budget] = most
        if sampling.stop:
            fields["stop"] = list(sampling.stop)
        if sampling.seed is not None:
            fields["seed"] = sampling.seed
        return fields | (_extensions(sampling) if self._extended else {})


def _extensions(sampling: Sampling) -> dict[str, Any]:
    """What vLLM and SGLang know beyond the API. Where a server does not, protocols put stop strings back themselves."""
    # Also where there is no limit: else, a model's generation_config.json sets one. Both take -1, SGLang no 0.
    fields: dict[str, Any] = {"top_k": sampling.top_k or -1, "repetition_penalty": sampling.repetition_penalty}
    if sampling.stop:
        fields |= {"include_stop_str_in_output": True, "no_stop_trim": True}
    return fields
