"""Where the weights of a new model begin: random, but for heads that copy.

Whoever quotes a sentence looks up, after every word, where the last words stood before and what followed them there. A
transformer does so with two layers (induction heads: Olsson et al. 2022, arXiv 2209.11895). A short training finds one
that goes by the last word, seldom one that goes by several, and sentences of one kind share most words. So a new model
begins with it:

- In the first layer, head n looks n tokens back and writes a signature of what it finds there. To look back it needs
  only rotary positions: queries and keys are the same for all tokens, from a part that all embeddings share, and agree
  best at one distance.
- In the second layer, the query holds the signatures of the last tokens, the key those of the tokens before it. They
  agree where the same tokens stood before, and the head adds what it finds there to the prediction.

All other branches begin at 0 (as in Zhang et al. 2019, arXiv 1901.09321), and nothing of this is kept in training but
what serves.
"""

from typing import Any

import torch

_BACK = 3
"""Tokens that a match goes by."""
_SHARP = 20
"""Logit of a head that looks back, at its distance; it is 0 on average elsewhere."""
_STRENGTH = 2
"""Of a signature that is written, beside the one in the embedding itself."""
_SAID = 0.15
"""How much of what is found goes into the prediction."""


def begin_copying(model: Any) -> None:
    """Set the weights of a Llama with tied embeddings; left as it is where it has one layer or too few heads."""
    config = model.config
    hidden, heads = config.hidden_size, config.num_attention_heads
    size, group = hidden // heads, heads // config.num_key_value_heads
    back, length = min(_BACK, heads - 1), 2 * (size // 4)
    if config.num_hidden_layers < 2 or not back or not length:
        return
    directions = torch.linalg.qr(torch.randn(hidden, hidden))[0].T
    written = directions[: back * length].view(back, length, hidden)
    shared, free = directions[back * length], directions[back * length + 1 :]
    signature = free[:length]
    norm = config.initializer_range * hidden**0.5  # of either half of an embedding
    angles = config.rope_parameters["rope_theta"] ** (-torch.arange(size // 2) * 2 / size)
    with torch.no_grad():
        embeddings = model.get_input_embeddings().weight
        own = torch.randn(len(embeddings), len(free)) @ free
        embeddings.copy_(norm * (own / own.norm(dim=1, keepdim=True) + shared))
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()

        first = model.model.layers[0].self_attn
        constant = shared / (hidden / 2) ** 0.5  # 1 for every embedding, once that is normalised
        for head in range(back):
            query, key = _looking(angles, head + 1)
            queries, keys = _rows(head, size), _rows(head // group, size)
            first.q_proj.weight[queries] += query[:, None] * constant
            if head % group == 0:
                first.k_proj.weight[keys] += key[:, None] * constant
            first.v_proj.weight[keys][:length] = signature
            first.o_proj.weight[:, queries][:, :length] = _STRENGTH * norm / (hidden / 2) ** 0.5 * written[head].T

        second = model.model.layers[1].self_attn
        # Slow rotations, which hardly change from a quote to what it quotes.
        slow = torch.arange(size // 2 - length // 2, size // 2)
        slow = torch.cat([slow, slow + size // 2])
        second.q_proj.weight[slow] = _STRENGTH * signature + written[: back - 1].sum(0)
        second.k_proj.weight[slow] = written.sum(0)
        second.v_proj.weight[:size] = free[:size]
        second.o_proj.weight[:, :size] = _SAID * free[:size].T


def _rows(head: int, size: int) -> slice:
    return slice(head * size, (head + 1) * size)


def _looking(angles: torch.Tensor, back: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A query and a key that agree best where the key is ``back`` tokens before the query."""
    # Quick rotations tell neighbours apart, slow ones near from far.
    weights = (angles / angles.sum() * _SHARP * (2 * len(angles)) ** 0.5).sqrt()
    turned = angles * back
    return (
        torch.cat([weights * turned.cos(), -weights * turned.sin()]),
        torch.cat([weights, torch.zeros_like(weights)]),
    )
