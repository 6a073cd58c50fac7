"""All values of an attempt together: a hidden Markov chain over a grid of probabilities.

The values of an attempt's prefixes are no strangers to one another. Most steps leave the chance of success about where
it was, a wrong one cuts it down or ends it, and the answer of the last step is known. Estimating every prefix by itself
throws that away, and pays for it in completions. Here the state after ``t`` steps is the value of that prefix, hidden;
the counts of its completions are binomial; a step moves it by a mixture of simple moves:

    stay    a little up or down (normal in the logit)      rise    anywhere above
    dead    to 0, where it remains                         fall    anywhere below

From the forward and backward sums come, exactly on the grid, the posterior of every value, the probability of every
label (which hangs on two neighbouring values), and what completions at a prefix would tell about the labels.

The model is a prior, and a mild one; :func:`learn` fits its weights to attempts (expectation maximisation). Two things
that it leaves out: shared completions count at every prefix that they pass through, and so weigh a little more than
they should; and no value depends on how long the rest of the solution is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from genprm.synth.beta import Reals
from genprm.synth.schemes import Scheme
from genprm.synth.types import Estimate

_CELLS = 30
_GRID: Reals = np.concatenate([[0.0], (np.arange(_CELLS) + 0.5) / _CELLS, [1.0]])
_SPREAD = 0.35
"""Of a step that stays, in the logit."""
_LEAK = 1e-3
"""From 0 to anywhere: a step that the completing policy would never write may still lead on."""


@dataclass(frozen=True, slots=True)
class Moves:
    """How often a step does what; the four add up to 1."""

    stay: float = 0.62
    rise: float = 0.12
    fall: float = 0.08
    dead: float = 0.18
    impossible: float = 0.03
    """Share of problems that the policy never solves."""


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is known of an attempt of ``n`` steps, whose states are 0 (the bare problem) to n."""

    right: Reals
    """For each step, the probability that its label is "right"."""
    mean: Reals
    """Of each state's value; n + 1."""
    gain: Reals
    """(n + 1, n): how much of the variance of each label a batch of completions at each state is expected to remove."""


def posterior(states: Sequence[Estimate | None], scheme: Scheme, moves: Moves, batch: int = 0) -> Posterior:
    """From the estimates of all states; None where nothing is known. ``batch``: completions that ``gain`` is told for;
    none tell nothing, and cost no computing.

    With L a label, q a value and y the share of right ones among m completions at q, the variance of L that y removes
    is at least Cov(L, q)^2 / (Var(q) + E[q (1 - q)] / m), that of the best line through them.
    """
    emitted = [_likelihood(state) for state in states]
    step, labelled = _transition(moves), _transition(moves) * _labels(scheme)
    forward = _forward(emitted, step, _start(moves))
    backward = _backward(emitted, step)
    joint = np.stack([f * b for f, b in zip(forward, backward, strict=True)])
    scale = joint.sum(1)
    mean, square = joint @ _GRID / scale, joint @ _GRID**2 / scale
    right = _labels_right(emitted, step, labelled, forward, backward)
    if not batch:
        return Posterior(right, mean, np.zeros((len(mean), len(right))))
    together = _together(emitted, step, labelled, forward, backward)
    noise = np.maximum(square - mean**2 + (mean - square) / batch, 1e-9)
    covariance = together - np.outer(mean, right)
    return Posterior(right, mean, covariance**2 / noise[:, None])


def learn(chains: Iterable[Sequence[Estimate | None]], rounds: int = 10) -> Moves:
    """The weights of the moves under which these attempts are likely, started from the default ones.

    The default counts for as much as 20 steps, so that few attempts move little.
    """
    moves, kept = Moves(), list(chains)
    for _ in range(rounds):
        counts = np.asarray(moves_of(Moves())) * 20
        for states in kept:
            counts = counts + _responsibilities(states, moves)
        moves = Moves(*(counts / counts.sum()).tolist())
    return moves


def moves_of(moves: Moves) -> tuple[float, float, float, float]:
    return moves.stay, moves.rise, moves.fall, moves.dead


def _responsibilities(states: Sequence[Estimate | None], moves: Moves) -> Reals:
    """How many steps each move is expected to have made, those from 0 left out: they say nothing."""
    emitted, step = [_likelihood(state) for state in states], _transition(moves)
    forward, backward = _forward(emitted, step, _start(moves)), _backward(emitted, step)
    counts = np.zeros(4)
    for t in range(len(states) - 1):
        ahead = emitted[t + 1] * backward[t + 1]
        alive = forward[t].copy()
        alive[0] = 0.0
        parts = np.asarray(
            [w * (alive @ kernel @ ahead) for w, kernel in zip(moves_of(moves), _kernels(), strict=True)]
        )
        counts += parts / max(forward[t] @ step @ ahead, 1e-300)
    return counts


def _forward(emitted: Sequence[Reals], step: Reals, start: Reals) -> list[Reals]:
    found = [_unit(start * emitted[0])]
    for each in emitted[1:]:
        found.append(_unit(found[-1] @ step * each))
    return found


def _backward(emitted: Sequence[Reals], step: Reals) -> list[Reals]:
    found = [np.ones(len(_GRID))]
    for each in reversed(emitted[1:]):
        found.append(_unit(step @ (each * found[-1])))
    return found[::-1]


