"""The next token of every row of a batch, each sampled in its own way.

A backend hands over the likeliest ids of each row only, so that no more than these leave the device.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genprm.types import Sampling

_GREEDY = 1e-5
"""Temperatures below this take the likeliest token."""

Floats = NDArray[np.floating[Any]]
Ids = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Shortlist:
    """The likeliest ids of each row with their logits, likeliest first: [rows, listed], of the whole vocabulary
    perhaps. ``total`` [rows] is the logarithm of the sum of exp(logit) over all ids, listed or not."""

    ids: Ids
    logits: Floats
    total: Floats


@dataclass(frozen=True, slots=True)
class Chosen:
    """One row's token, its log-probability and the likeliest ids with theirs, where they were asked for."""

    token: int
    logprob: float = 0.0
    top: tuple[tuple[int, float], ...] = ()


def n_needed(samplings: Sequence[Sampling]) -> int | None:
    """How many ids a shortlist must hold for these to be sampled; None: all."""
    if any(s.repetition_penalty != 1 or (s.temperature >= _GREEDY and not s.top_k) for s in samplings):
        return None
    return max(max(_limit(s), s.logprobs) for s in samplings)


def choose(
    shortlist: Shortlist, samplings: Sequence[Sampling], seen: Sequence[Sequence[int]], draws: Sequence[float]
) -> list[Chosen | None]:
    """A token for each row; None for a row that is no numbers (NaN, or infinite).

    ``seen`` are the ids before it, for the repetition penalty; ``draws`` numbers in [0, 1), one a row, which alone
    decide what is sampled. Log-probabilities are the model's own, before temperature and limits.
    """
    sound = np.isfinite(shortlist.total)
    logits = np.where(sound[:, None], shortlist.logits, 0.0).astype(np.float64)
    ranks = _ranks(_penalised(logits, shortlist.ids, samplings, seen), samplings, draws)
    return [
        _chosen(shortlist, row, rank, sampling.logprobs) if is_sound else None
        for row, (rank, sampling, is_sound) in enumerate(zip(ranks, samplings, sound, strict=True))
    ]


def _limit(sampling: Sampling) -> int:
    """Ids that may be drawn; 0: all."""
    return 1 if sampling.temperature < _GREEDY else sampling.top_k


def _chosen(shortlist: Shortlist, row: int, rank: int, n_top: int) -> Chosen:
    ids, total = shortlist.ids[row], shortlist.total[row]
    if not n_top:
        return Chosen(int(ids[rank]))
    logprobs = shortlist.logits[row] - total
    top = zip(ids[:n_top].tolist(), logprobs[:n_top].tolist(), strict=True)
    return Chosen(int(ids[rank]), float(logprobs[rank]), tuple(top))


def _penalised(logits: Floats, ids: Ids, samplings: Sequence[Sampling], seen: Sequence[Sequence[int]]) -> Floats:
    if all(s.repetition_penalty == 1 for s in samplings):
        return logits
    penalties = np.array([[s.repetition_penalty] for s in samplings])
    old = np.stack([np.isin(row, list(set(before))) for row, before in zip(ids, seen, strict=True)])
    return np.where(old, np.where(logits > 0, logits / penalties, logits * penalties), logits)


def _ranks(logits: Floats, samplings: Sequence[Sampling], draws: Sequence[float]) -> list[int]:
    """Where in the shortlist each row's token stands."""

    def column(values: Sequence[float]) -> Floats:
        return np.array(values, dtype=np.float64)[:, None]

    listed = logits.shape[-1]
    order = np.argsort(-logits, axis=-1, kind="stable")  # a penalty may have changed it
    values = np.take_along_axis(logits, order, -1) / column([max(s.temperature, _GREEDY) for s in samplings])
    values[np.arange(listed) >= column([_limit(s) or listed for s in samplings])] = -np.inf
    chances = np.exp(values - values[:, :1])
    chances /= chances.sum(-1, keepdims=True)
    before = chances.cumsum(-1) - chances
    chances[before >= column([s.top_p for s in samplings])] = 0.0
    reached = chances.cumsum(-1)
    rank = (reached <= reached[:, -1:] * column(draws)).sum(-1)
    last = (chances > 0).sum(-1) - 1  # rounding may lead past the end
    found: list[int] = np.take_along_axis(order, np.minimum(rank, last)[:, None], -1)[:, 0].tolist()
    return found
