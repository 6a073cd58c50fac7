"""The batcher's backend in torch: any causal model of transformers.

A row is one sequence's: for each layer keys and values of shape [heads, tokens, size]. A batch of rows of different
lengths is padded on the left, so that all of them grow at the right together.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from genprm.engines.sampling import Shortlist

Row = list[tuple[torch.Tensor, torch.Tensor]]
_ROOM = 128
"""Tokens by which a batch's memory grows at a time."""


class HfBackend:
    """One model on its device."""

    out_of_memory: type[Exception] = torch.OutOfMemoryError

    def __init__(self, model: Any) -> None:
        self.model = model

    def batch(self, rows: Sequence[Row | None], lengths: Sequence[int]) -> "HfBatch":
        return HfBatch(self.model, rows, lengths)


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


class HfBatch:
    """Rows that a model reads on with, all at once."""

    def __init__(self, model: Any, rows: Sequence[Row | None], lengths: Sequence[int]) -> None:
        self._model = model
        self.lengths = list(lengths)
        self._width = max(lengths, default=0)
        shape = next((row for row in rows if row), None)
        layers = [] if shape is None else [self._stacked(rows, at) for at in range(len(shape))]
        self._cache = DynamicCache()
        self._cache.layers = layers
        self._cache.layer_class_to_replicate = _Layer
        self._gap = [(0, 0)] * len(rows)

    def read(self, ids: Sequence[Sequence[int]], most: int | None) -> Shortlist:
        sizes = [len(new) for new in ids]
        widest = max(sizes)
        device = self._model.device
        new = torch.tensor([[0] * (widest - len(row)) + list(row) for row in ids], device=device)
        lengths, fresh = torch.tensor([self.lengths, sizes], device=device)
        columns = torch.arange(self._width + widest, device=device)
        old = (columns >= self._width - lengths[:, None]) & (columns < self._width)
        mask = old | (columns >= self._width + widest - fresh[:, None])
        steps = torch.arange(widest, device=device) - (widest - fresh[:, None])
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
        self._gap = [(length, widest - size) for length, size in zip(self.lengths, sizes, strict=True)]
        self._width += widest
        self.lengths = [length + size for length, size in zip(self.lengths, sizes, strict=True)]
        return shortlist(out.logits[:, -1].float(), most)

    def row(self, at: int) -> Row:
        """A copy of one row, without its padding."""
        return [(self._row(layer.keys[at], at), self._row(layer.values[at], at)) for layer in self._cache.layers]

    def _row(self, states: torch.Tensor, at: int) -> torch.Tensor:
        old, gap = self._gap[at]
        new = self.lengths[at] - old
        end = self._width - new - gap
        return torch.cat([states[:, end - old : end], states[:, self._width - new :]], dim=1)

    def _stacked(self, rows: Sequence[Row | None], at: int) -> _Layer:
        keys, values = next(row for row in rows if row)[at]
        both = []
        for which, like in enumerate((keys, values)):
            heads, _, size = like.shape
            stacked = like.new_zeros(len(rows), heads, self._width, size)
            for to, row, length in zip(stacked, rows, self.lengths, strict=True):
                if row and length:
                    to[:, self._width - length :] = row[at][which][:, :length]
            both.append(stacked)
        return _Layer(*both)


def _widened(states: torch.Tensor, width: int) -> torch.Tensor:
    wide = states.new_zeros(*states.shape[:-2], width, states.shape[-1])
    wide[..., : states.shape[-2], :] = states
    return wide


def shortlist(logits: torch.Tensor, most: int | None) -> Shortlist:
    """Of ``logits`` [rows, vocabulary]."""
    n_all = logits.shape[-1]
    values, ids = logits.topk(min(most or n_all, n_all))
    return Shortlist(ids.cpu().numpy(), values.cpu().numpy(), logits.logsumexp(-1).cpu().numpy())
