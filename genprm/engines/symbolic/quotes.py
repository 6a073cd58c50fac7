"""The words that a claim is quoted by."""

from genprm.engines.symbolic.chains import Chain, Step

MAX_QUOTE = 160


def quote(step: Step, chain: Chain, index: int) -> str:
    """The text of the pair at ``index`` of a chain, on one line."""
    left, right = chain.members[index].tokens, chain.members[index + 1].tokens
    if not left or not right or left[0].start >= right[-1].end:
        return " ".join(step.text[chain.start : chain.end].split())[:MAX_QUOTE]
    return " ".join(step.text[left[0].start : right[-1].end].split())[:MAX_QUOTE]
