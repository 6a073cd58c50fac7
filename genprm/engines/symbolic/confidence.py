"""P(the step is right), by what its check said. Measured, not felt.

Measured on PRM800K phase 1 (train), the 42,800 different rated steps whose problem is in MATH train; "right" is a human
rating of 1 or 0, "wrong" one of -1. The value is (right + 1) / (steps + 2) where fewer than fifty steps were seen.

=====================  ======  =====  =====  ======
what the check said     steps  right  wrong  P(Yes)
=====================  ======  =====  =====  ======
refuted, arithmetic      1047    105    942    0.10
refuted, solution         132      8    124    0.06
refuted, derivation        97     11     86    0.11
refuted, identity          76     13     63    0.17
refuted, congruence        29      6     23    0.23
refuted, comparison        17      2     15    0.16
refuted, substitution      14      2     12    0.19
refuted, rounding           6      2      4    0.38
refuted, words              2      0      2    0.25
all claims confirmed     4657   2931   1726    0.63
nothing to compute      36738  22888  13850    0.62
some claim undecided        0      0      0    0.62
not run                 42800  25968  16832    0.61
=====================  ======  =====  =====  ======

So a confirmed calculation says next to nothing of the step around it: four of ten such steps are wrong for reasons that
no calculation shows. In other data, where another share than 39 % is wrong to begin with, all values shift.
"""

from collections.abc import Sequence

from genprm.engines.symbolic.claim import Claim, Kind
from genprm.engines.symbolic.reading import Reading

P_REFUTED: dict[Kind, float] = {
    "arithmetic": 0.10,
    "solution": 0.06,
    "derivation": 0.11,
    "identity": 0.17,
    "comparison": 0.16,
    "congruence": 0.23,
    "rounding": 0.38,
    "substitution": 0.19,
    "words": 0.25,
}
P_CONFIRMED = 0.63
P_NOTHING = 0.62
P_UNDECIDED = 0.62
"""None was seen: as good as the steps without a claim."""
P_UNEXECUTED = 0.61


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
