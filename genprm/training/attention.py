"""Causal attention for training on CPU, by blocks of queries.

The kernel that torch uses there reaches a fraction of what its matrix products do at the head sizes of small models.
Here each block of queries meets all keys up to its end in one product. So what lies behind the diagonal, nearly half of
the work, is left out but for a corner of each block; and under autocast the products run in bfloat16.
"""

from functools import lru_cache
from typing import Any

NAME = "genprm_blocks"
BLOCK = 256


def register() -> str:
    """Make it known to transformers, and return the name for ``attn_implementation``."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, attention)
    return NAME


def attention(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, scaling: float | None = None, **_: Any
) -> tuple[Any, None]:
    """Queries ``[batch, heads, length, size]``, keys and values with as many or fewer heads -> ``[batch, length,
    heads, size]``. Rows are padded on the right, where no query of a text looks, so there is no mask."""
    import torch

    assert attention_mask is None, "rows are padded on the right, and need no mask"
    batch, heads, length, size = query.shape
    groups = key.shape[1]
    share = heads // groups
    key, value = (x.reshape(batch * groups, length, size) for x in (key, value))
    query = (query * (size**-0.5 if scaling is None else scaling)).reshape(batch * groups, share, length, size)
    blocks = []
    for start in range(0, length, BLOCK):
        end = min(start + BLOCK, length)
        rows = query[:, :, start:end].reshape(batch * groups, share * (end - start), size)
        scores = torch.baddbmm(_bias(start, end, share, query.dtype), rows, key[:, :end].transpose(1, 2))
        seen = torch.bmm(scores.softmax(-1), value[:, :end])
        blocks.append(seen.view(batch, heads, end - start, size))
    return torch.cat(blocks, 2).transpose(1, 2), None


@lru_cache(maxsize=64)
def _bias(start: int, end: int, share: int, dtype: Any) -> Any:
    """Minus infinity where a key comes after its query: ``[share * (end - start), end]``."""
    import torch

    diagonal = torch.full((end - start, end - start), float("-inf"), dtype=dtype).triu(1)
    return torch.nn.functional.pad(diagonal, (start, 0)).repeat(share, 1)
