"""A record as blocks to be shown, one form for the page and the report.

    critique   the critique itself, and lines about what went wrong in it
    solution   a problem and steps, each with a verdict, a note and rationales where there are any
    change     the steps before and after
    fields     names and values, for all that has no form of its own

Whatever stands in a record is data: neither checked nor trusted here, and escaped by who draws it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from genprm.errors import InputError
from genprm.records import from_json, to_json
from genprm.trajectory import analyse, told
from genprm.types import NO_ERROR, Critique
from genprm.viewing.summaries import Kind, kind_of, place, unwrapped

Block = dict[str, Any]
_CANDIDATES = 8
"""Of a search that are shown besides the chosen one."""
FORMLESS = (KeyError, TypeError, AttributeError, ValueError, IndexError)
"""What a record raises that is not what it looks like by its fields."""


def sheet(line: Any) -> list[Block]:
    """The blocks of one line of a run, as JSON has it."""
    record, around = unwrapped(line)
    try:
        blocks = _SHEETS[kind_of(record)](record)
    except (InputError, *FORMLESS):
        blocks = [fields(record)]
    told_apart = {name: value for name, value in around.items() if name != "key"}
    return [fields(told_apart), *blocks] if told_apart else blocks


def title_of(line: Any) -> str:
    """The beginning of a row, for a list: its problem, or any text that it has."""
    record, _ = unwrapped(line)
    for value in (record[0] if isinstance(record, list) and record else record,):
        for path in (("solution", "problem"), ("attempt", "solution", "problem"), ("problem",), ()):
            found = value
            for name in path:
                found = found.get(name) if isinstance(found, dict) else None
            text = found.get("text") if isinstance(found, dict) else found
            if isinstance(text, str):
                return " ".join(text[:300].split())[:160]
    return ""


def fields(record: Any, title: str = "") -> Block:
    """Any record, two levels deep; below that as JSON."""
    if not isinstance(record, dict):
        record = {"record": record}
    return {"type": "fields", "title": title, "fields": [[name, _text(value)] for name, value in _flat(record)]}


def _flat(record: Mapping[str, Any]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in record.items():
        if isinstance(value, dict) and all(not isinstance(inner, dict | list) for inner in value.values()):
            found += [(f"{name}.{inner}", text) for inner, text in value.items()]
        else:
            found.append((name, value))
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.format(to_json(value), indent=2).decode()


def _critique(record: Any) -> list[Block]:
    critique = from_json(to_json(record), Critique)
    told_ = told(analyse(critique)) if critique.first_error not in (None, NO_ERROR) and critique.steps else []
    return [{"type": "critique", "critique": msgspec.to_builtins(critique), "analysis": told_}]


def solution(
    steps: Sequence[str],
    notes: Sequence[str] = (),
    states: Sequence[bool | str | None] = (),
    *,
    problem: str = "",
    title: str = "",
    note: str = "",
    rationales: Sequence[Sequence[Any]] = (),
) -> Block:
    """``states``: True, False, None for a verdict that is missing, and "" where there is no verdict to expect."""

    def at(given: Sequence[Any], index: int, none: Any) -> Any:
        return given[index] if index < len(given) else none

    shown = [
        {"text": text, "note": at(notes, i, ""), "state": at(states, i, ""), "rationales": list(at(rationales, i, ()))}
        for i, text in enumerate(steps)
    ]
    return {"type": "solution", "title": title, "note": note, "problem": problem, "steps": shown}


# --- synthesis -----------------------------------------------------------------------------------------------------


def _about(attempt: Mapping[str, Any]) -> dict[str, Any]:
    """What every solution of an attempt begins with."""
    made, answer = attempt["solution"], attempt.get("answer")
    named = "" if answer is None else f", answer {answer}"
    return {"steps": made["steps"], "title": str(made.get("id") or "solution"), "note": f"{attempt['grade']}{named}"}


def _sampled(record: Any) -> list[Block]:
    attempts = [solution(**_about(attempt)) for attempt in record["attempts"]]
    return [_problem(record["problem"]), *attempts]


def _problem(problem: Mapping[str, Any]) -> Block:
    return solution((), problem=str(problem["text"]), note=_reference(problem))


def _reference(problem: Mapping[str, Any]) -> str:
    return "" if problem.get("answer") is None else f"reference answer {problem['answer']}"


def _valued(record: Any) -> list[Block]:
    blocks = [_problem(record[0]["attempt"]["solution"]["problem"])]
    for each in record:
        about = _about(each["attempt"])
        start = "" if each.get("start") is None else f"; before the first step {_estimate(each['start'])}"
        notes = [_estimate(value) for value in each["values"]]
        blocks.append(solution(**about | {"note": about["note"] + start}, notes=notes))
    return blocks


def _estimate(value: Mapping[str, Any] | None) -> str:
    if value is None:
        return "no value"
    n, right = value["n"], value["right"]
    if value.get("known"):
        return f"value {right / n if n else 0:.2f}, known"
    return f"value {right / n if n else 0:.2f} ({right} of {n}; {value['low']:.2f} to {value['high']:.2f})"


def _labelled(record: Any) -> list[Block]:
    def note(step: Mapping[str, Any]) -> str:
        named = (("score", step.get("score")), ("confidence", step.get("confidence")))
        return ", ".join(f"{name} {value:.2f}" for name, value in named if isinstance(value, int | float))

    steps, attempt = record["steps"], record["attempt"]
    notes, states = [note(step) for step in steps], [step["label"] for step in steps]
    about = _about(attempt)
    about["note"] += f"; labels by {record['labeler']}"
    return [solution(**about, problem=attempt["solution"]["problem"]["text"], notes=notes, states=states)]


def _taught(record: Any) -> list[Block]:
    attempt, given = record["attempt"], record["rationales"]
    about = _about(attempt)
    about["note"] += f"; {record['teacher']}: {record.get('outcome', '')} {record.get('error', '')}".rstrip()
    states, rationales = [each["verdict"] for each in given], [[each] for each in given]
    problem = attempt["solution"]["problem"]["text"]
    return [solution(**about, problem=problem, states=states, rationales=rationales)]


def _conversation(record: Any) -> list[Block]:
    """With the solution that it is about, where the row has that too."""
    said = [[str(each["role"]), str(each["content"])] for each in record["messages"]]
    block = {"type": "fields", "title": "Conversation", "fields": said}
    about = [_about_row(record)] if record.get("problem") and record.get("steps") else []
    shown = ("messages", "problem", "steps") if about else ("messages",)
    rest = {name: value for name, value in record.items() if name not in shown and value is not None}
    return [*about, block, *([fields(rest, "How")] if rest else [])]


def _about_row(record: Mapping[str, Any]) -> Block:
    notes = ["no value" if value is None else f"value {value:.2f}" for value in record.get("values") or ()]
    states = record.get("labels") or record.get("verdicts") or ()
    title, note = str(record.get("id") or ""), str(record.get("grade") or "")
    return solution(record["steps"], notes, states, problem=record["problem"], title=title, note=note)


# --- refinement and search -----------------------------------------------------------------------------------------


def _refinement(record: Any) -> list[Block]:
    versions, blocks = record["versions"], []
    for version in versions:
        base = version.get("base")
        review = version.get("review") or {}
        title = "First version" if version["turn"] == 0 else f"Turn {version['turn']}"
        note = "; ".join(filter(None, [str(version["state"]), _said(review), str(version.get("error") or "")]))
        steps = version["solution"]["steps"]
        if base is None:
            problem = str(record["problem"]["text"])
            block = solution(steps, *_rewards(review, len(steps)), problem=problem, title=title, note=note)
        else:
            before = versions[base]["solution"]["steps"]
            block = {"type": "change", "title": title, "note": note, "before": before, "after": steps}
        blocks.append(block | {"feedback": str(review.get("feedback") or "")})
        if review.get("critique"):
            blocks += [each | {"folded": True} for each in _critique(review["critique"])]
    return blocks


def _said(review: Mapping[str, Any]) -> str:
    if not review:
        return ""
    score = review.get("score")
    graded = f", score {score:.2f}" if isinstance(score, int | float) else ""
    if review.get("accepted"):
        return f"accepted{graded}"
    named = review.get("first_error")
    return ("no verdict" if named is None else f"first error: {place(named)}") + graded


def _rewards(review: Mapping[str, Any], n: int) -> tuple[list[str], list[bool]]:
    rewards, first = list(review.get("rewards") or ()), review.get("first_error")
    notes = ["" if reward is None else f"reward {reward:.2f}" for reward in rewards]
    if first is None:
        return notes, []
    right = n if first == NO_ERROR else first
    return notes, [True] * right + ([False] if right < n else [])


def _search(record: Any) -> list[Block]:
    problem = record["problem"]
    note = "; ".join(filter(None, [f"{record['outcome']}, answer {record.get('answer')}", _reference(problem)]))
    chosen = solution(record["steps"], _marks(record), problem=str(problem["text"]), title="Chosen", note=note)
    others = [each for each in record["candidates"] if each["steps"] != record["steps"]]
    shown = [
        solution(each["steps"], _marks(each), title=f"Candidate {n}", note=f"answer {each.get('answer')}")
        for n, each in enumerate(others[:_CANDIDATES], 2)
    ]
    paid = {name: record.get(name) for name in ("rounds", "counts", "account", "policy", "score", "plan")}
    return [chosen, *shown, fields(paid, "How")]


def _marks(record: Mapping[str, Any]) -> list[str]:
    """Whatever numbers stand beside a step."""
    found = []
    for mark in record.get("marks") or ():
        numbers = mark.items() if isinstance(mark, dict) else ()
        found.append(", ".join(f"{name} {value:.2f}" for name, value in numbers if isinstance(value, int | float)))
    return found


_SHEETS: dict[Kind, Callable[[Any], list[Block]]] = {
    "critique": _critique,
    "refinement": _refinement,
    "search": _search,
    "sampled": _sampled,
    "valued": _valued,
    "labelled": _labelled,
    "taught": _taught,
    "conversation": _conversation,
    "other": lambda record: [fields(record)],
}
