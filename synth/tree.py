"""The completions of one problem, by the prefix that they go through."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from genprm.synth.beta import estimated
from genprm.synth.types import NO_EVIDENCE, Estimate, Grade
from genprm.types import Usage

Prefix = tuple[str, ...]


class Completed(Protocol):
    """What came of going on from a prefix."""

    @property
    def steps(self) -> Sequence[str]:
        """Those that it wrote after the prefix."""
        ...

    @property
    def grade(self) -> Grade: ...

    @property
    def usage(self) -> Usage: ...


@dataclass(slots=True)
class _Node:
    right: int = 0
    n: int = 0
    lost: int = 0
    own: int = 0
    """Completions that began here; their number is the next one's."""
    tokens: int = 0
    """That those wrote."""

    def count(self, grade: Grade) -> None:
        if grade in NO_EVIDENCE:
            self.lost += 1
        else:
            self.n += 1
            self.right += grade == "right"


@dataclass(slots=True)
class PrefixTree:
    """Evidence by prefix. With ``reuse`` a completion counts at every prefix that it passes through literally.

    That is no bias: given that a policy has written these steps, what it goes on to write is a completion from there.
    """

    reuse: bool = False
    _nodes: dict[Prefix, _Node] = field(default_factory=dict)

    def add(self, prefix: Prefix, completed: Completed, *, up: bool = False) -> None:
        """Completions are added in the order of their numbers, so that the tree is the same whoever came first.

        ``up``: count it at every shorter prefix as well, as a tree search backs up its returns.
        """
        own = self._nodes.setdefault(prefix, _Node())
        own.own += 1
        own.tokens += completed.usage.completion_tokens
        own.count(completed.grade)
        if self.reuse and completed.grade not in NO_EVIDENCE:
            path = prefix
            for step in completed.steps[:-1]:  # with the last step there is an answer, and nothing to estimate
                path = (*path, step)
                self._nodes.setdefault(path, _Node()).count(completed.grade)
        for t in range(len(prefix)) if up else ():
            self._nodes.setdefault(prefix[:t], _Node()).count(completed.grade)

    def estimate(self, prefix: Prefix) -> Estimate | None:
        """None where nothing gave evidence."""
        node = self._nodes.get(prefix)
        return estimated(node.right, node.n, node.lost) if node and node.n else None

    def own(self, prefix: Prefix) -> int:
        """Completions that were asked for from here."""
        return self._nodes[prefix].own if prefix in self._nodes else 0

    def counted(self, prefix: Prefix) -> int:
        """Completions that began here or passed through, lost ones among them."""
        node = self._nodes.get(prefix)
        return node.n + node.lost if node else 0

    def tokens(self, prefix: Prefix) -> float | None:
        """Mean length of completions that began here, in tokens; None where none did."""
        node = self._nodes.get(prefix)
        return node.tokens / node.own if node and node.own else None
