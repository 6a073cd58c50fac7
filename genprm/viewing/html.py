"""The blocks of ``genprm.viewing.sheets`` as HTML that is read without a script. All text is escaped here.

What has formulas is marked ``data-rich`` and code ``data-code``, for a script that draws them where one runs.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from genprm.types import NO_ERROR
from genprm.viewing.sheets import FORMLESS, Block, fields
from genprm.viewing.summaries import place

CLIP = 6_000
"""Characters of one text."""
_WORDS = {True: "right", False: "wrong", None: "no verdict"}


def draw(block: Block, rationales: int = 2) -> str:
    """One block; ``rationales``: how many of a step."""
    drawn = {"critique": _critique, "solution": _solution, "change": _change, "fields": _fields, "table": _table}
    try:
        return drawn[block["type"]](block, rationales)
    except FORMLESS:
        return _fields(fields(block), rationales)


def clipped(text: Any) -> str:
    """Escaped, and cut where it is very long."""
    text = str(text)
    left = len(text) - CLIP
    return escape(text) if left <= 0 else f"{escape(text[:CLIP])}\n… ({left:,} more characters)"


def element(name: str, kind: str, *children: str, **attributes: str) -> str:
    """``children`` are HTML."""
    given = "".join(f' {key.replace("_", "-")}="{escape(value)}"' for key, value in attributes.items())
    return f'<{name} class="{kind}"{given}>{"".join(children)}</{name}>'


def rich(text: str, kind: str = "prose") -> str:
    """Text in paragraphs, with formulas for a script to draw."""
    parts = "".join(f"<p>{part}</p>" for part in clipped(text).strip().split("\n\n"))
    return element("div", kind, parts, data_rich="")


def _folded(kind: str, title: str, *children: str, open_: bool = False) -> str:
    state = " open" if open_ else ""
    return f'<details class="{kind}"{state}><summary>{escape(title)}</summary>{"".join(children)}</details>'


# --- a critique ----------------------------------------------------------------------------------------------------


def _critique(block: Block, rationales: int) -> str:
    critique = block["critique"]
    first, solution = critique["first_error"], critique["solution"]
    kind = "unknown" if first is None else "right" if first == NO_ERROR else "wrong"
    said = {"unknown": f"The first error is not known ({critique['outcome'].replace('_', ' ')})."}.get(kind)
    said = said or ("No error found." if kind == "right" else f"First error: {place(first)}.")
    label = solution["first_error"]
    judged = {step["step"]: step for step in critique["steps"]}
    steps = [_step(text, at, judged.get(at), first == at, rationales) for at, text in enumerate(solution["steps"])]
    parts = [
        element("div", f"conclusion {kind}", element("p", "verdict", escape(said))),
        element("p", "reason", clipped(critique["error"])) if critique["error"] else "",
        element("div", "problem", rich(solution["problem"]["text"])),
        _blame(block["analysis"]),
        element("ol", "steps", *steps),
        *(_rationale(each) for each in critique["judgements"][:rationales]),
        element("p", "made", "" if label is None else f"Label: {place(label)}."),
    ]
    drawn = element("section", "critique", *parts)
    return _folded("folded", "Its critique", drawn) if block.get("folded") else drawn


def _blame(lines: Sequence[str]) -> str:
    said = [element("p", "warning" if line.startswith("  ") else "", clipped(line.strip())) for line in lines]
    return element("div", "blame", *said) if said else ""


def _step(text: str, at: int, judged: Mapping[str, Any] | None, first: bool, rationales: int) -> str:
    correct = judged["correct"] if judged else None
    kind = "" if judged is None else "unknown" if correct is None else "right" if correct else "wrong"
    head = [element("span", "step-title", f"Step {at + 1}")]
    head.append(element("span", "state", "not judged" if judged is None else _WORDS[correct]))
    if judged:
        head.append(element("span", "votes", escape(_votes(judged))))
    if first:
        head.append(element("span", "first-error", "First error"))
    evidence = _evidence(judged, first, rationales) if judged else ""
    return element(
        "li", f"step {kind}{' is-first' if first else ''}", element("header", "step-head", *head), rich(text), evidence
    )


def _votes(judged: Mapping[str, Any]) -> str:
    votes, reward = judged["votes"], judged["reward"]
    missing = f", {votes['missing']} missing" if votes["missing"] else ""
    shown = "no reward" if reward is None else f"reward {reward:.2f}"
    return f"{votes['yes']} yes, {votes['no']} no{missing} · {shown}"


def _evidence(judged: Mapping[str, Any], first: bool, rationales: int) -> str:
    """The best rationale for the verdict, then one against it, then others."""
    verdict = judged["correct"]
    for_it = [each for each in judged["rationales"] if each["verdict"] == verdict]
    against = [each for each in judged["rationales"] if each["verdict"] != verdict]
    ranked = [*for_it[:1], *against[:1], *for_it[1:], *against[1:]][:rationales]
    if not ranked:
        return ""
    left = len(judged["rationales"]) - len(ranked)
    title = "Why it is wrong" if verdict is False else "What was checked"
    more = [element("p", "who", f"{left} more rationales are not in this file.")] if left else []
    return element("div", "evidence", _folded("why", title, *map(_rationale, ranked), *more, open_=first))


def _rationale(one: Mapping[str, Any]) -> str:
    named = one.get("first_error")
    verdict = _WORDS[one["verdict"]] if named is None else f"names {place(named)}"
    p_yes = "" if one["p_yes"] is None else f" · P(right) {one['p_yes']:.2f}"
    parts = [element("p", "who", escape(f"Rationale {one['sample'] + 1}: {verdict}{p_yes}"))]
    shown = one["analysis"].strip() or ("" if one["checks"] else one["text"].strip())
    parts += [rich(shown, "prose analysis")] if shown else []
    parts += [_check(check) for check in one["checks"]]
    if one["outcome"] != "ok":
        trouble = f"{one['outcome'].replace('_', ' ')}: {one['error']}".rstrip(": ")
        parts.append(element("p", "trouble", clipped(trouble)))
    return element("article", "rationale", *parts)


def _check(check: Mapping[str, Any]) -> str:
    result = check["result"]
    printed = "\n".join(filter(None, [result["stdout"].rstrip("\n"), result["error"]])) or "(nothing printed)"
    kind = "output" if result["status"] == "ok" else "output failed"
    return element(
        "figure",
        "check",
        element("figcaption", "", "Check"),
        element("pre", "code", f"<code>{clipped(check['code'])}</code>", data_code=""),
        element("figcaption", "", escape(f"Output ({result['status'].replace('_', ' ')})")),
        element("pre", kind, f"<code>{clipped(printed)}</code>"),
    )


# --- the others ----------------------------------------------------------------------------------------------------


def _solution(block: Block, rationales: int) -> str:
    parts = [*_headed(block)]
    parts += [element("div", "problem", rich(block["problem"]))] if block["problem"] else []
    steps = [_plain_step(step, at, rationales) for at, step in enumerate(block["steps"])]
    parts += [element("ol", "steps", *steps)] if steps else []
    return element("section", "block critique", *parts, *_told(block))


def _plain_step(step: Mapping[str, Any], at: int, rationales: int) -> str:
    state = step["state"]
    kind = "" if state == "" else "unknown" if state is None else "right" if state else "wrong"
    head = [element("span", "step-title", f"Step {at + 1}")]
    head += [element("span", "state", "unsure" if state is None else _WORDS[state])] if kind else []
    head += [element("span", "note", clipped(step["note"]))] if step["note"] else []
    given = [_rationale(each) for each in step["rationales"][:rationales]]
    evidence = element("div", "evidence", _folded("why", "Rationale", *given)) if given else ""
    return element("li", f"step {kind}", element("header", "step-head", *head), rich(step["text"]), evidence)


def _change(block: Block, _: int) -> str:
    before, after = block["before"], block["after"]
    lines = [
        element("li", kind, element("span", "sign", sign), rich(text)) for kind, sign, text in _diff(before, after)
    ]
    return element("section", "block critique", *_headed(block), element("ol", "diff", *lines), *_told(block))


def _diff(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    from difflib import SequenceMatcher

    for tag, i, j, m, n in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            yield from (("same", "", text) for text in before[i:j])
        else:
            yield from (("gone", "−", text) for text in before[i:j])
            yield from (("come", "+", text) for text in after[m:n])


def _told(block: Block) -> Iterator[str]:
    if block.get("feedback"):
        yield element("div", "evidence", _folded("why", "What it was told of this version", rich(block["feedback"])))


def _fields(block: Block, _: int) -> str:
    items = [f"<dt>{clipped(name)}</dt><dd>{clipped(text)}</dd>" for name, text in block["fields"]]
    return element("section", "block", *_headed(block), element("dl", "fields", *items))


def _table(block: Block, _: int) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in block["head"])
    rows = ["".join(f"<td>{clipped(cell)}</td>" for cell in row) for row in block["rows"]] or [
        f'<td colspan="{len(block["head"])}">none</td>'
    ]
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    drawn = f'<table class="figures"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return element("section", "block", *_headed(block), drawn)


def _headed(block: Block) -> Iterator[str]:
    if block.get("title"):
        yield element("h3", "title", clipped(block["title"]))
    if block.get("note"):
        yield element("p", "note", clipped(block["note"]))
