"""An engine that is asked once for each completion that has a seed."""

from collections import OrderedDict

from genprm.engines.base import Engine
from genprm.types import Completion, Prompt, Sampling

ROOM = 8_000


class RememberingEngine:
    """Gives the same completion again where the same is asked with the same seed; its usage too, as if it had been
    generated. The last ``room`` are kept. Owns nothing.

    For searches: those over the same problem ask a policy for the same steps, and a critic that judges a path again
    with one more step asks for the same rationales of all the steps before.
    """

    def __init__(self, engine: Engine, room: int = ROOM) -> None:
        self.name = engine.name
        self.protocols = engine.protocols
        self._engine = engine
        self._room = room
        self._known: OrderedDict[tuple[Prompt, Sampling], Completion] = OrderedDict()

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        """See :class:`~genprm.engines.base.Engine`."""
        if sampling.seed is None or sampling.schema is not None:
            return await self._engine.complete(prompt, sampling)
        asked = (prompt, sampling)
        if asked not in self._known:
            self._known[asked] = await self._engine.complete(prompt, sampling)
        self._known.move_to_end(asked)
        while len(self._known) > self._room:
            self._known.popitem(last=False)
        return self._known[asked]

    async def close(self) -> None:
        """Nothing to give back: the engine belongs to others."""
