"""Critiques for people: on a terminal with colour and wrapped, in a pipe plain and as long as the lines are."""

import re
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.syntax import Syntax
from rich.text import Text

from genprm.sandbox.text import plain
from genprm.trajectory import Analysis, told
from genprm.types import NO_ERROR, Check, Critique, Method, Rationale, Solution, StepCritique
from genprm.voting import chain_indices


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # rich would exit with 1, which says something else here


def stdout() -> Console:
    """Where results are printed."""
    return _Console(highlight=False)


def say(console: Console, what: Text | str, indent: int = 0, style: str = "") -> None:
    """A text with an indent: wrapped on a terminal, else with its own lines."""
    text = what if isinstance(what, Text) else Text(plain(what), style)
    if console.is_terminal:
        console.print(Padding(text, (0, 0, 0, indent)))
        return
    lines = (" " * indent + line if line.strip() else "" for line in text.plain.split("\n"))
    console.print(Text("\n".join(lines)), soft_wrap=True)


class Printer:
    """Prints critiques as they come in: :meth:`begin` a solution, a :meth:`step` at a time, :meth:`end`.

    ``full``: the rationale of every step; otherwise of the steps that are wrong or in doubt.
    """

    def __init__(self, console: Console, *, full: bool = False) -> None:
        self._console = console
        self._full = full

    def show(self, critique: Critique) -> None:
        """A whole critique."""
        self.begin(critique.solution)
        for step in critique.steps:
            self.step(critique.solution, step)
        self.end(critique)

    def begin(self, solution: Solution) -> None:
        steps = "1 step" if len(solution.steps) == 1 else f"{len(solution.steps)} steps"
        name = Text(plain(" · ".join(dict.fromkeys(filter(None, [solution.source, solution.id, steps])))))
        self._console.print(Rule(name, style="dim", align="left") if self._console.is_terminal else name)
        self._say(solution.problem.text, 2, "italic")

    def step(self, solution: Solution, step: StepCritique) -> None:
        self._console.print()
        self._say(_headline(step))
        self._say(solution.steps[step.step], 2)
        if self._full or step.correct is not True:
            self._evidence(step, step.correct)

    def end(self, critique: Critique) -> None:
        self._console.print()
        self._say(_conclusion(critique))
        named = critique.first_error
        if critique.judgements:
            self._judgements(critique)
        elif named is not None and named != NO_ERROR and critique.steps[named].correct and not self._full:
            self._evidence(critique.steps[named], False)  # a vote over indices may name a step that most accept
        if critique.method.vote == "index":
            self._say(_indices(critique), 0, "dim")
        if critique.solution.first_error is not None:
            self._say(f"Label: {_place(critique.solution.first_error)}.", 0, "dim")
        self._say(made_by(critique), 0, "dim")
        for remark in _remarks(critique):
            self._say(remark, 0, "dim")
        self._console.print()

    def analysis(self, analysis: Analysis) -> None:
        """What went wrong, after a critique."""
        self._say("Analysis of the solution", 0, "bold")
        for line in told(analysis):
            self._say(line, 2)
        self._console.print()

    def _evidence(self, step: StepCritique, verdict: bool | None) -> None:
        """The rationale that speaks best for the verdict, and what the others ended in."""
        if not step.rationales:
            return
        shown = max(step.rationales, key=lambda r: _support(r, verdict))
        self._rationale(shown)
        others = [r for r in step.rationales if r is not shown]
        if others:
            ends = Counter({True: "yes", False: "no", None: r.outcome.replace("_", " ")}[r.verdict] for r in others)
            said = ", ".join(f"{n} {word}" for word, n in sorted(ends.items()))
            self._say(f"the other {len(others)}: {said}", 4, "dim")

    def _judgements(self, critique: Critique) -> None:
        """What was said for the winner, or all of it."""
        winner = [r for r in critique.judgements if r.first_error == critique.first_error]
        for rationale in critique.judgements if self._full else winner[:1]:
            self._rationale(rationale)

    def _rationale(self, rationale: Rationale) -> None:
        if rationale.analysis:
            self._say("Analysis", 4, "cyan")
            self._say(rationale.analysis if self._full else without_loops(rationale.analysis), 6)
        for check in rationale.checks:
            self._check(check)
        if rationale.outcome != "ok":
            reason = f": {rationale.error}" if rationale.error else ""
            self._say(f"({rationale.outcome.replace('_', ' ')}{reason})", 4, "yellow")

    def _check(self, check: Check) -> None:
        self._say("Check", 4, "cyan")
        if self._console.is_terminal:
            code = Syntax(plain(check.code), "python", theme="ansi_dark", background_color="default", word_wrap=True)
            self._console.print(Padding(code, (0, 0, 0, 6)))
        else:
            self._say(check.code, 6)
        self._say(f"Output ({check.result.status}, {check.result.wall_s * 1000:.0f} ms)", 4, "cyan")
        for reason in check.result.policy:
            self._say(f"policy: {reason}", 6, "yellow")
        if check.result.stdout.strip():
            self._say(check.result.stdout.strip("\n"), 6)
        if check.result.error:
            self._say(check.result.error, 6, "red")

    def _say(self, what: Text | str, indent: int = 0, style: str = "") -> None:
        say(self._console, what, indent, style)


