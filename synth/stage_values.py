"""Stage 2: values of the prefixes of all attempts, under the policy and under a prover."""

from collections import Counter
from collections.abc import Iterable, Sequence

from genprm.synth.config import ValuesOf
from genprm.synth.pipeline import Counts, Shop, Stage
from genprm.synth.plans import read_plan
from genprm.synth.stage_items import Values, attempts_in, completer_of
from genprm.synth.stages import Done
from genprm.synth.types import Attempt
from genprm.synth.values import estimate_problem


async def values(shop: Shop, stage: Stage) -> Counts:
    """Complete prefixes. Attempts at one problem are one item, as they may share completions.

    The stages ``values`` and ``prover`` are this one by the options of their own sections.
    """
    options = getattr(shop.pipeline, stage.name)
    assert isinstance(options, ValuesOf)
    plan = read_plan(options.plan, options.settles, options.budget)
    async with shop.opened(stage) as opened:
        assert opened.engine is not None
        completer = completer_of(opened.engine, shop.grader, options, shop.pipeline.seed)

        async def work(attempts: Sequence[Attempt]) -> Values:
            return tuple(await estimate_problem(attempts, completer, plan, policy=completer.engine.name))

        items = _by_problem(attempts_in(shop))
        done = await opened.work_on(items, work, Values, key=lambda attempts: attempts[0].problem_id)
        return {**_of_values(done), "cost": opened.cost}


def _by_problem(attempts: Iterable[Attempt]) -> list[list[Attempt]]:
    problems: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        problems.setdefault(attempt.problem_id, []).append(attempt)
    return list(problems.values())


def _of_values(done: Sequence[Done[Values]]) -> Counts:
    found = [one for line in done for one in line.record or ()]
    grades: Counter[str] = Counter()
    for one in found:
        grades.update(one.grades)
    return {
        "solutions": len(found),
        "failed": sum(line.record is None for line in done),
        "values": sum(value is not None for one in found for value in one.values),
        "completions": sum(grades.values()),
        "grades": dict(grades),
    }
