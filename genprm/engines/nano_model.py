"""A Llama in numpy: the batcher's backend on a CPU, without torch.

Sequences of different lengths are read without any padding: their new tokens stand one after the other in the matrix
products, and each attends to its own keys and values by itself.

The folder's tensors are rearranged once, when they are loaded: the weights of norms go into the matrices after them,
matrices that read the same are joined, and the two halves of each rotated pair stand side by side, so that a rotation
is the product with one complex number.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genprm.engines.nano_config import LlamaConfig
from genprm.engines.sampling import Shortlist

Array = NDArray[np.float32]
PASS = 40
"""Tokens, of all sequences together, that go through the layers at once. With so few of them, and matrices cut into
blocks, OpenBLAS multiplies without copying the weights first, which is three times as fast."""
_BLOCK = 64
_LATER = np.triu(np.full((PASS, PASS), -np.inf, np.float32), 1)
"""Added to scores, it hides from each new token those after it."""
_SMALL = 10**6
"""Multiplications up to which OpenBLAS does so, on processors with AVX-512."""
_ROOM = 128
"""Tokens by which a row's memory grows beyond half of itself."""


class _Memory:
    """Keys [layers, heads, size, room] and values [layers, heads, room, size] of one sequence, and whichever go on
    from its first tokens."""

    def __init__(self, config: LlamaConfig, room: int) -> None:
        shape = (config.num_hidden_layers, config.num_key_value_heads)
        self.keys: Array = np.empty((*shape, config.head_dim, room), np.float32)
        self.values: Array = np.empty((*shape, room, config.head_dim), np.float32)
        self.used = 0
        """Tokens written. Nobody writes them again, so rows that end here or before may share them."""


@dataclass(frozen=True, slots=True)
class Row:
    """The first ``length`` tokens of a memory."""

    memory: _Memory
    length: int


