"""The search itself: proposals, merged, judged, selected, round by round.

All four algorithms are one loop over groups of paths: ``beam`` has one group that keeps ``beam`` paths, ``step`` one
that keeps one, ``dvts`` has ``beam`` groups that keep one each; ``best-of-n`` is a single round of whole solutions.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from genprm.answers import boxed
from genprm.flight import together
from genprm.searching.choosing import choose, descending, value_of
from genprm.searching.paths import Account, Candidate, Path, SearchResult, spelt
from genprm.searching.plan import SearchPlan
from genprm.searching.policy import StepPolicy, Written, cut
from genprm.searching.scores import Asked, Mark, StepScore
from genprm.seeds import seed_of
from genprm.types import Problem


class Search:
    """One search for one problem; used once."""

    def __init__(self, problem: Problem, policy: StepPolicy, score: StepScore, plan: SearchPlan) -> None:
        self._problem, self._policy, self._score, self._plan = problem, policy, score, plan
        self._counts: Counter[str] = Counter()
        self._account = Account()
        self._finished: list[Path] = []
        self._left: list[Path] = []
        """Paths that went no further: what is chosen from where none is finished."""
        self._rounds = 0

    async def run(self) -> SearchResult:
        """Raises EngineLost where the engine has gone; whatever else fails is counted."""
        whole = self._plan.algorithm == "best-of-n"
        active = [Path(group) for group in range(self._plan.subtrees)]
        while active and self._rounds < (1 if whole else self._plan.max_steps) and not self._enough():
            cap, n = self._cap(active, whole)
            if cap < 1:
                self._counts["budget"] += 1
                break
            self._rounds += 1
            active = self._selected(await self._judged(await self._proposed(active, n, cap, whole)))
        self._left += active
        if active and self._rounds == self._plan.max_steps:
            self._counts["too_many_steps"] += len(active)
        return self._result()

    def _enough(self) -> bool:
        return self._plan.enough is not None and len(self._finished) >= self._plan.enough

    # --- proposals -------------------------------------------------------------------------------------------------

    def _cap(self, active: Sequence[Path], whole: bool) -> tuple[int, int]:
        """Tokens that a proposal may have, so that all together keep to the budget, and proposals a path."""
        plan = self._plan
        n = plan.expand * (plan.width if not self._rounds else 1)  # the root stands for all paths to come
        cap = plan.solution_tokens if whole else plan.step_tokens
        if plan.max_tokens is not None:
            cap = min(cap, (plan.max_tokens - self._account.policy.completion_tokens) // (n * len(active)))
        return cap, n

    async def _proposed(self, active: Sequence[Path], n: int, cap: int, whole: bool) -> list[Path]:
        """The paths that go on from the active ones, every one once in its group."""
        written = await together(self._write(path, i, cap, whole) for path in active for i in range(n))
        grown: dict[tuple[object, ...], Path] = {}
        for at, path in enumerate(active):
            found = [new for each in written[at * n : (at + 1) * n] if (new := self._read(path, each, whole))]
            if not found:
                self._counts["stuck"] += 1
                self._left.append(path)
            for new in found:
                self._merge(grown, new)
        return list(grown.values())

    async def _write(self, path: Path, i: int, cap: int, whole: bool) -> Written:
        seed = seed_of(self._plan.seed, self._problem.text, path.group, path.text, i)
        return await self._policy.propose(self._problem, path.text, path.seam, seed=seed, max_tokens=cap, whole=whole)

    def _read(self, path: Path, written: Written, whole: bool) -> Path | None:
        """The path with what was written behind it; None where that is no step."""
        self._account += Account(policy=written.usage)
        self._counts["proposals"] += 1
        steps = cut(written.text)
        if not steps and written.end == "end" and path.steps:  # nothing more to say
            return replace(path, done=True, weight=1)
        if flaw := _flaw(path, written, steps, whole):
            self._counts[flaw] += 1
            return None
        answered = self._plan.answer_ends and boxed(steps[-1]) is not None
        return path.grown(steps, written.text, written.seam, written.end == "end" or answered)

    def _merge(self, grown: dict[tuple[object, ...], Path], new: Path) -> None:
        name = (new.group, new.done, *map(spelt, new.steps))
        if name in grown:
            self._counts["merged"] += 1
            new = replace(grown[name], weight=grown[name].weight + 1)
        grown[name] = new

    # --- judgements ------------------------------------------------------------------------------------------------

    async def _judged(self, paths: Sequence[Path]) -> list[Path]:
        """With the marks of their new steps. A path that ended without one has its marks already."""
        new = [path for path in paths if len(path.marks) < len(path.steps)]
        if not new:
            return list(paths)
        asked = [Asked(p.solution(self._problem), p.marks[-1] if p.marks else None, p.weight) for p in new]
        judged = await self._score.judge(asked)
        self._account += Account(scorer=judged.scorer, prover=judged.prover)
        self._counts["judged"] += len(new)
        self._counts["unscored"] += sum(mark.score is None for mark in judged.marks)
        marked = zip(new, judged.marks, judged.values, strict=True)
        marks = {id(path): _marks(path, mark, values) for path, mark, values in marked}
        return [replace(path, marks=marks.get(id(path), path.marks)) for path in paths]

    def _selected(self, paths: Sequence[Path]) -> list[Path]:
        """The best of every group; those that are finished hold their places."""
        kept = [path for path in paths if not self._under_floor(path)]
        if self._plan.algorithm == "best-of-n":
            self._finished += kept
            return []
        active = []
        for group in range(self._plan.subtrees):
            room = self._plan.width - sum(path.group == group for path in self._finished)
            ranked = sorted((p for p in kept if p.group == group), key=lambda p: descending(p.last.score))
            self._finished += [path for path in ranked[:room] if path.done]
            active += [path for path in ranked[:room] if not path.done]
        return active

    def _under_floor(self, path: Path) -> bool:
        pruned = self._plan.floor is not None and path.last.q is not None and path.last.q < self._plan.floor
        if pruned:
            self._counts["pruned"] += 1
            self._left.append(path)
        return pruned

    # --- the end ---------------------------------------------------------------------------------------------------

    def _result(self) -> SearchResult:
        choice = self._plan.choice
        ranked = choose(self._finished, choice)
        if ranked and all(value_of(path.last, choice) is None for path in ranked):
            self._counts["no_basis"] += 1  # nothing to choose by: the first one found
        self._counts["no_answer"] += sum(path.answer is None for path in ranked)
        left = sorted(self._left, key=lambda path: (not path.done, *descending(value_of(path.last, choice))))
        best = next(iter((*ranked, *left)), Path())
        return SearchResult(
            self._problem,
            "nothing" if not best.steps else "finished" if best.done else "unfinished",
            best.steps,
            best.marks,
            best.answer,
            tuple(Candidate(p.steps, p.marks, p.answer, p.done, p.weight) for p in ranked),
            self._account,
            {name: count for name, count in sorted(self._counts.items()) if count},
            self._rounds,
            self._policy.name,
            self._score.name,
            self._plan,
        )


def _flaw(path: Path, written: Written, steps: Sequence[str], whole: bool) -> str:
    """Why what was written is no step behind the path; empty where it is one."""
    if written.end not in ("step", "end"):
        return written.end
    if not steps:
        return "empty"
    return "repeated" if not whole and spelt(steps[0]) in map(spelt, path.steps) else ""


def _marks(path: Path, mark: Mark, values: Sequence[float | None]) -> tuple[Mark, ...]:
    """The path's marks and the new one; several new steps at once have the values that the scorer gave on the way."""
    between = tuple(Mark(value) for value in values[len(path.marks) : len(path.steps) - 1])
    return (*path.marks, *between, mark)
