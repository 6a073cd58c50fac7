"""A row of a dataset: a conversation, and all that is known of its making."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from genprm import records
from genprm.synth.text_stats import text_digest
from genprm.synth.types import Attempt, Estimate, Kept, Labelled, StepLabel, Taught, Valued
from genprm.types import NO_ERROR, Message, Rationale


@dataclass(frozen=True, slots=True)
class Row:
    """What a stage did not make is None."""

    id: str
    messages: tuple[Message, ...]
    """As ``genprm train critic`` reads them: a system message, then user and assistant in turns."""
    attempt: Attempt
    valued: Valued | None = None
    labelled: Labelled | None = None
    taught: Taught | None = None
    kept: Kept | None = None
    difficulty: int | None = None
    seed: int | None = None
    """Of the pipeline."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of the programs that made it."""
    config: str = "default"
    """The dataset's configuration that it belongs to, such as a labelling scheme."""


def columns(row: Row) -> dict[str, Any]:
    """The row as it is written, flat; ``docs/datasets.md`` says what each column is. Every row has all of them."""
    solution = row.attempt.solution
    return {
        "id": row.id,
        "problem_id": row.attempt.problem_id,
        "solution_id": solution.id,
        "messages": [{"role": message.role, "content": message.content} for message in row.messages],
        "problem": solution.problem.text,
        "steps": list(solution.steps),
        "label": _label(row),
        "answer": solution.problem.answer,
        "found_answer": row.attempt.answer,
        "grade": row.attempt.grade,
        "difficulty": row.difficulty,
        "source": solution.source,
        "generator": solution.generator,
        "sampling": _sorted_json(row.attempt.how),
        **_value_columns(row.valued),
        **_label_columns(row.labelled),
        **_teacher_columns(row.taught),
        "agrees": list(row.kept.steps) if row.kept else None,
        "kept": row.kept.kept if row.kept else None,
        "seed": row.seed,
        "versions": _sorted_json(row.versions),
        "problem_digest": text_digest(solution.problem.text),
        "messages_digest": _digest(row.messages),
    }


def _label(row: Row) -> int | None:
    """The first error by the labels, else by the teacher, else as it was given; the conversation may say another one,
    where its verdicts are the teacher's and no consensus was asked for."""
    if row.labelled:
        return row.labelled.first_error
    verdicts = row.taught.verdicts if row.taught else ()
    if False in verdicts:
        first = verdicts.index(False)
        return None if None in verdicts[:first] else first
    whole = len(verdicts) == len(row.attempt.solution.steps) and None not in verdicts
    return NO_ERROR if whole else row.attempt.solution.first_error


def _value_columns(valued: Valued | None) -> dict[str, Any]:
    steps: Sequence[Estimate | None] = valued.values if valued else ()
    return {
        "policy": valued.policy if valued else None,
        "start_value": valued.start.value if valued and valued.start and valued.start.n else None,
        "values": [_value(e) for e in steps] if valued else None,
        "value_low": [e.low if e else None for e in steps] if valued else None,
        "value_high": [e.high if e else None for e in steps] if valued else None,
        "completions": [e.n if e else None for e in steps] if valued else None,
    }


def _value(estimate: Estimate | None) -> float | None:
    """Without completions only what is known has a value: 0 of 0 is no evidence."""
    if estimate is None or not (estimate.n or estimate.known):
        return None
    return estimate.value if estimate.n else estimate.low


def _label_columns(labelled: Labelled | None) -> dict[str, Any]:
    steps: Sequence[StepLabel] = labelled.steps if labelled else ()
    return {
        "labeler": labelled.labeler if labelled else None,
        "labels": [step.label for step in steps] if labelled else None,
        "label_scores": [step.score for step in steps] if labelled else None,
        "label_confidences": [step.confidence for step in steps] if labelled else None,
    }


def _teacher_columns(taught: Taught | None) -> dict[str, Any]:
    steps: Sequence[Rationale] = taught.rationales if taught else ()
    return {
        "teacher": taught.teacher if taught else None,
        "teacher_try": taught.try_ if taught else None,
        "verdicts": list(taught.verdicts) if taught else None,
        "checks": [[check.result.status for check in rationale.checks] for rationale in steps] if taught else None,
    }


def _sorted_json(values: Mapping[str, str]) -> str:
    return records.to_json(dict(sorted(values.items()))).decode()


def _digest(messages: Sequence[Message]) -> str:
    return hashlib.blake2b(records.to_json(messages), digest_size=16).hexdigest()
