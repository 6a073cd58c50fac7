"""What each stage of the pipeline does with the records of those before it.

A stage whose module is not there cannot be run; its section is then refused.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from importlib import import_module

from genprm.sandbox import Sandbox
from genprm.synth.completing import Completer
from genprm.synth.existing import Existing, grade_existing, read_existing
from genprm.synth.pipeline import Counts, Shop, Stage, cost_of
from genprm.synth.problems import Posed, read_problems
from genprm.synth.sampling import Sampled, Solver
from genprm.synth.stages import Done, run_stage
from genprm.synth.types import Attempt, Kept, Labelled, Taught, Valued


def attempts_of(sampled: Iterable[Sampled], both: bool) -> list[Attempt]:
    """The solutions to go on with: with ``both`` only those of problems that have right and wrong ones."""
    return [attempt for one in sampled if one.kinds == "both" or not both for attempt in one.attempts]


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
        done = await run_stage(
            "solutions",
            problems,
            solver.sample,
            opened.run,
            Sampled,
            key=lambda posed: posed.id,
            engine=opened.engine,
            prices=opened.prices,
            retry_failed=shop.retry_failed,
        )
        return {**_of_solutions(done, options.both), "cost": cost_of(opened)}


async def _existing(shop: Shop, stage: Stage, existing: Sequence[Existing]) -> Counts:
    async def work(one: Existing) -> Sampled:
        return await grade_existing(one, shop.grader)

    async with shop.opened(stage) as opened:
        done = await run_stage(
            "solutions", existing, work, opened.run, Sampled, key=lambda one: one.id, retry_failed=shop.retry_failed
        )
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


# --- 2: values -----------------------------------------------------------------------------------------------------


async def values(shop: Shop, stage: Stage) -> Counts:
    """Complete prefixes."""
    module = import_module(stage.module)
    options = shop.pipeline.values
    assert options is not None
    plan = module.read_plan(options.plan)
    async with shop.opened(stage) as opened:
        assert opened.engine is not None
        completer = Completer(
            opened.engine,
            shop.grader,
            prompt=options.prompt,
            step_forcing=options.step_forcing,
            temperature=options.temperature,
            top_p=options.top_p,
            top_k=options.top_k,
            max_tokens=options.max_tokens,
            seed=shop.pipeline.seed,
        )

        async def work(attempt: Attempt) -> Valued:
            valued: Valued = await module.estimate(attempt, completer, plan)
            return valued

        done = await run_stage(
            "values",
            _attempts(shop),
            work,
            opened.run,
            Valued,
            key=_id,
            engine=opened.engine,
            prices=opened.prices,
            retry_failed=shop.retry_failed,
        )
        return {**_of_values(done), "cost": cost_of(opened)}


def _of_values(done: Sequence[Done[Valued]]) -> Counts:
    found = [line.record for line in done if line.record is not None]
    grades: Counter[str] = Counter()
    for one in found:
        grades.update(one.grades)
    return {
        "solutions": len(done),
        "failed": len(done) - len(found),
        "values": sum(value is not None for one in found for value in one.values),
        "completions": sum(grades.values()),
        "grades": dict(grades),
    }


# --- 3: labels -----------------------------------------------------------------------------------------------------


async def labels(shop: Shop, stage: Stage) -> Counts:
    """Cut labels from values."""
    module = import_module(stage.module)
    options = shop.pipeline.labels
    assert options is not None

    async def work(valued: Valued) -> Labelled:
        labelled: Labelled = module.label(valued, options.scheme)
        return labelled

    async with shop.opened(stage) as opened:
        items = shop.read("values", Valued)
        done = await run_stage("labels", items, work, opened.run, Labelled, key=lambda valued: _id(valued.attempt))
    found = [line.record for line in done if line.record is not None]
    steps = Counter({True: "right", False: "wrong", None: "unsure"}[s.label] for one in found for s in one.steps)
    return {"solutions": len(done), "failed": len(done) - len(found), "steps": dict(steps)}


# --- 4: quality ----------------------------------------------------------------------------------------------------


async def quality(shop: Shop, stage: Stage) -> Counts:
    """Drop what is not worth a teacher's time. ``Kept`` says why."""
    module = import_module(stage.module)
    attempts = _attempts(shop)
    kept, reasons = module.assess(attempts, shop.pipeline.quality)
    left = {_id(attempt) for attempt in kept}

    async def work(attempt: Attempt) -> Kept:
        return Kept(_id(attempt), _id(attempt) in left, (), "" if _id(attempt) in left else reasons[_id(attempt)])

    async with shop.opened(stage) as opened:
        await run_stage("quality", attempts, work, opened.run, Kept, key=_id)
    return {"solutions": len(attempts), "kept": len(left), "dropped": dict(Counter(reasons.values()))}


