"""A policy whose solutions are the paths of a tree, and a scorer that knows their values: for tests of search."""

from collections.abc import Callable, Mapping, Sequence

from genprm.errors import EngineUnavailable
from genprm.scorers.base import Scores
from genprm.types import Completion, Prompt, Sampling, Solution, Usage

Tree = Mapping[str, Sequence[str]]
"""The steps that may follow a step; "" is the problem. A step without an entry is the last one."""
FAILS = "!"
"""A step that the engine fails on."""


class TreeEngine:
    """Writes a path of the tree, each step chosen by the request's seed, and keeps count of what it said."""

    protocols: frozenset[str] | None = None

    def __init__(self, tree: Tree, name: str = "tree") -> None:
        self.name = name
        self.said = Usage()
        self._tree = tree

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        begun = prompt.messages[-1].content if prompt.messages[-1].role == "assistant" else ""
        at, seed = begun.split("\n\n")[-1], sampling.seed or 0
        steps: list[str] = []
        while at in self._tree:
            options = self._tree[at]
            at, seed = options[seed % len(options)], seed // len(options)
            steps.append(at)
            if sampling.stop or not at:
                break
        if FAILS in steps:
            raise EngineUnavailable("it was told to")
        text = "\n\n".join(steps) + ("\n\n" if sampling.stop and at and at in self._tree else "")
        words = text.split(" ")
        cut = len(words) > sampling.max_tokens
        usage = Usage(len(begun), 0, min(len(words), sampling.max_tokens), 1)
        self.said += usage
        return Completion(" ".join(words[: sampling.max_tokens]), "length" if cut else "stop", usage=usage)

    async def close(self) -> None:
        pass


class TableScorer:
    """Values of steps by their text; None in the table is a failure."""

    def __init__(
        self,
        value: Callable[[str], float | None],
        name: str = "table",
        *,
        outcome: Callable[[str], float] | None = None,
        advantage: Callable[[str], float] | None = None,
    ) -> None:
        self.name = name
        self.asked = 0
        self._value, self._outcome, self._advantage = value, outcome, advantage

    async def score(self, solutions: Sequence[Solution]) -> list[Scores]:
        self.asked += len(solutions)
        return [self._scores(solution) for solution in solutions]

    def _scores(self, solution: Solution) -> Scores:
        steps = tuple(self._value(step) for step in solution.steps)
        outcome = self._outcome(solution.steps[-1]) if self._outcome else None
        advantages = tuple(self._advantage(step) for step in solution.steps) if self._advantage else ()
        error = "it was told to" if None in steps else ""
        return Scores(steps, outcome, advantages, Usage(prompt_tokens=10, completion_tokens=2, calls=1), error)

    async def close(self) -> None:
        pass
