"""Stage 1: solutions of a problem, until there are right ones and wrong ones, or enough has been tried."""

import itertools
from asyncio import gather
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from genprm.engines.base import Engine
from genprm.errors import ConfigError
from genprm.problems import Posed
from genprm.seeds import seed_of
from genprm.synth.beam import Beam, Branch, search
from genprm.synth.completing import Completed, Completer
from genprm.synth.grading import Grader
from genprm.synth.types import NO_EVIDENCE, Attempt, Grade
from genprm.types import Problem, Solution, Usage


class Strategy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to sample. Fields that another kind has are ignored."""

    kind: Literal["plain", "forced", "beam"] = "plain"
    """``plain``: as the policy writes it. ``forced``: with ``Step 1:`` put before it. ``beam``: step-wise."""
    temperature: float = 0.7
    top_p: float = 1.0
    top_k: int = 0
    prompt: str = "solve"
    width: int = 4
    branching: int = 4
    max_steps: int = 32

    def __post_init__(self) -> None:
        self.beam()

    def beam(self) -> Beam | None:
        """Raises ConfigError for one that finds nothing."""
        return Beam(self.width, self.branching, self.max_steps) if self.kind == "beam" else None


class Rounds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a problem is tried: ``first`` draws, then ``growth`` times as many, and so on up to ``cap`` in all,
    until there are ``right`` right and ``wrong`` wrong solutions. Of each kind ``keep`` are kept at most (0: all)."""

    right: int = 1
    wrong: int = 1
    first: int = 4
    growth: float = 2.0
    cap: int = 64
    keep: int = 0

    def __post_init__(self) -> None:
        if min(self.right, self.wrong, self.keep) < 0 or not 1 <= self.first <= self.cap or not self.growth >= 1:
            raise ConfigError(
                "rounds need right, wrong, keep of 0 at least, 1 <= first <= cap, and a growth of 1 at least"
            )

    def sizes(self) -> list[int]:
        """Draws of each round; they add up to ``cap``."""
        sizes: list[int] = []
        size = float(self.first)
        while sum(sizes) < self.cap:
            sizes.append(min(int(size), self.cap - sum(sizes)))
            size *= self.growth
        return sizes


Kinds = Literal["both", "only_right", "only_wrong", "neither"]


@dataclass(frozen=True, slots=True)
class Sampled:
    """A problem and the solutions that were found: a line of stage 1."""

    problem: Problem
    kinds: Kinds
    """Of the solutions with evidence, those left out among them."""
    attempts: tuple[Attempt, ...]
    """Different texts, with steps, in the order of their draws."""
    draws: int
    grades: Mapping[str, int] = field(default_factory=dict)
    """Of all solutions, those left out among them."""
    repeated: int = 0
    """Left out: the same text as an earlier one."""
    empty: int = 0
    """Left out: without a step."""
    surplus: int = 0
    """Left out: there are as many of that kind as are kept."""
    error: str = ""
    """What the engine said, where it failed."""
    usage: Usage = Usage()
    """Of all draws."""


class Solver:
    """Samples solutions of problems by several strategies in turn. Owns neither the engine nor the grader."""

    def __init__(
        self,
        engine: Engine,
        grader: Grader,
        strategies: Sequence[Strategy] = (Strategy(),),
        rounds: Rounds | None = None,
        *,
        max_tokens: int = 1024,
        seed: int = 0,
    ) -> None:
        """``max_tokens``: of a solution; of a step in a beam.

        Raises:
            ConfigError: no strategy, or one that does not work.
        """
        if not strategies:
            raise ConfigError("there is no strategy to sample by")
        self._rounds = rounds or Rounds()
        self._drawers = [_Drawer(engine, grader, one, max_tokens, seed) for one in strategies]

    async def sample(self, posed: Posed) -> Sampled:
        """Draw number ``k`` of a problem is the same whatever else is drawn."""
        found: list[Found] = []
        draws = 0
        for size in self._rounds.sizes():
            drawn = await gather(*(self._draw(posed, k) for k in range(draws, draws + size)))
            draws += size
            found += itertools.chain.from_iterable(drawn)
            if not self._wanting(gathered(posed, found, draws)):
                break
        return gathered(posed, found, draws, self._rounds.keep)

    async def _draw(self, posed: Posed, k: int) -> "list[Found]":
        return await self._drawers[k % len(self._drawers)].draw(posed, k)

    def _wanting(self, sampled: Sampled) -> bool:
        right = sum(attempt.right for attempt in sampled.attempts)
        return right < self._rounds.right or len(sampled.attempts) - right < self._rounds.wrong


