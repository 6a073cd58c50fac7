"""Values by completions: for analysis, where an oracle tells right answers."""

from collections.abc import Awaitable, Callable, Sequence

from genprm.answers import boxed, same_number
from genprm.errors import ConfigError
from genprm.flight import together
from genprm.provers import best_of_counts
from genprm.scorers.base import Scores
from genprm.searching.policy import SEPARATOR, StepPolicy
from genprm.seeds import seed_of
from genprm.types import Problem, Solution, Usage

Grade = Callable[[Problem, str], Awaitable[bool | None]]
"""Whether a whole solution to a problem is right; None where that cannot be told."""


async def right_number(problem: Problem, text: str) -> bool | None:
    """A grade: the boxed answer is the problem's number. None for a problem without an answer."""
    return None if problem.answer is None else same_number(boxed(text), problem.answer)


async def completed(
    policy: StepPolicy, grade: Grade, solution: Solution, k: int, *, max_tokens: int = 1024, seed: int = 0
) -> tuple[list[bool | None], Usage]:
    """Grades of ``k`` completions of a path; None for those that are no evidence. A path with a boxed answer is at its
    end: all its completions are itself, and cost nothing.

    Raises:
        EngineLost: the engine that completes has gone.
    """
    if solution.steps and boxed(solution.steps[-1]) is not None:
        return [await grade(solution.problem, solution.steps[-1])] * k, Usage()
    problem, text = solution.problem, "".join(f"{step}{SEPARATOR}" for step in solution.steps)
    seeds = [seed_of("value", seed, problem.text, text, i) for i in range(k)]
    written = await together(
        policy.propose(problem, text, None, seed=each, max_tokens=max_tokens, whole=True) for each in seeds
    )
    grades = [await grade(problem, text + each.text) if each.end in ("end", "cut_off") else None for each in written]
    return grades, sum((each.usage for each in written), Usage())


class CompletionsScorer:
    """The value of a path is the share of its completions that are right. Only the last step of a path gets a value.

    Completion i of a path is the same whoever asks. Owns nothing: the policy's engine belongs to others.
    """

    def __init__(
        self, policy: StepPolicy, grade: Grade, k: int, *, best_of: int = 1, max_tokens: int = 1024, seed: int = 0
    ) -> None:
        """``policy``: who completes: the policy of the search, or a prover. ``best_of``: the values are those of the
        best of so many (:func:`genprm.provers.best_of_counts`).

        Raises ConfigError for numbers under 1.
        """
        if k < 1 or best_of < 1 or max_tokens < 1:
            raise ConfigError("values by completions need numbers above 0")
        self.name = f"completions:{k}:{policy.name}" + (f":bo{best_of}" if best_of > 1 else "")
        self._policy, self._grade, self._k = policy, grade, k
        self._best_of, self._max_tokens, self._seed = best_of, max_tokens, seed

    async def score(self, solutions: Sequence[Solution]) -> list[Scores]:
        """See :class:`~genprm.scorers.base.Scorer`.

        Raises:
            EngineLost: the engine that completes has gone.
        """
        return await together(map(self._value, solutions))

    async def close(self) -> None:
        """Nothing to give back."""

    async def _value(self, solution: Solution) -> Scores:
        grades, usage = await completed(
            self._policy, self._grade, solution, self._k, max_tokens=self._max_tokens, seed=self._seed
        )
        evidence = [grade for grade in grades if grade is not None]
        value = best_of_counts(sum(evidence), len(evidence), self._best_of)
        steps = (*(None for _ in solution.steps[1:]), *((value,) if solution.steps else ()))
        return Scores(steps, usage=usage, error="" if evidence else "no completion is evidence")
