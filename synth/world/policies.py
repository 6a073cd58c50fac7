"""Policies of the world without weights: they solve its problems in its language, with mistakes at a known rate.

The engine ``world:ERR``. It reads the problem from the prompt, believes what the steps so far claim, and goes on from
there: so its value of any prefix can be had from thousands of completions in a second.
"""

import asyncio
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated

import msgspec

from genprm.answers import boxed
from genprm.engines.base import require_sound
from genprm.engines.words import completion
from genprm.errors import EngineRefused
from genprm.protocols.policy import SOLVE
from genprm.splitting import split_steps
from genprm.synth.world.diagnosis import Beliefs
from genprm.synth.world.faults import FIRST_KINDS
from genprm.synth.world.problems import WorldProblem
from genprm.synth.world.reading import read_problem
from genprm.synth.world.solutions import Solver, close, next_of
from genprm.synth.world.statements import Reader, Statement
from genprm.synth.world.teacher import needed_for
from genprm.types import Completion, Message, Prompt, Sampling

Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]
_WRONG_PARAGRAPH = re.compile(r"Paragraph ([1-9][0-9]{0,5}) is wrong")
_STEP = re.compile(r"(?:\A|\n)[ ]*Step ([0-9]{1,4}):([ ]?)\Z")
_DRAWS = 200
"""Ways in which a step is tried to be said, to go on from one that was cut off."""


class Strength(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How good a policy is, and how it writes."""

    err: Probability
    """Of a mistake in a step."""
    mends: Probability = 0.0
    """Of noticing, before a step and before the answer, that a value which the answer needs is wrong: it is taken
    back, and with it what followed from it."""
    detours: Probability = 0.0
    """Of trying something wrong in a step that is taken back at once."""
    asides: Probability = 0.0
    """Of working out a quantity that nobody needs before a step, where there is one."""
    terse: Probability = 0.06
    """Of giving a right value without its computation."""
    kinds: tuple[str, ...] = FIRST_KINDS
    """Of mistakes. Where none of them can be made in a step, it is right."""

    def __post_init__(self) -> None:
        if unknown := [kind for kind in self.kinds if kind not in FIRST_KINDS]:
            raise ValueError(f"no kind of mistake is called {unknown[0]!r}; there are {', '.join(FIRST_KINDS)}")


class PolicyEngine:
    """A policy: answers the conversations of :mod:`genprm.protocols.policy` and whatever holds one of the world's
    problems in its first turn.

    The dice are those of seed and prompt; at temperature 0 those of the prompt alone. Other settings of sampling change
    nothing. Tokens are words and signs (:mod:`genprm.engines.words`).
    """

    protocols: frozenset[str] | None = frozenset()

    def __init__(self, strength: Strength, name: str) -> None:
        self.strength = strength
        self.name = name

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        """See :class:`~genprm.engines.base.Engine`. Raises EngineRefused for a problem that is none of the world's."""
        await asyncio.sleep(0)  # others get their turn: nothing here waits
        require_sound(sampling)
        prompt = _whole_opening(prompt)
        text = _task(prompt.messages, prompt.problem)
        if text is None:
            raise EngineRefused(f"{self.name} reads problems of the embedded world alone, and there is none")
        begun = _begun(text, prompt.opening) if prompt.opening else _kept(text, prompt.messages)
        rng = _dice(prompt, sampling)
        said = "\n\n".join(begun.kept) if begun.answered else _Writer(self.strength, rng, begun).written()
        return completion(said, prompt, sampling)

    async def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True)
class _Begun:
    """A problem, and a solution as far as it goes."""

    problem: WorldProblem
    reader: Reader
    steps: tuple[Statement, ...] = ()
    answered: bool = False
    before: str = ""
    """What is written before the next step."""
    number: int = 0
    """Of the step that is next, or cut off, where steps are numbered; 0 where they are not."""
    marked: bool = False
    """Whether the number stands there already."""
    cut_off: str = ""
    """The words of a step that is not at its end."""
    kept: tuple[str, ...] = ()
    """Steps of an earlier attempt that are written again as they are."""


