"""A policy whose true values are known: for measuring what estimates of them are worth.

A problem is a chain of steps. While all is well, a step goes wrong with the problem's own rate. A wrong step ends all
hope, or leaves a solution that may find back at each later step. All texts come from a few variants, so that
completions meet one another's prefixes, as those of a small policy do. The true value of every prefix is known in
closed form (backward recursion), and so is the truth of every step.
"""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from genprm.synth.types import Attempt, Grade
from genprm.types import Problem, Solution, Usage

_VARIANTS = (0.5, 0.3, 0.2)
_TOKENS = 30
_WELL, _HURT, _DEAD = "well", "hurt", "dead"


@dataclass(frozen=True, slots=True)
class SimulatedCompletion:
    steps: tuple[str, ...]
    grade: Grade
    usage: Usage


@dataclass(frozen=True)
class SimulatedPolicy:
    """One problem, and the policy at it; a ``Completer``."""

    n: int
    """Steps of a solution."""
    error: float
    """Rate of wrong steps."""
    dead: float = 0.7
    """Share of the wrong steps after which nothing is right any more."""
    back: float = 0.15
    """Chance at each step to find back from another wrong one."""
    seed: int = 0

    @cached_property
    def values(self) -> dict[str, list[float]]:
        """The chance of a right answer after ``t`` steps, by state; t from 0 to n."""
        well, hurt = [1.0], [0.0]
        for _ in range(self.n):
            a, b = well[0], hurt[0]
            well.insert(0, (1 - self.error) * a + self.error * (1 - self.dead) * b)
            hurt.insert(0, self.back * a + (1 - self.back) * b)
        return {_WELL: well, _HURT: hurt, _DEAD: [0.0] * (self.n + 1)}

    def truth(self, steps: Sequence[str]) -> list[float]:
        """The value of the bare problem, and after each step."""
        states = [_WELL, *(step.split()[1] for step in steps)]
        return [self.values[state][t] for t, state in enumerate(states)]

    def right(self, steps: Sequence[str]) -> list[bool]:
        """Whether each step is right: it leaves all well."""
        return [step.split()[1] == _WELL for step in steps]

    def attempt(self, number: int) -> Attempt:
        done = self._write((), f"attempt {number}")
        problem = Problem(f"simulated {self.seed}", "1")
        solution = Solution(problem, done.steps, f"{self.seed}/{number}", source="simulated")
        return Attempt(solution, str(self.seed), done.grade)

    async def complete(self, problem: Problem, steps: Sequence[str], k: int) -> SimulatedCompletion:
        return self._write(tuple(steps), f"completion {k}")

    def _write(self, steps: tuple[str, ...], name: str) -> SimulatedCompletion:
        text = f"{self.seed}\0{name}\0" + "\0".join(steps)
        rng = random.Random(hashlib.blake2b(text.encode(), digest_size=8).digest())
        state, written = (steps[-1].split()[1] if steps else _WELL), []
        for t in range(len(steps), self.n):
            state = self._next(state, rng)
            written.append(f"{t} {state} {rng.choices(range(len(_VARIANTS)), _VARIANTS)[0]}")
        usage = Usage(completion_tokens=_TOKENS * len(written), calls=1)
        return SimulatedCompletion(tuple(written), "right" if state == _WELL else "wrong", usage)

    def _next(self, state: str, rng: random.Random) -> str:
        if state == _WELL:
            if rng.random() >= self.error:
                return _WELL
            return _DEAD if rng.random() < self.dead else _HURT
        return _WELL if state == _HURT and rng.random() < self.back else state


def simulated_problems(n: int, seed: int = 0) -> list[SimulatedPolicy]:
    """Problems of all difficulties: 3 to 9 steps, rates of wrong steps from nearly 0 to a half."""
    rng = random.Random(f"simulated problems {seed}")
    return [
        SimulatedPolicy(
            rng.randint(3, 9), min(rng.betavariate(1.2, 8), 0.5), rng.uniform(0.4, 1), rng.uniform(0, 0.3), i
        )
        for i in range(n)
    ]
