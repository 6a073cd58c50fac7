"""What best of N comes to: every scorer and way to choose, at every N, next to votes and to what is possible."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from genprm.eval.bon_stats import Chooser, accuracy, candidate_sets, pass_at, sizes
from genprm.eval.paired import Estimate, Measure, means
from genprm.eval.report import Bootstrap
from genprm.eval.world_votes import sizes as vote_sizes
from genprm.eval.world_votes import subsets
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
        tuple(_point(key, found, rows, own) for key, found in draws.items()),
        tuple(_differences(draws)),
        tuple(_votes(vote_draws)),
        {"": failures(plain)} | {name: failures(ranked) for name, ranked in scored.items()},
        Bootstrap(resamples=resamples),
        dict(settings),
    )


Key = tuple[str, int]


def _columns(rows: Sequence[Ranked], scored: Scored, ns: Sequence[int]) -> dict[Key, list[float]]:
    """For every method and N a value a problem. Only the first candidates that every problem has are used."""
    found: dict[Key, list[float]] = {}
    most = max(ns, default=0)
    for n in ns:
        sets = candidate_sets(most, n)
        right = [[bool(hit) for hit in one.right[:most]] for one in rows]
        found[PASS, n] = [pass_at(hits, n) for hits in right]
        found[MAJORITY, n] = [accuracy(_majority(one), hits, sets) for one, hits in zip(rows, right, strict=True)]
        for name, ranked in scored.items():
            for rule in rules_of(ranked):
                for way in ("best", "weighted"):
                    choosers = (_by_score(one, rule, way) for one in ranked)
                    values = [accuracy(choose, hits, sets) for choose, hits in zip(choosers, right, strict=True)]
                    found[f"{name} · {rule} · {way}", n] = values
    return found


def rules_of(ranked: Sequence[Ranked]) -> list[Rule]:
    """The rules by which some candidate has a score."""
    some = [scores for one in ranked for scores in one.scores if not scores.error]
    return [rule for rule in RULES if any(aggregate(scores, rule) is not None for scores in some)]


def _majority(one: Ranked) -> Chooser:
    return lambda some: majority([one.answers[i] for i in some])


def _by_score(one: Ranked, rule: Rule, way: str) -> Chooser:
    return _by_values(one, [aggregate(scores, rule) for scores in one.scores], way)


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
            for rule in STEP_RULES:
                for way in ("best", "weighted"):
                    values = [_by_votes(one, rule, way, parts, n) for one in ranked]
                    found[f"{name} · {rule} · {way}", votes] = values
    return found


def votes_of(scores: Scores) -> int:
    """Votes that every step has; 0 for none."""
    return min(map(len, scores.votes), default=0)


def _by_votes(one: Ranked, rule: Rule, way: str, parts: Sequence[Sequence[int]], n: int) -> float:
    hits = 0
    for part in parts:
        values = [aggregate(fewer(scores, part), rule) for scores in one.scores[:n]]
        index = _by_values(one, values, way)(range(n)).index
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


def _point(key: Key, found: Estimate, rows: Sequence[Ranked], scored: Scored) -> Point:
    method, n = key
    candidates = [one for row in rows for one in row.group.candidates]
    policy = sum(one.tokens for one in candidates) / max(len(candidates), 1)
    usage = Usage()
    for ranked in [scored[name]] if (name := method.partition(" · ")[0]) in scored else []:
        usage = sum((scores.usage for one in ranked for scores in one.scores), Usage())
    each = max(len(candidates), 1)
    written = n * (policy + usage.completion_tokens / each)
    return Point(method, n, found.measure(), written, n * usage.prompt_tokens / each)


def _differences(draws: Mapping[Key, Estimate]) -> list[Difference]:
    """Every method against majority, and against the best by an outcome head."""
    outcomes = {method for method, _ in draws if method.endswith(" · outcome · best")}
    found = []
    for (method, n), own in draws.items():
        for against in (MAJORITY, *sorted(outcomes)):
            if method not in (against, PASS) and n > 1:
                found.append(Difference(method, against, n, own.minus(draws[against, n])))
    return found
