"""A teacher of the world without weights, as the engine ``world:teacher``: it knows the world's language and graph.

It writes what :mod:`genprm.synth.world.teacher` writes, in the conversations of the protocols ``genprm`` (a step at a
time) and ``teacher`` (a whole solution). What it says of a check is read from the output that the check gave. With a
probability it errs: it believes a wrong step, or quotes another sentence and so refuses a right one.
"""

import asyncio
import random
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import msgspec

from genprm.engines.base import require_sound
from genprm.engines.words import completion
from genprm.errors import EngineRefused
from genprm.protocols.genprm import JUDGE, STOP_CODE, VERIFY, code_blocks
from genprm.protocols.teacher import OUTPUT
from genprm.protocols.teacher import SYSTEM as TEACHER
from genprm.synth.world.faults import other_form
from genprm.synth.world.policies import Probability
from genprm.synth.world.problems import WorldProblem
from genprm.synth.world.reading import read_problem, read_solution
from genprm.synth.world.teacher import Check, analyse, assignment, conclusion, importing, make_check
from genprm.synth.world.truth import Step, names_of
from genprm.types import Completion, Message, Prompt, Sampling

_TAGGED = re.compile(r"^<paragraph_([0-9]{1,6})>\n(.*?)\n</paragraph_\1>$", re.MULTILINE | re.DOTALL)
_PROBLEM = re.compile(r"^\[Problem\]\n(.*?)\n\n\[Solution\]$", re.MULTILINE | re.DOTALL)
_ASSIGNED = re.compile(r"^(\w+) = ", re.MULTILINE)
_PRINTED = re.compile(r"(True|False)(?: (True|False))? (-?[0-9]+)")
UNREAD = "I cannot read this paragraph."


