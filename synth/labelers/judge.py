"""Labels from a critic: its verdicts, rewards and confidence."""

from dataclasses import dataclass

from genprm.critic import Critic
from genprm.errors import EngineError
from genprm.synth.types import Attempt, Labelled, StepLabel


@dataclass(frozen=True)
class Judge:
    """A step that the critic did not judge, or gave no verdict on, has no label."""

    critic: Critic
    raises: bool = False
    """Whether a critique on which the engine or the program failed is an error, and not one without labels."""

    @property
    def name(self) -> str:
        return f"judge:{self.critic.method.engine}"

    async def label(self, attempt: Attempt) -> Labelled:
        """Raises EngineLost where the engine has gone for good, and EngineError for other failures with ``raises``."""
        (critique,) = [each async for each in self.critic.critique_many([attempt.solution])]
        if self.raises and critique.failed:
            raise EngineError(f"critique {critique.outcome}: {critique.error}")
        judged = {step.step: StepLabel(step.correct, step.reward, step.confidence) for step in critique.steps}
        steps = tuple(judged.get(t, StepLabel(None)) for t in range(len(attempt.solution.steps)))
        return Labelled(attempt, self.name, steps)
