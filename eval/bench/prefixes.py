"""A prefix cache as vLLM keeps it, over characters: blocks of 16 tokens, found by a hash of all text to their end."""

from collections import OrderedDict

BLOCK_TOKENS = 16
BLOCK_CHARS = 56
"""A token is taken to be 3.5 characters, which is between code with numbers (fewer) and English prose (more)."""


def tokens_of(text: str) -> int:
    """The number of tokens that ``text`` is taken to be."""
    return -(-len(text) * BLOCK_TOKENS // BLOCK_CHARS)


class PrefixCache:
    """Least recently used blocks make room for new ones."""

    def __init__(self, capacity_tokens: int) -> None:
        self._capacity = max(capacity_tokens // BLOCK_TOKENS, 1)
        self._blocks: OrderedDict[int, None] = OrderedDict()
        self.queries = 0
        """Tokens of all prompts looked up."""
        self.hits = 0
        """Tokens of these that were there."""

    def __len__(self) -> int:
        return len(self._blocks)

    def look_up(self, prompt: str) -> int:
        """Tokens of the longest known prefix. Never the whole prompt: its last token must be computed."""
        total = tokens_of(prompt)
        found = 0
        for key in _keys(prompt):
            if key not in self._blocks:
                break
            self._blocks.move_to_end(key)
            found += BLOCK_TOKENS
        found = min(found, max(total - 1, 0) // BLOCK_TOKENS * BLOCK_TOKENS)
        self.queries += total
        self.hits += found
        return found

    def keep(self, text: str) -> None:
        """Know the full blocks of ``text`` from now on: a prompt and what was written after it."""
        for key in _keys(text):
            self._blocks[key] = None
            self._blocks.move_to_end(key)
        while len(self._blocks) > self._capacity:
            self._blocks.popitem(last=False)


def _keys(text: str) -> list[int]:
    """One key for each full block, each made from the key before."""
    keys = []
    key = 0
    for start in range(0, len(text) - BLOCK_CHARS + 1, BLOCK_CHARS):
        key = hash((key, text[start : start + BLOCK_CHARS]))
        keys.append(key)
    return keys
