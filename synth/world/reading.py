"""A problem of the world from its text alone, and what is true of any solution that is written in its language.

Sentences are read by the templates that they were told by. Which quantity a sentence defines is settled from those that
are known already: "Ada has 5 fewer than Ben" is about Ada where Ben is known, and about Ben where Ada is.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from genprm.synth.world.diagnosis import Beliefs
from genprm.synth.world.problems import QUESTIONS, Quantity, WorldProblem, evaluate, fair, words_of
from genprm.synth.world.relations import Relation
from genprm.synth.world.sentences import TELLING, both_cases, fields_of, one_of, pattern
from genprm.synth.world.statements import Reader
from genprm.synth.world.truth import Step
from genprm.synth.world.words import ASIDES, PEOPLE, THINGS
from genprm.types import NO_ERROR

_LONGEST = 4000
"""Characters of a problem; the longest of the world has about 1,200."""
_BORDER = re.compile(r"(?<=\.) ")


@dataclass(frozen=True, slots=True)
class _Sentence:
    """One way to read a sentence."""

    relation: Relation
    template: str
    fields: Mapping[str, str]


@dataclass(slots=True)
class _Reading:
    """The quantities so far."""

    what: str
    quantities: list[Quantity] = field(default_factory=list)
    called: dict[str, int] = field(default_factory=dict)

    def take(self, ways: Sequence[_Sentence]) -> bool:
        """Add the quantity that one of ``ways`` tells of; False where what it follows from is not known yet."""
        for way in ways:
            quantity = self._quantity(way)
            if quantity is not None:
                self.called[quantity.called] = len(self.quantities)
                self.quantities.append(quantity)
                return True
        return False

    def _quantity(self, way: _Sentence) -> Quantity | None:
        relation = way.relation
        parents = [self._parent(way, letter) for letter in "ab"[: relation.n_parents]]
        known = [at for at in parents if at is not None]
        if len(known) < len(parents):
            return None
        numbers = {name: int(way.fields[name]) for name in relation.numbers}
        values = {letter: self.quantities[at].value for letter, at in zip("ab", known, strict=False)}
        value = evaluate(relation.form, values | numbers)
        if value is None or not fair(value, values) or not _drawable(relation, numbers):
            return None
        drawn = {name: text for name, text in way.fields.items() if name in (*relation.draws, "who")}
        words = words_of(relation, {"what": self.what, **drawn}, [self.quantities[at] for at in known])
        if any(words["variable"] == other.variable for other in self.quantities):
            return None
        told = way.template.format(**words, **numbers)
        return Quantity(relation, words, numbers, tuple(known), value, told[0].upper() + told[1:])

    def _parent(self, way: _Sentence, letter: str) -> int | None:
        """By what it is called where the sentence says so, else by who has it and what it is."""
        holder = way.fields.get(letter.upper())
        if letter in way.fields:
            at = self.called.get(way.fields[letter])
            fits = at is not None and holder in (None, self.quantities[at].holder)
            return at if fits and self._kind(at) in way.relation.takes else None
        kinds = way.relation.takes if letter == "a" else ("count",)
        had = [at for at, q in enumerate(self.quantities) if q.holder == holder and q.relation.makes in kinds]
        return had[0] if len(had) == 1 else None

    def _kind(self, at: int | None) -> str:
        return "" if at is None else self.quantities[at].relation.makes


@lru_cache(maxsize=1024)
def read_problem(text: str) -> WorldProblem | None:
    """The problem with its graph and its answer; None for a text that is none of the world's.

    Quantities stand in an order in which each comes after its parents, which need not be that in which they were made;
    ``difficulty`` is that of the number of quantities that have to be worked out, for the text does not say it.
    """
    if len(text) > _LONGEST:
        return None
    *told, question = _BORDER.split(text)
    sentences = [ways for sentence in told if not _ASIDE.fullmatch(sentence) for ways in [_ways(sentence)]]
    whats = {way.fields["what"] for ways in sentences for way in ways if "what" in way.fields}
    if len(whats) > 1 or not all(sentences):
        return None
    reading = _Reading(next(iter(whats), THINGS[0]))
    while sentences:
        left = [ways for ways in sentences if not reading.take(ways)]
        if len(left) == len(sentences):
            return None
        sentences = left
    asked = reading.called.get(_asked(question))
    if asked is None or reading.quantities[asked].given:
        return None
    problem = WorldProblem(text, tuple(reading.quantities), asked, 0)
    n_steps = sum(not problem.quantities[at].given for at in problem.needed())
    return replace(problem, difficulty=min(max(n_steps - 1, 1), 5))


def read_solution(problem: WorldProblem, steps: Sequence[str]) -> tuple[Step | None, ...]:
    """Each step with its truth, whoever wrote it; None for a step that is not in the world's language.

    A step is right if its value is and the computation that it shows gives it. Values of steps that cannot be read are
    not known to the later ones: their ``kind`` and ``reachable`` go by what could be read.
    """
    reader, beliefs = Reader(problem), Beliefs(problem)
    said = (reader.read(text) for text in steps)
    return tuple(beliefs.judge(text, one) if one else None for text, one in zip(steps, said, strict=True))


def first_error(steps: Sequence[Step | None]) -> int | None:
    """Index of the first wrong step, ``NO_ERROR`` for none; None where a step before it cannot be read."""
    for at, step in enumerate(steps):
        if step is None:
            return None
        if not step.truth.correct:
            return at
    return NO_ERROR


@lru_cache(maxsize=4096)
def _ways(sentence: str) -> tuple[_Sentence, ...]:
    return tuple(
        _Sentence(relation, template, found.groupdict())
        for text in both_cases(sentence)
        for relation, template, compiled in _TOLD
        if (found := compiled.fullmatch(text))
    )


def _asked(question: str) -> str:
    return next((found[1] for compiled in _ASKED if (found := compiled.fullmatch(question))), "")


def _drawable(relation: Relation, numbers: Mapping[str, int]) -> bool:
    """Whether the relation's sentence may have these numbers."""
    for name, bounds in relation.numbers.items():
        low, high = bounds[0], max(bounds[1], bounds[0] + 3)
        if numbers[name] not in bounds if len(bounds) > 2 else not low <= numbers[name] <= high:
            return False
    return True


_TOLD = [
    (relation, template, re.compile(pattern(template, fields_of(relation))))
    for relation in TELLING
    for template in relation.told
]
_ASKED = [re.compile(pattern(question, {"what": ".+?"})) for question in QUESTIONS]
_ASIDE = re.compile(
    "|".join(re.sub(r"\?P<\w+>", "?:", pattern(a, {"who": one_of(PEOPLE), "k": "[0-9]+"})) for a in ASIDES)
)
