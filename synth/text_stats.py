"""What can be counted in a text: words, n-grams as numbers, shares, loops, marks of what is no solution.

An n-gram is a 64-bit number that depends on its words alone: the same in every process and on every machine.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
_WORD = re.compile(r"[^\W_]+")
_TOKEN = re.compile(r"[^\W_]+|[-+*/^=<>]")
_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no word's bits are lost by multiplying
_PERIODS = 64
_FENCE = re.compile(r"^[ ]{0,3}```", re.MULTILINE)
_NUMBER = re.compile(r"\d|\\frac|\\sqrt|\\boxed|[=<>≤≥]")
_NUMBER_WORD = re.compile(
    r"\b(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|hundred|thousand|million|half|twice)\b",
    re.IGNORECASE,
)
_UNPRINTED = frozenset(("Cc", "Cs", "Co", "Cn"))
_BOILERPLATE = re.compile(
    r"\bas an? (?:ai|artificial intelligence|(?:large )?language model)\b"
    r"|\bi(?:'m| am) (?:sorry|unable|not able)\b.{0,80}?\b(?:cannot|can't|unable|not able|help|assist)\b"
    r"|\bi (?:cannot|can't|won't) (?:help|assist|answer|solve|provide|complete|fulfil)"
    r"|<\|(?:im_start|im_end|endoftext|eot_id)\|>|\[/?INST\]|<[|｜](?:user|assistant|system)[|｜]>",
    re.IGNORECASE | re.DOTALL,
)


def words(text: str) -> list[str]:
    """Letters and digits, small, in one form of Unicode; marks between them are left out, as n-grams are compared."""
    return _WORD.findall(_folded(text))


def tokens(text: str) -> list[str]:
    """Words, and the signs of arithmetic: a solution that adds is not one that subtracts."""
    return _TOKEN.findall(_folded(text))


def normalised(text: str) -> str:
    """Two texts that differ in case, blanks and marks alone are the same."""
    return " ".join(words(text))


def text_digest(text: str) -> str:
    """Of the normalised text, 32 hexadecimal digits. A text without any word is told by its characters."""
    return hashlib.blake2b((normalised(text) or text.strip()).encode("utf-8", "replace"), digest_size=16).hexdigest()


def codes(parts: Sequence[str]) -> Hashes:
    """Each word as a number."""
    return np.array(list(map(_code, parts)), dtype=np.uint64)


def ngrams(said: Hashes, n: int) -> Hashes:
    """All n-grams of the words in their order; of a shorter text one, of all its words; of none an empty array."""
    size = min(n, len(said))
    found = np.zeros(len(said) - size + 1 if size else 0, dtype=np.uint64)
    for at in range(size):  # modulo 2^64, on purpose
        found = found * _BASE + said[at : at + len(found)]
    return found ^ (found >> np.uint64(29))


def overlap(one: Hashes, other: Hashes) -> float:
    """Jaccard index of two sorted arrays without repetitions: shared n-grams among all of both."""
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / max(len(one) + len(other) - shared, 1)


def distinct_share(parts: Sequence[str]) -> float:
    """Different ones among all, compared as normalised; 1 for none."""
    forms = {normalised(part) or part.strip() for part in parts}
    return len(forms) / len(parts) if parts else 1.0


def repetitions(found: Hashes) -> int:
    """How many n-grams stood before in the same text."""
    return len(found) - len(np.unique(found))


def longest_loop(said: Hashes, times: int) -> int:
    """How many words the longest stretch has that says the same, of 1 to 64 words, ``times`` times in a row or more."""
    longest = 0
    for period in range(1, min(_PERIODS, len(said) // times) + 1):
        breaks = np.flatnonzero(said[:-period] != said[period:])
        edges = np.concatenate([[-1], breaks, [len(said) - period]])
        stretch = int((edges[1:] - edges[:-1]).max()) - 1 + period
        if stretch >= times * period:
            longest = max(longest, stretch)
    return longest


def has_mathematics(text: str) -> bool:
    """A digit or another sign for a number, a relation, an English number in words."""
    return bool(_NUMBER.search(text) or _NUMBER_WORD.search(text)) or any(map(str.isnumeric, text))


def is_boilerplate(text: str) -> bool:
    """A refusal, a model that speaks of itself, or marks of a chat template."""
    return bool(_BOILERPLATE.search(text))


def has_unprinted(text: str) -> bool:
    """Control characters but tab and line end, lone surrogates, unassigned characters, or one that stands for what
    could not be decoded."""
    if text.isascii() and text.isprintable():
        return False
    return any(c == "\ufffd" or (c not in "\t\n\r" and unicodedata.category(c) in _UNPRINTED) for c in set(text))


def has_open_fence(text: str) -> bool:
    """Whether a code block is not closed."""
    return len(_FENCE.findall(text)) % 2 == 1


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


@lru_cache(maxsize=1 << 18)
def _code(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest(), "little")
