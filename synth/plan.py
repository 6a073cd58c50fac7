"""What a pipeline will cost, before anything runs: calls, tokens, time and money by stage, and what that rests on.

What stages that are done have measured is taken from their reports; else what ``[plan]`` says; else a guess, and said
to be one.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from genprm import records
from genprm.synth.config import EngineOf, LabelersOf, Pipeline, ValuesOf
from genprm.synth.existing import read_existing
from genprm.synth.pipeline import prices_of
from genprm.synth.plans import Plan as ValuePlan
from genprm.synth.plans import read_plan
from genprm.synth.problems import read_problems
from genprm.synth.prompts import template
from genprm.synth.sampling import Rounds, Strategy

_CHARS = 4.0
"""Of a token of English text, for prompts."""
_GUESSES = {"tokens": 300.0, "steps": 8.0, "tokens_per_rationale": 420.0}
"""The last is the middle of the 345 to 503 tokens a step of arXiv 2504.00891."""
_ADAPTIVE_K = 12.0
_PAPER_K = 64.0
_CALLS_PER_RATIONALE = 2.0
"""The analysis with the code, and what follows its output."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one stage. Prompt tokens are counted whole, also those that a prefix cache would serve."""

    stage: str
    items: float
    calls: float = 0.0
    prompt_tokens: float = 0.0
    tokens: float = 0.0
    """Generated."""
    seconds: float | None = 0.0
    """None: the speed of the engine is not known."""
    money: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    costs: tuple[Cost, ...]
    assumptions: tuple[str, ...]

    @property
    def total(self) -> Cost:
        known = [cost.seconds for cost in self.costs]
        return Cost(
            "in all",
            0,
            sum(cost.calls for cost in self.costs),
            sum(cost.prompt_tokens for cost in self.costs),
            sum(cost.tokens for cost in self.costs),
            None if None in known else sum(second for second in known if second),
            sum(cost.money for cost in self.costs),
        )


def make_plan(pipeline: Pipeline, folder: Path) -> Plan:
    """Reads the problems, and the reports in ``folder``; runs nothing.

    Raises:
        InputError: the problems cannot be read.
    """
    return _Planner(pipeline, folder).plan()


