"""Values by completions: for analysis, where an oracle tells right answers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from genprm.answers import boxed, same_number
from genprm.errors import ConfigError
from genprm.provers import best_of_counts
from genprm.scorers.base import Scores
from genprm.searching.policy import Policy, Written, seed_of
from genprm.types import Problem, Solution, Usage

Grade = Callable[[Problem, str], Awaitable[bool | None]]
"""Whether a whole solution to a problem is right; None where that cannot be told."""


async def right_number(problem: Problem, text: str) -> bool | None:
    """A grade: the boxed answer is the problem's number. None for a problem without an answer."""
    return None if problem.answer is None else same_number(boxed(text), problem.answer)


class CompletionsScorer:
    """The value of a path is the share of its completions that are right; that of a path with a boxed answer is whether
    it is right. Only the last step of a path gets a value.

    Completion i of a path is the same whoever asks, and is kept: it is paid for once, and accounted for whenever it is
    used, so that a search is charged what it alone would cost.
    """

    def __init__(
        self, policy: Policy, grade: Grade, k: int, *, best_of: int = 1, max_tokens: int = 1024, seed: int = 0
    ) -> None:
        """``policy``: who completes: the policy of the search, or a prover. ``best_of``: the values are turned into
        those of the best of so many (:func:`genprm.provers.best_of_counts`).

        Raises ConfigError for numbers under 1.
        """
        if k < 1 or best_of < 1 or max_tokens < 1:
            raise ConfigError("values by completions need numbers above 0")
        self.name = f"completions:{k}:{policy.name}" + (f":bo{best_of}" if best_of > 1 else "")
        self._policy, self._grade, self._k = policy, grade, k
        self._best_of, self._max_tokens, self._seed = best_of, max_tokens, seed
        self._known: dict[tuple[str, ...], asyncio.Task[Scores]] = {}

    async def score(self, solutions: Sequence[Solution]) -> list[Scores]:
        """See :class:`~genprm.scorers.base.Scorer`.

        Raises:
            EngineLost: the engine that completes has gone.
        """
        return list(await asyncio.gather(*(asyncio.shield(self._task(each)) for each in solutions)))

    async def close(self) -> None:
        """Give up what is in flight. The policy's engine belongs to others."""
        for task in self._known.values():
            task.cancel()
        await asyncio.gather(*self._known.values(), return_exceptions=True)

    def _task(self, solution: Solution) -> asyncio.Task[Scores]:
        name = (solution.problem.text, *solution.steps)
        task = self._known.get(name)
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            task = self._known[name] = asyncio.create_task(self._value(solution))
        return task

    async def _value(self, solution: Solution) -> Scores:
        """The value, without whatever is no evidence; without any there is none."""
        if solution.steps and boxed(solution.steps[-1]) is not None:
            return self._scores(solution, [await self._grade(solution.problem, solution.steps[-1])], Usage())
        text = "".join(f"{step}\n\n" for step in solution.steps)
        written = await asyncio.gather(*(self._complete(solution.problem, text, i) for i in range(self._k)))
        grades = [await self._graded(solution.problem, text, each) for each in written]
        return self._scores(solution, grades, sum((each.usage for each in written), Usage()))

    async def _complete(self, problem: Problem, text: str, i: int) -> Written:
        seed = seed_of("value", self._seed, problem.text, text, i)
        return await self._policy.propose(problem, text, None, seed=seed, max_tokens=self._max_tokens, whole=True)

    async def _graded(self, problem: Problem, text: str, written: Written) -> bool | None:
        if written.end in ("too_long", "engine_error"):
            return None
        return await self._grade(problem, text + written.text)

    def _scores(self, solution: Solution, grades: Sequence[bool | None], usage: Usage) -> Scores:
        evidence = [grade for grade in grades if grade is not None]
        value = best_of_counts(sum(evidence), len(evidence), self._best_of)
        steps = (*(None for _ in solution.steps[1:]), *((value,) if solution.steps else ()))
        error = "" if evidence else "no completion gives evidence"
        return Scores(steps, usage=usage, error=error)
