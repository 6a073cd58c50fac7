"""What problem and earlier steps say of the symbols: equations that may explain why an "identity" holds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from genprm.engines.symbolic.chains import Chain, Step, read_step
from genprm.engines.symbolic.cleaning import MAX_CHARS
from genprm.engines.symbolic.identities import settle
from genprm.engines.symbolic.tree import Node, symbols


@dataclass(frozen=True, slots=True)
class Equation:
    """Two sides that stand in the text with an equals sign, and are not equal by themselves."""

    left: Node
    right: Node
    chain: Chain
    index: int

    @property
    def names(self) -> frozenset[str]:
        return symbols(self.left) | symbols(self.right)


@dataclass(frozen=True)
class Context:
    """The problem and the steps before the one that is judged, read."""

    problem: Step
    earlier: tuple[Step, ...]
    step: Step
    background: str
    """All the text so far, this step included, as far as it is read."""


@lru_cache(maxsize=4096)
def read_cached(text: str) -> Step:
    """Steps are read again for every later step of their solution."""
    return read_step(text)


@lru_cache(maxsize=4096)
def equations(step: Step) -> tuple[Equation, ...]:
    """Equations with symbols, identities left out."""
    return tuple(_equations(step))


def _equations(step: Step) -> Iterator[Equation]:
    for chain in step.chains:
        for index, relation in enumerate(chain.relations):
            left, right = chain.members[index].expression, chain.members[index + 1].expression
            if relation != "=" or left is None or right is None:
                continue
            if not symbols(left.node) and not symbols(right.node):
                continue
            verdict = settle(left.node, right.node) if symbols(left.node) == symbols(right.node) else None
            if verdict is None or not verdict[0]:
                yield Equation(left.node, right.node, chain, index)


def read_context(problem: str, steps: Sequence[str]) -> Context:
    """Read everything up to the last of ``steps``, the one that is judged."""
    background = "\n".join(text[:MAX_CHARS] for text in (problem, *steps))
    return Context(read_cached(problem), tuple(read_cached(s) for s in steps[:-1]), read_cached(steps[-1]), background)
