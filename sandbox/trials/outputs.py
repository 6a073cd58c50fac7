"""What the checks print in plain Python, and every output that is not that."""

from collections.abc import Sequence

from genprm.sandbox import Result
from genprm.sandbox.trials.baseline import Run
from genprm.sandbox.trials.checks import CheckedSolution


class Outputs:
    """Collects the differences."""

    def __init__(self, solutions: Sequence[CheckedSolution], runs: Sequence[Run]) -> None:
        printed = iter(text for _, text in runs)
        self.expected = {s.name: [next(printed) for _ in s.checks] for s in solutions}
        self.compared = 0
        self.different: list[dict[str, str]] = []

    def compare(self, how: str, solution: CheckedSolution, step: int, got: str) -> None:
        """``got``: what step ``step`` (from 0) of ``solution`` printed."""
        self._compare(f"{how}, {solution.name} {step + 1}", got, self.expected[solution.name][step])

    def compare_replayed(self, how: str, solution: CheckedSolution, step: int, got: str) -> None:
        """``got``: what all steps up to ``step`` printed."""
        expected = "".join(self.expected[solution.name][: step + 1])
        self._compare(f"{how}, {solution.name} up to {step + 1}", got, expected)

    def compare_all(self, how: str, solutions: Sequence[CheckedSolution], runs: Sequence[Run]) -> None:
        printed = iter(runs)
        for solution in solutions:
            for step in range(len(solution.checks)):
                self.compare(how, solution, step, next(printed)[1])

    def _compare(self, where: str, got: str, expected: str) -> None:
        self.compared += 1
        if got != expected:
            self.different.append({"where": where, "got": got[:500], "expected": expected[:500]})


def said(result: Result) -> str:
    """The output where the check ran to its end, else how it ended: never equal to an output by chance."""
    return result.stdout if result.status == "ok" else f"[{result.status}] {result.error}"
