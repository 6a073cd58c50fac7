"""The consensus filter: labels and a teacher must say the same of the steps (arXiv 2504.00891, section on data).

Steps are compared up to and including the first one that either of the two calls wrong: what comes after it is judged
by nobody. ``solution`` keeps a solution where all of these agree. ``step`` keeps the steps before the first
disagreement, where there are any.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from genprm.errors import ConfigError
from genprm.synth.beta import estimated
from genprm.synth.types import Estimate, Kept, Label, Labelled, Taught

Mode = Literal["solution", "step"]
Unsure = Literal["drop", "ignore"]
"""What an unsure label comes to: ``drop`` ends what can be kept; ``ignore`` takes the teacher's word for that step."""
Reason = Literal["disagree", "unsure", "no_verdict", "teacher_failed", "no_labels"]
"""Why a solution is dropped, or (mode ``step``) cut.

- ``disagree``: labels and teacher differ on a step.
- ``unsure``: a label is, before any disagreement.
- ``no_verdict``: the teacher's text is not whole. ``teacher_failed``: there is none.
- ``no_labels``: the attempt has no steps that are labelled.
"""


def agree(labelled: Labelled, taught: Taught, mode: Mode = "solution", unsure: Unsure = "drop") -> Kept:
    """Whether an attempt is kept; ``steps`` are those that both judged, with True where they agree.

    With ``unsure`` ``ignore`` an unsure label agrees with whatever the teacher says. A ``reason`` beside ``kept`` says
    why steps after the first :func:`n_kept` were cut off.

    Raises:
        ConfigError: labels and rationales are of different attempts.
    """
    name = labelled.attempt.solution.id
    if labelled.attempt.solution.steps != taught.attempt.solution.steps:
        raise ConfigError(f"labels are of {name!r}, rationales of {taught.attempt.solution.id!r}")
    if taught.outcome != "ok":
        return Kept(name, False, (), "no_verdict" if taught.outcome == "unfinished" else "teacher_failed")
    if not labelled.steps:
        return Kept(name, False, (), "no_labels")
    steps, reason = _compared(_labels(labelled), taught.verdicts, unsure)
    kept = not reason or (mode == "step" and any(steps[:1]))
    return Kept(name, kept, steps, reason)


def n_kept(kept: Kept) -> int:
    """How many steps are kept, from the first one on."""
    return next((at for at, same in enumerate(kept.steps) if not same), len(kept.steps)) if kept.kept else 0


def _labels(labelled: Labelled) -> list[Label]:
    return [step.label for step in labelled.steps]


def _compared(
    labels: Sequence[Label], verdicts: Sequence[bool | None], unsure: Unsure
) -> tuple[tuple[bool, ...], Reason | Literal[""]]:
    """Agreement step by step, and why it ends before the end."""
    steps: list[bool] = []
    for label, verdict in zip(labels, verdicts, strict=False):
        if verdict is None:
            return tuple(steps), "no_verdict"
        if label is None and unsure == "drop":
            return tuple(steps), "unsure"
        steps.append(label in (None, verdict))
        if not steps[-1]:
            return tuple(steps), "disagree"
        if not verdict:
            return tuple(steps), ""
    return tuple(steps), "" if len(steps) == len(labels) else "no_verdict"


# --- rates ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StepRate:
    """Agreement on the steps of one index."""

    step: int
    """From 0."""
    agreed: Estimate
    """Of the steps that both judged; an unsure label is not among them."""


@dataclass(frozen=True, slots=True)
class LabelerRate:
    """What consensus makes of one labeler's attempts."""

    labeler: str
    kept: Estimate
    reasons: dict[str, Estimate]
    """Share of all attempts, by reason; in mode ``step`` kept attempts that were cut are among them."""
    verdicts: dict[str, int]
    """Steps by label and verdict: ``right/right``, ``right/wrong`` (label first), …, ``unsure/right``."""
    steps: tuple[StepRate, ...]


@dataclass(frozen=True, slots=True)
class ConsensusReport:
    """Rates with 95 % Wilson intervals (``low``, ``high``); the attempts are taken to be independent."""

    kept: Estimate
    reasons: dict[str, Estimate]
    labelers: tuple[LabelerRate, ...]


_SHOWN = 3
"""Steps of a labeler, in one line."""
Item = tuple[Labelled, Taught, Kept]


def to_report(items: Iterable[Item], others: Iterable[Item] = ()) -> ConsensusReport:
    """Rates of what :func:`agree` said, for all and for each labeler; ``others`` are those of labelers that only stand
    beside: they have rates, and are not counted in ``kept`` and ``reasons``."""
    items = list(items)
    shown = [*items, *others]
    labelers = sorted({labelled.labeler for labelled, _, _ in shown})
    groups = [_labeler(name, [item for item in shown if item[0].labeler == name]) for name in labelers]
    return ConsensusReport(_share(items), _reasons(items), tuple(groups))


def in_words(report: ConsensusReport) -> str:
    """Shares of what is kept and, by labeler, of the steps of each index on which it agrees with the teacher."""
    said = [f"kept {_percent(report.kept)}"]
    for one in report.labelers:
        steps = ", ".join(f"{rate.step + 1}: {_percent(rate.agreed)}" for rate in one.steps[:_SHOWN])
        said.append(
            f"{one.labeler} agrees on step {steps}{', …' * (len(one.steps) > _SHOWN)}" if steps else one.labeler
        )
    return "; ".join(said)


def _percent(share: Estimate) -> str:
    return f"{share.value:.1%} ({share.low * 100:.0f}–{share.high * 100:.0f})"


def _labeler(name: str, items: Sequence[Item]) -> LabelerRate:
    pairs = [pair for item in items for pair in _judged(item)]
    verdicts = Counter(f"{_word(label)}/{_word(verdict)}" for _, label, verdict in pairs)
    sure = [(step, label == verdict) for step, label, verdict in pairs if label is not None]
    right = Counter(step for step, same in sure if same)
    total = Counter(step for step, _ in sure)
    steps = tuple(StepRate(step, estimated(right[step], total[step])) for step in sorted(total))
    return LabelerRate(name, _share(items), _reasons(items), dict(sorted(verdicts.items())), steps)


def _judged(item: Item) -> list[tuple[int, Label, bool | None]]:
    labelled, taught, kept = item
    judged = zip(_labels(labelled), taught.verdicts, kept.steps, strict=False)
    return [(step, label, verdict) for step, (label, verdict, _) in enumerate(judged)]


def _word(label: Label) -> str:
    return "unsure" if label is None else "right" if label else "wrong"


def _share(items: Sequence[Item]) -> Estimate:
    return estimated(sum(kept.kept for _, _, kept in items), len(items))


def _reasons(items: Sequence[Item]) -> dict[str, Estimate]:
    counts = Counter(kept.reason for _, _, kept in items if kept.reason)
    return {reason: estimated(count, len(items)) for reason, count in sorted(counts.items())}
