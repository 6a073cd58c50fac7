"""Sequences kept with their keys and values, for those that begin alike."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence

from genprm.engines.backend import Row

BLOCK = 16
"""Tokens that kept rows are found by. What two sequences share beyond a block is found token by token."""


class PrefixStore:
    """Rows kept for sequences that begin alike, those not used for the longest time given up first."""

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._rows: OrderedDict[int, tuple[tuple[int, ...], Row]] = OrderedDict()
        self._found: dict[int, list[int]] = {}
        self._tokens = 0
        self._next = 0
        self.queries = self.hits = 0

    def longest(self, ids: Sequence[int]) -> tuple[int, Row | None]:
        """How many of the first ids are kept, and a row that begins with them, None for none. The last one is never
        taken from here, for somebody has to be asked what follows."""
        entry = None
        for key in blocks(ids):
            if key not in self._found:
                break
            entry = self._found[key][-1]
        self.queries += len(ids)
        if entry is None:
            return 0, None
        self._rows.move_to_end(entry)
        kept, row = self._rows[entry]
        n = min(_shared(kept, ids), len(ids) - 1)
        self.hits += n
        return n, row if n else None

    def first_missing(self, ids: Sequence[int]) -> int | None:
        """The first block that is not kept but could be: sequences that miss the same one should not all read it."""
        if not self._takes(ids):
            return None
        return next((key for key in blocks(ids) if key not in self._found), None)

    def keep(self, ids: Sequence[int], row: Row) -> None:
        """Keep ``row`` of ``ids``; it is not copied."""
        if not self._takes(ids):
            return
        entry, self._next = self._next, self._next + 1
        self._rows[entry] = (tuple(ids), row)
        for key in blocks(ids):
            self._found.setdefault(key, []).append(entry)
        self._tokens += len(ids)
        while self._tokens > self._max_tokens:
            self._drop()

    def clear(self) -> None:
        self._rows.clear()
        self._found.clear()
        self._tokens = 0

    def _takes(self, ids: Sequence[int]) -> bool:
        return BLOCK <= len(ids) <= self._max_tokens

    def _drop(self) -> None:
        entry, (ids, _) = self._rows.popitem(last=False)
        self._tokens -= len(ids)
        for key in blocks(ids):
            self._found[key].remove(entry)
            if not self._found[key]:
                del self._found[key]


def blocks(ids: Sequence[int]) -> Iterator[int]:
    """A key for each whole block, which stands for all before it too."""
    key = 0
    for at in range(0, len(ids) - BLOCK + 1, BLOCK):
        key = hash((key, *ids[at : at + BLOCK]))
        yield key


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
