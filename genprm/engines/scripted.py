"""An engine that says what it was told to: for tests, documents and dry runs.

A script is a list of rules, in a file one JSON object a line::

    {"when": "Paragraph 2", "text": "…", "p_yes": 0.1}
    {"when": "Code Output", "texts": ["… \\\\boxed{Yes}$\\n</output>\\n", "… \\\\boxed{No}$\\n</output>\\n"]}
    {"text": "…"}

The first rule answers whose ``when`` occurs in the last message or in the opening (all rules without ``when`` fit).
Of several ``texts`` the request's seed chooses one, so N samples differ and a run repeats itself. A rule with
``error`` fails, ``delay_s`` waits first, ``reasoning`` is what it thought. Texts are cut at stop strings and budgets,
as a real engine would. Tokens of what is written are words and signs; those of prompts are estimated, four characters
each, so that a call costs microseconds.
"""

import asyncio
import hashlib
import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import msgspec

from genprm import records
from genprm.engines.words import cut
from genprm.errors import EngineUnavailable, InputError
from genprm.types import Completion, Finish, Prompt, Sampling, Token, Usage


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of a script."""

    text: str = ""
    texts: tuple[str, ...] = ()
    when: str = ""
    p_yes: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    """Gives the verdict's token this P(Yes) in the log-probabilities; None: none are given."""
    reasoning: str = ""
    error: str = ""
    delay_s: float = 0.0

    def answer(self, seed: int | None) -> str:
        return self.texts[(seed or 0) % len(self.texts)] if self.texts else self.text


class ScriptedEngine:
    """Answers by rules. ``calls`` counts what it was asked, for tests."""

    protocols: frozenset[str] | None = None

    def __init__(self, rules: Sequence[Rule], name: str = "scripted") -> None:
        self.rules = tuple(rules)
        self.name = name
        self.calls = 0

    @classmethod
    def from_file(cls, path: str) -> "ScriptedEngine":
        """Raises InputError naming the line that is no rule."""
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise InputError(f"no script can be read there: {error.strerror}", path) from None
        lines = content.split(b"\n")
        rules = [records.from_json(line, Rule, f"{path}:{n}") for n, line in enumerate(lines, 1) if line.strip()]
        if not rules:
            raise InputError("the script has no rules", path)
        # The content is part of the name: a run is not continued with other answers.
        return cls(rules, f"scripted:{path}#{hashlib.blake2b(content, digest_size=4).hexdigest()}")

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        self.calls += 1
        rule = self._rule(prompt)
        if rule.delay_s:
            await asyncio.sleep(rule.delay_s)
        if rule.error:
            raise EngineUnavailable(rule.error)
        p_yes = rule.p_yes if sampling.logprobs else None
        text, finish, tokens, n_tokens = _written(rule.answer(sampling.seed), sampling.stop, sampling.max_tokens, p_yes)
        n_prompt = (sum(len(m.content) for m in prompt.messages) + len(prompt.opening)) // 4
        usage = Usage(prompt_tokens=n_prompt, completion_tokens=n_tokens, calls=1)
        return Completion(text, finish, tokens, usage, reasoning=rule.reasoning)

    async def close(self) -> None:
        pass

    def _rule(self, prompt: Prompt) -> Rule:
        last = prompt.messages[-1].content if prompt.messages else ""
        for rule in self.rules:
            if rule.when in last or rule.when in prompt.opening:
                return rule
        raise EngineUnavailable(f"{self.name}: no rule fits the prompt that ends in {(last + prompt.opening)[-80:]!r}")


@lru_cache(maxsize=4096)
def _written(
    text: str, stop: tuple[str, ...], max_tokens: int, p_yes: float | None
) -> tuple[str, Finish, tuple[Token, ...], int]:
    """What is written of ``text``, why it ends, its tokens (none without ``p_yes``), and their number."""
    words, ended = cut(text, stop, max_tokens)
    tokens = () if p_yes is None else _tokens(words, p_yes)
    return "".join(words), "stop" if ended else "length", tokens, len(words)


def _tokens(words: Sequence[str], p_yes: float) -> tuple[Token, ...]:
    yes, no = math.log(max(p_yes, 1e-9)), math.log(max(1 - p_yes, 1e-9))
    verdict = {"Yes": yes, "No": no}
    return tuple(Token(word, verdict.get(word, 0.0), verdict if word in verdict else {word: 0.0}) for word in words)
