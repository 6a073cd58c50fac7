"""A tokenizer of transformers, as the renderer asks for it."""

import json
from collections.abc import Sequence
from typing import Any

from genprm.engines.rendering import Added
from genprm.errors import ConfigError, EngineRefused
from genprm.types import Message


class HfTokenizer:
    """Of ``hf:`` and ``vllm:``.

    Raises:
        ConfigError: it is not a fast one, which cannot tell which letters became which id.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.name = str(tokenizer.name_or_path)
        if not tokenizer.is_fast:
            raise ConfigError(f"the tokenizer of {self.name} has no fast version")
        self.end: int | None = tokenizer.eos_token_id
        self.added = {i: Added(token.content, token.special) for i, token in tokenizer.added_tokens_decoder.items()}
        self.template: str | None = str(tokenizer.chat_template) if tokenizer.chat_template else None
        self._tokenizer = tokenizer
        self._backend = tokenizer.backend_tokenizer
        self._plain = _without_added_tokens(self._backend)

    def encode(self, text: str) -> tuple[Sequence[int], Sequence[tuple[int, int]]]:
        encoding = self._backend.encode(text, add_special_tokens=False)
        return encoding.ids, encoding.offsets

    def letters(self, text: str) -> Sequence[int]:
        ids: Sequence[int] = self._plain.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._backend.decode(ids))

    def chat(self, messages: Sequence[Message], add_generation_prompt: bool) -> str:
        from jinja2 import TemplateError

        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            return str(
                self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=add_generation_prompt)
            )
        except TemplateError as error:
            raise EngineRefused(f"the model's chat template refuses the conversation: {error}") from None


def _without_added_tokens(backend: Any) -> Any:
    """The same tokenizer, to which control tokens are letters like any other."""
    from tokenizers import Tokenizer

    parts = json.loads(backend.to_str())
    return Tokenizer.from_str(json.dumps(parts | {"added_tokens": [], "post_processor": None}))