class Teaching(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How good a teacher is."""

    errs: Probability = 0.0
    """Of a rationale of a step that comes to the wrong verdict."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a teacher is to go through."""

    problem: WorldProblem
    steps: tuple[Step | None, ...]
    earlier: tuple[str, ...] = ()
    """Its own rationales of the steps before; those of the first steps may be missing."""


class TeacherEngine:
    """Rationales for steps of the world's problems. The dice are those of seed, problem and step, so that all calls of
    one rationale agree; tokens are words and signs."""

    protocols: frozenset[str] | None = frozenset({"genprm", "teacher"})

    def __init__(self, teaching: Teaching, name: str) -> None:
        self.teaching = teaching
        self.name = name

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        """See :class:`~genprm.engines.base.Engine`. Raises EngineRefused without a problem of the world."""
        await asyncio.sleep(0)  # others get their turn: nothing here waits
        require_sound(sampling)
        whole = bool(prompt.messages) and prompt.messages[0].content == TEACHER
        asked = (_whole if whole else _stepwise)(prompt.messages, prompt.problem)
        if asked is None:
            raise EngineRefused(f"{self.name} reads problems of the embedded world alone, and there is none")
        said = self._lesson(asked, prompt.opening, sampling) if whole else self._step(asked, prompt.opening, sampling)
        return completion(said, prompt, sampling)

    async def close(self) -> None:
        """Nothing is held."""

    def _step(self, asked: _Asked, opening: str, sampling: Sampling) -> str:
        """The rationale of the last step from its opening on."""
        number = len(asked.steps) - 1
        step = asked.steps[number]
        if step is None:
            return _unread(opening)
        made = self._written(asked, number, _known(asked.problem, asked.earlier), sampling.seed)
        if opening.endswith(JUDGE):
            return _verdict(made.check.correct)
        if VERIFY not in opening:
            return f"{made.analysis}\n</analyze>\n"
        said, yes = _conclusion(opening, made.check)
        closing = f"</verify>\n{JUDGE}{_verdict(yes)}"
        if not code_blocks(opening)[0]:  # who runs it stops at its end, others go on without an output
            return f"{made.check.code}{STOP_CODE}{closing}"
        return f"{said}\n{closing}" if OUTPUT in opening else closing

    def _lesson(self, asked: _Asked, opening: str, sampling: Sampling) -> str:
        """The lesson from its opening on, up to the next code."""
        done = len(code_blocks(opening)[0])
        before = ""
        if done:
            made = self._written(asked, done - 1, _known(asked.problem, [opening], done - 1), sampling.seed)
            said, yes = _conclusion(opening, made.check)
            before = f"{said}\n</verify>\n\n"
            if not yes:
                return f"{before}The first wrong paragraph is $\\boxed{{{done}}}$.\n"
        if done == len(asked.steps):
            return f"{before}No paragraph is wrong: $\\boxed{{-1}}$.\n"
        heading = f"### Paragraph {done + 1}\n<analyze>\n"
        if asked.steps[done] is None:
            return f"{before}{heading}{UNREAD}\n</analyze>\n"
        made = self._written(asked, done, _known(asked.problem, [opening]), sampling.seed)
        return f"{before}{heading}{made.analysis}\n</analyze>\n<verify>\n```python\n{made.check.code}\n```\n"

    def _written(self, asked: _Asked, number: int, known: Collection[int], seed: int | None) -> "_Written":
        step = asked.steps[number]
        assert step is not None
        rng = random.Random(f"{seed}\0{asked.problem.text}\0{number}\0{step.text}")
        if rng.random() >= self.teaching.errs:
            return _Written(analyse(asked.problem, step, known), make_check(asked.problem, step, known))
        return _refusing(rng, asked.problem, step, known) if step.truth.correct else _believing(asked.problem, step)


@dataclass(frozen=True, slots=True)
class _Written:
    """A rationale's own words before its check has run."""

    analysis: str
    check: Check


def _believing(problem: WorldProblem, step: Step) -> _Written:
    """The step is taken at its word."""
    quantity = problem.quantities[step.place]
    name, value = quantity.variable, str(step.claimed)
    said = f"{step.computation} = {value}" if step.computation else value
    analysis = f"It is about {quantity.called}.\nThe paragraph says {said}.\nThat is what we take it for."
    code = f"{name} = {value}\nprint({name} == {value}, {name})"
    return _Written(analysis, Check(code, f"True {value}", step.claimed, True, None))


def _refusing(rng: random.Random, problem: WorldProblem, step: Step, known: Collection[int]) -> _Written:
    """Another sentence is quoted, and the quantity worked out in another way than the problem says."""
    quantity = problem.quantities[step.place]
    right = _Written(analyse(problem, step, known), make_check(problem, step, known))
    names = names_of(problem, {}, step.place)
    found = other_form(rng, quantity.relation.wrong, names, quantity.value, negative=True)
    if found is None:
        form, value = f"{quantity.relation.form} + 1", quantity.value + 1
    else:
        form, value = found.form, found.claimed
    own, other = assignment(problem, step.place), assignment(problem, step.place, form)
    code = re.sub(r"\Afrom math import .*\n", "", right.check.code)
    # What an earlier check has made known is worked out anew, and wrongly.
    code = code.replace(own, other, 1) if own in code else f"{other}\n{code}"
    told = [q.told for q in problem.quantities if q.told != quantity.told]
    analysis = right.analysis.replace(quantity.told, rng.choice(told or [quantity.told]), 1).replace(own, other, 1)
    return _Written(analysis, replace(right.check, code=importing(code), right=value, value=False))


def _conclusion(opening: str, check: Check) -> tuple[str, bool]:
    """What the last output says of the step, and the verdict; without an output, what the check should have printed."""
    printed = opening.rpartition(OUTPUT)[2].partition("\n```")[0].strip() if OUTPUT in opening else check.output
    found = _PRINTED.fullmatch(printed)
    if found is None:
        return "The check gives no answer.", check.correct
    computation = None if found[2] is None else found[2] == "True"
    seen = replace(check, right=int(found[3]), value=found[1] == "True", computation=computation)
    return conclusion(seen), seen.correct


def _unread(opening: str) -> str:
    """No verdict on a step that is not in the world's language."""
    if opening.endswith(JUDGE):
        return "{}$\n</output>\n"
    if VERIFY not in opening and opening:
        return f"{UNREAD}\n</analyze>\n"
    closing = "</verify>\n<output>\n</output>\n"
    return closing if code_blocks(opening)[0] else f"print('not read')\n```\n{closing}"


def _verdict(yes: bool) -> str:
    return f"{{{'Yes' if yes else 'No'}}}$\n</output>\n"


def _known(problem: WorldProblem, rationales: Sequence[str], n_blocks: int | None = None) -> set[int]:
    """The places whose variables the checks of these rationales have made (the first ``n_blocks`` of them); without any
    checks, those that their analyses have."""
    blocks = [block for text in rationales for block in code_blocks(text)[0] or [text]]
    names = {name for block in blocks[:n_blocks] for name in _ASSIGNED.findall(block)}
    return {at for at, quantity in enumerate(problem.quantities) if quantity.variable in names}


@lru_cache(maxsize=4096)
def _stepwise(messages: tuple[Message, ...], problem: str) -> _Asked | None:
    users = [message.content for message in messages if message.role == "user"]
    read = read_problem(problem)
    if read is None or not users:
        return None
    first = users[0].removeprefix("Question: ").removeprefix(problem).strip("\n")
    steps = [*first.split("\n\n"), *users[1:]]
    earlier = tuple(message.content for message in messages if message.role == "assistant")
    return _Asked(read, read_solution(read, steps), earlier)


@lru_cache(maxsize=4096)
def _whole(messages: tuple[Message, ...], problem: str) -> _Asked | None:
    content = messages[-1].content
    found = _PROBLEM.search(content)
    read = read_problem(problem or (found[1] if found else ""))
    steps = [text for _, text in _TAGGED.findall(content.rpartition("\n[Solution]\n")[2])]
    return _Asked(read, read_solution(read, steps)) if read and steps else None
