"""All claims of a step, in the order of the text."""

from genprm.engines.symbolic.arithmetic import numeric_claim
from genprm.engines.symbolic.chains import Chain, Step
from genprm.engines.symbolic.claim import Claim
from genprm.engines.symbolic.doubts import excused, speaks_rounded
from genprm.engines.symbolic.tree import symbols

MAX_CLAIMS = 24
MAX_QUOTE = 160


def arithmetic_claims(step: Step, background: str) -> list[Claim]:
    """Pairs of numeric sides."""
    claims = []
    rounded = speaks_rounded(background)
    for chain in step.chains:
        for index in range(len(chain.relations)):
            claim = _numeric_pair(step, chain, index, background, rounded)
            if claim is not None:
                claims.append(claim)
    return claims


def _numeric_pair(step: Step, chain: Chain, index: int, background: str, rounded: bool) -> Claim | None:
    left, right = chain.members[index], chain.members[index + 1]
    relation = chain.relations[index]
    if relation not in {"=", "~", "<", ">", "<=", ">="} or left.expression is None or right.expression is None:
        return None
    if symbols(left.expression.node) or symbols(right.expression.node):
        return None
    claim = numeric_claim(left, right, relation, quote(step, chain, index), rounded)
    if claim is None or claim.holds:
        return claim
    return None if excused(step, chain, index, left.expression, right.expression, background) else claim


def quote(step: Step, chain: Chain, index: int) -> str:
    """The words of the pair."""
    left, right = chain.members[index].tokens, chain.members[index + 1].tokens
    if not left or not right:
        return step.text[chain.start : chain.end][:MAX_QUOTE]
    text = step.text[left[0].start : right[-1].end] if left[0].start < right[-1].end else ""
    return " ".join(text.split())[:MAX_QUOTE]