class _Matrix:
    """A matrix [out, in], cut into blocks of a few outputs where the processor is better at these."""

    def __init__(self, matrix: Array) -> None:
        self._n_out, n_in = matrix.shape
        width = max(min(_SMALL // (PASS * n_in) // 16 * 16, _BLOCK), 16) if _likes_blocks() else self._n_out
        padded = np.zeros((-(-self._n_out // width) * width, n_in), np.float32)
        padded[: self._n_out] = matrix
        self._blocks: Array = np.ascontiguousarray(padded.reshape(-1, width, n_in).swapaxes(1, 2))

    def __call__(self, x: Array) -> Array:
        """``x`` [tokens, in]; [tokens, out]."""
        products: Array = (x @ self._blocks).swapaxes(0, 1).reshape(len(x), -1)
        return products[:, : self._n_out]


@dataclass(frozen=True, slots=True)
class _Layer:
    qkv: _Matrix
    out: _Matrix
    gate_up: _Matrix
    down: _Matrix


class Llama:
    """The model. ``tensors`` are those of the folder, by their names there."""

    out_of_memory: type[Exception] = MemoryError

    def __init__(self, config: LlamaConfig, tensors: Mapping[str, Array], window: int) -> None:
        self.config = config
        self._embedding = tensors["model.embed_tokens.weight"]
        head = self._embedding if config.tie_word_embeddings else tensors["lm_head.weight"]
        self._head = _Matrix(_after_norm(tensors["model.norm.weight"], head))
        self._layers = [_layer(config, tensors, f"model.layers.{at}.") for at in range(config.num_hidden_layers)]
        self._rotations = _rotations(config, window)

    def batch(self, rows: Sequence[Row | None], lengths: Sequence[int]) -> "NanoBatch":
        return NanoBatch(self, [row and Row(row.memory, length) for row, length in zip(rows, lengths, strict=True)])

    def read(self, rows: Sequence[Row], ids: Sequence[Sequence[int]]) -> Array:
        """Logits [rows, vocabulary] of what follows ``ids``, the last tokens of ``rows``, which are written there."""
        sizes = [len(new) for new in ids]
        ends = np.cumsum(sizes)
        stretches = [slice(end - size, end) for end, size in zip(ends.tolist(), sizes, strict=True)]
        positions = np.concatenate([np.arange(row.length - n, row.length) for row, n in zip(rows, sizes, strict=True)])
        rotations = self._rotations[positions, None]
        x = self._embedding[np.concatenate(ids)]
        with np.errstate(over="ignore"):  # of exp(-gate): what is divided by it is 0 then, as it should be
            for at, layer in enumerate(self._layers):
                x += layer.out(self._attended(at, layer.qkv(self._normed(x)), rotations, rows, stretches))
                x += layer.down(_gated(layer.gate_up(self._normed(x))))
        return self._head(self._normed(x[ends - 1]))

    def _normed(self, x: Array) -> Array:
        """Of the length 1; what is missing to a mean square of 1 is in the matrices."""
        squares = np.einsum("ij,ij->i", x, x) + np.float32(self.config.rms_norm_eps * self.config.hidden_size)
        unit: Array = x / np.sqrt(squares)[:, None]
        return unit

    def _attended(
        self,
        at: int,
        qkv: Array,
        rotations: NDArray[np.complex64],
        rows: Sequence[Row],
        stretches: Sequence[slice],
    ) -> Array:
        """What the tokens gather from those before them in layer ``at``, where their keys and values are written."""
        n_heads, n_kv = self.config.num_attention_heads, self.config.num_key_value_heads
        heads = qkv.reshape(len(qkv), -1, self.config.head_dim)
        rotated = heads[:, : n_heads + n_kv].view(np.complex64)
        rotated *= rotations
        query, key, value = heads[:, :n_heads], heads[:, n_heads : n_heads + n_kv], heads[:, n_heads + n_kv :]
        mixed = np.empty(query.shape, np.float32)
        for row, new in zip(rows, stretches, strict=True):
            keys, values = row.memory.keys[at, :, :, : row.length], row.memory.values[at, :, : row.length]
            start = row.length - (new.stop - new.start)
            keys[:, :, start:] = key[new].transpose(1, 2, 0)
            values[:, start:] = value[new].swapaxes(0, 1)
            mixed[new] = _attention(query[new], keys, values)
        return mixed.reshape(len(qkv), -1)


class NanoBatch:
    """Rows that are read on together."""

    def __init__(self, model: Llama, rows: Sequence[Row | None]) -> None:
        self._model = model
        self._rows = [row or Row(_Memory(model.config, 0), 0) for row in rows]

    def read(self, ids: Sequence[Sequence[int]], most: int | None) -> Shortlist:
        """Pass by pass; a row's logits are those of the last one in which it is."""
        logits = np.empty((len(ids), self._model.config.vocab_size), np.float32)
        for parts in _passes([len(new) for new in ids]):
            for at, start, end in parts:
                self._rows[at] = self._extended(self._rows[at], end - start, len(ids[at]) - start)
            chunks = [ids[at][start:end] for at, start, end in parts]
            logits[[at for at, _, _ in parts]] = self._model.read([self._rows[at] for at, _, _ in parts], chunks)
        return shortlist(logits, most)

    def row(self, at: int) -> Row:
        return self._rows[at]

    def _extended(self, row: Row, n: int, wanted: int) -> Row:
        """With ``n`` more tokens to be written: where it is, or in a memory of its own with room for all ``wanted``
        where there is no room, or somebody else has gone on from it."""
        memory, end = row.memory, row.length + n
        if memory.used != row.length or end > memory.keys.shape[-1]:
            memory = _Memory(self._model.config, (row.length + wanted) * 3 // 2 + _ROOM)
            memory.keys[..., : row.length] = row.memory.keys[..., : row.length]
            memory.values[..., : row.length, :] = row.memory.values[..., : row.length, :]
        memory.used = end
        return Row(memory, end)


def shortlist(logits: Array, most: int | None) -> Shortlist:
    """Of ``logits`` [rows, vocabulary]."""
    n_all = logits.shape[-1]
    n = min(most or n_all, n_all)
    ids = np.argpartition(-logits, n - 1, axis=-1)[:, :n] if n < n_all else np.broadcast_to(np.arange(n), logits.shape)
    listed = np.take_along_axis(logits, ids, -1)
    order = np.argsort(-listed, axis=-1, kind="stable")
    largest = logits.max(-1)
    with np.errstate(invalid="ignore"):  # of infinities: no numbers come of them
        total = largest + np.log(np.exp(logits - largest[:, None]).sum(-1))
    return Shortlist(np.take_along_axis(ids, order, -1), np.take_along_axis(listed, order, -1), total)


def _passes(sizes: Sequence[int]) -> Iterator[list[tuple[int, int, int]]]:
    """All rows' new tokens, ``PASS`` at a time: which row, from where, to where."""
    parts: list[tuple[int, int, int]] = []
    room = PASS
    for at, size in enumerate(sizes):
        start = 0
        while start < size:
            end = min(start + room, size)
            parts.append((at, start, end))
            room -= end - start
            start = end
            if not room:
                yield parts
                parts, room = [], PASS
    if parts:
        yield parts


def _attention(queries: Array, keys: Array, values: Array) -> Array:
    """``queries`` [new, heads, size] of the last tokens, ``keys`` [kv heads, size, tokens] and ``values`` [kv heads,
    tokens, size] of all; the result is like ``queries``, which are already scaled."""
    new, n_heads, size = queries.shape
    n_kv, _, tokens = keys.shape
    scores = queries.swapaxes(0, 1).reshape(n_kv, -1, size) @ keys
    if new > 1:
        scores.reshape(n_heads, new, tokens)[:, :, tokens - new :] += _LATER[:new, :new]
    scores -= scores.max(-1, keepdims=True)
    np.exp(scores, out=scores)
    mixed: Array = (scores @ values) / scores.sum(-1, keepdims=True)
    return mixed.reshape(n_heads, new, size).swapaxes(0, 1)


def _gated(x: Array) -> Array:
    """SiLU of the first half times the second."""
    gate, up = x[:, : x.shape[-1] // 2], x[:, x.shape[-1] // 2 :]
    weight = np.exp(-gate)
    weight += 1
    np.divide(gate, weight, out=weight)
    weight *= up
    return weight


def _layer(config: LlamaConfig, tensors: Mapping[str, Array], prefix: str) -> _Layer:
    def tensor(name: str) -> Array:
        return tensors[f"{prefix}{name}.weight"]

    query, key, value = (tensor(f"self_attn.{name}_proj") for name in "qkv")
    query = _paired(query, config.head_dim) * np.float32(config.head_dim**-0.5)
    qkv = np.concatenate([query, _paired(key, config.head_dim), value])
    gate_up = np.concatenate([tensor("mlp.gate_proj"), tensor("mlp.up_proj")])
    return _Layer(
        _Matrix(_after_norm(tensor("input_layernorm"), qkv)),
        _Matrix(tensor("self_attn.o_proj")),
        _Matrix(_after_norm(tensor("post_attention_layernorm"), gate_up)),
        _Matrix(tensor("mlp.down_proj")),
    )


def _after_norm(norm: Array, matrix: Array) -> Array:
    """``matrix`` [out, in], for what is of the length 1 and not weighted."""
    return matrix * (norm * np.float32(len(norm) ** 0.5))


def _paired(matrix: Array, size: int) -> Array:
    """Rows of each head reordered: 0, size/2, 1, size/2 + 1, …, so that what is rotated together stands together."""
    heads = matrix.reshape(-1, 2, size // 2, matrix.shape[-1])
    return heads.swapaxes(1, 2).reshape(matrix.shape)


def _rotations(config: LlamaConfig, window: int) -> NDArray[np.complex64]:
    """[window, head size / 2], of angles in float32 as everywhere else, so that long texts read the same."""
    steps = np.arange(0, config.head_dim, 2, dtype=np.float32) / np.float32(config.head_dim)
    angles = np.arange(window, dtype=np.float32)[:, None] * (1 / np.float32(config.rope_theta) ** steps)
    return (np.cos(angles) + 1j * np.sin(angles)).astype(np.complex64)


def _likes_blocks() -> bool:
    """numpy has no public word for it, and another name for it since 2.4. Whole matrices are right everywhere."""
    inside = getattr(getattr(np, "_core", None), "_multiarray_umath", None)
    features = getattr(inside, "__cpu_features__", {})
    return any(features.get(name) for name in ("AVX512_SKX", "X86_V4"))
