"""The one thing that a labeler does."""

from typing import Protocol

from genprm.synth.types import Attempt, Labelled


class Labeler(Protocol):
    """A new labeler is one class with these members."""

    @property
    def name(self) -> str: ...

    async def label(self, attempt: Attempt) -> Labelled:
        """One label a step; None for a step that it cannot tell. Raises what its engine raises."""
        ...
