"""A line of a run, in brief: what a list shows of it and what it can be found by.

Most lines are critiques; they are read by a narrow type, which skips their texts. All else is told by the fields that
it has, so that a record that nobody has thought of is listed too.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import msgspec

from genprm.answers import same_number
from genprm.types import NO_ERROR

State = Literal["right", "wrong", "failed", ""]
"""Against what is known to be true: the label, the reference answer; empty where nothing is known."""
Kind = Literal["critique", "refinement", "search", "sampled", "valued", "labelled", "taught", "conversation", "other"]
Facets = tuple[tuple[str, str], ...]
"""Names and values by which rows are filtered; a name may have several values."""

KIND_OF_ERROR = "kind of error"
LABEL, OUTCOME, VOTES, TROUBLE = "against the label", "outcome", "votes", "trouble"
_SHORT = 40
"""Characters of a value that is still a class of rows and no text."""


@dataclass(frozen=True, slots=True)
class Summary:
    name: str
    """Lines with the same name are one item, of which the last line counts. Empty: every line is an item."""
    key: str
    """What the same solution is called in other runs and stages."""
    id: str
    state: State
    brief: str
    facets: Facets


class _Result(msgspec.Struct):
    status: str = "ok"


class _Check(msgspec.Struct):
    result: _Result


class _Rationale(msgspec.Struct):
    outcome: str
    checks: tuple[_Check, ...] = ()


class _Votes(msgspec.Struct):
    yes: int = 0
    no: int = 0
    missing: int = 0


class _Step(msgspec.Struct):
    votes: _Votes
    rationales: tuple[_Rationale, ...] = ()


class _Solution(msgspec.Struct):
    id: str = ""
    source: str = ""
    first_error: int | None = None


class _Method(msgspec.Struct):
    protocol: str


class Critique(msgspec.Struct):
    """What a summary needs of a ``genprm.types.Critique``."""

    solution: _Solution
    method: _Method
    outcome: str
    first_error: int | None = None
    steps: tuple[_Step, ...] = ()
    judgements: tuple[_Rationale, ...] = ()


_CRITIQUE = msgspec.json.Decoder(Critique)
_ANY = msgspec.json.Decoder()


def kind_of(record: Any) -> Kind:
    """By its fields."""
    if isinstance(record, list):
        return "valued" if record and isinstance(record[0], dict) and "values" in record[0] else "other"
    if not isinstance(record, dict):
        return "other"
    wanted: dict[Kind, set[str]] = {
        "critique": {"solution", "method", "outcome"},
        "refinement": {"versions", "problem", "outcome"},
        "search": {"candidates", "problem", "outcome"},
        "sampled": {"attempts", "problem"},
        "labelled": {"attempt", "labeler", "steps"},
        "taught": {"attempt", "teacher", "rationales"},
        "conversation": {"messages"},
    }
    return next((kind for kind, fields in wanted.items() if fields <= record.keys()), "other")


def unwrapped(line: Any) -> tuple[Any, dict[str, Any]]:
    """The record of a line, and what stands around it: stages of synthesis, searches and some evaluations wrap
    theirs."""
    if isinstance(line, dict):
        if {"key", "record"} <= line.keys():
            return line["record"], {name: line[name] for name in ("key", "error") if line.get(name)}
        if {"arm", "refinement"} <= line.keys():
            return line["refinement"], {"arm": line["arm"]}
        if {"id", "result"} <= line.keys() and kind_of(line["result"]) == "search":
            return line["result"], {"key": line["id"]}
    return line, {}


def summary_of(line: bytes) -> Summary:
    """Raises msgspec.MsgspecError, UnicodeDecodeError or RecursionError for what is no line of JSON."""
    try:
        return _of_critique(_CRITIQUE.decode(line))
    except msgspec.ValidationError:
        return _of_any(*unwrapped(_ANY.decode(line)))


def place(index: int | None) -> str:
    """A first error in words; steps count from 1."""
    return "no verdict" if index is None else "no error" if index == NO_ERROR else f"step {index + 1}"


def facets_of(pairs: Iterator[tuple[str, str]]) -> Facets:
    """Without repetitions, each pair kept once in memory."""
    return tuple(dict.fromkeys(_pair(name, value) for name, value in pairs))


@cache
def _pair(name: str, value: str) -> tuple[str, str]:
    return sys.intern(name), sys.intern(value)


# --- critiques -----------------------------------------------------------------------------------------------------


def _of_critique(one: Critique) -> Summary:
    label, named = one.solution.first_error, one.first_error
    state: State = "failed" if one.outcome != "ok" else "" if label is None else "right" if label == named else "wrong"
    said = place(named) if one.outcome == "ok" else one.outcome.replace("_", " ")
    brief = said if label is None or label == named else f"{said}, label: {place(label)}"
    key = f"{one.solution.source}/{one.solution.id}"
    facets = facets_of(_facets_of_critique(one, state))
    return Summary(f"{one.method.protocol} {key}", key, one.solution.id, state, brief, facets)


def _facets_of_critique(one: Critique, state: State) -> Iterator[tuple[str, str]]:
    yield LABEL, state if one.solution.first_error is not None else "no label"
    yield OUTCOME, one.outcome
    yield "first error", place(one.first_error)
    yield VOTES, "divided" if any(step.votes.yes and step.votes.no for step in one.steps) else "of one mind"
    if one.outcome != "ok":
        yield TROUBLE, f"row {one.outcome}"
    for rationale in (*one.judgements, *(each for step in one.steps for each in step.rationales)):
        yield from trouble_of(rationale.outcome, (check.result.status for check in rationale.checks))
    yield "split", one.solution.source
    yield "protocol", one.method.protocol


def trouble_of(outcome: str, statuses: Iterator[str]) -> Iterator[tuple[str, str]]:
    """What went wrong in a rationale, by name."""
    if outcome != "ok":
        yield TROUBLE, f"rationale {outcome}"
    for status in statuses:
        if status != "ok":
            yield TROUBLE, f"check {status}"


# --- all else ------------------------------------------------------------------------------------------------------


def _of_any(record: Any, around: Mapping[str, Any]) -> Summary:
    kind = kind_of(record)
    id_ = _id(record, around)
    pairs = [(name, str(value)) for name, value in around.items() if name != "key"]
    if record is None:
        return Summary(f"{id_}", id_, id_, "failed", "failed", facets_of(iter([(TROUBLE, "row failed")])))
    found = list(_FACETS[kind](record))
    name = " ".join([id_, *(str(around.get("arm", "")),), *_apart(record)]) if id_ else ""
    state = _state(record, kind)
    brief = ", ".join(value for _, value in found[:2])
    key = str(record.get("solution_id") or id_) if kind == "conversation" else id_
    return Summary(name, key, id_, state, brief, facets_of(iter([*pairs, *found])))


def _id(record: Any, around: Mapping[str, Any]) -> str:
    if "key" in around:
        return str(around["key"])
    given = record.get("id") if isinstance(record, dict) else None
    return str(given) if isinstance(given, str | int) else ""


def _apart(record: Any) -> list[str]:
    """What tells lines with one id apart: which sample, state or task it is, by which scorer, method and size; of
    a dataset in which configuration."""
    names = ("config", "task", "sample", "number", "scorer", "method", "size")
    return [str(record[name]) for name in names if isinstance(record, dict) and isinstance(record.get(name), str | int)]


def _state(record: Any, kind: Kind) -> State:
    if kind == "valued" or not isinstance(record, dict):
        return ""
    if str(record.get("outcome")) in ("failed", "engine_error", "policy_failed", "reviewer_failed"):
        return "failed"
    told = _found(record) if kind == "search" else record.get("right", record.get("kept"))
    if isinstance(told, bool):
        return "right" if told else "wrong"
    grade = grade_of(record)
    return "" if grade is None else "right" if grade == "right" else "failed" if grade == "failed" else "wrong"


def _found(record: Mapping[str, Any]) -> bool | None:
    """Whether a search came to the answer; None where that is not known."""
    known = record["problem"].get("answer")
    return None if known is None else same_number(record.get("answer"), known)


def grade_of(record: Mapping[str, Any]) -> str | None:
    """Of the attempt that a record is about."""
    attempt = record.get("attempt")
    return str(attempt["grade"]) if isinstance(attempt, dict) and "grade" in attempt else None


def _of_refinement(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield OUTCOME, str(record["outcome"])
    yield "versions", str(len(record["versions"]))
    for version in record["versions"]:
        if isinstance(version, dict) and version.get("state") not in (None, "ok"):
            yield TROUBLE, f"draft {version['state']}"


def _of_search(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield OUTCOME, str(record["outcome"])
    yield "finished", str(len(record["candidates"]))


def _of_sampled(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "kinds", str(record.get("kinds"))
    yield "solutions", str(len(record["attempts"]))
    for attempt in record["attempts"]:
        yield "grade", str(attempt.get("grade"))


def _of_valued(record: list[Any]) -> Iterator[tuple[str, str]]:
    yield "solutions", str(len(record))
    for valued in record:
        yield "grade", str(grade_of(valued))


def _of_labelled(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    labels = [step.get("label") for step in record["steps"]]
    unsure = next((at for at, label in enumerate(labels) if label is not True), NO_ERROR)
    yield "first error", "unsure" if unsure != NO_ERROR and labels[unsure] is None else place(unsure)
    yield "grade", str(grade_of(record))
    yield "labeler", str(record["labeler"])


def _of_taught(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    verdicts = [each.get("verdict") for each in record["rationales"]]
    yield "first error", place(verdicts.index(False) if False in verdicts else NO_ERROR)
    yield "grade", str(grade_of(record))
    yield OUTCOME, str(record.get("outcome"))
    for each in record["rationales"]:
        yield from trouble_of(str(each.get("outcome")), (c["result"]["status"] for c in each.get("checks", ())))


def _of_conversation(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A row of a dataset, or of what is trained on."""
    if isinstance(record.get("label"), int):
        yield "first error", place(record["label"])
    for name in ("grade", "config", "split", "labeler", "teacher", "policy"):
        if isinstance(record.get(name), str):
            yield name, record[name]


def _of_other(record: Any) -> Iterator[tuple[str, str]]:
    """Whatever is short and no number."""
    for name, value in record.items() if isinstance(record, dict) else ():
        if name not in ("id", "text", "detail") and (isinstance(value, bool) or value is None):
            yield name, {True: "yes", False: "no", None: "none"}[value]
        elif name not in ("id", "text", "detail", "answer") and isinstance(value, str) and 0 < len(value) <= _SHORT:
            yield name, value
        elif name in ("difficulty", "size") and isinstance(value, int):
            yield name, str(value)


_FACETS: dict[Kind, Any] = {
    "refinement": _of_refinement,
    "search": _of_search,
    "sampled": _of_sampled,
    "valued": _of_valued,
    "labelled": _of_labelled,
    "taught": _of_taught,
    "conversation": _of_conversation,
    "critique": _of_other,
    "other": _of_other,
}
