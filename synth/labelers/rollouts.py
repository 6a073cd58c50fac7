"""Labels from completions: Monte-Carlo values by a plan, cut by a scheme."""

from dataclasses import dataclass, field

from genprm.synth.chain import Moves
from genprm.synth.labels import label
from genprm.synth.plans import Plan
from genprm.synth.schemes import Scheme
from genprm.synth.types import Attempt, Labelled
from genprm.synth.values import Completer, estimate


@dataclass(frozen=True)
class Rollouts:
    completer: Completer
    plan: Plan
    scheme: Scheme
    moves: Moves = field(default_factory=Moves)

    @property
    def name(self) -> str:
        return f"rollouts:{self.plan.name}:{self.scheme.name}"

    async def label(self, attempt: Attempt) -> Labelled:
        valued = await estimate(attempt, self.completer, self.plan, moves=self.moves)
        return label(valued, self.scheme, self.moves)