@dataclass(frozen=True, slots=True)
class Found:
    """One solution that came of a draw, or the failure to come by one."""

    number: str
    text: str
    steps: tuple[str, ...]
    grade: Grade
    answer: str | None
    how: Mapping[str, str]
    usage: Usage = Usage()
    generator: str = ""


class _Drawer:
    """Draws by one strategy."""

    def __init__(self, engine: Engine, grader: Grader, strategy: Strategy, max_tokens: int, seed: int) -> None:
        self._beam = strategy.beam()
        self._strategy = strategy
        # Strategies that ask alike would otherwise throw the same dice.
        self._completer = Completer(
            engine,
            grader,
            prompt=strategy.prompt,
            step_forcing=strategy.kind == "forced",
            temperature=strategy.temperature,
            top_p=strategy.top_p,
            top_k=strategy.top_k,
            max_tokens=max_tokens,
            seed=seed_of("solutions", seed, sorted(msgspec.structs.asdict(strategy).items())),
        )

    async def draw(self, posed: Posed, k: int) -> list[Found]:
        if self._beam:
            return await self._searched(posed, self._beam, k)
        said = await self._completer.complete(posed.problem, (), k)
        return [self._found(str(k), said, k)]

    def _found(self, number: str, said: Completed, k: int) -> Found:
        engine = self._completer.engine.name
        return Found(number, said.text, said.steps, said.grade, said.answer, self._how(k), said.usage, engine)

    async def _searched(self, posed: Posed, beam: Beam, k: int) -> list[Found]:
        paths, error = await search(self._completer, posed.problem, beam, k)
        if not paths:
            return [self._found(str(k), Completed(error, (), "failed", None, "failed", Usage()), k)]
        return [await self._ranked(posed, path, f"{k}.{rank}", k) for rank, path in enumerate(paths)]

    async def _ranked(self, posed: Posed, path: Branch, number: str, k: int) -> Found:
        text, finish = "\n\n".join(path.steps), path.finish or "length"
        grade, answer = await self._completer.grade(posed.problem, text, finish)
        return self._found(number, Completed(text, path.steps, grade, answer, finish, path.usage), k)

    def _how(self, k: int) -> dict[str, str]:
        one = self._strategy
        beam = {"width": one.width, "branching": one.branching} if self._beam else {}
        return {
            "engine": self._completer.engine.name,
            "strategy": one.kind,
            "prompt": one.prompt,
            "temperature": f"{one.temperature:g}",
            "top_p": f"{one.top_p:g}",
            "top_k": str(one.top_k),
            "seed": str(self._completer.seed),
            "draw": str(k),
            **{name: str(value) for name, value in beam.items()},
        }


def gathered(posed: Posed, found: "Sequence[Found]", draws: int, keep: int = 0) -> Sampled:
    """What was found, without what is empty, repeated or too many."""
    left: Counter[str] = Counter()
    seen: set[str] = set()
    attempts: list[Attempt] = []
    for one in found:
        text = " ".join(one.text.split())
        kind = _kind(one.grade)
        if kind is None or not one.steps:
            left["empty"] += kind is not None
        elif text in seen:
            left["repeated"] += 1
        elif keep and sum(_kind(attempt.grade) == kind for attempt in attempts) >= keep:
            left["surplus"] += 1
        else:
            attempts.append(_attempt(posed, one))
        seen.add(text)
    return Sampled(
        posed.problem,
        _kinds({_kind(one.grade) for one in found if one.steps}),
        tuple(attempts),
        draws,
        dict(Counter(one.grade for one in found)),
        left["repeated"],
        left["empty"],
        left["surplus"],
        next((one.text for one in found if one.grade == "failed"), ""),
        sum((one.usage for one in found), Usage()),
    )


def _kinds(found: "set[bool | None]") -> Kinds:
    if True in found:
        return "both" if False in found else "only_right"
    return "only_wrong" if False in found else "neither"


def _kind(grade: Grade) -> bool | None:
    """Right, wrong, or no evidence."""
    return None if grade in NO_EVIDENCE else grade == "right"


def _attempt(posed: Posed, found: Found) -> Attempt:
    solution = Solution(
        posed.problem, found.steps, f"{posed.id}/{found.number}", source=posed.source, generator=found.generator
    )
    return Attempt(solution, posed.id, found.grade, found.answer, found.how, found.usage)
