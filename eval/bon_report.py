"""What best of N comes to: every scorer and way to choose, at every N, next to votes and to what is possible."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from genprm.eval.bon_stats import Chooser, accuracy, candidate_sets, sizes
from genprm.eval.bon_steps import StepsToldApart, told_apart
from genprm.eval.paired import Estimate, Measure, means
from genprm.eval.report import Bootstrap
from genprm.eval.world_votes import sizes as vote_sizes
from genprm.eval.world_votes import subsets
from genprm.provers import best_of_counts
from genprm.rank import RULES, STEP_RULES, Choice, Ranked, Rule, aggregate, best, failures, majority, weighted
from genprm.scorers.base import Scores
from genprm.types import Usage

MAJORITY, PASS = "majority", "pass@N"
Scored = Mapping[str, Sequence[Ranked]]
"""The same problems by each scorer's name, with its scores."""


@dataclass(frozen=True, slots=True)
class Point:
    """One method at one number of candidates."""

    method: str
    n: int
    accuracy: Measure
    written: float
    """Tokens that policy and scorer wrote, a problem; where the policy's are not known, the scorer's alone."""
    read: float
    """Tokens that the scorer read, a problem, those from a cache among them."""


@dataclass(frozen=True, slots=True)
class Difference:
    """``method`` minus ``against``, on the same problems and candidates."""

    method: str
    against: str
    n: int
    difference: Measure


@dataclass(frozen=True, slots=True)
class VotePoint:
    """A critic of fewer votes than were given, at the greatest number of candidates."""

    method: str
    votes: int
    accuracy: Measure
    gain: Measure
    """Over one vote."""


@dataclass(frozen=True, slots=True)
class BonReport:
    """The content of ``report.json``. Shares lie in [0, 1]."""

    problems: int
    left_out: Mapping[str, int]
    """Problems without candidates, or whose right answer nobody knows."""
    points: tuple[Point, ...]
    differences: tuple[Difference, ...]
    votes: tuple[VotePoint, ...]
    steps: tuple[StepsToldApart, ...]
    failures: Mapping[str, Mapping[str, int]]
    """By scorer, empty name for the candidates alone."""
    bootstrap: Bootstrap
    settings: Mapping[str, Any] = field(default_factory=dict)


def build(plain: Sequence[Ranked], scored: Scored, settings: Mapping[str, Any], *, resamples: int = 2000) -> BonReport:
    """``plain`` are the problems without scores, in the order of those in ``scored``."""
    kept = [n for n, one in enumerate(plain) if one.right and None not in one.right]
    left_out = {
        "problem without candidates": sum(not one.right for one in plain),
        "right answer not known": sum(bool(one.right) and None in one.right for one in plain),
    }
    rows = [plain[n] for n in kept]
    own = {name: [ranked[n] for n in kept] for name, ranked in scored.items()}
    n_max = min((len(one.right) for one in rows), default=0)
    columns = _columns(rows, own, sizes(n_max))
    vote_columns = _vote_columns(own, n_max)
    draws, vote_draws = means(columns, resamples=resamples), means(vote_columns, resamples=resamples)
    return BonReport(
        len(rows),
        {name: count for name, count in left_out.items() if count},
        tuple(_points(draws, rows, own)),
        tuple(_differences(draws)),
        tuple(_votes(vote_draws)),
        tuple(told_apart(scored, resamples)),
        {"": failures(plain)} | {name: failures(ranked) for name, ranked in scored.items()},
        Bootstrap(resamples=resamples),
        dict(settings),
    )


Key = tuple[str, int]


def _columns(rows: Sequence[Ranked], scored: Scored, ns: Sequence[int]) -> dict[Key, list[float]]:
    """For every method and N a value a problem. Only the first candidates that every problem has are used."""
    found: dict[Key, list[float]] = {}
    most = max(ns, default=0)
    right = [[bool(hit) for hit in one.right[:most]] for one in rows]
    choosers = {MAJORITY: [_majority(one) for one in rows], **_choosers(scored)}
    for n in ns:
        sets = candidate_sets(most, n)
        found[PASS, n] = [best_of_counts(sum(hits), most, n) or 0.0 for hits in right]
        for name, own in choosers.items():
            found[name, n] = [accuracy(choose, hits, sets) for choose, hits in zip(own, right, strict=True)]
    return found