@dataclass(slots=True)
class _Writer:
    """Writes the rest of a solution."""

    strength: Strength
    rng: random.Random
    begun: _Begun

    def written(self) -> str:
        begun, rng = self.begun, self.rng
        beliefs, said = Beliefs(begun.problem), {}
        for statement in begun.steps:
            beliefs.take(statement.place, statement.claimed)
            said[statement.place] = statement
        solver = Solver(begun.problem, rng, _mark(begun, rng), self.strength.terse, beliefs.values)
        goes_on = bool(begun.cut_off) and self._finished(solver, beliefs)
        while True:
            wrong = beliefs.wrong
            if wrong is not None and rng.random() < self.strength.mends:
                self._mend(solver, beliefs, said, wrong)
            elif begun.problem.asked in beliefs.values:
                break
            else:
                self._step(solver)
        if solver.steps:
            close(rng, solver)
        else:
            solver.answer(begun.problem.asked)
        return self._joined([*begun.kept, *(step.text for step in solver.steps)], goes_on)

    def _step(self, solver: Solver) -> None:
        rng, strength = self.rng, self.strength
        place = self._next(solver)
        if strength.asides and rng.random() < strength.asides:
            place = self._aside(solver, place)
        if rng.random() < strength.err and self._wrongly(solver, place):
            return
        if not (strength.detours and rng.random() < strength.detours and solver.corrected(place)):
            solver.worked(place)

    def _next(self, solver: Solver) -> int:
        problem = solver.problem
        needed = needed_for(problem, problem.asked, solver.beliefs)
        return next_of(self.rng, problem, [at for at in needed if not problem.quantities[at].given])

    def _aside(self, solver: Solver, place: int) -> int:
        """A quantity that no answer needs, and that can be worked out now."""
        problem = solver.problem
        known = {at for at, q in enumerate(problem.quantities) if q.given or at in solver.beliefs}
        free = [
            at
            for at, q in enumerate(problem.quantities)
            if at not in known and at not in solver.needed and set(q.parents) <= known
        ]
        return self.rng.choice(free) if free else place

    def _wrongly(self, solver: Solver, place: int) -> bool:
        for kind in self.rng.sample(self.strength.kinds, len(self.strength.kinds)):
            at = _user(solver, place) if kind == "dropped" else place
            if at is not None and solver.worked(at, kind):
                return True
        return False

    def _mend(self, solver: Solver, beliefs: Beliefs, said: dict[int, Statement], wrong: int) -> None:
        own = [step for step in solver.steps if step.place == wrong]
        computation = own[-1].computation if own else said[wrong].computation
        value = beliefs.values[wrong]
        first = f"{computation} = {value}" if computation else str(value)
        beliefs.take(wrong, solver.problem.quantities[wrong].value)
        solver.mended(wrong, first)

    def _finished(self, solver: Solver, beliefs: Beliefs) -> bool:
        """Whether the step that was cut off can be said to its end; it is then the solver's first."""
        before = dict(beliefs.values)
        for _ in range(_DRAWS):
            if beliefs.problem.asked in beliefs.values:
                return False
            self._step(solver)
            if solver.steps[-1].text.startswith(self.begun.cut_off):
                return True
            solver.steps.clear()
            beliefs.values.clear()
            beliefs.values.update(before)
        return False

    def _joined(self, steps: Sequence[str], goes_on: bool) -> str:
        """The steps as they stand behind the opening; ``goes_on``: the first one begins with what was cut off."""
        begun = self.begun
        given_up = bool(begun.cut_off) and not goes_on
        first = begun.number + given_up
        marked = [f"Step {first + at}: {step}" if begun.number else step for at, step in enumerate(steps)]
        if goes_on or begun.marked:
            marked[0] = steps[0].removeprefix(begun.cut_off)
        return ("\n\n" if given_up else begun.before) + "\n\n".join(marked)


