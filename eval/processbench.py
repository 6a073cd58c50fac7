"""Runs a critic over ProcessBench rows, resumable, and reports the metric of arXiv 2412.06559."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing

from genprm.critic import Critic
from genprm.eval.report import Item
from genprm.runs import Run, key
from genprm.types import Critique, Rationale, Solution

OnItem = Callable[[Item], None]


async def evaluate(
    solutions: Sequence[Solution],
    critic: Critic,
    run: Run,
    done: Mapping[str, Item] | None = None,
    *,
    on_item: OnItem | None = None,
) -> list[Item]:
    """Judge what is not ``done`` (by default what the run holds); all items, in the order of ``solutions``.

    Every solution needs a label.
    """
    items = dict(finished(run) if done is None else done)
    waiting = [solution for solution in solutions if key(solution) not in items]
    async with aclosing(critic.critique_many(waiting)) as critiques:
        async for critique in critiques:
            run.append(critique)
            items[key(critique.solution)] = item = to_item(critique)
            if on_item:
                on_item(item)
    return [items[key(solution)] for solution in solutions]


def finished(run: Run, *, retry_failed: bool = False) -> dict[str, Item]:
    """The items that the run holds already, by key; without those that failed, where they are to be judged again."""
    items: dict[str, Item] = {}
    for critique in run.read(Critique):
        if retry_failed and critique.failed:
            items.pop(key(critique.solution), None)
        else:
            items[key(critique.solution)] = to_item(critique)
    return items


def to_item(critique: Critique) -> Item:
    """What the metric and the report need of a critique."""
    assert critique.solution.first_error is not None
    return Item(
        split=critique.solution.source,
        label=critique.solution.first_error,
        prediction=critique.first_error,
        failures=failures(critique),
        usage=critique.usage,
        seconds=critique.seconds,
    )


def failures(critique: Critique) -> Counter[str]:
    """Every kind of failure and lack inside, by name: of the row, of its rationales, of its checks."""
    found: Counter[str] = Counter()
    if critique.outcome != "ok":
        found[f"row {critique.outcome}"] += 1
    for rationale in rationales(critique):
        if rationale.outcome != "ok":
            found[f"rationale {rationale.outcome}"] += 1
        if rationale.verdict is not None and rationale.p_yes is None:
            found["verdict without P(Yes)"] += 1  # the engine gave no log-probabilities: it counts as 1 or 0
        if rationale.left_out:
            found["rationale with a cut context"] += 1
        found.update(f"check {check.result.status}" for check in rationale.checks if check.result.status != "ok")
    return found


def rationales(critique: Critique) -> list[Rationale]:
    """All that were sampled for it."""
    return [*critique.judgements, *(rationale for step in critique.steps for rationale in step.rationales)]
