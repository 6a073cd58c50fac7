"""Whether two answers are the same."""

from typing import Literal

from genprm.answers import same_number, same_text

Likeness = Literal["same", "different", "unparsed", "timeout"]


class Comparer:
    """Compares answers as numbers, then as text."""

    def __init__(self, workers: int = 2, limit_s: float = 5.0) -> None:
        self._limit_s = limit_s

    async def compare(self, one: str, other: str) -> Likeness:
        return "same" if same_number(one, other) or same_text(one, other) else "different"

    async def close(self) -> None:
        """Ends the workers. Safe to call twice."""