class _Planner:
    def __init__(self, pipeline: Pipeline, folder: Path) -> None:
        self._pipeline = pipeline
        self._reports = {path.parent.name.partition("-")[2]: _read(path) for path in folder.glob("*-*/report.json")}
        self._said: list[str] = []
        self._costs: list[Cost] = []
        measured = self._reports.get("solutions", {})
        self._tokens = self._known("tokens", measured.get("mean_tokens"), "tokens of a solution")
        self._steps = self._known("steps", measured.get("mean_steps"), "steps of a solution")

    def plan(self) -> Plan:
        n = self._solutions()
        if self._pipeline.values:
            self._values("values", n, self._pipeline.values)
        if self._pipeline.prover:
            self._values("prover", n, self._pipeline.prover)
        if self._pipeline.labelers:
            self._labelers(n, self._pipeline.labelers)
        if self._pipeline.rationales:
            self._rationales(n)
        return Plan(tuple(self._costs), tuple(dict.fromkeys(self._said)))

    def _known(self, name: str, measured: float | None, what: str) -> float:
        given = getattr(self._pipeline.plan, name)
        value, how = (
            (measured, "measured") if measured else (given, "as given") if given else (_GUESSES[name], "a guess")
        )
        self._said.append(f"{value:g} {what} ({how})")
        return float(value)

    def _solutions(self) -> float:
        """How many there will be."""
        options = self._pipeline.solutions
        if options.existing is not None:
            existing = read_existing(options.existing, split=options.split, limit=options.limit, fields=options.fields)
            self._add("solutions", len(existing), None, 0, 0, 0)
            return sum(len(one.solutions) for one in existing)
        n_problems, chars = self._problems
        draws = self._draws(options.rounds)
        each = [_calls_and_prompts(one, chars, self._steps, self._tokens) for one in options.strategies]
        calls, prompts, written = (sum(column) / len(each) for column in zip(*each, strict=True))
        n = n_problems * draws
        self._add("solutions", n_problems, options.engine, n * calls, n * prompts, n * written)
        return self._going_on(n, draws)

    @functools.cached_property
    def _problems(self) -> tuple[int, float]:
        """How many, and their mean length in characters."""
        source = self._pipeline.problems
        assert source is not None  # the reader of the file saw to it
        posed = read_problems(source.source, split=source.split, limit=source.limit, fields=source.fields).posed
        return len(posed), sum(len(one.problem.text) for one in posed) / len(posed)

    def _draws(self, rounds: Rounds) -> float:
        report, given = self._reports.get("solutions"), self._pipeline.plan.draws
        if report:
            self._said.append(f"{report['draws'] / report['problems']:g} draws of a problem (measured)")
            return float(report["draws"] / report["problems"])
        if given:
            self._said.append(f"{given:g} draws of a problem (as given)")
            return given
        middle = min(rounds.cap, rounds.first * (1 + rounds.growth))
        self._said.append(f"{middle:g} draws of a problem (a guess: two rounds; at most {rounds.cap})")
        return middle

    def _going_on(self, n: float, draws: float) -> float:
        report = self._reports.get("solutions")
        if report:
            return float(report["solutions"])
        keep = self._pipeline.solutions.rounds.keep
        self._said.append("every solution goes on (a guess: fewer where a problem has right or wrong ones only)")
        return n if not keep else min(n, 2 * keep * n / max(draws, 1))

    def _values(self, stage: str, n: float, options: ValuesOf) -> None:
        each, left = self._measured_completions(stage) or self._guessed_completions(options)
        self._complete(stage, n, options, each, left)

    def _complete(self, stage: str, n: float, options: ValuesOf, each: float, left: float) -> None:
        """``each`` completions of a solution, ``left`` tokens long."""
        prompt = len(template(options.prompt)) / _CHARS + self._problem_tokens() + self._tokens / 2
        self._add(stage, n, options.engine, n * each, n * each * prompt, n * each * left)

    def _labelers(self, n: float, labelers: LabelersOf) -> None:
        """Heuristics and dropout make no calls."""
        for spec in labelers.specs:
            stage = f"labelers: {spec.name}"
            if spec.kind == "judge":
                self._critique(stage, n, spec.of)
            elif spec.kind == "tree" and labelers.values:
                self._said.append(f"{spec.of} completions of a solution in a tree, {self._tokens / 2:g} tokens long")
                self._complete(stage, n, labelers.values, float(spec.of), self._tokens / 2)
            elif spec.kind == "rollouts" and labelers.values:
                asked = msgspec.structs.replace(labelers.values, plan=spec.of, budget=None)
                self._complete(stage, n, asked, *self._guessed_completions(asked))

    def _measured_completions(self, stage: str) -> tuple[float, float] | None:
        """Of a solution, and their tokens; None where the stage is not done."""
        report = self._reports.get(stage, {})
        cost = report.get("cost", {})
        if not report.get("solutions") or not cost.get("calls"):
            return None
        each, left = cost["calls"] / report["solutions"], cost["completion_tokens"] / cost["calls"]
        self._said.append(f"{each:.1f} completions of a solution, {left:.0f} tokens long (measured)")
        return each, left

    def _guessed_completions(self, options: ValuesOf) -> tuple[float, float]:
        plan = read_plan(options.plan)
        prefixes, how = self._searched(plan)
        k = self._completions(plan)
        # From the middle of a solution on the mean, whichever prefixes are completed.
        left = self._tokens / 2
        self._said.append(
            f"{prefixes:g} prefixes of a solution ({how}), {k:g} completions of each, {left:g} tokens long"
        )
        if options.budget is not None and options.budget < prefixes * k:
            self._said.append(f"{options.budget} completions of a solution at most (its budget)")
            return float(options.budget), left
        return prefixes * k, left

    def _searched(self, plan: ValuePlan) -> tuple[float, str]:
        if plan.binary:
            return math.ceil(math.log2(max(self._steps, 2))) + 1, "by halves"
        return self._steps, "all but the last, and the bare problem"

    def _completions(self, plan: ValuePlan) -> float:
        if plan.kind == "fixed":
            return plan.k
        if plan.kind == "paper":
            self._said.append(f"{_PAPER_K:g} completions, the middle of 32, 64, 128 by the problem's Pass@1")
            return _PAPER_K
        k = min(_ADAPTIVE_K, plan.k)
        self._said.append(f"{k:g} completions until a label is settled (a guess)")
        return k

    def _problem_tokens(self) -> float:
        chars = self._reports.get("solutions", {}).get("mean_problem_chars")
        return (chars or (self._problems[1] if self._pipeline.problems else 400.0)) / _CHARS

    def _rationales(self, n: float) -> None:
        options = self._pipeline.rationales
        assert options is not None
        self._critique("rationales", n, options.engine)

    def _critique(self, stage: str, n: float, engine: str) -> None:
        """A rationale of every step."""
        each = self._known("tokens_per_rationale", None, "tokens of a step's rationale")
        calls = n * self._steps * _CALLS_PER_RATIONALE
        # A call reads the problem, the steps and half of the rationales.
        prompt = self._problem_tokens() + self._tokens + self._steps * each / 2
        self._add(stage, n, engine, calls, calls * prompt, n * self._steps * each)

    def _add(
        self, stage: str, items: float, engine: str | None, calls: float, prompt_tokens: float, tokens: float
    ) -> None:
        cost = Cost(stage, items, calls, prompt_tokens, tokens)
        if engine is not None:
            chosen = self._pipeline.engine(engine)
            money = prices_of(chosen).cost(prompt_tokens, tokens)
            cost = replace(cost, seconds=self._seconds(stage, engine, chosen, tokens), money=money)
        self._costs.append(cost)

    def _seconds(self, stage: str, name: str, engine: EngineOf, tokens: float) -> float | None:
        speed = engine.tokens_per_s or self._reports.get(stage, {}).get("cost", {}).get("tokens_per_s")
        if speed:
            self._said.append(f"{name}: {speed:.0f} tokens/s ({'as given' if engine.tokens_per_s else 'measured'})")
            return tokens / speed
        self._said.append(f"{name}: its speed is not known; [engines.{name}] tokens_per_s says it")
        return None


def _calls_and_prompts(one: Strategy, chars: float, steps: float, tokens: float) -> tuple[float, float, float]:
    """Calls, tokens read and tokens written of one draw."""
    prompt = (len(template(one.prompt)) + chars) / _CHARS
    if one.kind != "beam":
        return 1.0, prompt, tokens
    depth = min(steps, one.max_steps)
    calls = one.branching * (1 + one.width * (depth - 1))
    return calls, calls * (prompt + tokens / 2), calls * tokens / steps


def _read(path: Path) -> Mapping[str, Any]:
    return records.from_json(path.read_bytes(), dict[str, Any], str(path))


def render(plan: Plan) -> tuple[Table, Sequence[str]]:
    """A table, and the assumptions under it."""
    table = Table("stage", "items", "calls", "tokens read", "tokens written", "time", "money", box=None)
    for cost in (*plan.costs, plan.total):
        table.add_row(
            cost.stage,
            f"{cost.items:,.0f}" if cost.items else "",
            f"{cost.calls:,.0f}",
            f"{cost.prompt_tokens:,.0f}",
            f"{cost.tokens:,.0f}",
            "?" if cost.seconds is None else _time(cost.seconds),
            f"{cost.money:,.2f}",
        )
    return table, plan.assumptions


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
