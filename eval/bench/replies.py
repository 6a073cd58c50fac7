"""What the simulated server writes: rationales in the genprm protocol's form, of the lengths that GenPRM-7B reports.

A step is wrong where it ends in the mark of ``genprm.eval.bench.prose``; a sample says so with a given agreement,
settled by the request's seed, so that all calls of one rationale are of one mind. Texts are strings put together, no
work is done for each token.
"""

import hashlib
import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import msgspec

from genprm.eval.bench.prefixes import BLOCK_CHARS, BLOCK_TOKENS, tokens_of
from genprm.eval.bench.prose import WRONG_MARK, closing, thoughts
from genprm.protocols.genprm import VERIFY

TOKENS_A_STEP = (345, 503)
"""Tokens of a rationale: the shortest and the longest mean over the parts of ProcessBench (arXiv 2504.00891)."""
_CERTAINTY = 0.98
_TURN = re.compile(r"<｜User｜>|<\|im_start\|>user\n")
_VERDICT = re.compile(r"(?<=\\boxed\{)(Yes|No)(?=\})")
_CODE = """\
# Check the claim of the paragraph with exact arithmetic
from sympy import Rational, simplify, symbols
x = symbols('x')
left = Rational({left}) + {right}
right = Rational({left}, 3) * 3 + {right}
print('Left side of the claim:', left)
print('Right side of the claim:', right)
# The same once more, as an identity
difference = simplify((x + {right}) ** 2 - x ** 2 - 2 * {right} * x - {right} ** 2)
print('The identity holds:', difference == 0 and left == right)
```
"""


@dataclass(frozen=True, slots=True)
class Written:
    """The text of one reply, ended as a server ends it."""

    text: str
    finish: str
    """``stop`` or ``length``."""
    stop: str | None
    """The stop string that ended it."""
    p_yes: float


@dataclass(frozen=True, slots=True)
class Author:
    """Writes replies; the same prompt and seed give the same reply."""

    agreement: float = 0.9
    tokens: tuple[int, int] = TOKENS_A_STEP

    def write(self, prompt: str, stops: Sequence[str], max_tokens: int, seed: int | None) -> Written:
        """What follows the prompt, up to a stop string or to ``max_tokens``."""
        mind = _seeded(f"{seed}" if seed is not None else prompt)
        right = self._judged(prompt, mind)
        text = self._rest(prompt, right, random.Random(mind.getrandbits(32)))
        text, stop = _cut(text, stops)
        longest = max_tokens * BLOCK_CHARS // BLOCK_TOKENS
        p_yes = _CERTAINTY if right else 1 - _CERTAINTY
        if len(text) > longest:
            return Written(text[:longest], "length", None, p_yes)
        return Written(text, "stop", stop, p_yes)

    def _judged(self, prompt: str, mind: random.Random) -> bool:
        """Whether this sample holds the last paragraph right."""
        paragraph = _TURN.split(prompt)[-1].partition("<analyze>")[0]
        is_right = not paragraph.rstrip().endswith(WRONG_MARK)
        return is_right == (mind.random() < self.agreement)

    def _rest(self, prompt: str, right: bool, rng: random.Random) -> str:
        """The rationale from where the prompt leaves it to its end."""
        chars = rng.randint(*self.tokens) * BLOCK_CHARS // BLOCK_TOKENS
        code = _CODE.format(left=rng.randint(2, 99), right=rng.randint(2, 99))
        end = f"{thoughts(rng, right, chars // 8)}\n{closing(rng, right)}"
        if prompt.endswith("\\boxed"):
            return f"{{{'Yes' if right else 'No'}}}$\n</output>\n"
        if prompt.endswith(VERIFY):
            return code + end
        if "<analyze>" in _TURN.split(prompt)[-1].partition("</analyze>")[0] and not prompt.endswith("```\n"):
            analysis = thoughts(rng, right, chars - len(code) - len(end))
            return f"{analysis}\n</analyze>\n{VERIFY}{code}{end}"
        return end


def logprobs_of(written: Written, top: int, every: bool) -> dict[str, Any]:
    """As ``/completions`` gives them: of every token, or (``every`` false) the verdict as one token among long ones."""
    tokens = _split(written.text, every)
    filler = msgspec.Raw(msgspec.json.encode({f" word{n}": -0.01 - n for n in range(top)}))
    verdict = _verdict(written.p_yes, top)
    tops = [verdict if token in ("Yes", "No") else filler for token in tokens]
    logprobs = [verdict[token] if token in ("Yes", "No") else -0.01 for token in tokens]
    return {"tokens": tokens, "token_logprobs": logprobs, "top_logprobs": tops, "text_offset": []}


def _verdict(p_yes: float, top: int) -> dict[str, float]:
    others = {f" word{n}": -12.0 - n for n in range(max(top - 2, 0))}
    return {"Yes": math.log(p_yes), "No": math.log(1 - p_yes)} | others


def _split(text: str, every: bool) -> list[str]:
    """The text as tokens, the word of the verdict by itself."""
    parts = [part for part in _VERDICT.split(text) if part]
    if not every:
        return parts
    tokens = []
    for part in parts:
        ends = [n * BLOCK_CHARS // BLOCK_TOKENS for n in range(tokens_of(part) + 1)]
        tokens += [part] if part in ("Yes", "No") else [part[a:b] for a, b in pairwise(ends)]
    return tokens


def _cut(text: str, stops: Sequence[str]) -> tuple[str, str | None]:
    """The text to the end of the stop string that comes first."""
    found = [(at, stop) for stop in stops if (at := text.find(stop)) >= 0]
    if not found:
        return text, None
    at, stop = min(found)
    return text[: at + len(stop)], stop


def _seeded(text: str) -> random.Random:
    """Not by Python's own hash, which differs from process to process."""
    return random.Random(int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()))
