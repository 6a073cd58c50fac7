"""Solutions that there are already, in files and datasets, as the attempts that stage 1 would have sampled.

A row has a problem with its reference answer (:mod:`genprm.synth.problems`) and a solution: ``steps``, or one text
(``solution``, ``response``, ``completion``, ``text``) that is cut into steps. With ``fields.each`` a row holds a list
of solutions. Rows of the same problem come together.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from genprm.problems import Posed, posed, require_distinct
from genprm.rows import Row, describe
from genprm.splitting import split_steps
from genprm.synth.grading import Grader
from genprm.synth.problems import Fields, names_of, placed_rows
from genprm.synth.sampling import Found, Sampled, gathered


@dataclass(frozen=True, slots=True)
class Written:
    """A solution as somebody wrote it."""

    text: str
    steps: tuple[str, ...]
    generator: str = ""


@dataclass(frozen=True, slots=True)
class Existing:
    """A problem with its solutions."""

    posed: Posed
    solutions: tuple[Written, ...]

    @property
    def id(self) -> str:
        return self.posed.id


def read_existing(
    source: str, *, split: str | None = None, limit: int | None = None, fields: Fields | None = None
) -> list[Existing]:
    """All problems with solutions, or the first ``limit`` ones.

    Raises:
        InputError: what cannot be read, with its place and field; a problem without a reference answer.
        MissingExtra: Parquet or a dataset without the extra ``data``.
    """
    found: dict[str, Existing] = {}
    names = names_of(fields, source)
    for row, name, part in placed_rows(source, split):
        one = posed(row, name, part, names)
        if one.problem.answer is None:
            raise row.error("there is no reference answer", names["answer"][0])
        if one.problem.text not in found and len(found) == limit:
            break
        before = found.setdefault(one.problem.text, Existing(one, ()))
        found[one.problem.text] = replace(before, solutions=(*before.solutions, *_solutions(row, names)))
    require_distinct([one.posed for one in found.values()], source)
    return list(found.values())


async def grade_existing(existing: Existing, grader: Grader) -> Sampled:
    """The attempts that the solutions are."""
    found = []
    for number, one in enumerate(existing.solutions):
        grade, answer = await grader.grade(one.text, existing.posed.problem.answer or "")
        how = {"imported": existing.posed.source}
        found.append(Found(str(number), one.text, one.steps, grade, answer, how, generator=one.generator))
    return gathered(existing.posed, found, len(found))


def _solutions(row: Row, names: Mapping[str, Sequence[str]]) -> Iterator[Written]:
    each = names["each"]
    if not each:
        yield _written(row, names)
        return
    elements = row.items(each[0])
    if elements is None:
        raise row.error("there is no list of solutions", each[0])
    for at, element in enumerate(elements):
        if not isinstance(element, dict):
            raise row.error(f"must be an object with named fields, not {describe(element)}", f"{each[0]}[{at}]")
        yield _written(Row(f"{row.where}, {each[0]}[{at}]", element), names)


def _written(row: Row, names: Mapping[str, Sequence[str]]) -> Written:
    generator = row.text(*names["generator"]) or ""
    steps = row.items(names["steps"][0])
    if steps is not None:
        if not all(isinstance(step, str) for step in steps):
            raise row.error("must be a list of texts", names["steps"][0])
        return Written("\n\n".join(steps), tuple(steps), generator)
    text = row.text(*names["solution"])
    if text is None:
        raise row.error("there are no steps and no text of a solution", names["solution"][0])
    return Written(text, split_steps(text), generator)
