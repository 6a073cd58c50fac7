"""Words and signs as tokens, for engines that have no tokenizer: what they write is cut and counted as a model's is."""

import re
from functools import lru_cache

from genprm.types import Completion, Prompt, Sampling, Usage

_TOKEN = re.compile(r"\s*\w+|\s*[^\w\s]|\s+")


def words(text: str) -> list[str]:
    """They join to the text."""
    return _TOKEN.findall(text)


def cut(text: str, stops: tuple[str, ...], max_tokens: int) -> tuple[list[str], bool]:
    """The words of ``text`` up to the budget and to the end of the first stop string; whether it ended by itself."""
    ends = [at + len(stop) for stop in stops if (at := text.find(stop)) >= 0]
    if not ends:
        kept = words(text)
        return kept[:max_tokens], len(kept) <= max_tokens
    end, kept, size = min(ends), [], 0
    for word in words(text):
        if size >= end:
            break
        kept.append(word[: end - size])
        size += len(word)
    return kept[:max_tokens], len(kept) <= max_tokens


def completion(said: str, prompt: Prompt, sampling: Sampling) -> Completion:
    """What an engine has to say, up to the end of its budget or the first stop string, without log-probabilities."""
    kept, ended = cut(said, sampling.stop, sampling.max_tokens)
    usage = Usage(prompt_tokens=_count_prompt(prompt), completion_tokens=len(kept), calls=1)
    return Completion("".join(kept), "stop" if ended else "length", usage=usage)


def _count_prompt(prompt: Prompt) -> int:
    return sum(_count(message.content) for message in prompt.messages) + _count(prompt.opening)


@lru_cache(maxsize=4096)
def _count(text: str) -> int:
    return len(words(text))
