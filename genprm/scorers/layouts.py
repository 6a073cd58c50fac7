"""How published discriminative reward models want a solution to be written, and where they are read.

``qwen``      Qwen2.5-Math-PRM (Zhang et al., arXiv 2501.07301): a chat with ``<extra_0>`` behind each step
``skywork``   Skywork-o1-Open-PRM: problem, then line after line; read at the line end that ends a step
``tokens``    token classification as TRL's PRMTrainer writes it: problem, then steps that end in a separator
``shepherd``  Math-Shepherd (Wang et al., arXiv 2312.08935): ``Step k: … ки``; ``+`` against ``-`` at ``ки``
``turns``     RLHFlow's Llama3.1-8B-PRM: a turn of the user per step, answered by ``+`` or ``-``

No text of a solution is changed but by ``shepherd``, which numbers steps that have no number.
"""

import re
from collections.abc import Mapping
from itertools import chain
from typing import Any

from genprm.scorers.reading import Encode, Reading, Unreadable
from genprm.types import Solution

QWEN_SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."
EXTRA = "<extra_0>"
TAG, GOOD, BAD = "ки", "+", "-"
_NUMBERED = re.compile(r"\s*step\s+\d+\s*[:.]", re.IGNORECASE)


def qwen(tokenizer: Any) -> Encode:
    """Read at each ``<extra_0>``."""
    extra = last_id(tokenizer, EXTRA)

    def encode(solution: Solution) -> Reading:
        said = "".join(step + EXTRA for step in solution.steps)
        turns = [("system", QWEN_SYSTEM), ("user", solution.problem.text), ("assistant", said)]
        ids = tokenizer.encode(_rendered(tokenizer, turns))
        return _marked(ids, extra, EXTRA, solution)

    return encode


def shepherd(tokenizer: Any) -> Encode:
    """Read at each ``ки``."""
    tag = last_id(tokenizer, TAG)

    def encode(solution: Solution) -> Reading:
        lines = (
            f"{step if _NUMBERED.match(step) else f'Step {k}: {step}'} {TAG}"
            for k, step in enumerate(solution.steps, 1)
        )
        return _marked(tokenizer.encode(f"{solution.problem.text} " + "\n".join(lines)), tag, TAG, solution)

    return encode


def skywork(tokenizer: Any) -> Encode:
    """Read at the line end behind each step; every line is read by itself, as the model was trained."""
    line_end = last_id(tokenizer, "\n")

    def encode(solution: Solution) -> Reading:
        ids = _ids(tokenizer, f"{tokenizer.bos_token or ''}{solution.problem.text}\n")
        places = []
        for step in solution.steps:
            ids += chain.from_iterable([*_ids(tokenizer, line), line_end] for line in step.split("\n"))
            places.append(len(ids) - 1)
        return Reading(ids, places)

    return encode


def tokens(tokenizer: Any, separator: str) -> Encode:
    """Read at the last token of the separator behind each step."""
    end = _ids(tokenizer, separator)

    def encode(solution: Solution) -> Reading:
        begin = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
        ids = begin + _ids(tokenizer, solution.problem.text)
        places = []
        for step in solution.steps:
            ids += _ids(tokenizer, step) + end
            places.append(len(ids) - 1)
        return Reading(ids, places)

    return encode


def turns(tokenizer: Any) -> Encode:
    """Read where the model is about to say ``+`` or ``-`` of each step, all earlier answers being ``+``."""
    good = last_id(tokenizer, GOOD)

    def encode(solution: Solution) -> Reading:
        said: list[tuple[str, str]] = []
        places: list[int] = []
        ids: list[int] = []
        for n, step in enumerate(solution.steps):
            said += [("user", step if n else f"{solution.problem.text} {step}"), ("assistant", GOOD)]
            before, ids = ids, _ids(tokenizer, _rendered(tokenizer, said))
            if places and ids[: places[-1] + 2] != before[: places[-1] + 2]:
                raise Unreadable("the chat template writes a turn otherwise when others follow")
            if good not in ids:
                raise Unreadable(f"the chat template does not show {GOOD!r}")
            places.append(len(ids) - 2 - ids[::-1].index(good))
        return Reading(ids, places)

    return encode


def last_id(tokenizer: Any, text: str) -> int:
    """The id of a word, without what a tokenizer of SentencePiece writes before it."""
    return _ids(tokenizer, text)[-1]


def _ids(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids


def _rendered(tokenizer: Any, said: list[tuple[str, str]]) -> str:
    messages: list[Mapping[str, str]] = [{"role": role, "content": content} for role, content in said]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=False))


def _marked(ids: list[int], mark: int, name: str, solution: Solution) -> Reading:
    places = [at for at, token in enumerate(ids) if token == mark]
    if len(places) != len(solution.steps):
        raise Unreadable(f"the text spells the model's mark {name}")
    return Reading(ids, places)
