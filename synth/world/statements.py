"""A step in words -> what it states: about which quantity, its value, by which computation."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from genprm.synth.world.problems import Quantity, WorldProblem
from genprm.synth.world.sentences import EXPRESSION, HOLDER, NUMBER, VALUE, both_cases, pattern
from genprm.synth.world.solutions import CORRECTIONS, STYLES, VALUED

_LONGEST = 1000
"""Characters of a step; the longest of the world has about 200."""
_HOLE = "\0"


@dataclass(frozen=True, slots=True)
class Statement:
    """What a step says."""

    place: int
    claimed: int
    computation: str = ""
    """As the step writes it; empty where it gives none."""
    because: str = ""
    """The reason that it gives."""
    answers: bool = False
    """Whether it is the answer and nothing else."""


class Reader:
    """Reads the steps of one problem's solutions."""

    def __init__(self, problem: WorldProblem) -> None:
        self._problem = problem
        self._stated = {q.text(q.relation.stated, x=_HOLE): at for at, q in enumerate(problem.quantities)}
        self._called = {q.called: at for at, q in enumerate(problem.quantities)}
        self._reasons: dict[int, re.Pattern[str]] = {}

    def read(self, text: str) -> Statement | None:
        """What a step states; None where it is not in the world's language, or contradicts itself."""
        text = _MARK.sub("", text.strip()) if len(text) <= _LONGEST else ""
        body, boxed = _cut_answer(text)
        if not body:
            return None if boxed is None else Statement(self._problem.asked, boxed, answers=True)
        said = next(self._ways(body), None)
        if said is None or boxed in (None, said.claimed):
            if said is None or boxed is None or said.place == self._problem.asked:
                return said
            # The answer is given too early: what it claims is the value that the problem asks for.
            return Statement(self._problem.asked, boxed, said.computation, said.because)
        return None

    def _ways(self, body: str) -> Iterator[Statement]:
        for style in _READ:
            found = style.fullmatch(body)
            said = self._said({"b": "", "e": "", **found.groupdict()}) if found else None
            if said is not None:
                yield said

    def _said(self, parts: dict[str, str]) -> Statement | None:
        place, value = self._called.get(parts["n"]) if "n" in parts else None, parts["e"]
        if "n" in parts and place is None:
            place = next((self._called[name] for name in both_cases(parts["n"]) if name in self._called), None)
        for name in ("s", "v"):
            if name in parts:
                place, value = self._value(parts[name], value)
        if place is None or not self._reason(place, parts["b"]):
            return None
        computation, _, claimed = value.rpartition(" = ")
        return Statement(place, int(claimed), computation, parts["b"])

    def _value(self, sentence: str, computed: str) -> tuple[int | None, str]:
        """A sentence about a value: of which quantity, and the value; ``computed`` before it must come to the same."""
        for text in both_cases(sentence):
            for found in _VALUE.finditer(text):
                place = self._stated.get(text[: found.start()] + _HOLE + text[found.end() :])
                if place is not None:
                    same = not computed or computed.rpartition(" = ")[2] == found[0]
                    return (place, computed or found[0]) if same else (None, "")
        return None, ""

    def _reason(self, place: int, because: str) -> bool:
        """Whether that is the quantity's reason, with whatever numbers and holders."""
        if not because:
            return True
        if place not in self._reasons:
            self._reasons[place] = re.compile(_reason(self._problem.quantities[place]))
        return any(self._reasons[place].fullmatch(text) for text in both_cases(because))


def _reason(quantity: Quantity) -> str:
    free = dict.fromkeys(quantity.numbers, "[0-9]{1,12}") | {"A": HOLDER, "B": HOLDER}
    fixed = {name: re.escape(word) for name, word in quantity.words.items() if name not in free}
    return pattern(quantity.relation.because, free | fixed)


def _cut_answer(text: str) -> tuple[str, int | None]:
    found = _ANSWER.search(text)
    return (text[: found.start()], int(found[1])) if found else (text, None)


def _compiled(style: str) -> re.Pattern[str]:
    """Values in ``e`` show their computation."""
    fields = {"s": ".+", "v": ".+", "n": ".+?", "b": ".+?", "e": f"{EXPRESSION} = {NUMBER}", "first": VALUE}
    return re.compile(pattern(style, fields))


def _literal(style: str) -> int:
    return len(re.sub(r"\{\w+\}", "", style))


_READ = [_compiled(style) for style in sorted({*CORRECTIONS, *STYLES, *VALUED}, key=lambda s: (-_literal(s), s))]
"""The wordings that say most come first, for the others match what these do."""
_VALUE = re.compile(rf"(?<![\w.]){VALUE}(?![\w.]*\w)")
_ANSWER = re.compile(rf"(?:^|(?<=\.) )(?:So the|The) answer is \$\\boxed\{{({NUMBER})\}}\$\.\Z")
_MARK = re.compile(r"^Step [0-9]{1,4}[:.] ")
