"""The next token of every row of a batch, each sampled in its own way."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from genprm.types import Sampling

_GREEDY = 1e-5
"""Temperatures below this take the likeliest token."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """One row's token, its log-probability and the likeliest ids with theirs, where they were asked for."""

    token: int
    logprob: float = 0.0
    top: tuple[tuple[int, float], ...] = ()


def choose(
    logits: torch.Tensor,
    samplings: Sequence[Sampling],
    seen: Sequence[Sequence[int]],
    draws: Sequence[float],
) -> list[Chosen | None]:
    """A token for each row of ``logits`` [rows, vocabulary]; None for a row that is no numbers (NaN, or infinite).

    ``seen`` are the ids before it, for the repetition penalty; ``draws`` numbers in [0, 1), one a row, which alone
    decide what is sampled. Log-probabilities are the model's own, before temperature and limits.
    """
    penalised = _penalised(logits, samplings, seen)
    broken = ~penalised.amax(-1).isfinite()  # the largest is NaN where any is
    tokens = _tokens(penalised.masked_fill(broken[:, None], 0.0), samplings, draws)
    chosen = _with_logprobs(logits, tokens, samplings)
    return [None if is_broken else one for one, is_broken in zip(chosen, broken.tolist(), strict=True)]


def _with_logprobs(logits: torch.Tensor, tokens: torch.Tensor, samplings: Sequence[Sampling]) -> list[Chosen]:
    most = max(s.logprobs for s in samplings)
    if not most:
        return [Chosen(token) for token in tokens.tolist()]
    logprobs = logits.log_softmax(-1)
    own = logprobs.gather(-1, tokens[:, None])[:, 0].tolist()
    values, ids = (part.tolist() for part in logprobs.topk(min(most, logits.shape[-1])))
    return [
        Chosen(token, own[row], tuple(zip(ids[row], values[row], strict=True))[: s.logprobs])
        for row, (token, s) in enumerate(zip(tokens.tolist(), samplings, strict=True))
    ]


def _penalised(logits: torch.Tensor, samplings: Sequence[Sampling], seen: Sequence[Sequence[int]]) -> torch.Tensor:
    if all(s.repetition_penalty == 1 for s in samplings):
        return logits
    logits = logits.clone()
    for row, sampling, before in zip(logits, samplings, seen, strict=True):
        ids = torch.tensor(sorted(set(before)), dtype=torch.long, device=logits.device)
        old = row[ids]
        row[ids] = torch.where(old > 0, old / sampling.repetition_penalty, old * sampling.repetition_penalty)
    return logits


def _tokens(logits: torch.Tensor, samplings: Sequence[Sampling], draws: Sequence[float]) -> torch.Tensor:
    if all(s.temperature < _GREEDY for s in samplings):
        return logits.argmax(-1)

    def column(values: Sequence[float]) -> torch.Tensor:
        return torch.tensor(values, device=logits.device)[:, None]

    n_all = logits.shape[-1]
    limits = [1 if s.temperature < _GREEDY else min(s.top_k or n_all, n_all) for s in samplings]
    values, ids = logits.topk(max(limits))  # likeliest first
    values = values / column([max(s.temperature, _GREEDY) for s in samplings])
    values[torch.arange(max(limits), device=logits.device) >= column(limits)] = -torch.inf
    chances = values.softmax(-1)
    before = chances.cumsum(-1) - chances
    chances[before >= column([s.top_p for s in samplings])] = 0.0
    reached = chances.cumsum(-1)
    rank = (reached <= reached[:, -1:] * column(draws)).sum(-1, keepdim=True)
    last = (chances > 0).sum(-1, keepdim=True) - 1  # rounding may lead past the end
    return ids.gather(-1, rank.minimum(last))[:, 0]
