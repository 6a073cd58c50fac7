"""What each stage of the pipeline does with the records of those before it."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import msgspec

from genprm.api import require_started
from genprm.problems import Posed
from genprm.runs import versions
from genprm.sandbox import Sandbox
from genprm.synth.card import Stage as CardStage
from genprm.synth.config import ExportOf, options_of
from genprm.synth.consensus import agree, in_words, to_report
from genprm.synth.conversations import to_conversation
from genprm.synth.dataset_rows import Row
from genprm.synth.decontamination import Evaluation, read_known
from genprm.synth.existing import Existing, grade_existing, read_existing
from genprm.synth.export import ExportOptions
from genprm.synth.export import export as write_dataset
from genprm.synth.pipeline import Counts, Shop, Stage
from genprm.synth.problems import read_problems
from genprm.synth.quality import Finding, QualityOptions, assess
from genprm.synth.rationales import Teaching, teach
from genprm.synth.sampling import Sampled, Solver
from genprm.synth.stage_items import Values, attempts_in, attempts_of, id_of
from genprm.synth.stage_labels import further_labels, labelers, labels
from genprm.synth.stage_values import values
from genprm.synth.stages import Done
from genprm.synth.types import NO_EVIDENCE, Attempt, Kept, Labelled, Taught
from genprm.types import Message, Usage

# --- 1: solutions --------------------------------------------------------------------------------------------------


async def solutions(shop: Shop, stage: Stage) -> Counts:
    """Sample or read them."""
    options = shop.pipeline.solutions
    if options.existing is not None:
        existing = read_existing(options.existing, split=options.split, limit=options.limit, fields=options.fields)
        return await _existing(shop, stage, existing)
    source = shop.pipeline.problems
    assert source is not None  # the reader of the file saw to it
    found = read_problems(source.source, split=source.split, limit=source.limit, fields=source.fields)
    left_out = {"repeated_problems": found.repeated, "unanswered_problems": found.unanswered}
    return {**await _sampled(shop, stage, found.posed), **left_out}


async def _sampled(shop: Shop, stage: Stage, problems: Sequence[Posed]) -> Counts:
    options = shop.pipeline.solutions
    async with shop.opened(stage) as opened:
        assert opened.engine is not None
        solver = Solver(
            opened.engine,
            shop.grader,
            options.strategies,
            options.rounds,
            max_tokens=options.max_tokens,
            seed=shop.pipeline.seed,
        )
        done = await opened.work_on(problems, solver.sample, Sampled, key=lambda posed: posed.id)
        return {**_of_solutions(done, options.both), "cost": opened.cost}


async def _existing(shop: Shop, stage: Stage, existing: Sequence[Existing]) -> Counts:
    async def work(one: Existing) -> Sampled:
        return await grade_existing(one, shop.grader)

    async with shop.opened(stage) as opened:
        done = await opened.work_on(existing, work, Sampled, key=lambda one: one.id)
    return _of_solutions(done, shop.pipeline.solutions.both)


def _of_solutions(done: Sequence[Done[Sampled]], both: bool) -> Counts:
    found = [line.record for line in done if line.record is not None]
    attempts = attempts_of(found, both)
    grades: Counter[str] = Counter()
    for one in found:
        grades.update(one.grades)
    return {
        "problems": len(done),
        "failed": len(done) - len(found),
        "draws": sum(one.draws for one in found),
        "solutions": len(attempts),
        "kinds": dict(Counter(one.kinds for one in found)),
        "grades": dict(grades),
        "dropped": {
            "repeated": sum(one.repeated for one in found),
            "empty": sum(one.empty for one in found),
            "surplus": sum(one.surplus for one in found),
            "one_kind_only": sum(len(one.attempts) for one in found) - len(attempts),
        },
        "mean_steps": _mean(len(attempt.solution.steps) for one in found for attempt in one.attempts),
        "mean_tokens": _mean(attempt.usage.completion_tokens for one in found for attempt in one.attempts),
        "mean_problem_chars": _mean(len(one.problem.text) for one in found),
    }


def _mean(values: Iterable[float]) -> float:
    given = list(values)
    return round(sum(given) / len(given), 2) if given else 0.0


# --- 4: quality ----------------------------------------------------------------------------------------------------


async def quality(shop: Shop, stage: Stage) -> Counts:
    """Drop what is not worth a teacher's time."""
    options = shop.pipeline.quality
    assert options is not None
    attempts = attempts_in(shop)
    bounds = options_of(options.bounds, QualityOptions, stage.name, "bounds")
    evaluation = Evaluation(read_known(options.against)) if options.against else None
    assessment = assess(attempts, bounds, evaluation)
    found = {finding.id: finding for finding in assessment.findings}

    async def work(attempt: Attempt) -> Finding:
        return found[id_of(attempt)]

    async with shop.opened(stage) as opened:
        await opened.work_on(attempts, work, Finding, key=id_of)
    dropped = {reason: count for reason, count in assessment.dropped.items() if count}
    return {"solutions": len(attempts), "kept": len(assessment.kept), "dropped": dropped}


