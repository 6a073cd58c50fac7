"""Conversations as others have them -> rows: GenPRM-MATH-Data, and the same under ShareGPT's keys.

A row has ``messages`` or ``conversations``: a list of ``{role, content}`` or ``{from, value}``, with an optional
system message (which may stand in the field ``system`` too), then the steps of a solution as turns of the user, each
answered by its rationale. The first turn holds the problem and step 1.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from genprm.answers import boxed
from genprm.rows import Row as SourceRow
from genprm.rows import describe
from genprm.synth.dataset_rows import Row
from genprm.synth.rationale_text import Malformed, read_rationale
from genprm.synth.text_stats import text_digest
from genprm.synth.types import Attempt, Grade, Taught
from genprm.types import NO_ERROR, Message, Problem, Role, Solution

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
}
_QUESTION = "Question: "
_MARKED = re.compile(r"^(?:\*\*|#{1,6} )?(?:Step|Paragraph) 1\b", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that is not imported."""

    where: str
    reason: str
    detail: str = ""


def import_rows(rows: Iterable[SourceRow], teacher: str = "", start: int = 0) -> Iterator[Row | Refused]:
    """Every row in its order, imported or refused; nothing is mended.

    ``teacher``: who wrote the rationales, where a row does not say so in a field of that name. Rows without an id are
    called by their number, from ``start`` on.
    """
    for number, row in enumerate(rows, start):
        try:
            yield _imported(row, number, teacher)
        except Malformed as error:
            yield Refused(row.where, error.reason, error.detail)


def _imported(row: SourceRow, number: int, teacher: str) -> Row:
    messages = _messages(row.values)
    system = 1 if messages[0].role == "system" else 0
    asked, said = messages[system::2], messages[system + 1 :: 2]
    problem, first, how = _cut(row.values, asked[0].content)
    rationales = tuple(read_rationale(message.content, step) for step, message in enumerate(said))
    name = _name(row.values.get("id")) or f"row-{number}"
    steps = (first, *(message.content for message in asked[1:]))
    solution = Solution(
        Problem(problem, _text(row.values, "answer")),
        steps,
        _text(row.values, "solution_id") or name,
        _first_error(row.values, len(steps)),
        _text(row.values, "source") or "",
        _text(row.values, "generator") or "",
    )
    problem_id = _name(row.values.get("problem_id")) or text_digest(problem)[:16]
    attempt = Attempt(solution, problem_id, grade_of(row.values), boxed("\n".join(steps)), {"cut": how})
    taught = Taught(attempt, _text(row.values, "teacher") or teacher, "ok", rationales)
    return Row(name, messages, attempt, taught=taught, difficulty=_whole(row.values, "difficulty"))


def _messages(values: Mapping[str, Any]) -> tuple[Message, ...]:
    items = next((values[name] for name in ("messages", "conversations") if values.get(name) is not None), None)
    if not isinstance(items, list):
        raise Malformed("no_messages", f"not {describe(items)}")
    messages = tuple(_message(item) for item in items)
    system = _text(values, "system")
    if system and not (messages and messages[0].role == "system"):
        messages = (Message("system", system), *messages)
    start = 1 if messages and messages[0].role == "system" else 0
    turns = [message.role for message in messages[start:]]
    if not turns or turns != ["user", "assistant"] * (len(turns) // 2):
        raise Malformed("turns", " ".join(turns)[:80])
    return messages


def _message(item: object) -> Message:
    if not isinstance(item, dict):
        raise Malformed("message", f"not {describe(item)}")
    role, content = item.get("role", item.get("from")), item.get("content", item.get("value"))
    if not isinstance(role, str) or role not in _ROLES:
        raise Malformed("role", describe(role))
    if not isinstance(content, str) or not content.strip():
        raise Malformed("content", describe(content))
    return Message(_ROLES[role], content)


def _cut(values: Mapping[str, Any], turn: str) -> tuple[str, str, str]:
    """Problem, step 1, and how the border was found: ``given``, ``marked``, ``only`` or ``guessed``.

    The published joins are a newline, and ``Question: `` with a blank line; either may stand in the problem too.
    """
    known = _text(values, "problem") or _text(values, "question")
    said = turn.removeprefix(_QUESTION)
    if known is not None:
        return (*_pair(known, _after(said, turn, known)), "given")
    marked = _MARKED.search(said)
    if marked and said[: marked.start()].strip():
        return (*_pair(said[: marked.start()], said[marked.start() :]), "marked")
    joint = "\n\n" if turn.startswith(_QUESTION) else "\n"
    before, found, after = said.partition(joint)
    if not found:
        raise Malformed("no_step", "the first turn is not a problem and a step")
    return (*_pair(before, after), "guessed" if joint in after.strip() else "only")


def _after(said: str, turn: str, known: str) -> str:
    for text in (turn, said):
        if text.startswith(known):
            return text[len(known) :]
    raise Malformed("other_problem", "the first turn does not begin with the row's problem")


def _pair(problem: str, step: str) -> tuple[str, str]:
    if not problem.strip() or not step.strip():
        raise Malformed("no_step", "the first turn is not a problem and a step")
    return problem.strip("\n"), step.strip("\n")


def grade_of(values: Mapping[str, Any]) -> Grade:
    """By ``final_answer_correct``; ``unparsed`` where nobody has compared the answer."""
    correct = values.get("final_answer_correct")
    if isinstance(correct, bool):
        return "right" if correct else "wrong"
    return "unparsed"


def _first_error(values: Mapping[str, Any], steps: int) -> int | None:
    label = _whole(values, "label")
    if label is not None and not NO_ERROR <= label < steps:
        raise Malformed("label", str(label))
    return label


def _whole(values: Mapping[str, Any], name: str) -> int | None:
    value = values.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise Malformed(name, describe(value))


def _text(values: Mapping[str, Any], name: str) -> str | None:
    value = values.get(name)
    if value is None or isinstance(value, str):
        return value
    raise Malformed(name, describe(value))


def _name(value: object) -> str:
    """Many files count their rows."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
