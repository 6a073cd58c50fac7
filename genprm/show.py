"""Critiques for people: on a terminal with colour, plain in a pipe."""

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.syntax import Syntax
from rich.text import Text

from genprm.sandbox.text import plain
from genprm.types import NO_ERROR, Check, Critique, Method, Rationale, Solution, StepCritique


class Printer:
    """Prints critiques as they come in: :meth:`begin` a solution, a :meth:`step` at a time, :meth:`end`.

    ``full``: the rationale of every step; otherwise of the steps that are wrong or in doubt.
    """

    def __init__(self, console: Console, *, full: bool = False) -> None:
        self.console = console
        self.full = full

    def begin(self, solution: Solution) -> None:
        steps = "1 step" if len(solution.steps) == 1 else f"{len(solution.steps)} steps"
        name = " · ".join(dict.fromkeys(filter(None, [solution.source, solution.id, steps])))
        self.console.print(Rule(plain(name), style="dim", align="left"))
        self.console.print(_indented(solution.problem.text, "italic"))

    def step(self, solution: Solution, step: StepCritique) -> None:
        self.console.print()
        self.console.print(_headline(step))
        self.console.print(_indented(solution.steps[step.step]))
        if self.full or step.correct is not True:
            for part in _evidence(step):
                self.console.print(Padding(part, (0, 0, 0, 4)))

    def end(self, critique: Critique) -> None:
        self.console.print()
        self.console.print(_conclusion(critique))
        self.console.print(Text(made_by(critique), "dim"))
        self.console.print()


def made_by(critique: Critique) -> str:
    """How the scores were made, in a line."""
    usage = critique.usage
    return (
        f"{describe(critique.method)} · {usage.calls} calls, {usage.prompt_tokens:,} + {usage.completion_tokens:,}"
        f" tokens · {critique.seconds:.2f} s"
    )


def describe(method: Method) -> str:
    """The recipe in a few words."""
    votes = "1 rationale a step" if method.n == 1 else f"{method.n} rationales a step"
    vote = {
        "mean": f"mean P(Yes), wrong below {method.threshold:g}",
        "majority": f"majority of verdicts, wrong below {method.threshold:g}",
        "index": "majority of first-error indices",
    }[method.vote]
    return f"engine {plain(method.engine)} · protocol {method.protocol} · {votes} · {vote}"


def _headline(step: StepCritique) -> Text:
    word, style = {
        True: ("✓ right", "green"),
        False: ("✗ wrong", "bold red"),
        None: ("? no verdict", "bold yellow"),
    }[step.correct]
    line = Text.assemble((f"Step {step.step + 1}", "bold"), "  ", (word, style))
    if step.reward is not None:
        line.append(f"  reward {step.reward:.2f}", "dim")
    votes = step.votes
    line.append(f"  votes {votes.yes} yes, {votes.no} no", "dim")
    if votes.missing:
        line.append(f", {votes.missing} missing", "yellow")
    return line


def _evidence(step: StepCritique) -> list[RenderableType]:
    """The rationale that speaks best for the verdict, and what the others ended in."""
    if not step.rationales:
        return []
    shown = max(step.rationales, key=lambda r: _support(r, step))
    parts = _rationale(shown)
    others = [r for r in step.rationales if r is not shown]
    if others:
        ends = ", ".join(f"{n} {word}" for word, n in sorted(_tally(others).items()))
        parts.append(Text(f"the other {len(others)}: {ends}", "dim"))
    return parts


def _support(rationale: Rationale, step: StepCritique) -> float:
    """How well a rationale stands for the step's verdict."""
    if rationale.verdict is None or rationale.verdict is not step.correct:
        return -1.0
    p = float(rationale.verdict) if rationale.p_yes is None else rationale.p_yes
    return p if step.correct else 1 - p


def _tally(rationales: list[Rationale]) -> dict[str, int]:
    words = [{True: "yes", False: "no", None: r.outcome.replace("_", " ")}[r.verdict] for r in rationales]
    return {word: words.count(word) for word in words}


def _rationale(rationale: Rationale) -> list[RenderableType]:
    parts: list[RenderableType] = []
    if rationale.analysis:
        parts += [Text("Analysis", "cyan"), _indented(rationale.analysis)]
    for check in rationale.checks:
        parts += _check(check)
    if rationale.outcome != "ok":
        reason = f": {plain(rationale.error)}" if rationale.error else ""
        parts.append(Text(f"({rationale.outcome.replace('_', ' ')}{reason})", "yellow"))
    return parts


def _check(check: Check) -> list[RenderableType]:
    result = check.result
    code = Syntax(plain(check.code), "python", theme="ansi_dark", background_color="default", word_wrap=True)
    parts: list[RenderableType] = [Text("Check", "cyan"), Padding(code, (0, 0, 0, 2))]
    parts.append(Text(f"Output ({result.status}, {result.wall_s * 1000:.0f} ms)", "cyan"))
    if result.stdout.strip():
        parts.append(_indented(result.stdout.strip("\n")))
    if result.error:
        parts.append(_indented(result.error, "red"))
    return parts


def _conclusion(critique: Critique) -> RenderableType:
    if critique.first_error == NO_ERROR:
        line = Text("No error found.", "bold green")
    elif critique.first_error is not None:
        line = Text(f"First error: step {critique.first_error + 1}.", "bold red")
    else:
        reason = f" {plain(critique.error)}" if critique.error else ""
        line = Text(f"The first error is not known ({critique.outcome.replace('_', ' ')}).{reason}", "bold yellow")
    gold = critique.solution.first_error
    if gold is None:
        return line
    label = "no error" if gold == NO_ERROR else f"step {gold + 1}"
    return Group(line, Text(f"Label: {label}.", "dim"))


def _indented(text: str, style: str = "") -> Padding:
    return Padding(Text(plain(text), style), (0, 0, 0, 2))
