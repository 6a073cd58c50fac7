"""``genprm rank``."""

import argparse
import dataclasses
import hashlib
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from genprm import records
from genprm.candidates import Group, read_groups
from genprm.engines import open_engine
from genprm.engines.base import require_sound
from genprm.errors import ConfigError
from genprm.rank import Ranked, Rule, aggregate, choices, failures, is_right
from genprm.rank_run import all_compared, sampled, scored
from genprm.runs import Run, config_of_program, default_folder
from genprm.sandbox.text import plain
from genprm.scorers import open_scorer
from genprm.show import stdout
from genprm.types import Sampling


@dataclasses.dataclass(frozen=True, slots=True)
class Chosen:
    """What ``--json`` prints for a problem."""

    id: str
    problem: str
    way: str
    index: int | None
    """Of the chosen candidate, from 0; None where there is nothing to choose by."""
    answer: str | None
    right: bool | None
    tied: int
    scores: tuple[float | None, ...]
    """Of all candidates, by the rule."""


def rank(args: argparse.Namespace) -> Coroutine[Any, Any, int]:
    """``genprm rank``: 1 where a problem has no choice."""
    if args.weighted and not args.scorer:
        raise ConfigError("--weighted needs scores: --scorer")
    return _rank(args, groups_of(args))


def groups_of(args: argparse.Namespace) -> list[Group]:
    """The problems of the source that ``--limit`` leaves, with their candidates."""
    if args.limit is not None and args.limit < 1:
        raise ConfigError("--limit needs a number above 0")
    if args.policy and args.n < 1:
        raise ConfigError("-n needs a number above 0")
    return read_groups(args.source)[: args.limit]


async def _rank(args: argparse.Namespace, groups: Sequence[Group]) -> int:
    config = config_of(args, groups)
    with Run(Path(args.run) if args.run else default_folder("rank", config), config) as run:
        groups = await with_candidates(args, groups, run)
        ranked = await all_compared(groups)
        if args.scorer:
            async with open_scorer(args.scorer) as scorer:
                found = await scored(groups, scorer, run, retry_failed=args.retry_failed)
            ranked = [dataclasses.replace(one, scores=scores) for one, scores in zip(ranked, found, strict=True)]
    way = "majority" if not args.scorer else "weighted" if args.weighted else "best"
    chosen = [_chosen(one, args.by, way) for one in ranked]
    if args.json:
        for one in chosen:
            sys.stdout.write(records.to_json(one).decode() + "\n")
    else:
        _show(chosen, ranked, args.by)
    return int(any(one.index is None for one in chosen))


def _chosen(ranked: Ranked, rule: Rule, way: str) -> Chosen:
    choice, group = choices(ranked, rule)[way], ranked.group
    taken = None if choice.index is None else group.candidates[choice.index]
    values = tuple(aggregate(scores, rule) for scores in ranked.scores)
    right = None if choice.index is None else ranked.right[choice.index]
    answer = taken.answer if taken else None
    return Chosen(group.id, group.problem.text, way, choice.index, answer, right, choice.tied, values)


def _show(chosen: Sequence[Chosen], ranked: Sequence[Ranked], rule: Rule) -> None:
    console = stdout()
    table = Table("problem", "chosen", "answer", "right", "tied", "scores", box=None)
    for one in chosen:
        scores = " ".join("-" if score is None else f"{score:.2f}" for score in one.scores)
        index = "none" if one.index is None else f"{one.index + 1}"
        right = {None: "?", True: "yes", False: "no"}[one.right]
        table.add_row(one.id, index, Text(plain(one.answer or "-")), right, str(one.tied), scores)
    console.print(table)
    for name, count in failures(ranked).items():
        console.print(f"{name}: {count}", style="yellow")
    for line in _summary(ranked, rule):
        console.print(line)


def _summary(ranked: Sequence[Ranked], rule: Rule) -> list[str]:
    """Accuracy of each way to choose, where the right answers are known."""
    known = [one for one in ranked if None not in one.right and one.right]
    if not known:
        return ["no reference answers: nobody can say which are right"]
    every = [choices(one, rule) for one in known]
    shares = {
        way: sum(bool(is_right(one, found[way])) for one, found in zip(known, every, strict=True)) for way in every[0]
    }
    shares |= {"pass@N": sum(any(one.right) for one in known)}
    single = sum(sum(map(bool, one.right)) / len(one.right) for one in known) / len(known)
    told = " · ".join(f"{way} {count / len(known):.1%}" for way, count in shares.items())
    return [f"{len(known)} problems · single {single:.1%} · {told} · steps by {rule}"]


# --- shared with genprm eval bon -----------------------------------------------------------------------------------


def config_of(args: argparse.Namespace, groups: Sequence[Group]) -> dict[str, Any]:
    """All that the results depend on."""
    policy = {"policy": args.policy, "n": args.n, "sampling": sampling_of(args)} if args.policy else {}
    texts = records.to_json([(group.problem, () if args.policy else group.candidates) for group in groups])
    data = hashlib.blake2b(texts, digest_size=8).hexdigest()
    return {"rows": len(groups), "data": data, **policy, **config_of_program()}


async def with_candidates(args: argparse.Namespace, groups: Sequence[Group], run: Run) -> Sequence[Group]:
    """Sampled where a policy is named."""
    if not args.policy:
        return groups
    async with open_engine(args.policy) as policy:
        return await sampled(groups, policy, args.n, sampling_of(args), run, args.concurrency)


def sampling_of(args: argparse.Namespace) -> Sampling:
    """Of the policy."""
    sampling = Sampling(args.temperature, args.top_p, args.top_k, max_tokens=args.max_tokens, seed=args.seed)
    require_sound(sampling)
    return sampling
