"""What the engine says: the analysis before the check, and the sentences that read its output."""

from collections.abc import Sequence

from genprm.engines.symbolic.checks import quoted
from genprm.engines.symbolic.claim import Claim
from genprm.engines.symbolic.cleaning import MAX_CHARS
from genprm.engines.symbolic.reading import Reading
from genprm.engines.symbolic.tree import render

_KINDS = {
    "arithmetic": "a calculation",
    "rounding": "a rounded calculation",
    "comparison": "a comparison of numbers",
    "congruence": "a statement about remainders",
    "identity": "two expressions said to be equal for all values",
    "solution": "a value said to solve an equation",
    "derivation": "an equation said to follow from another",
    "substitution": "a result at values that were given before",
    "words": "a calculation in words",
}

CUT = f" I read its first {MAX_CHARS} characters only."
UNEXECUTED = "The check was not run, so it says nothing; I let the paragraph stand, with low confidence."


def analysis(claims: Sequence[Claim]) -> str:
    """Names the claims, quoting them."""
    if not claims:
        return "I find no claim in this paragraph that a computation could settle, so there is nothing to compute here."
    count, below = "one claim", "Computed below."
    if len(claims) > 1:
        count, below = f"{len(claims)} claims", "Each is computed below."
    listed = "; ".join(f'"{_quote(claim)}" ({_describe(claim)})' for claim in claims)
    return f"The paragraph makes {count} that a computation can settle: {listed}. {below}"


def _quote(claim: Claim) -> str:
    return quoted(claim.quote).replace("</", "< /")


def _describe(claim: Claim) -> str:
    words = _KINDS[claim.kind]
    if claim.kind in {"solution", "derivation"}:
        words += f", checked in {render(claim.left)} = {render(claim.right)}"
    return words


def conclusion(claims: Sequence[Claim], reading: Reading) -> str:
    """One or two sentences on what the output shows."""
    if not claims:
        return "There was nothing to compute, so nothing speaks against this paragraph."
    if reading.refuted:
        return _refuted(claims, reading)
    confirmed = sum(verdict == "true" for verdict in reading.verdicts)
    if not reading.verdicts:
        return "The check gave no result, so it says nothing about the paragraph; I let it stand, with low confidence."
    if confirmed < len(claims):
        return (
            f"The check confirms {confirmed} of {len(claims)} claims and leaves the others undecided; none is refuted."
        )
    return "The check confirms " + ("the claim." if len(claims) == 1 else f"all {len(claims)} claims.")


def _refuted(claims: Sequence[Claim], reading: Reading) -> str:
    first = claims[reading.refuted[0]]
    text = f'The output shows that "{_quote(first)}" is false.'
    if len(reading.refuted) > 1:
        text += f" {len(reading.refuted) - 1} more of the claims fail as well."
    return text
