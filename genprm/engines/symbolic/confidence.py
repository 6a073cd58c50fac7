"""P(the step is right), by what its check said. Measured, not felt.

PLACEHOLDER
"""

from collections.abc import Sequence

from genprm.engines.symbolic.claim import Claim
from genprm.engines.symbolic.reading import Reading

P_REFUTED = {
    "arithmetic": 0.1, "rounding": 0.3, "comparison": 0.2, "congruence": 0.2, "identity": 0.15, "solution": 0.2,
    "derivation": 0.2, "words": 0.2, "system": 0.2,
}  # fmt: skip
P_CONFIRMED = 0.8
P_NOTHING = 0.8
P_UNDECIDED = 0.8
P_UNEXECUTED = 0.7


def p_yes_of(claims: Sequence[Claim], reading: Reading) -> float:
    """P(Yes) after the check: the surest refutation counts; else how much was confirmed."""
    if reading.refuted:
        return min(P_REFUTED[claims[i].kind] for i in reading.refuted)
    if not claims:
        return P_NOTHING
    if reading.complete and "undecided" not in reading.verdicts:
        return P_CONFIRMED
    return P_UNDECIDED if reading.verdicts else P_UNEXECUTED


def p_yes_forced() -> float:
    """P(Yes) without an executed check: nothing but the base rate."""
    return P_UNEXECUTED