# --- 5: rationales -------------------------------------------------------------------------------------------------


async def rationales(shop: Shop, stage: Stage) -> Counts:
    """Ask a teacher about each solution that is left."""
    options = shop.pipeline.rationales
    assert options is not None
    teaching = options_of(options.options, Teaching, stage.name, "options", seed=shop.pipeline.seed)
    async with shop.opened(stage, seams=True) as opened, Sandbox() as sandbox:
        engine = opened.engine
        assert engine is not None
        await require_started(sandbox)

        async def work(attempt: Attempt) -> Taught:
            return _untimed(await teach(attempt, engine, sandbox, teaching))

        done = await opened.work_on([labelled.attempt for labelled in _left(shop)], work, Taught, key=id_of)
        cost = opened.cost
    found = [line.record for line in done if line.record is not None]
    outcomes = Counter(one.outcome for one in found)
    return {"solutions": len(done), "failed": len(done) - len(found), "outcomes": dict(outcomes), "cost": cost}


def _untimed(taught: Taught) -> Taught:
    """Without what another run would measure otherwise: seconds."""
    rationales = tuple(
        replace(
            rationale,
            usage=_no_seconds(rationale.usage),
            checks=tuple(replace(c, result=replace(c.result, cpu_s=0.0, wall_s=0.0)) for c in rationale.checks),
        )
        for rationale in taught.rationales
    )
    return replace(taught, rationales=rationales, usage=_no_seconds(taught.usage))


def _no_seconds(usage: Usage) -> Usage:
    return replace(usage, engine_s=0.0, sandbox_s=0.0, waiting_s=0.0)


# --- 6: consensus --------------------------------------------------------------------------------------------------


async def consensus(shop: Shop, stage: Stage) -> Counts:
    """Keep those on which labels and teacher agree."""
    options = shop.pipeline.consensus
    assert options is not None
    how = options.mode, options.unsure
    taught = {id_of(one.attempt): one for one in shop.read("rationales", Taught)}

    async def work(labelled: Labelled) -> Kept:
        return agree(labelled, taught[id_of(labelled.attempt)], *how)

    async with shop.opened(stage) as opened:
        items = [labelled for labelled in _left(shop) if id_of(labelled.attempt) in taught]
        done = await opened.work_on(items, work, Kept, key=lambda one: id_of(one.attempt))
    found = {line.record.id: line.record for line in done if line.record is not None}
    kept = sum(one.kept for one in found.values())
    dropped = Counter(one.reason for one in found.values() if not one.kept)
    counts = {"solutions": len(done), "failed": len(done) - len(found), "kept": kept, "dropped": dict(dropped)}
    own = [(one, taught[name], found[name]) for one in items if (name := id_of(one.attempt)) in found]
    beside = [(one, taught[id_of(one.attempt)]) for one in further_labels(shop) if id_of(one.attempt) in found]
    rates = to_report(own, [(one, by, agree(one, by, *how)) for one, by in beside])
    return {**counts, "rates": msgspec.to_builtins(rates), "in_words": in_words(rates)}


