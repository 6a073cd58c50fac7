"""Labels from a small tree search: completions go where they promise most (UCT, Kocsis and Szepesvari 2006).

The tree's nodes are prefixes; the arms at one are the next steps that the policy has proposed there, the attempt's own
among them, and one more proposal while fewer were made there than the square root of its visits (progressive widening).
Every simulation is one completion, and counts at every prefix that it passes through. First each of the attempt's own
prefixes gets a few (as OmegaPRM's rollouts, arXiv 2406.06592); the rest are spent from the bare problem down.

What comes out are values under a policy that has searched, not under the bare one: they lie higher, and intervals are
those of shares of independent completions, which these are not quite.
"""

import math
from dataclasses import dataclass

from genprm.synth.labels import label
from genprm.synth.schemes import Scheme
from genprm.synth.tree import Prefix, PrefixTree
from genprm.synth.types import Attempt, Labelled, Valued
from genprm.synth.values import Completer, last_value
from genprm.types import Usage


@dataclass(frozen=True)
class TreeSearch:
    """At most ``simulations`` completions an attempt."""

    completer: Completer
    scheme: Scheme
    simulations: int = 64
    first: int = 2
    """Completions from each of the attempt's own prefixes, before any choice."""
    exploration: float = 1.4

    @property
    def name(self) -> str:
        return f"search:{self.simulations}:{self.scheme.name}"

    async def label(self, attempt: Attempt) -> Labelled:
        return label(await self.search(attempt), self.scheme)

    async def search(self, attempt: Attempt) -> Valued:
        """One simulation after another: each goes where those before it point."""
        steps, problem = attempt.solution.steps, attempt.solution.problem
        tree, arms, usage = PrefixTree(reuse=True), dict[Prefix, list[str]](), Usage()
        for t, step in enumerate(steps):
            arms[steps[:t]] = [step]
        opening = [steps[:t] for t in range(len(steps)) for _ in range(self.first)]
        for number in range(self.simulations):
            prefix = opening[number] if number < len(opening) else self._descend(tree, arms)
            done = await self.completer.complete(problem, prefix, tree.own(prefix))
            tree.add(prefix, done, up=True)
            _propose(arms, prefix, tuple(done.steps))
            usage += done.usage
        values = [tree.estimate(steps[:t]) for t in range(len(steps))]
        return Valued(attempt, values[0], (*values[1:], last_value(attempt)), self.name, {}, usage)

    def _descend(self, tree: PrefixTree, arms: dict[Prefix, list[str]]) -> Prefix:
        """The prefix to go on from: down along the most promising arms to where another proposal is due."""
        prefix: Prefix = ()
        while True:
            visits = tree.counted(prefix)
            ahead = [step for step in arms.get(prefix, []) if tree.counted((*prefix, step))]
            if not ahead or tree.own(prefix) < math.isqrt(visits):
                return prefix
            prefix = (*prefix, max(ahead, key=lambda step: self._promise(tree, prefix, step, visits)))

    def _promise(self, tree: PrefixTree, prefix: Prefix, step: str, visits: int) -> float:
        child = (*prefix, step)
        estimate = tree.estimate(child)
        value = estimate.value if estimate else 0.0
        return value + self.exploration * math.sqrt(math.log(max(visits, 1)) / tree.counted(child))


def _propose(arms: dict[Prefix, list[str]], prefix: Prefix, written: Prefix) -> None:
    """The last step is no arm: after it there is nothing to complete."""
    for step in written[:-1]:
        known_arms = arms.setdefault(prefix, [])
        if step not in known_arms:
            known_arms.append(step)
        prefix = (*prefix, step)
