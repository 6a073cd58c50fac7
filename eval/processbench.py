"""What the ProcessBench metric (arXiv 2412.06559) and its report need of a critique."""

from collections import Counter

from genprm.eval.report import Item
from genprm.runs import key
from genprm.types import Critique, Rationale, StepCritique


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
        name=key(critique.solution),
        rewards=tuple(_believed(step) for step in critique.steps),
    )


def _believed(step: StepCritique) -> float | None:
    """The reward as a probability, where it is made of probabilities."""
    voted = [each for each in step.rationales if each.verdict is not None]
    return step.reward if voted and all(each.p_yes is not None for each in voted) else None


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
