"""The baseline: one prompt a call, vote after vote, checks in turn, as the published inference code does it.

Prompts, seeds, checks and votes are those of the critic, so that on an engine that keeps its word about seeds the
verdicts are the same; only nothing happens at the same time as anything else.
"""

from collections.abc import AsyncGenerator, Sequence

from genprm import voting
from genprm.checks import CheckTree
from genprm.engines.base import Engine
from genprm.protocols import CritiqueProtocol
from genprm.sampler import Load, Sampler
from genprm.sandbox import Sandbox
from genprm.types import Method, Rationale, Solution, StepCritique


class Sequential:
    """Judges steps with all ``method.n`` votes, each sample with its own earlier rationales."""

    def __init__(self, engine: Engine, sandbox: Sandbox, protocol: CritiqueProtocol, method: Method) -> None:
        self._sandbox = sandbox
        self._method = method
        self._sampler = Sampler(engine, protocol, method, Load(1))

    async def steps(self, solution: Solution) -> AsyncGenerator[StepCritique, None]:
        """Each step when it is judged."""
        samples = range(self._method.n)
        # A tree for each sample: what another one has run is run again, as it is in the published code.
        trees = [CheckTree(self._sandbox) for _ in samples]
        places = [tree.start() for tree in trees]
        earlier: list[Sequence[str]] = [()] * len(samples)
        try:
            for step in range(len(solution.steps)):
                rationales: list[Rationale] = []
                for sample in samples:
                    rationale, kept = await self._sampler.sample(
                        solution, step, sample, earlier[sample], places[sample]
                    )
                    earlier[sample] = (*kept, rationale.text)
                    rationales.append(rationale)
                yield voting.judge_step(step, rationales, self._method.vote, self._method.threshold)
        finally:
            for tree in trees:
                await tree.close()
