"""What was valued before, for searches over the same problem.

A scorer judges a path by itself, so each is paid for once, and accounted for whenever it is used: a search is charged
what it alone would cost. What policies wrote is remembered by :mod:`genprm.engines.remembering`.
"""

from collections.abc import Sequence

from genprm.scorers.base import Scorer, Scores
from genprm.types import Problem, Solution


class RememberingScorer:
    """A scorer that is asked once about each path. Failures are not kept. Owns the scorer."""

    def __init__(self, scorer: Scorer) -> None:
        self.name = scorer.name
        self._scorer = scorer
        self._known: dict[str, dict[tuple[str, ...], Scores]] = {}

    async def score(self, solutions: Sequence[Solution]) -> list[Scores]:
        """See :class:`~genprm.scorers.base.Scorer`."""
        known = {_path(each): kept for each in solutions if (kept := self._kept(each))}
        new = {_path(each): each for each in solutions if _path(each) not in known}
        for each, scores in zip(new.values(), await self._scorer.score(list(new.values())) if new else (), strict=True):
            known[_path(each)] = scores
            if not scores.error:
                self._known.setdefault(each.problem.text, {})[each.steps] = scores
        return [known[_path(each)] for each in solutions]

    def forget(self, problem: Problem) -> None:
        """What was kept for a problem, to make room."""
        self._known.pop(problem.text, None)

    async def close(self) -> None:
        """Give back what it holds. Safe to call twice."""
        await self._scorer.close()

    def _kept(self, solution: Solution) -> Scores | None:
        return self._known.get(solution.problem.text, {}).get(solution.steps)


def _path(solution: Solution) -> tuple[str, ...]:
    return (solution.problem.text, *solution.steps)
