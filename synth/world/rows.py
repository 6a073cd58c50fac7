"""The world as training data: conversations for ``genprm train critic`` and ``genprm train policy``."""

import random
from collections.abc import Iterator
from typing import Any

from genprm.synth.world.examples import Example, Split, example
from genprm.synth.world.teacher import Mode, conversation
from genprm.types import NO_ERROR

ABLATED: tuple[Mode, ...] = ("no-run", "analysis", "direct")
_ABLATED_SHARE = 0.18


def critic_rows(split: Split, n: int, start: int = 0) -> Iterator[dict[str, Any]]:
    """Chains of rationales. Most are full; the rest, in equal parts, leave out what the ablations leave out."""
    for index in range(start, start + n):
        made = example(split, index)
        rng = random.Random(f"critic row {made.solution.id}")
        mode: Mode = rng.choice(ABLATED) if rng.random() < _ABLATED_SHARE else "full"
        yield _row(made, mode, conversation(made.problem, _judged(rng, made), mode))


def _judged(rng: random.Random, made: Example) -> Any:
    """All steps, or those up to the first error: what comes after is judged too, but is soon learnt."""
    first = made.solution.first_error
    return made.steps if first in (None, NO_ERROR) or rng.random() < 0.5 else made.steps[: first + 1]


def _row(made: Example, mode: str, messages: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "id": made.solution.id,
        "difficulty": made.difficulty,
        "kind": made.kind,
        "mode": mode,
        "messages": messages,
    }
