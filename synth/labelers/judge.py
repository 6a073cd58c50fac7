"""Labels from a critic: its verdicts, rewards and confidence."""

from dataclasses import dataclass

from genprm.critic import Critic
from genprm.synth.types import Attempt, Labelled, StepLabel


@dataclass(frozen=True)
class Judge:
    """A step that the critic did not judge, or failed on, has no label."""

    critic: Critic

    @property
    def name(self) -> str:
        return f"judge:{self.critic.method.engine}"

    async def label(self, attempt: Attempt) -> Labelled:
        critique = await self.critic.critique(attempt.solution)
        judged = {step.step: StepLabel(step.correct, step.reward, step.confidence) for step in critique.steps}
        steps = tuple(judged.get(t, StepLabel(None)) for t in range(len(attempt.solution.steps)))
        return Labelled(attempt, self.name, steps)
