"""What is true of a step that somebody wrote: right or wrong, by which kind of mistake, and what is then believed."""

import re
from collections.abc import Mapping
from functools import lru_cache

from genprm.synth.world.faults import Fault, forms_of, rounded
from genprm.synth.world.problems import WorldProblem, ancestors, evaluate
from genprm.synth.world.sentences import NUMBER
from genprm.synth.world.solutions import shown
from genprm.synth.world.statements import Statement
from genprm.synth.world.truth import Step, StepTruth, believed, first_wrong, holds, names_of

_BY_FORM: tuple[Fault, ...] = ("operation", "unit", "doubled", "sign")


class Beliefs:
    """What somebody believes who takes the steps so far at their word.

    ``values`` by place. A value that is said anew, and is another, takes back what followed from the old one.
    """

    def __init__(self, problem: WorldProblem) -> None:
        self.problem = problem
        self.values: dict[int, int] = {}
        self._needed = problem.needed()

    def judge(self, text: str, said: Statement) -> Step:
        """The next step, with its truth."""
        quantity = self.problem.quantities[said.place]
        correct = said.claimed == quantity.value and _holds(said)
        kind = "" if correct else kind_of(self.problem, self.values, said)
        self.take(said.place, said.claimed)
        truth = StepTruth(correct, kind, self.reachable)
        return Step(text, said.place, said.claimed, said.computation, truth)

    def take(self, place: int, value: int) -> None:
        if self.values.get(place, value) != value:
            after = [at for at in self.values if at != place and place in ancestors(self.problem.quantities, at)]
            for at in after:
                del self.values[at]
        self.values[place] = value

    @property
    def reachable(self) -> bool:
        """Whether the answer can still be found."""
        return self.wrong is None

    @property
    def wrong(self) -> int | None:
        """The place of the first belief that is wrong and that the answer needs; all that it follows from is right."""
        return first_wrong(self.problem, self.values, self._needed)


def kind_of(problem: WorldProblem, beliefs: Mapping[int, int], said: Statement) -> str:
    """The kind of a wrong step's mistake, one of :data:`~genprm.synth.world.faults.KINDS`; empty where it is none."""
    quantity = problem.quantities[said.place]
    form, names = quantity.relation.form, names_of(problem, beliefs, said.place)
    expected = evaluate(form, names)
    expected = rounded(form, names) if expected is None else expected
    if not said.computation:
        return "carried" if said.claimed in (expected, beliefs.get(said.place)) else "jump"
    written = said.computation.replace("×", "*")
    if written == shown(form, names):
        return "carried" if said.claimed == expected else "slip"
    if said.claimed == expected and not _holds(said):
        return "written"
    for fault in _BY_FORM:
        if any(shown(other, names) == written for other in forms_of(quantity.relation, fault)):
            return fault
    return _other_number(problem, beliefs, said, written, names)


def _other_number(
    problem: WorldProblem, beliefs: Mapping[int, int], said: Statement, written: str, names: Mapping[str, int]
) -> str:
    """The right form with a number that is not the right one's."""
    quantity = problem.quantities[said.place]
    found = _numbers_in(quantity.relation.form).fullmatch(written)
    changed = [name for name, number in found.groupdict().items() if int(number) != names[name]] if found else []
    if not found or not changed:
        return ""
    if set(changed) <= quantity.numbers.keys():
        return "misread"
    if "a" in changed and _left_out(problem, beliefs, said.place, int(found["a"])):
        return "dropped"
    own = quantity.text(quantity.relation.because)
    return "reference" if said.because and said.because.lower() != own.lower() else "quantity"


def _left_out(problem: WorldProblem, beliefs: Mapping[int, int], place: int, number: int) -> bool:
    """Whether ``number`` stands for a quantity that nobody has worked out, and is that of what it follows from."""
    parent = problem.quantities[place].parents[0]
    before = problem.quantities[parent].parents
    return parent not in beliefs and bool(before) and believed(problem, beliefs, before[0]) == number


def _holds(said: Statement) -> bool:
    return not said.computation or holds(said.computation, said.claimed)


@lru_cache(maxsize=256)
def _numbers_in(form: str) -> re.Pattern[str]:
    """The form with any numbers in the places of its letters."""
    letters = dict.fromkeys(re.findall(r"\b[a-z]\b", form))
    text = re.escape(shown(form, {letter: f"@{letter}@" for letter in letters}))
    for letter in letters:
        text = text.replace(f"@{letter}@", f"(?P<{letter}>{NUMBER})", 1).replace(f"@{letter}@", f"(?P={letter})")
    return re.compile(text)