# --- 5: rationales -------------------------------------------------------------------------------------------------


async def rationales(shop: Shop, stage: Stage) -> Counts:
    """Ask a teacher about each solution that is left."""
    module = import_module(stage.module)
    options = shop.pipeline.rationales
    assert options is not None
    async with shop.opened(stage, seams=True) as opened, Sandbox() as sandbox:

        async def work(attempt: Attempt) -> Taught:
            taught: Taught = await module.teach(attempt, opened.engine, sandbox, options.options)
            return taught

        done = await run_stage(
            "rationales",
            [labelled.attempt for labelled in _left(shop)],
            work,
            opened.run,
            Taught,
            key=_id,
            engine=opened.engine,
            prices=opened.prices,
            retry_failed=shop.retry_failed,
        )
        cost = cost_of(opened)
    found = [line.record for line in done if line.record is not None]
    outcomes = Counter(one.outcome for one in found)
    return {"solutions": len(done), "failed": len(done) - len(found), "outcomes": dict(outcomes), "cost": cost}


# --- 6: consensus --------------------------------------------------------------------------------------------------


async def consensus(shop: Shop, stage: Stage) -> Counts:
    """Keep those on which labels and teacher agree."""
    module = import_module(stage.module)
    options = shop.pipeline.consensus
    assert options is not None
    taught = {_id(one.attempt): one for one in shop.read("rationales", Taught)}

    async def work(labelled: Labelled) -> Kept:
        kept: Kept = module.agree(labelled, taught[_id(labelled.attempt)], options.mode)
        return kept

    async with shop.opened(stage) as opened:
        items = [labelled for labelled in _left(shop) if _id(labelled.attempt) in taught]
        done = await run_stage("consensus", items, work, opened.run, Kept, key=lambda one: _id(one.attempt))
    found = [line.record for line in done if line.record is not None]
    kept = sum(one.kept for one in found)
    dropped = Counter(one.reason for one in found if not one.kept)
    return {"solutions": len(done), "failed": len(done) - len(found), "kept": kept, "dropped": dict(dropped)}


# --- 7: export -----------------------------------------------------------------------------------------------------


async def export(shop: Shop, stage: Stage) -> Counts:
    """Write the dataset."""
    module = import_module(stage.module)
    async with shop.opened(stage) as opened:
        counts: Counts = module.export(
            opened.run.folder,
            _left(shop),
            shop.read("rationales", Taught),
            shop.read("consensus", Kept) if shop.pipeline.consensus else None,
            shop.pipeline.export,
        )
    return counts


# --- what they share -----------------------------------------------------------------------------------------------


def _id(attempt: Attempt) -> str:
    return attempt.solution.id


def _attempts(shop: Shop) -> list[Attempt]:
    return attempts_of(shop.read("solutions", Sampled), shop.pipeline.solutions.both)


def _left(shop: Shop) -> list[Labelled]:
    """What quality leaves of the labelled solutions."""
    labelled = shop.read("labels", Labelled)
    if shop.pipeline.quality is None:
        return labelled
    kept = {one.id for one in shop.read("quality", Kept) if one.kept}
    return [one for one in labelled if _id(one.attempt) in kept]


STAGES: tuple[Stage, ...] = (
    Stage("solutions", 1, "genprm.synth.sampling", (), solutions),
    Stage("values", 2, "genprm.synth.values", ("solutions",), values),
    Stage("labels", 3, "genprm.synth.labels", ("values",), labels),
    Stage("quality", 4, "genprm.synth.quality", ("solutions",), quality),
    Stage("rationales", 5, "genprm.synth.rationales", ("labels", "quality"), rationales),
    Stage("consensus", 6, "genprm.synth.consensus", ("labels", "quality", "rationales"), consensus),
    Stage("export", 7, "genprm.synth.export", ("labels", "quality", "rationales", "consensus"), export),
)
