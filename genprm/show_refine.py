"""Refinements for people: what the reviewer said, and the steps before and after, side by side where there is room."""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from genprm.refining import Outcome, Refinement, Version
from genprm.sandbox.text import plain
from genprm.show import say, without_loops
from genprm.types import NO_ERROR

SIDE_BY_SIDE = 100
"""Columns from which on there is room for two."""
_MARKS = {"equal": " ", "replace": "~", "insert": "+", "delete": "-"}
_ENDS: dict[Outcome, str] = {
    "accepted": "Accepted",
    "turns": "Not accepted: all turns are spent",
    "tokens": "Not accepted: the budget of tokens is spent",
    "unchanged": "Not accepted: the policy wrote nothing new",
    "unreadable": "The policy wrote nothing that can be read",
    "no_verdict": "Not accepted: the reviewer came to no verdict",
    "reviewer_failed": "The reviewer failed",
    "policy_failed": "The policy failed",
    "samples": "Chosen by majority",
}
_PROBLEMS = {
    "no_answer": "no answer in a box, so it is not reviewed and cannot lead",
    "cut_off": "cut off at the limit of tokens, so it is not reviewed and cannot lead",
    "empty": "nothing was written",
    "repeated": "the same as an earlier version, letter by letter",
    "too_long": "the conversation does not fit the policy's window",
    "engine_error": "the engine failed",
}
Pair = tuple[str, int | None, int | None]
"""A row of a comparison: its mark, and the step before and after, where there is one."""


def print_refinement(refinement: Refinement, console: Console) -> None:
    """The whole transcript."""
    _Transcript(refinement, console).show()


