"""What computes for the batcher: a model that reads several sequences on at once."""

from collections.abc import Sequence
from typing import Any, Protocol

from genprm.engines.sampling import Shortlist

Row = Any
"""One sequence's keys and values, in the backend's own form. Whoever holds one may count on its not changing."""


class Batch(Protocol):
    """Sequences that are read on together."""

    def read(self, ids: Sequence[Sequence[int]], most: int | None) -> Shortlist:
        """Read at least one new token of each; the ``most`` likeliest next ids of each, None: all."""
        ...

    def row(self, at: int) -> Row:
        """What has been read of one."""
        ...


class Backend(Protocol):
    """A model and the place where it computes."""

    out_of_memory: type[Exception]

    def batch(self, rows: Sequence[Row | None], lengths: Sequence[int]) -> Batch:
        """Sequences that go on from the first ``lengths`` tokens of ``rows``; None where that is 0."""
        ...
