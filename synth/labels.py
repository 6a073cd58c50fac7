"""Labels from values: hard, soft, relative progress by ratio and by difference, advantage under a prover.

    hard            Q_t > 0                            (Math-Shepherd, arXiv 2312.08935, eq. 3)
    soft:T          Q_t >= T                           (its eq. 4, cut at T)
    ratio:T         P_t = Q_t / V_t >= T               (GenPRM, arXiv 2504.00891, section 3.2)
    difference:T    P_t = Q_t - V_t >= T               (the same)
    advantage       A^mu_t = Q^mu_t - V^mu_t           (Rewarding Progress, arXiv 2410.08146, eq. 2)

Q_t is the value of the prefix that ends in step t, V_t that of the prefix before it: V_t = Q_{t-1}, V_0 the bare
problem's.

**After a zero.** From a prefix of value 0 there is no progress to speak of: steps after it are wrong by every scheme,
and have no ratio (the paper sets all later values to 0).

**Missing values.** Where a search left values out, ``hard`` takes them from their neighbours: a later right completion
shows that an earlier prefix can be completed. Other labels are None there, unless the scheme says ``+chain``: the
posterior of ``genprm.synth.chain`` has a value for every prefix.

**Confidence** is the posterior probability that the label is right: with bare shares, from a Beta posterior for each
value (a uniform prior), as if the two of a ratio were independent. A step below the scheme's level has no label.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from genprm.errors import ConfigError
from genprm.provers import best_of as prover_value
from genprm.synth import beta
from genprm.synth.chain import Moves, posterior
from genprm.synth.schemes import Advantage, Scheme, read_scheme
from genprm.synth.types import Estimate, Labelled, StepLabel, Valued

_UNKNOWN = StepLabel(None)


def label(valued: Valued, scheme: str | Scheme, moves: Moves | None = None) -> Labelled:
    """One label a step. ``moves``: the prior of ``+chain``. Raises ConfigError for an unknown scheme."""
    scheme = read_scheme(scheme) if isinstance(scheme, str) else scheme
    states = (valued.start, *valued.values)
    cut = _by_chain(states, scheme, moves or Moves()) if scheme.chain else _by_shares(states, scheme)
    return Labelled(valued.attempt, scheme.name, tuple(_sure(step, scheme.level) for step in cut))


def advantage(
    policy: Valued,
    prover: Valued | None = None,
    *,
    alpha: float = 1.0,
    best_of: int = 1,
    threshold: float = 0.0,
    level: float = 0.0,
) -> Labelled:
    """Effective rewards Q^pi + alpha A^mu as scores, labels A^mu >= threshold (arXiv 2410.08146, eq. 5).

    ``prover`` holds the values of the same attempt under another policy mu; None: under the policy itself. With
    ``best_of`` = K mu is the best of K of its samples, Q^BoK = 1 - (1 - Q)^K.
    """
    mu = prover or policy
    if mu.attempt.solution.steps != policy.attempt.solution.steps or best_of < 1:
        raise ConfigError("an advantage needs values of the same steps, and a best of 1 at least")
    states = (mu.start, *mu.values)
    steps = []
    for q, before, after in zip(policy.values, states, states[1:], strict=False):
        steps.append(_sure(_advance(q, before, after, alpha, best_of, threshold), level))
    name = f"advantage:{threshold:g}*{alpha:g}" + f"~bo{best_of}" * (best_of > 1) + f"@{level:g}" * (level > 0)
    return Labelled(policy.attempt, name, tuple(steps))


def cut(valued: Valued, how: Scheme | Advantage, prover: Valued | None = None) -> Labelled:
    """Labels by a scheme, or by the advantage under ``prover`` (None: under the policy itself)."""
    if isinstance(how, Scheme):
        return label(valued, how)
    return advantage(valued, prover, alpha=how.alpha, best_of=how.best_of, threshold=how.threshold, level=how.level)


def advantages(valued: Valued, best_of: int = 1) -> list[tuple[float, float] | None]:
    """A^mu of each step and its standard deviation, from the variances Q (1 - Q) / n of independent shares.

    For the best of K by the derivative of 1 - (1 - Q)^K. None where a value is missing.
    """
    states = (valued.start, *valued.values)
    found: list[tuple[float, float] | None] = []
    for before, after in pairwise(states):
        if before is None or after is None:
            found.append(None)
            continue
        gain = prover_value(after.value, best_of) - prover_value(before.value, best_of)
        found.append((gain, (_variance(after, best_of) + _variance(before, best_of)) ** 0.5))
    return found


def _variance(estimate: Estimate, k: int) -> float:
    if estimate.known:
        return 0.0
    q = (estimate.right + 0.5) / (estimate.n + 1)  # a share of 0 or 1 is not as sure as it looks
    slope = k * (1 - q) ** (k - 1)
    return float(slope**2 * q * (1 - q) / max(estimate.n, 1))


def _advance(
    q: Estimate | None, before: Estimate | None, after: Estimate | None, alpha: float, k: int, threshold: float
) -> StepLabel:
    if q is None or before is None or after is None:
        return _UNKNOWN
    gain = prover_value(after.value, k) - prover_value(before.value, k)
    return _step(gain >= threshold, q.value + alpha * gain, beta.gain_above(after, before, threshold, k))


def _by_shares(states: Sequence[Estimate | None], scheme: Scheme) -> list[StepLabel]:
    if scheme.kind == "hard":
        return _hard(states)
    dead, found = False, []
    for before, after in pairwise(states):
        dead = dead or (before is not None and before.value == 0)
        found.append(_after_zero(before) if dead else _cut(scheme, before, after))
    return found


def _cut(scheme: Scheme, before: Estimate | None, after: Estimate | None) -> StepLabel:
    if after is None or (before is None and scheme.kind != "soft"):
        return _UNKNOWN
    t = scheme.threshold
    if scheme.kind == "soft":
        return _step(after.value >= t, after.value, beta.above(after, t))
    assert before is not None
    if scheme.kind == "ratio":
        ratio = after.value / before.value
        return _step(ratio >= t, ratio, beta.ratio_above(after, before, t))
    return _step(after.value - before.value >= t, after.value - before.value, beta.gain_above(after, before, t))


def _after_zero(before: Estimate | None) -> StepLabel:
    """Wrong, as surely as the value before is 0; a zero further back is not asked again."""
    sure = 1.0 if before is None else 1 - beta.positive(before)
    return StepLabel(False, None, max(sure, 0.5))


def _hard(states: Sequence[Estimate | None]) -> list[StepLabel]:
    found: list[StepLabel] = []
    last_right = max((t for t, state in enumerate(states) if state and state.right), default=-1)
    zero: Estimate | None = None
    for t, state in enumerate(states[1:], 1):
        if zero is not None:
            found.append(_after_zero(zero))
        elif t <= last_right:
            found.append(StepLabel(True, state.value if state else None, 1.0))
        elif state is None:
            found.append(_UNKNOWN)
        else:
            zero = state
            found.append(_step(False, 0.0, beta.positive(state)))
    return found


def _by_chain(states: Sequence[Estimate | None], scheme: Scheme, moves: Moves) -> list[StepLabel]:
    found = posterior(states, scheme, moves)
    return [
        _step(bool(right >= 0.5), _score(scheme, before, after), float(right))
        for right, before, after in zip(found.right, found.mean, found.mean[1:], strict=False)
    ]


def _score(scheme: Scheme, before: float | np.float64, after: float | np.float64) -> float | None:
    """Of the posterior means."""
    match scheme.kind:
        case "ratio":
            return float(after / before) if before > 1e-6 else None
        case "difference":
            return float(after - before)
    return float(after)


def _step(holds: bool, score: float | None, p_true: float) -> StepLabel:
    """The label by the scheme, whatever its posterior; a confidence under one half would say that it is the other."""
    return StepLabel(holds, score, min(max(p_true if holds else 1 - p_true, 0.5), 1.0))


def _sure(step: StepLabel, level: float) -> StepLabel:
    if step.label is None or step.confidence is None or step.confidence >= level:
        return step
    return StepLabel(None, step.score, step.confidence)