class _Transcript:
    def __init__(self, refinement: Refinement, console: Console) -> None:
        self._found = refinement
        self._console = console
        self._wide = console.is_terminal and console.width >= SIDE_BY_SIDE

    def show(self) -> None:
        name = f"{self._found.id or 'refinement'} · reviewer {self._found.reviewer}"
        self._title(plain(name))
        self._say(self._found.problem.text, 2, "italic")
        if self._found.reviewer == "resample":
            self._samples()
        else:
            for at, version in enumerate(self._found.versions):
                self._version(at, version)
        self._end()

    def _version(self, at: int, version: Version) -> None:
        self._console.print()
        self._title(f"Turn {version.turn}" if version.turn else "Start")
        if version.base is None:
            for number, step in enumerate(version.solution.steps, 1):
                self._say(f"{number}  {step}", 2)
        else:
            self._compared(self._found.versions[version.base], version)
        if version.turn and version.base is None:
            self._say("(written afresh: the one before never came to its end)", 2, "yellow")
        if version.state != "ok" and (version.turn or version.state != "no_answer"):
            self._say(f"({_PROBLEMS[version.state]}{': ' + version.error if version.error else ''})", 2, "yellow")
        if version.review is not None:
            self._review(at, version)

    def _compared(self, before: Version, after: Version) -> None:
        pairs = list(aligned(before.solution.steps, after.solution.steps))
        if self._wide:
            self._table(before, after, pairs)
        else:
            for mark, old, new in pairs:
                self._stacked(mark, old, new, before, after)

    def _table(self, before: Version, after: Version, pairs: Sequence[Pair]) -> None:
        table = Table("", "before", "after", box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
        table.columns[1].ratio = table.columns[2].ratio = 1
        for mark, old, new in pairs:
            left, right = _marked(_step(before, old), _step(after, new), mark)
            table.add_row(Text(mark, _STYLES[mark]), left, right)
        self._console.print(Padding(table, (0, 0, 0, 2)))

    def _stacked(self, mark: str, old: int | None, new: int | None, before: Version, after: Version) -> None:
        left, right = _marked(_step(before, old), _step(after, new), mark)
        if mark == " ":
            self._say(Text.assemble("  ", right), 2)
            return
        if old is not None:
            self._say(Text.assemble(("- ", "red"), left), 2)
        if new is not None:
            self._say(Text.assemble(("+ ", "green"), right), 2)

    def _review(self, at: int, version: Version) -> None:
        review = version.review
        assert review is not None
        score = "" if review.score is None else f"  score {review.score:.2f}"
        leads = "  leads" if version.leader == at else f"  version {(version.leader or 0) + 1} still leads"
        if review.accepted:
            self._say(Text.assemble(("✓ accepted", "bold green"), (score + leads, "dim")), 2)
            return
        if review.accepted is None:
            word, style = "? no verdict", "bold yellow"
        else:
            at_step = review.first_error
            known = at_step is not None and at_step != NO_ERROR
            word, style = f"✗ step {(at_step or 0) + 1} is wrong" if known else "✗ rejected", "bold red"
        self._say(Text.assemble((word, style), (score + leads, "dim")), 2)
        if review.error:
            self._say(review.error, 4, "yellow")
        self._say(without_loops(review.feedback), 4, "cyan")

    def _samples(self) -> None:
        for at, version in enumerate(self._found.versions):
            leads = " · leads" if version.leader == at else ""
            said = version.answer or version.state.replace("_", " ")
            self._say(f"sample {at + 1}, turn {version.turn}: {said}{leads}", 2)

    def _end(self) -> None:
        found, chosen = self._found, self._found.chosen
        self._console.print()
        if chosen is None:
            self._say(Text(f"{_ENDS[found.outcome]}. There is no solution.", "bold red"))
        else:
            self._say(Text.assemble((f"{_ENDS[found.outcome]}. ", _tone(found)), _answer(found, chosen)))
        first = found.versions[0] if found.versions else None
        if chosen is not None and first is not None and chosen is not first:
            self._say(
                f"Before: {first.answer or 'no answer in a box'}. Version {found.versions.index(chosen) + 1} leads.",
                0,
                "dim",
            )
        self._say(_cost(found), 0, "dim")
        self._console.print()

    def _title(self, text: str) -> None:
        line = Text(text, "bold")
        self._console.print(Rule(line, style="dim", align="left") if self._console.is_terminal else line)

    def _say(self, what: Text | str, indent: int = 0, style: str = "") -> None:
        say(self._console, what, indent, style)


_STYLES = {" ": "dim", "~": "yellow", "+": "green", "-": "red"}


def aligned(before: Sequence[str], after: Sequence[str]) -> Iterator[Pair]:
    """The steps of two versions beside each other: kept (``" "``), changed (``~``), new (``+``) and gone (``-``)."""
    for what, i, i_end, j, j_end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        for k in range(max(i_end - i, j_end - j)):
            old, new = (i + k if i + k < i_end else None), (j + k if j + k < j_end else None)
            mark = "+" if old is None else "-" if new is None else _MARKS[what]
            yield mark, old, new


def _step(version: Version, at: int | None) -> tuple[int, str] | None:
    return None if at is None else (at + 1, plain(version.solution.steps[at]))


def _marked(old: tuple[int, str] | None, new: tuple[int, str] | None, mark: str) -> tuple[Text, Text]:
    """Both sides with their numbers; the words that differ stand out."""
    if mark != "~" or old is None or new is None:
        style = "dim" if mark == " " else ""
        return _numbered(old, style), _numbered(new, style)
    before, after = _words(old[1]), _words(new[1])
    left, right = Text(f"{old[0]}  "), Text(f"{new[0]}  ")
    for what, i, i_end, j, j_end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        left.append("".join(before[i:i_end]), "" if what == "equal" else "bold red")
        right.append("".join(after[j:j_end]), "" if what == "equal" else "bold green")
    return left, right


def _words(text: str) -> list[str]:
    return re.findall(r"\s+|\w+|[^\w\s]", text)


def _numbered(step: tuple[int, str] | None, style: str) -> Text:
    return Text() if step is None else Text(f"{step[0]}  {step[1]}", style)


def _tone(found: Refinement) -> str:
    if found.failed:
        return "bold red"
    return "bold green" if found.outcome in ("accepted", "samples") else "bold yellow"


def _answer(found: Refinement, chosen: Version) -> str:
    """The answer that one gets; the reference beside it only where it is known."""
    said = f"Answer: {plain(chosen.answer)}." if chosen.answer else "It has no answer in a box."
    known = found.problem.answer
    return f"{said} Reference: {plain(known)}." if known is not None else said


def _cost(found: Refinement) -> str:
    policy = sum(version.usage.completion_tokens for version in found.versions)
    whole = found.usage
    turns = max((version.turn for version in found.versions), default=0)
    return (
        f"policy {plain(found.policy)} · {turns} of {found.plan.turns} turns · tokens: {policy:,} by the policy, "
        f"{whole.completion_tokens - policy:,} by the reviewer; {whole.prompt_tokens:,} read · {found.seconds:.2f} s"
    )