# --- 7: export -----------------------------------------------------------------------------------------------------


async def export(shop: Shop, stage: Stage) -> Counts:
    """Write the dataset, ``DIR/7-export/dataset``."""
    options = shop.pipeline.export
    assert options is not None
    asked = options_of(options.options, ExportOptions, stage.name, "options", replace=True, stages=())
    asked = replace(asked, stages=card_stages(shop.report), made=f"{asked.made} {_MADE[options.verdicts]}".strip())
    async with shop.opened(stage) as opened:
        exported = write_dataset(_rows(shop, options), opened.run.folder / "dataset", asked)
    return {"rows": sum(sum(splits.values()) for splits in exported.rows.values()), "splits": exported.rows}


_MADE = {
    "teacher": "The verdicts in the conversations are the teacher's.",
    "labels": "The verdicts in the conversations are those of the labels, beside the teacher's analyses.",
}


def card_stages(report: Callable[[str], Counts | None]) -> list[CardStage]:
    """What the stages that drop solutions took and left, by their reports."""
    found = []
    if sampled := report("solutions"):
        lost = {grade: sampled["grades"].get(grade, 0) for grade in NO_EVIDENCE}
        came = sum(sampled["grades"].values())
        found.append(CardStage("solutions", came, sampled["solutions"], sampled["dropped"] | lost))
    if assessed := report("quality"):
        found.append(CardStage("quality", assessed["solutions"], assessed["kept"], assessed["dropped"]))
    if taught := report("rationales"):
        left = {outcome: n for outcome, n in taught["outcomes"].items() if outcome != "ok"} | {
            "broken": taught["failed"]
        }
        found.append(CardStage("rationales", taught["solutions"], taught["outcomes"].get("ok", 0), left))
    if agreed := report("consensus"):
        dropped = agreed["dropped"] | {"broken": agreed["failed"]}
        found.append(CardStage("consensus", agreed["solutions"], agreed["kept"], dropped))
    return found


def _rows(shop: Shop, options: ExportOf) -> Iterator[Row]:
    valued = {id_of(one.attempt): one for values in shop.read("values", Values) for one in values}
    labelled = {id_of(one.attempt): one for one in _left(shop)}
    kept = {one.id: one for one in shop.read("consensus", Kept)} if shop.pipeline.consensus else None
    made_with = versions()
    for taught in shop.read("rationales", Taught):
        name = id_of(taught.attempt)
        if kept is not None and name not in kept:  # an item of consensus that failed, and is counted there
            continue
        agreed = kept[name] if kept is not None else None
        row = to_conversation(taught, agreed, labelled[name], code=options.code, verdicts=options.verdicts)
        if row is not None and (agreed is None or agreed.kept):
            messages = tuple(Message(turn["role"], turn["content"]) for turn in row["messages"])
            yield Row(
                name,
                messages,
                taught.attempt,
                valued[name],
                labelled[name],
                taught,
                agreed,
                seed=shop.pipeline.seed,
                versions=made_with,
            )


# --- what they share -----------------------------------------------------------------------------------------------


def _left(shop: Shop) -> list[Labelled]:
    """What quality leaves of the labelled solutions."""
    labelled = shop.read("labels", Labelled)
    if shop.pipeline.quality is None:
        return labelled
    kept = {one.id for one in shop.read("quality", Finding) if one.reason is None}
    return [one for one in labelled if id_of(one.attempt) in kept]


STAGES: tuple[Stage, ...] = (
    Stage("solutions", 1, (), solutions),
    Stage("values", 2, ("solutions",), values),
    Stage("prover", 2, ("solutions",), values),
    Stage("labelers", 3, ("solutions",), labelers),
    Stage("labels", 3, ("values", "prover", "labelers"), labels),
    Stage("quality", 4, ("solutions",), quality),
    Stage("rationales", 5, ("labels", "quality"), rationales),
    Stage("consensus", 6, ("labels", "labelers", "quality", "rationales"), consensus),
    Stage("export", 7, ("values", "labels", "quality", "rationales", "consensus"), export),
)
