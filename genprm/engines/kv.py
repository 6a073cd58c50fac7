"""Keys and values of attention: of one sequence, of a batch that changes its members, and kept for later.

A row is one sequence's: for each layer keys and values of shape [heads, tokens, size]. A batch of rows of different
lengths is padded on the left, so that all of them grow at the right together.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

Row = list[tuple[torch.Tensor, torch.Tensor]]
BLOCK = 16
"""Tokens that kept rows are found by. What two sequences share beyond a block is found token by token."""
_ROOM = 128
"""Tokens by which a batch's memory grows at a time."""


class _Layer(DynamicLayer):  # type: ignore[misc]
    """Writes new tokens into room that is there already, where the base class copies everything at each token."""

    def __init__(self, keys: torch.Tensor | None = None, values: torch.Tensor | None = None) -> None:
        super().__init__()
        self._length = 0
        if keys is not None and values is not None:
            self._room: tuple[torch.Tensor, torch.Tensor] = (keys, values)
            self._length = keys.shape[-2]
            self.keys, self.values = keys, values
            self.dtype, self.device = keys.dtype, keys.device
            self.is_initialized = True

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        super().lazy_initialization(key_states, value_states)
        self._room = (key_states[..., :0, :], value_states[..., :0, :])

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self._length + key_states.shape[-2]
        if end > self._room[0].shape[-2]:
            self._room = (_widened(self._room[0], end + _ROOM), _widened(self._room[1], end + _ROOM))
        for room, states in zip(self._room, (key_states, value_states), strict=True):
            room[..., self._length : end, :] = states
        self._length = end
        self.keys, self.values = (room[..., :end, :] for room in self._room)
        return self.keys, self.values


class Batch:
    """Rows that a model reads on with, all at once."""

    def __init__(self, model: Any, rows: Sequence[Row], lengths: Sequence[int]) -> None:
        """``rows`` may be empty lists where ``lengths`` is 0."""
        self._model = model
        self.lengths = list(lengths)
        self._width = max(lengths, default=0)
        shape = next((row for row in rows if row), None)
        layers = [] if shape is None else [self._stacked(rows, at) for at in range(len(shape))]
        self._cache = DynamicCache()
        self._cache.layers = layers
        self._cache.layer_class_to_replicate = _Layer
        self._gap = [(0, 0)] * len(rows)

    def read(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Read some new tokens of each row; logits of each row's next one, [rows, vocabulary] in float32."""
        sizes = [len(new) for new in ids]
        most = max(sizes)
        device = self._model.device
        new = torch.tensor([[0] * (most - len(row)) + list(row) for row in ids], device=device)
        lengths, fresh = torch.tensor([self.lengths, sizes], device=device)
        columns = torch.arange(self._width + most, device=device)
        old = (columns >= self._width - lengths[:, None]) & (columns < self._width)
        mask = old | (columns >= self._width + most - fresh[:, None])
        steps = torch.arange(most, device=device) - (most - fresh[:, None])
        with torch.inference_mode():
            out = self._model(
                input_ids=new,
                attention_mask=mask.long(),
                position_ids=(lengths[:, None] + steps).clamp(min=0),
                past_key_values=self._cache,
                use_cache=True,
                logits_to_keep=1,
            )
        # Rows with fewer new tokens than others have a gap between the old and the new.
        self._gap = [(length, most - size) for length, size in zip(self.lengths, sizes, strict=True)]
        self._width += most
        self.lengths = [length + size for length, size in zip(self.lengths, sizes, strict=True)]
        logits: torch.Tensor = out.logits[:, -1].float()
        return logits

    def row(self, at: int) -> Row:
        """A copy of one row, without its padding."""
        return [(self._row(layer.keys[at], at), self._row(layer.values[at], at)) for layer in self._cache.layers]

    def _row(self, states: torch.Tensor, at: int) -> torch.Tensor:
        old, gap = self._gap[at]
        new = self.lengths[at] - old
        end = self._width - new - gap
        return torch.cat([states[:, end - old : end], states[:, self._width - new :]], dim=1)

    def _stacked(self, rows: Sequence[Row], at: int) -> _Layer:
        keys, values = next(row for row in rows if row)[at]
        both = []
        for which, like in enumerate((keys, values)):
            heads, _, size = like.shape
            stacked = like.new_zeros(len(rows), heads, self._width, size)
            for to, row, length in zip(stacked, rows, self.lengths, strict=True):
                if length:
                    to[:, self._width - length :] = row[at][which][:, :length]
            both.append(stacked)
        return _Layer(*both)


class PrefixStore:
    """Rows kept for sequences that begin alike, those not used for the longest time given up first."""

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._rows: OrderedDict[int, tuple[tuple[int, ...], Row]] = OrderedDict()
        self._found: dict[int, list[int]] = {}
        self._tokens = 0
        self._next = 0
        self.queries = self.hits = 0

    def longest(self, ids: Sequence[int]) -> tuple[int, Row]:
        """How many of the first ids are kept, and a row that begins with them. The last one is never taken from
        here, for somebody has to be asked what follows."""
        entry = None
        for key in blocks(ids):
            if key not in self._found:
                break
            entry = self._found[key][-1]
        self.queries += len(ids)
        if entry is None:
            return 0, []
        self._rows.move_to_end(entry)
        kept, row = self._rows[entry]
        n = min(_shared(kept, ids), len(ids) - 1)
        self.hits += n
        return n, row if n else []

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


def _widened(states: torch.Tensor, width: int) -> torch.Tensor:
    wide = states.new_zeros(*states.shape[:-2], width, states.shape[-1])
    wide[..., : states.shape[-2], :] = states
    return wide
