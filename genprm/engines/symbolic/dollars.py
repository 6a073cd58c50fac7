"""Which dollar signs delimit mathematics, and which are money."""

import re


def dollars(text: str) -> frozenset[int]:
    """Positions of the dollar signs that delimit mathematics; the others are currency."""
    spots = [m.start() for m in re.finditer(r"(?<!\\)\$", text)]
    marks: set[int] = set()
    i = 0
    while i + 1 < len(spots):
        a, b = spots[i], spots[i + 1]
        if _is_math(text[a + 1 : b], text[b + 1 : b + 2]):
            marks.update((a, b))
            i += 2
        else:
            i += 1
    return frozenset(marks)


def _is_math(inside: str, after: str) -> bool:
    bare = re.sub(r"\\(?:text|mbox|mathrm|textbf|operatorname)\s?\{[^{}]{0,200}\}", "", inside)
    if "\n\n" in bare or len(bare) > 2000:
        return False
    if re.search(r"(?<![\\A-Za-z])[A-Za-z]{4,}", re.sub(r"\\[A-Za-z]+\*?|\{[A-Za-z*]+\}", "", bare)):
        return False
    stripped = bare.strip()
    if not stripped:
        return False
    if after.isdigit() and re.search(r"[-+*/=x(]\s*$", bare):
        return False  # "$5 + $3"
    return not (stripped[0].isdigit() and re.search(r"(?<![\\A-Za-z])(?:per|and|for|the|is|to|of|on|in)\b", bare))
