"""Problems and solutions out of the texts that training frameworks hand on, the marks of chat templates in them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

_USER = re.compile(
    r"<\|im_start\|>user\n|<\|start_header_id\|>user<\|end_header_id\|>|<start_of_turn>user\n"
    r"|<[|｜]User[|｜]>|<\|user\|>|\[INST\]"
)
_MARK = re.compile(r"<[|｜][^<>|｜\n]{1,40}[|｜]>|<(?:start|end)_of_turn>|</?s>|\[/?INST\]|<(?:bos|eos|pad|unk)>")

Chat = str | Sequence[Mapping[str, Any]]
"""A text, or messages of a conversation."""


def problem_of(prompt: Chat) -> str:
    """The last turn of the user; all of a text in which no turns are marked."""
    if not isinstance(prompt, str):
        said = [message for message in prompt if message.get("role") == "user"] or list(prompt)
        return content_of(said[-1]) if said else ""
    turns = list(_USER.finditer(prompt))
    rest = prompt[turns[-1].end() :] if turns else _MARK.sub("", prompt)
    return (_MARK.split(rest, maxsplit=1)[0] if turns else rest).strip()


def solution_of(completion: Chat) -> str:
    """What the model wrote, without marks and without what it thought before (``</think>``)."""
    text = completion if isinstance(completion, str) else "\n".join(map(content_of, completion))
    _, ended, said = text.partition("</think>")
    return _MARK.sub("", said if ended else text).strip()


def response_of(query: str, prompt: str) -> str | None:
    """What follows the prompt in a query; None where the prompt is not in it."""
    at = query.find(prompt)
    if at < 0 and (bare := prompt.strip()):
        at = query.find(bare)
        prompt = bare
    return None if at < 0 else query[at + len(prompt) :]


def content_of(message: Mapping[str, Any]) -> str:
    """The text of a message, also of one that is made of parts."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text") or "" for part in content if isinstance(part, Mapping))
