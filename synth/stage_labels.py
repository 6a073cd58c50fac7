"""Stage 3: labels by the scheme, by further labelers, and how far all of them agree."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import msgspec

from genprm.synth.agreement import Agreement, Share
from genprm.synth.agreement import agree as cross_validate
from genprm.synth.agreement import consensus as majorities
from genprm.synth.labels import cut
from genprm.synth.pipeline import Counts, Shop, Stage
from genprm.synth.schemes import read_cut
from genprm.synth.stage_items import Values, attempts_in, id_of
from genprm.synth.stages import Done, costs
from genprm.synth.types import Attempt, Label, Labelled, StepLabel, Valued
from genprm.synth.working_labelers import Working, at_work

Votes = Mapping[str, Mapping[str, Labelled]]
"""Of further labelers: by solution, by labeler."""


async def labelers(shop: Shop, stage: Stage) -> Counts:
    """Ask every further labeler about every attempt. A labeler and an attempt are an item."""

    async def work(item: tuple[Working, Attempt]) -> Labelled:
        working, attempt = item
        try:
            return replace(await working.labeler.label(attempt), labeler=working.name)
        finally:
            if working.ledger and working.ledger.broken:  # which a critic takes for a failure of the attempt
                raise working.ledger.broken

    async with shop.opened(stage) as opened, at_work(shop, opened.run.folder) as working:
        items = [(one, attempt) for attempt in attempts_in(shop) for one in working]
        done = await opened.work_on(
            items,
            work,
            Labelled,
            key=lambda item: f"{item[0].name} {id_of(item[1])}",
            at_once=max((one.ledger.concurrency for one in working if one.ledger), default=8),
        )
        each = {one.name: _of_labeler(one, done[place :: len(working)]) for place, one in enumerate(working)}
    total = Counter[str]()
    for counts in each.values():
        total.update(counts["cost"])
    failed = sum(counts["failed"] for counts in each.values())
    cost = {name: round(value, 6) for name, value in total.items()}
    return {"solutions": len(items) // len(working), "failed": failed, "labelers": each, "cost": cost}


def _of_labeler(working: Working, done: Sequence[Done[Labelled]]) -> Counts:
    found = [line.record for line in done if line.record is not None]
    cost = costs(working.ledger, working.prices) if working.ledger else {}
    return {"solutions": len(done), "failed": len(done) - len(found), "steps": _steps(found), "cost": cost}


async def labels(shop: Shop, stage: Stage) -> Counts:
    """Cut labels from values; with ``by = "majority"`` the scheme is one labeler of several."""
    options = shop.pipeline.labels
    assert options is not None
    scheme = _by_scheme(shop)
    votes = _votes(shop)

    async def work(valued: Valued) -> Labelled:
        labelled = scheme(valued)
        if options.by == "scheme":
            return labelled
        return majority([labelled, *votes.get(id_of(valued.attempt), {}).values()])

    async with shop.opened(stage) as opened:
        items = [valued for values in shop.read("values", Values) for valued in values]
        done = await opened.work_on(items, work, Labelled, key=lambda valued: id_of(valued.attempt))
    found = [line.record for line in done if line.record is not None]
    counts: Counts = {"solutions": len(done), "failed": len(done) - len(found), "steps": _steps(found)}
    if not options.labelers:
        return counts
    labelled = [scheme(valued) for valued, line in zip(items, done, strict=True) if line.record is not None]
    return counts | compared(labelled, votes, options.labelers)


def majority(labelled: Sequence[Labelled]) -> Labelled:
    """What most labelers say of each step, by those that are sure of it; unsure at a tie. The score is the share of
    them that say right."""
    given = [[step.label for step in one.steps] for one in labelled]
    said = zip(majorities(given), zip(*given, strict=True), strict=True)
    return Labelled(labelled[0].attempt, "majority", tuple(StepLabel(label, _share(votes)) for label, votes in said))


def compared(labelled: Sequence[Labelled], votes: Votes, names: Sequence[str]) -> Counts:
    """Agreement and kappa of the scheme and the labelers ``names``. Where one of them failed on a solution it has no
    label of its steps; ``missing`` counts those solutions."""
    if not labelled:
        return {}
    others = {name: [votes.get(id_of(one.attempt), {}).get(name) for one in labelled] for name in names}
    table = {labelled[0].labeler: [_labels(one, one) for one in labelled]}
    table |= {name: [_labels(*pair) for pair in zip(given, labelled, strict=True)] for name, given in others.items()}
    agreement = cross_validate(table)
    told = {**msgspec.to_builtins(agreement), "missing": {name: given.count(None) for name, given in others.items()}}
    return {"agreement": told, "in_words": in_words(agreement)}


def _labels(labelled: Labelled | None, like: Labelled) -> list[Label]:
    """None for each step of ``like`` where there are none."""
    return [step.label for step in labelled.steps] if labelled else [None] * len(like.steps)


def in_words(agreement: Agreement) -> str:
    """The scheme with each of the others; the report has all pairs."""
    scheme = agreement.pairs[0].one
    return "; ".join(
        f"{pair.one} and {pair.other} agree {_figure(pair.agreement, '.1%')}, kappa {_figure(pair.kappa, '.2f')}"
        for pair in agreement.pairs
        if pair.one == scheme
    )


def further_labels(shop: Shop) -> list[Labelled]:
    """Of stage ``labelers``, where the pipeline has it."""
    return shop.read("labelers", Labelled) if shop.pipeline.labelers else []


def _by_scheme(shop: Shop) -> Callable[[Valued], Labelled]:
    """Its function raises LookupError for an attempt that the prover failed on."""
    options, pipeline = shop.pipeline.labels, shop.pipeline
    assert options is not None
    how = read_cut(options.scheme, options.alpha, options.best_of)
    if pipeline.prover is None:
        return lambda valued: cut(valued, how)
    provers = {id_of(one.attempt): one for values in shop.read("prover", Values) for one in values}

    def under_prover(valued: Valued) -> Labelled:
        if (prover := provers.get(id_of(valued.attempt))) is None:
            raise LookupError("the prover has no values of this attempt")
        return cut(valued, how, prover)

    return under_prover


def _votes(shop: Shop) -> Votes:
    votes: dict[str, dict[str, Labelled]] = defaultdict(dict)
    for one in further_labels(shop):
        votes[id_of(one.attempt)][one.labeler] = one
    return votes


def _share(votes: Sequence[Label]) -> float | None:
    sure = [vote for vote in votes if vote is not None]
    return sum(sure) / len(sure) if sure else None


def _steps(labelled: Sequence[Labelled]) -> dict[str, int]:
    names = {True: "right", False: "wrong", None: "unsure"}
    return dict(Counter(names[step.label] for one in labelled for step in one.steps))


def _figure(share: Share, form: str) -> str:
    return "–" if share.value is None else format(share.value, form)
