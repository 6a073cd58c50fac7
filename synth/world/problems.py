"""Problems: quantities that follow from one another, told in sentences, with a question at the end."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import gcd, lcm
from types import CodeType
from typing import Any, get_args

from genprm.synth.world.relations import GIVEN, RELATIONS, Kind, Relation
from genprm.synth.world.words import ASIDES, PEOPLE, THINGS

DIFFICULTIES = (1, 2, 3, 4, 5)
_LARGEST = 60_000
_TRIES = 40
_DRAWS = 12


@dataclass(frozen=True, slots=True)
class Quantity:
    """One node of the dependency graph."""

    relation: Relation
    words: Mapping[str, str]
    """What its texts are filled with; ``a``, ``A``, ``b``, ``B`` are those of its parents."""
    numbers: Mapping[str, int]
    parents: tuple[int, ...]
    """Places of ``a`` and ``b`` in :attr:`WorldProblem.quantities`."""
    value: int
    told: str

    @property
    def given(self) -> bool:
        """Whether the problem says it outright."""
        return not self.relation.takes and self.relation.form == "k"

    @property
    def called(self) -> str:
        return self.text(self.relation.called)

    @property
    def holder(self) -> str:
        return self.words["holder"]

    @property
    def variable(self) -> str:
        """Its name in checks."""
        return self.words["variable"]

    def text(self, template: str, **changed: Any) -> str:
        return template.format(**{**self.words, **self.numbers, **changed})


@dataclass(frozen=True, slots=True)
class WorldProblem:
    """A problem, its graph and its answer."""

    text: str
    quantities: tuple[Quantity, ...]
    """In an order in which each stands after its parents."""
    asked: int
    """Place of the quantity that the question is about."""
    difficulty: int

    @property
    def answer(self) -> int:
        return self.quantities[self.asked].value

    def needed(self) -> frozenset[int]:
        """Places of the quantities that the answer follows from, its own among them."""
        return ancestors(self.quantities, self.asked)


def ancestors(quantities: Sequence[Quantity], place: int) -> frozenset[int]:
    """``place`` and all that it follows from."""
    return frozenset({place}).union(*(ancestors(quantities, parent) for parent in quantities[place].parents))


def make_problem(rng: random.Random, difficulty: int) -> WorldProblem:
    """A problem whose answer needs 2 (difficulty 1) to between 5 and 8 (difficulty 5) quantities to be worked out."""
    while True:
        problem = _tried(rng, difficulty)
        if problem:
            return problem


def evaluate(form: str, values: Mapping[str, int]) -> int | None:
    """The value of a relation's form; None where that is no whole number, or has a division with a remainder.

    A comparison has the value 1 or 0; in a form that divides with ``/`` what is behind the point is cut off.
    """
    code, exact = _compiled(form)
    names = {**_FUNCTIONS, **values}
    try:
        value = eval(code, names)
        return int(value) if exact is None or eval(exact, names) == value else None
    except ZeroDivisionError:
        return None


def words_of(relation: Relation, drawn: Mapping[str, str], parents: Sequence[Quantity]) -> dict[str, str]:
    """What the texts of a quantity are filled with: the words ``drawn`` for it, and those of what it follows from."""
    words = dict(drawn)
    for letter, parent in zip("ab", parents, strict=False):
        words |= {letter: parent.called, letter.upper(): parent.holder}
    words["holder"] = relation.holder.format(**words)
    words["variable"] = relation.variable(words)
    return words


def fair(value: int, parents: Mapping[str, int]) -> bool:
    """Whether a quantity may have this value, beside those that it follows from."""
    return 2 <= value <= _LARGEST and value not in parents.values()


_FUNCTIONS: Mapping[str, Any] = {"__builtins__": {}, "gcd": gcd, "lcm": lcm}


@lru_cache(maxsize=1024)
def _compiled(form: str) -> tuple[CodeType, CodeType | None]:
    """Forms come from our own tables. What ``//`` drops shows where ``/`` gives another value."""
    exact = compile(form.replace("//", "/"), form, "eval") if "//" in form else None
    return compile(form, form, "eval"), exact


def _tried(rng: random.Random, difficulty: int) -> WorldProblem | None:
    n_steps = rng.choice(_STEPS[difficulty])
    making = _Making(rng, difficulty)
    making.begin()
    for _ in range(_TRIES):
        if not making.quantities or making.n_worked_out >= n_steps:
            break
        making.grow()
    if making.n_worked_out < n_steps:
        return None
    return making.finished(n_steps)


