"""All claims of a step, in the order of the text."""

from genprm.engines.symbolic.algebra import identity_claims
from genprm.engines.symbolic.arithmetic import congruence, numeric_claim
from genprm.engines.symbolic.carried import carried_claims
from genprm.engines.symbolic.chains import Chain
from genprm.engines.symbolic.claim import Claim
from genprm.engines.symbolic.context import Context
from genprm.engines.symbolic.derivations import derivation_claims
from genprm.engines.symbolic.doubts import cut_before, denied, excused, modulus_after, speaks_rounded
from genprm.engines.symbolic.quotes import quote
from genprm.engines.symbolic.solving import solution_claims
from genprm.engines.symbolic.tree import number, symbols
from genprm.engines.symbolic.wordings import word_claims

MAX_CLAIMS = 16


def find_claims(context: Context) -> tuple[Claim, ...]:
    """What the last step claims and a computation can settle: at most ``MAX_CLAIMS``, the false ones kept first."""
    found = [
        *arithmetic_claims(context),
        *word_claims(context.step),
        *identity_claims(context),
        *derivation_claims(context),
        *solution_claims(context),
        *carried_claims(context),
    ]
    unique = {(claim.quote, claim.left, claim.right, claim.relation): claim for claim in found}
    ranked = sorted(unique.values(), key=lambda claim: claim.holds)[:MAX_CLAIMS]
    return tuple(claim for claim in unique.values() if claim in ranked)


def arithmetic_claims(context: Context) -> list[Claim]:
    """Pairs of numeric sides."""
    claims = []
    rounded = speaks_rounded(context.background)
    for chain in context.step.chains:
        for index in range(len(chain.relations)):
            claim = _numeric_pair(context, chain, index, rounded)
            if claim is not None:
                claims.append(claim)
    return claims


def _numeric_pair(context: Context, chain: Chain, index: int, rounded: bool) -> Claim | None:
    left, right = chain.members[index], chain.members[index + 1]
    relation = chain.relations[index]
    if relation == "===":
        return _congruent_pair(context, chain, index)
    if relation not in {"=", "~", "<", ">", "<=", ">="} or left.expression is None or right.expression is None:
        return None
    if symbols(left.expression.node) or symbols(right.expression.node):
        return None
    claim = numeric_claim(left, right, relation, quote(context.step, chain, index), rounded)
    if claim is None or claim.holds:
        return claim
    if excused(context.step, chain, index, left.expression, right.expression, context.background):
        return None
    return claim


def _congruent_pair(context: Context, chain: Chain, index: int) -> Claim | None:
    left, right = chain.members[index], chain.members[index + 1]
    modulus = modulus_after(chain)
    if modulus is None or left.expression is None or right.expression is None:
        return None
    if symbols(left.expression.node) or symbols(right.expression.node):
        return None
    claim = congruence(left, right, number(modulus), quote(context.step, chain, index))
    if claim is None or claim.holds:
        return claim
    doubtful = (index == 0 and cut_before(chain)) or denied(context.step, chain, outright=True)
    return None if doubtful else claim