_LOOP = re.compile(r"(.{2,120}?)\1{9,}", re.DOTALL)


def without_loops(text: str) -> str:
    """``text``, with what a model said over and over, ten times or more, said once and counted.

    Small models, and large ones on text unlike all that they know, fall into such loops until their tokens run out.
    """

    def once(match: re.Match[str]) -> str:
        again = match[1]
        times = len(match[0]) // len(again)
        return f"{again.rstrip()} … ({times} times)\n" if any(map(str.isalpha, again)) else match[0]

    return _LOOP.sub(once, text).rstrip("\n")


def _remarks(critique: Critique) -> list[str]:
    """What a reader of the rewards should know."""
    rationales = [r for step in critique.steps for r in step.rationales]
    hard = sum(r.verdict is not None and r.p_yes is None for r in rationales)
    cut = sum(r.left_out > 0 for r in rationales)
    remarks = []
    if hard and critique.method.vote == "mean":
        remarks.append(f"{hard} verdicts without log-probabilities count as 1 or 0: rewards are shares of verdicts.")
    remarks += remarks_on(critique.method)
    if cut:
        remarks.append(f"{cut} rationales did not see all earlier ones, which the model's window cannot hold.")
    return remarks


def remarks_on(method: Method) -> list[str]:
    """What a reader of scores made in this way should know."""
    if method.engine == "nano":
        return ["nano knows the word problems of its small world alone: for other text name another --engine."]
    return []


def made_by(critique: Critique) -> str:
    """How the scores were made, in a line."""
    usage = critique.usage
    return (
        f"{describe(critique.method)} · {usage.calls} calls, {usage.prompt_tokens:,} + {usage.completion_tokens:,}"
        f" tokens · {critique.seconds:.2f} s"
    )


def describe(method: Method) -> str:
    """The recipe in a few words."""
    rationales = "1 rationale" if method.n == 1 else f"{method.n} rationales"
    if method.n > 1 and method.stopping != "none":
        rationales = f"at most {rationales}"
    vote = {
        "mean": f"mean P(Yes), wrong below {method.threshold:g}",
        "majority": f"majority of verdicts, wrong below {method.threshold:g}",
        "index": "majority of first-error indices",
    }[method.vote]
    whole = method.protocol.partition(" ")[0] == "judge"
    per = "solution" if whole else "step"
    parts = [f"engine {plain(method.engine)}", f"protocol {method.protocol}", f"{rationales} a {per}", vote]
    if method.n > 1 and method.stopping != "none":
        error = f", error {method.stop_error:g}" if method.stopping == "predictive" else ""
        parts.insert(3, f"stopping {method.stopping}{error}")
    if method.context != "chain":
        parts.insert(2, f"context {method.context}")
    return " · ".join(parts)


def _headline(step: StepCritique) -> Text:
    word, style = {
        True: ("✓ right", "green"),
        False: ("✗ wrong", "bold red"),
        None: ("? no verdict", "bold yellow"),
    }[step.correct]
    line = Text.assemble((f"Step {step.step + 1}", "bold"), "  ", (word, style))
    if step.reward is not None:
        line.append(f"  reward {step.reward:.2f}", "dim")
    line.append(f"  votes {step.votes.yes} yes, {step.votes.no} no", "dim")
    if step.votes.missing:
        line.append(f", {step.votes.missing} missing", "yellow")
    return line


def _support(rationale: Rationale, verdict: bool | None) -> float:
    """How well a rationale stands for a verdict."""
    if rationale.verdict is None or rationale.verdict is not verdict:
        return -1.0
    p = float(rationale.verdict) if rationale.p_yes is None else rationale.p_yes
    return p if verdict else 1 - p


def _conclusion(critique: Critique) -> Text:
    if critique.first_error == NO_ERROR:
        return Text("No error found.", "bold green")
    if critique.first_error is not None:
        return Text(f"First error: step {critique.first_error + 1}.", "bold red")
    reason = f" {plain(critique.error)}" if critique.error else ""
    return Text(f"The first error is not known ({critique.outcome.replace('_', ' ')}).{reason}", "bold yellow")


def _indices(critique: Critique) -> str:
    """How often each index was named."""
    named = [r.first_error for r in critique.judgements if r.first_error is not None] or chain_indices(critique.steps)
    return f"Named: {_counted(named)}; {critique.method.n - len(named)} samples named none."


def _counted(indices: Sequence[int]) -> str:
    return ", ".join(f"{_place(index)} ×{n}" for index, n in Counter(indices).most_common()) or "nothing"


def _place(index: int) -> str:
    return "no error" if index == NO_ERROR else f"step {index + 1}"
