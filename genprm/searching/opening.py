"""Policies and scores by the strings that name them.

====================  ============================================================================================
``completions:K``     values by K completions of the policy, graded by the problem's known answer: for analysis
``completions:K:E``   … of engine E
``bo:K``              as a prover: the best of K of whatever the scorer values
``bo:K:SPEC``         the best of K of another scorer
any other             a scorer of ``genprm.scorers``: ``critic:ENGINE``, ``head:FOLDER``, ``prm:MODEL``
====================  ============================================================================================
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from genprm.engines import open_engine
from genprm.engines.remembering import RememberingEngine
from genprm.errors import ConfigError
from genprm.provers import BestOf
from genprm.scorers.base import Scorer
from genprm.searching.completions import CompletionsScorer, right_number
from genprm.searching.policy import EnginePolicy, StepPolicy
from genprm.searching.remembering import RememberingScorer
from genprm.searching.scores import EffectiveReward
from genprm.types import Problem


@dataclass(slots=True)
class Opener:
    """Opens what is named, each thing once; all is closed with ``stack``. The latest that policies wrote is kept, and
    what scorers say until :meth:`forget`."""

    stack: AsyncExitStack
    temperature: float = 0.7
    top_p: float = 1.0
    top_k: int = 0
    concurrency: int = 64
    max_tokens: int = 1024
    """Of a completion."""
    seed: int = 0
    _policies: dict[str, StepPolicy] = field(default_factory=dict)
    _scorers: dict[str, RememberingScorer] = field(default_factory=dict)

    async def policy(self, spec: str) -> StepPolicy:
        """An engine as a policy."""
        if spec not in self._policies:
            engine = await self.stack.enter_async_context(open_engine(spec))
            self._policies[spec] = EnginePolicy(
                RememberingEngine(engine),
                temperature=self.temperature,
                top_p=self.top_p,
                top_k=self.top_k,
                concurrency=self.concurrency,
            )
        return self._policies[spec]

    async def score(self, scorer: str, prover: str | None, alpha: float, policy: str) -> EffectiveReward:
        """The score of steps that the three describe; ``policy`` is what completes where no engine is named.

        Raises:
            ConfigError: no scorer has that name.
        """
        q = await self.scorer(scorer, policy)
        return EffectiveReward(q, await self._prover(prover, q, policy) if prover and alpha else None, alpha)

    async def _prover(self, spec: str, q: Scorer, policy: str) -> Scorer:
        kind, _, rest = spec.partition(":")
        if kind != "bo":
            return await self.scorer(spec, policy)
        number, _, of = rest.partition(":")
        return BestOf(await self.scorer(of, policy) if of else q, whole(number, f"prover {spec!r}"))

    async def scorer(self, spec: str, policy: str) -> Scorer:
        """One scorer, by its name."""
        if spec not in self._scorers:
            kind, _, rest = spec.partition(":")
            if kind == "completions":
                self._scorers[spec] = RememberingScorer(await self._completions(spec, rest, policy))
            else:  # scorers bring torch
                from genprm.scorers import open_scorer

                opened = open_scorer(spec, growing=True)
                self._scorers[spec] = RememberingScorer(await self.stack.enter_async_context(opened))
        return self._scorers[spec]

    async def _completions(self, spec: str, rest: str, policy: str) -> Scorer:
        number, _, engine = rest.partition(":")
        k = whole(number, f"scorer {spec!r}")
        completed = await self.policy(engine or policy)
        return CompletionsScorer(completed, right_number, k, max_tokens=self.max_tokens, seed=self.seed)

    def forget(self, problem: Problem) -> None:
        """What scorers have kept for a problem that is done."""
        for scorer in self._scorers.values():
            scorer.forget(problem)


def needs_answers(*specs: str | None) -> bool:
    """Whether one of these grades completions, for which the answers of the problems must be known."""
    return any(spec and "completions:" in spec for spec in specs)


def whole(text: str, what: str) -> int:
    """Raises ConfigError for what is no number above 0."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ConfigError(f"{what} needs a whole number above 0, not {text!r}")
    return int(text)