def _user(solver: Solver, place: int) -> int | None:
    """A needed quantity that follows from this one first, and from nothing else that is still to be worked out."""
    quantities, known = solver.problem.quantities, solver.beliefs
    for at in sorted(solver.needed - known.keys()):
        parents = quantities[at].parents
        others = all(quantities[p].given or p in known for p in parents[1:])
        if parents and parents[0] == place and others:
            return at
    return None


def _mark(begun: _Begun, rng: random.Random) -> str:
    """How multiplication is written: as it was before."""
    written = "".join([*(step.computation for step in begun.steps), begun.cut_off])
    return "×" if "×" in written else "*" if "*" in written else rng.choice(("*", "*", "×"))


def _whole_opening(prompt: Prompt) -> Prompt:
    """With all that the engine is to go on from in ``opening``: its beginning may stand in a last turn of its own."""
    if not prompt.opening or not prompt.messages or prompt.messages[-1].role != "assistant":
        return prompt
    return replace(prompt, messages=prompt.messages[:-1], opening=prompt.messages[-1].content + prompt.opening)


def _dice(prompt: Prompt, sampling: Sampling) -> random.Random:
    if sampling.seed is None and sampling.temperature > 0:
        return random.Random()
    seed = sampling.seed if sampling.temperature > 0 else "greedy"
    return random.Random("\0".join([str(seed), prompt.opening, *(message.content for message in prompt.messages)]))


@lru_cache(maxsize=1024)
def _task(messages: tuple[Message, ...], problem: str) -> str | None:
    """The text of the world's problem that is to be solved."""
    asked = next((message.content for message in messages if message.role == "user"), "")
    texts = (problem, asked.removesuffix(SOLVE), *asked.split("\n\n"), *asked.split("\n"))
    return next((text.strip() for text in texts if text and read_problem(text.strip())), None)


@lru_cache(maxsize=1024)
def _problem(text: str) -> tuple[WorldProblem, Reader]:
    problem = read_problem(text)
    assert problem is not None
    return problem, Reader(problem)


@lru_cache(maxsize=4096)
def _begun(text: str, opening: str) -> _Begun:
    """Where an answer that begins so goes on."""
    problem, reader = _problem(text)
    numbered = _STEP.search(opening)
    whole = opening[: numbered.start()] if numbered else opening
    parts = split_steps(whole) if whole.strip() else ()
    said = [reader.read(part) for part in parts]
    begun = _Begun(problem, reader, tuple(filter(None, said)), boxed(opening) is not None)
    if numbered:
        return replace(begun, before="" if numbered[2] else " ", number=int(numbered[1]), marked=True)
    number = len(parts) if whole.lstrip().startswith("Step ") else 0
    if parts and said[-1] is None and not opening.endswith("\n"):
        return replace(begun, cut_off=_unmarked(opening[opening.rfind("\n") + 1 :].lstrip()), number=number)
    n_ends = len(opening) - len(opening.rstrip("\n"))
    return replace(begun, before="\n" * max(0, 2 - n_ends) if parts else "", number=number + 1 if number else 0)


def _unmarked(step: str) -> str:
    return re.sub(r"\AStep [0-9]{1,4}: ", "", step)


@lru_cache(maxsize=1024)
def _kept(text: str, messages: tuple[Message, ...]) -> _Begun:
    """An answer from its beginning: after a critique it keeps the steps before the one that was named."""
    problem, reader = _problem(text)
    attempt = [message.content for message in messages if message.role == "assistant"]
    named = _WRONG_PARAGRAPH.search(messages[-1].content) if attempt and messages[-1].role == "user" else None
    parts = split_steps(attempt[-1])[: int(named[1]) - 1] if named else ()
    said = tuple(statement for part in parts if (statement := reader.read(part)))
    return _Begun(problem, reader, said, boxed("".join(parts)) is not None, kept=parts)
