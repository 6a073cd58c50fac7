"""The final answer of a solution."""

BOX = "\\boxed{"


def boxed(text: str) -> str | None:
    """What stands in the last ``\\boxed{…}`` that is closed, without blanks around it; None where there is none."""
    at = text.rfind(BOX)
    while at >= 0:
        depth = 1
        for end in range(at + len(BOX), len(text)):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            if not depth:
                return text[at + len(BOX) : end].strip()
        at = text.rfind(BOX, 0, at)
    return None