def _choosers(scored: Scored) -> dict[str, list[Chooser]]:
    """By scorer, rule and way: for each problem."""
    found = {}
    for name, ranked in scored.items():
        for rule in rules_of(ranked):
            values = [[aggregate(scores, rule) for scores in one.scores] for one in ranked]
            for way in ("best", "weighted"):
                choosers = [_by_values(one, own, way) for one, own in zip(ranked, values, strict=True)]
                found[f"{name} · {rule} · {way}"] = choosers
    return found


def rules_of(ranked: Sequence[Ranked]) -> list[Rule]:
    """The rules by which some candidate has a score."""
    some = [scores for one in ranked for scores in one.scores if not scores.error]
    return [rule for rule in RULES if any(aggregate(scores, rule) is not None for scores in some)]


def _majority(one: Ranked) -> Chooser:
    return lambda some: majority([one.answers[i] for i in some])


def _by_values(one: Ranked, values: Sequence[float | None], way: str) -> Chooser:
    choose = best if way == "best" else weighted

    def chosen(some: Sequence[int]) -> Choice:
        return choose([values[i] for i in some], [one.answers[i] for i in some])

    return chosen


# --- votes ---------------------------------------------------------------------------------------------------------


def _vote_columns(scored: Scored, n: int) -> dict[Key, list[float]]:
    """Critics of 1, 2, 4, … votes, at ``n`` candidates: the mean over the parts that the votes fall into."""
    found: dict[Key, list[float]] = {}
    for name, ranked in scored.items():
        given = min((votes_of(scores) for one in ranked for scores in one.scores[:n] if not scores.error), default=0)
        for votes in vote_sizes(given) if given > 1 else ():
            parts = subsets(given, votes)
            thinned = [[[fewer(scores, part) for scores in one.scores[:n]] for part in parts] for one in ranked]
            for rule in STEP_RULES:
                values = [[[aggregate(scores, rule) for scores in part] for part in own] for own in thinned]
                for way in ("best", "weighted"):
                    shares = [_by_votes(one, own, way) for one, own in zip(ranked, values, strict=True)]
                    found[f"{name} · {rule} · {way}", votes] = shares
    return found


def votes_of(scores: Scores) -> int:
    """Votes that every step has; 0 for none."""
    return min(map(len, scores.votes), default=0)


def _by_votes(one: Ranked, parts: Sequence[Sequence[float | None]], way: str) -> float:
    hits = 0
    for values in parts:
        index = _by_values(one, values, way)(range(len(values))).index
        hits += index is not None and bool(one.right[index])
    return hits / len(parts)


def fewer(scores: Scores, votes: Sequence[int]) -> Scores:
    """What a critic of these votes alone would say: the means of what they say."""
    steps = []
    for row in scores.votes:
        given = [value for vote in votes if (value := row[vote]) is not None]
        steps.append(sum(given) / len(given) if given else None)
    return Scores(tuple(steps), error=scores.error)


def _votes(draws: Mapping[Key, Estimate]) -> list[VotePoint]:
    return [
        VotePoint(method, votes, found.measure(), found.minus(draws[method, 1]))
        for (method, votes), found in draws.items()
    ]


# --- points --------------------------------------------------------------------------------------------------------


def _points(draws: Mapping[Key, Estimate], rows: Sequence[Ranked], scored: Scored) -> Iterator[Point]:
    candidates = [one for row in rows for one in row.group.candidates]
    each, policy = max(len(candidates), 1), sum(one.tokens for one in candidates)
    spent = {
        name: sum((scores.usage for one in ranked for scores in one.scores), Usage()) for name, ranked in scored.items()
    }
    for (method, n), found in draws.items():
        usage = spent.get(method.partition(" · ")[0], Usage())
        written = n * (policy / each + usage.completion_tokens / each)
        yield Point(method, n, found.measure(), written, n * usage.prompt_tokens / each)


def _differences(draws: Mapping[Key, Estimate]) -> list[Difference]:
    """Every method against majority and against the best by an outcome head; weighted votes also against those that
    are weighted with its opinion."""
    outcomes = sorted({method for method, _ in draws if " · outcome · " in method})
    found = []
    for (method, n), own in draws.items():
        weighted = method.endswith(" · weighted")
        for against in (MAJORITY, *(one for one in outcomes if weighted or one.endswith(" · best"))):
            if method not in (against, PASS) and n > 1:
                found.append(Difference(method, against, n, own.minus(draws[against, n])))
    return found
