"""``genprm synth import`` and ``genprm synth check``: data that is there already."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from genprm import records
from genprm.answers import boxed
from genprm.errors import InputError
from genprm.inputs import solution_from_row
from genprm.rows import Row as SourceRow
from genprm.runs import write_whole
from genprm.sandbox.text import plain
from genprm.synth.dataset_rows import Row, columns
from genprm.synth.decontamination import Evaluation, read_known
from genprm.synth.importing import Refused, grade_of, import_rows
from genprm.synth.quality import Assessment, QualityOptions, assess
from genprm.synth.text_stats import text_digest
from genprm.synth.types import Attempt
from genprm.training.conversations import source_rows

_SHOWN = 10


def import_(args: argparse.Namespace) -> Coroutine[Any, Any, int]:
    """``genprm synth import``: ``args`` are ``data``, ``output`` and ``teacher``. 1 where rows were refused."""
    found = list(import_rows(_rows_of(args.data), args.teacher))
    rows = [row for row in found if isinstance(row, Row)]
    refused = [row for row in found if isinstance(row, Refused)]
    _say_refused(refused)
    if not rows:
        raise InputError("no row is a conversation about the steps of a solution", ", ".join(args.data))
    path = Path(args.output)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, (records.to_json(columns(row)) + b"\n" for row in rows))
    steps = sum(len(row.attempt.solution.steps) for row in rows)
    guessed = sum(row.attempt.how["cut"] == "guessed" for row in rows)
    print(f"{path}: {len(rows)} rows, {steps} steps, {len(refused)} refused, {guessed} cut by guess", file=sys.stderr)
    return _ended(1 if refused else 0)


def check(args: argparse.Namespace) -> Coroutine[Any, Any, int]:
    """``genprm synth check``: ``args`` are the options in ``genprm.cli_data``. 1 where rows were refused."""
    known = list(read_known(args.against, args.field))
    evaluation = Evaluation(known, args.words, args.share) if args.against else None
    refused: list[Refused] = []
    attempts = _attempts(_rows_of(args.data), refused)
    assessment = assess(attempts, QualityOptions(near=args.near), evaluation)
    _say_refused(refused)
    print(json.dumps(report(assessment, refused, known=len(known)), indent=2) if args.json else _page(assessment))
    if args.list and not args.json:
        for finding in assessment.findings:
            if finding.reason:
                print(plain(f"{finding.id}\t{finding.reason}\t{finding.detail}"))
    return _ended(1 if refused else 0)


def report(assessment: Assessment, refused: Iterable[Refused] = (), known: int = 0) -> dict[str, Any]:
    """An assessment as JSON knows it, without the findings of each attempt."""
    values: dict[str, Any] = json.loads(records.to_json(assessment.coverage))
    return {
        "attempts": len(assessment.findings),
        "kept": len(assessment.kept),
        "dropped": {name: n for name, n in assessment.dropped.items() if n},
        "shares": {name: share for name, share in assessment.shares.items() if share},
        "refused": dict(Counter(row.reason for row in refused)),
        "evaluation_problems": known,
        "problems": len(assessment.diversity),
        "diversity": mean_diversity(assessment),
        "coverage": values,
    }


def mean_diversity(assessment: Assessment) -> Mapping[str, float | None]:
    """Means over the problems that have the figure."""
    found = assessment.diversity.values()
    return {
        "attempts": _mean(d.attempts for d in found),
        "distance": _mean(d.distance for d in found),
        "distinct_2": _mean(d.distinct_2 for d in found),
        "answers": _mean(d.answers for d in found),
    }


def _mean(figures: Iterable[float | None]) -> float | None:
    there = [figure for figure in figures if figure is not None]
    return sum(there) / len(there) if there else None


def _page(assessment: Assessment) -> str:
    total = len(assessment.findings)
    kept = len(assessment.kept)
    lines = [f"{total} solutions, {kept} kept ({kept / max(total, 1):.1%}), {len(assessment.diversity)} problems"]
    lines += [f"  {name:<24} {n:>7}  {n / total:6.1%}" for name, n in assessment.dropped.items() if n]
    figures = [f"{name} {figure:.2f}" for name, figure in mean_diversity(assessment).items() if figure is not None]
    lines.append(f"a problem, on average: {', '.join(figures) or 'nothing'}")
    for name in ("answers", "error_positions", "lengths", "difficulty"):
        spread = getattr(assessment.coverage, name)
        if spread.evenness is not None:
            bins = ", ".join(f"{bin_}: {n}" for bin_, n in spread.bins.items() if n)
            lines.append(f"{name.replace('_', ' ')}: evenness {spread.evenness:.2f} ({bins})")
    return "\n".join(lines)


def _rows_of(sources: Iterable[str]) -> Iterator[SourceRow]:
    return (row for source in sources for row in source_rows(source))


def _attempts(rows: Iterable[SourceRow], refused: list[Refused]) -> Iterator[Attempt]:
    """Solutions, and those that conversations are about; rows that are neither are put aside."""
    for number, row in enumerate(rows):
        if any(row.values.get(name) is not None for name in ("messages", "conversations")):
            for found in import_rows([row], start=number):
                if isinstance(found, Row):
                    yield found.attempt
                else:
                    refused.append(found)
        else:
            yield _attempt(row, number)


def _attempt(row: SourceRow, number: int) -> Attempt:
    solution = solution_from_row(row, id=f"row-{number}")
    return Attempt(
        solution, text_digest(solution.problem.text)[:16], grade_of(row.values), boxed("\n".join(solution.steps))
    )


def _say_refused(refused: list[Refused]) -> None:
    for row in refused[:_SHOWN]:
        print(plain(f"{row.where}: {row.reason}{': ' if row.detail else ''}{row.detail}"), file=sys.stderr)
    if len(refused) > _SHOWN:
        counts = Counter(row.reason for row in refused)
        said = ", ".join(f"{n} {reason}" for reason, n in sorted(counts.items()))
        print(f"… {len(refused)} rows refused in all: {said}", file=sys.stderr)


async def _ended(code: int) -> int:
    return code
