"""Reading a verdict that was asked for as JSON: tolerant of what stands around it, strict about what it says."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from genprm.protocols.genprm import Verdict
from genprm.types import Token

KEY = "correct"
_YES = ("yes", "true")
_NO = ("no", "false")
_OBJECT = re.compile(r'\{(?:[^{}"]|"(?:[^"\\]|\\.)*")*\}', re.DOTALL)
_VALUE = re.compile(rf'"{KEY}"\s*:\s*"?\s*', re.IGNORECASE)
_BARE = re.compile(r"[\s*_`\"'.:]*(yes|no)[\s*_`\"'.!]*", re.IGNORECASE)
_LETTERS = re.compile(r"[^a-z]*([a-z]+)", re.IGNORECASE)


def read_verdict(answer: str, tokens: Sequence[Token] = ()) -> Verdict | None:
    """The verdict of a reply: JSON objects that hold the key, or a reply of nothing but the word.

    None where there is none, where one is neither a yes nor a no, and where two contradict each other. ``tokens`` are
    those of a text that holds ``answer``: thoughts may stand before it, and the end of the turn after it.
    """
    said = list(_said(answer))
    if not said and (bare := _BARE.fullmatch(answer)):
        said = [(_word(bare[1]), bare.start(1))]
    words = {word for word, _ in said}
    yes = words.pop() if len(words) == 1 else None
    if yes is None:
        return None
    before = "".join(token.text for token in tokens).rfind(answer)
    return Verdict(yes, p_yes(tokens, before + said[0][1], yes) if before >= 0 else None)


def _said(answer: str) -> Iterator[tuple[bool | None, int]]:
    """What each object says under the key (None: neither yes nor no), and where."""
    for found in _OBJECT.finditer(answer):
        try:
            pairs: list[tuple[str, Any]] = json.loads(found[0], object_pairs_hook=list)
        except (ValueError, RecursionError):
            continue
        values = [value for key, value in pairs if key.lower() == KEY]
        at = _VALUE.search(found[0])
        yield from ((_word(value), found.start() + (at.end() if at else 0)) for value in values)


def _word(value: Any) -> bool | None:
    word = str(value).strip().rstrip(".").lower() if isinstance(value, str | bool) else ""
    return True if word in _YES else False if word in _NO else None


def p_yes(tokens: Sequence[Token], at: int, yes: bool) -> float | None:
    """P(Yes) / (P(Yes) + P(No)) where the verdict's word begins, ``at`` characters from the first token.

    The words differ in their first letter, so the token that writes this letter decides. All its alternatives that
    begin one of the two words count, however they are cut (``Yes``, `` "Yes``, ``Y``). Where none begins the other
    word, the smallest probability there stands in for it; where there are no alternatives, nothing can: None.
    """
    token, lead = _token_at(tokens, at)
    if token is None:
        return None
    mass = {True: 0.0, False: 0.0}
    for text, logprob in (dict(token.top) | {token.text: token.logprob}).items():
        word = _begun(text[len(lead) :] if text.startswith(lead) else text)
        if word is not None:
            mass[word] += math.exp(min(logprob, 0.0))
    others = [logprob for text, logprob in token.top.items() if text != token.text]
    if not mass[not yes] and others:
        mass[not yes] = math.exp(min(*others, 0.0))
    return mass[True] / (mass[True] + mass[False]) if others and mass[yes] else None


def _token_at(tokens: Sequence[Token], at: int) -> tuple[Token | None, str]:
    """The token that holds the character, and what stands before it there."""
    start = 0
    for token in tokens:
        if start <= at < start + len(token.text):
            return token, token.text[: at - start]
        start += len(token.text)
    return None, ""


def _begun(text: str) -> bool | None:
    """Which word a token begins, if it does."""
    found = _LETTERS.match(text)
    if not found:
        return None
    letters = found[1].lower()
    if any(word.startswith(letters) for word in _YES):
        return True
    return False if any(word.startswith(letters) for word in _NO) else None