def _labels_right(
    emitted: Sequence[Reals], step: Reals, labelled: Reals, forward: Sequence[Reals], backward: Sequence[Reals]
) -> Reals:
    """P(label) for each step."""
    ahead = [each * after for each, after in zip(emitted[1:], backward[1:], strict=True)]
    return np.asarray([(f @ (labelled @ a)) / (f @ (step @ a)) for f, a in zip(forward, ahead, strict=False)])


def _together(
    emitted: Sequence[Reals], step: Reals, labelled: Reals, forward: Sequence[Reals], backward: Sequence[Reals]
) -> Reals:
    """E[label * value] for each state and step."""
    n = len(emitted) - 1
    together = np.zeros((n + 1, n))
    for s in range(n):
        ahead = emitted[s + 1] * backward[s + 1]
        pair = np.stack([labelled @ ahead, step @ ahead])  # with the label, and without: their ratio is a mean
        for t in range(s, -1, -1):
            together[t, s] = (forward[t] * _GRID) @ pair[0] / (forward[t] @ pair[1])
            pair = _scaled(pair * emitted[t]) @ step.T
        along = np.stack([forward[s] @ labelled, forward[s] @ step]) * emitted[s + 1]
        for t in range(s + 1, n + 1):
            together[t, s] = along[0] @ (_GRID * backward[t]) / (along[1] @ backward[t])
            if t < n:
                along = _scaled(along @ step * emitted[t + 1])
    return together


def _scaled(pair: Reals) -> Reals:
    scaled: Reals = pair / pair[1].sum()
    return scaled


def _unit(weights: Reals) -> Reals:
    shares: Reals = weights / weights.sum()
    return shares


def _likelihood(state: Estimate | None) -> Reals:
    """Of the counts at each value of the grid, up to a factor. Never quite 0, so that no evidence is impossible."""
    if state is None or (not state.known and not state.n):
        return np.ones(len(_GRID))
    if state.known:
        return np.where(state.value == _GRID, 1.0, 1e-12)
    return _binomial(state.right, state.n)


@lru_cache(maxsize=8192)
def _binomial(right: int, n: int) -> Reals:
    with np.errstate(divide="ignore"):
        logs = np.log(np.maximum(_GRID, 1e-9)) * right + np.log(np.maximum(1 - _GRID, 1e-9)) * (n - right)
    likelihood: Reals = np.maximum(np.exp(logs - logs.max()), 1e-12)
    return likelihood


@lru_cache(maxsize=64)
def _transition(moves: Moves) -> Reals:
    mixed: Reals = np.sum([w * kernel for w, kernel in zip(moves_of(moves), _kernels(), strict=True)], axis=0)
    mixed[0] = _LEAK / (len(_GRID) - 1)
    mixed[0, 0] = 1 - _LEAK
    mixed /= mixed.sum(1, keepdims=True)
    return mixed


def _start(moves: Moves) -> Reals:
    weights = np.full(len(_GRID), (1 - moves.impossible) / (len(_GRID) - 1))
    weights[0] = moves.impossible
    return weights


@lru_cache(maxsize=1)
def _kernels() -> tuple[Reals, Reals, Reals, Reals]:
    """Rows are values before the step; each sums to 1. In the order of :func:`moves_of`."""
    size = len(_GRID)
    edge = 1 / (4 * _CELLS)
    inner = np.clip(_GRID, edge, 1 - edge)
    logit = np.log(inner / (1 - inner))
    width = np.gradient(logit)
    stay = np.exp(-(((logit[None, :] - logit[:, None]) / _SPREAD) ** 2) / 2) * width[None, :]
    stay[:, 0] = 0.0
    places = np.arange(size)
    rise = ((places[None, :] > places[:, None]) | (places[None, :] == size - 1)).astype(float)
    fall = ((places[None, :] < places[:, None]) & (places[None, :] > 0)).astype(float)
    fall[:2, 1] = 1.0  # from the lowest cell there is no way further down but to 0
    dead = np.zeros((size, size))
    dead[:, 0] = 1.0
    return tuple(kernel / kernel.sum(1, keepdims=True) for kernel in (stay, rise, fall, dead))


@lru_cache(maxsize=64)
def _labels(scheme: Scheme) -> Reals:
    """The share of "right" for each pair of values before and after, with cells cut finely at the threshold."""
    inside = (np.arange(8) + 0.5) / 8 - 0.5
    cell = np.where((_GRID > 0) & (_GRID < 1), 1 / _CELLS, 0.0)
    fine = _GRID[:, None] + cell[:, None] * inside
    before, after = fine[:, None, :, None], fine[None, :, None, :]
    match scheme.kind:
        case "hard":
            holds = after + 0 * before > 0
        case "soft":
            holds = after + 0 * before >= scheme.threshold
        case "ratio":
            holds = after >= scheme.threshold * before
        case "difference":
            holds = after - before >= scheme.threshold
    found: Reals = holds.mean((2, 3))
    found[:, 0] = 0.0  # a step to 0 is wrong by every scheme, and so is every step after it
    found[0, :] = 0.0
    return found