class _Making:
    """A problem while it grows."""

    def __init__(self, rng: random.Random, difficulty: int) -> None:
        self.quantities: list[Quantity] = []
        self._rng = rng
        self._difficulty = difficulty
        self._people = rng.sample(PEOPLE, len(PEOPLE))
        self._what = rng.choice(THINGS)
        self._scale = _SCALES[difficulty]

    @property
    def n_worked_out(self) -> int:
        return sum(not quantity.given for quantity in self.quantities)

    def give(self) -> None:
        self._add(GIVEN, ())

    def begin(self) -> None:
        """A first quantity, given or from numbers alone."""
        self._add(self._rng.choice(_ROOTS) if self._rng.random() < 0.6 else GIVEN, ())

    def grow(self) -> None:
        """One more quantity, where the dice find one that fits; most follow from the newest ones."""
        rng = self._rng
        if rng.random() < 0.12:
            self.give()
        at = len(self.quantities) - 1 if rng.random() < 0.7 else rng.randrange(len(self.quantities))
        fitting = _FITTING[self.quantities[at].relation.makes]
        if not fitting:
            return
        relation = rng.choices(fitting, [relation.weight for relation in fitting])[0]
        parents = [at]
        if relation.n_parents == 2:
            others = [n for n, q in enumerate(self.quantities) if q.relation.makes == "count" and n != at]
            if not others:
                self.give() if rng.random() < 0.5 else self._add(rng.choice(_COUNTED_ROOTS), ())
                return
            parents.append(rng.choice(others[-3:]))
            rng.shuffle(parents)
        self._add(relation, tuple(parents))

    def finished(self, n_steps: int) -> WorldProblem | None:
        """Told and asked; None where the newest quantity needs too few of the others."""
        asked = len(self.quantities) - 1
        needed = ancestors(self.quantities, asked)
        steps = sum(not self.quantities[at].given for at in needed)
        if steps < max(2, n_steps - 1):
            return None
        rng = self._rng
        extra = [at for at in range(asked) if at not in needed and ancestors(self.quantities, at) - {at} <= needed]
        kept = sorted(needed | set(rng.sample(extra, min(len(extra), rng.choice(_EXTRA[self._difficulty])))))
        moved = {old: new for new, old in enumerate(kept)}
        quantities = tuple(
            replace(self.quantities[old], parents=tuple(moved[parent] for parent in self.quantities[old].parents))
            for old in kept
        )
        return WorldProblem(self._text(quantities), quantities, moved[asked], self._difficulty)

    def _text(self, quantities: Sequence[Quantity]) -> str:
        rng = self._rng
        told = [quantity.told for quantity in quantities]
        for _ in range(rng.choice(_EXTRA[self._difficulty])):
            aside = rng.choice(ASIDES).format(who=rng.choice(self._people), k=rng.randint(3, 60))
            told.insert(rng.randrange(len(told) + 1), aside)
        if rng.random() < _SHUFFLED[self._difficulty]:
            rng.shuffle(told)
        asked = quantities[-1]
        question = rng.choice(QUESTIONS).format(what=asked.called)
        return " ".join([*told, question])

    def _add(self, relation: Relation, parents: tuple[int, ...]) -> None:
        """The quantity, where it has a fair value and a name that no other has."""
        rng = self._rng
        drawn_words = {word: rng.choice(pool) for word, pool in relation.draws.items()}
        words = words_of(
            relation,
            {"what": self._what, "who": self._people[0], **drawn_words},
            [self.quantities[parent] for parent in parents],
        )
        drawn = self._drawn(relation, parents)
        if drawn is None or any(words["variable"] == other.variable for other in self.quantities):
            return
        numbers, value = drawn
        told = rng.choice(relation.told).format(**words, **numbers)
        told = told[0].upper() + told[1:]
        self.quantities.append(Quantity(relation, words, numbers, parents, value, told))
        if "{who}" in relation.holder + relation.called:
            self._people.pop(0)

    def _drawn(self, relation: Relation, parents: Sequence[int]) -> tuple[dict[str, int], int] | None:
        """Numbers that give a whole, positive value of a fair size."""
        known = {letter: self.quantities[at].value for letter, at in zip("ab", parents, strict=False)}
        for _ in range(_DRAWS):
            numbers = {name: self._number(bounds) for name, bounds in relation.numbers.items()}
            if {"p", "q"} <= numbers.keys() and relation.family == "fraction" and numbers["p"] >= numbers["q"]:
                continue
            value = evaluate(relation.form, known | numbers)
            if value is not None and fair(value, known):
                return numbers, value
        return None

    def _number(self, bounds: Sequence[int]) -> int:
        if len(bounds) > 2:
            return self._rng.choice(bounds)
        low, high = bounds
        return self._rng.randint(low, max(low + (high - low) * self._scale // 100, low + 3))


_STEPS = {1: (2,), 2: (3,), 3: (4,), 4: (5, 6), 5: (6, 7, 8)}
_SCALES = {1: 15, 2: 30, 3: 60, 4: 100, 5: 100}
"""How much of a number's range is used, in percent."""
_EXTRA = {1: (0,), 2: (0, 0, 1), 3: (0, 1), 4: (0, 1, 1), 5: (0, 1, 2)}
"""Sentences and quantities that no step needs."""
_SHUFFLED = {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4, 5: 0.5}
QUESTIONS = ("What number is {what}?", "Find {what}.", "Work out {what}.", "We look for {what}: what number is it?")
_ROOTS = [relation for relation in RELATIONS if not relation.takes]
_COUNTED_ROOTS = [relation for relation in _ROOTS if relation.makes == "count"]
_FITTING = {kind: [relation for relation in RELATIONS if kind in relation.takes] for kind in get_args(Kind)}
