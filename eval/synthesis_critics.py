"""What a stage of synthesis is worth to the critic that is trained on its rows: one critic an arm, all else alike.

An arm chooses the labels, the filter and whether the code of the rationales was run. Every arm has the same attempts
and rationales to choose from, trains on as many rows for as many updates, from the same weights, and is judged on the
same problems. Training and judging are the commands that users have, in processes of their own, so that what was
stopped goes on.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Annotated, Literal

import msgspec

from genprm import records
from genprm.errors import ConfigError, GenPRMError
from genprm.eval.paired import Estimate, Measure, estimate
from genprm.eval.synthesis_labels import Truth, share_by_problem
from genprm.flight import cancelled
from genprm.runs import key, write_whole
from genprm.synth.consensus import agree
from genprm.synth.conversations import Code, to_conversation
from genprm.synth.labels import label
from genprm.synth.types import Taught, Valued
from genprm.types import NO_ERROR, Critique

Filter = Literal["none", "solution", "step"]
_JUDGED_WITH = {"run": [], "written": ["execute=false"], "none": ["verify=false"]}
"""Options of the protocol by which a critic is judged in the manner that it was trained in."""
RESAMPLES = 4000
ROWS = "rows.jsonl"
_Positive = Annotated[int, msgspec.Meta(ge=1)]


@dataclass(frozen=True, slots=True)
class Arm:
    """One critic."""

    labels: str = "ratio:0.8"
    consensus: Filter = "solution"
    code: Code = "run"


@dataclass(frozen=True, slots=True)
class Training:
    """What all arms have in common."""

    model: str
    """Folder or name on the hub; ``nano:NAME`` for shipped weights."""
    options: tuple[str, ...] = ()
    """Further ones of ``genprm train critic``."""
    rows: _Positive | None = None
    """Rows of each arm, at most; None: as many as the arm that has fewest."""
    parallel: _Positive = 1
    """Arms at once."""


@dataclass(frozen=True, slots=True)
class Test:
    """How critics are judged: by ``genprm eval world``, one greedy rationale a step."""

    engine: str = "nano:{model}"
    split: str = "test"
    problems: _Positive = 400
    difficulty: int | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """What arms choose from: values and rationales of the same attempts, and what is true of them."""

    valued: Valued
    taught: Taught
    truth: Truth


@dataclass(frozen=True, slots=True)
class CriticScore:
    """One arm. Shares lie in [0, 1]."""

    name: str
    arm: Arm
    candidates: int
    """Attempts with rationales."""
    kept: int
    """Of them, those that the filter keeps."""
    rows: int
    """Of them, those that were trained on."""
    wrong: float
    """Share of solutions with an error among the rows."""
    label_accuracy: float
    """Share of the rows' verdicts that are true."""
    f1: Measure
    difference: Measure
    """F1 of the first arm, less this one's."""
    unjudged: int = 0
    """Held-out solutions on which it came to no first error, which count as missed."""


@dataclass(frozen=True, slots=True)
class FilterScore:
    """What one filter leaves. Shares lie in [0, 1]."""

    name: str
    solutions: int
    accuracy: Measure
    """Share of the teacher's verdicts that are true."""


def rows_of(arm: Arm, sources: Sequence[Source]) -> list[tuple[Source, dict[str, object]]]:
    """The conversations that an arm may train on, with what they are made from."""
    found = []
    for source in sources:
        if source.taught.outcome != "ok":
            continue
        if arm.consensus == "none":
            row = to_conversation(source.taught, code=arm.code)
        else:
            kept = agree(label(source.valued, arm.labels), source.taught, arm.consensus)
            row = to_conversation(source.taught, kept, code=arm.code) if kept.kept else None
        if row is not None:
            found.append((source, row))
    return found


Rows = Sequence[tuple[Source, Mapping[str, object]]]


def accuracy(rows: Rows, seed: int = 0) -> Measure:
    """Share of verdicts in these rows that are true, of the steps up to the first error in truth."""
    found: dict[str, tuple[int, int]] = {}
    for source, row in rows:
        pairs = list(_verdicts(source, row))
        hits, n = found.get(source.taught.attempt.problem_id, (0, 0))
        hits += sum(said == true for said, true in pairs)
        found[source.taught.attempt.problem_id] = hits, n + len(pairs)
    return share_by_problem(found, seed)


def score_filters(arms: Iterable[Arm], sources: Sequence[Source], seed: int = 0) -> list[FilterScore]:
    """The teacher's verdicts before, and after each filter that there is among the arms."""
    filters = {"every solution": Arm(consensus="none")}
    filters |= {f"{arm.labels}, by {arm.consensus}": arm for arm in arms if arm.consensus != "none"}
    rows = {name: rows_of(arm, sources) for name, arm in filters.items()}
    return [FilterScore(name, len(found), accuracy(found, seed)) for name, found in rows.items()]


def _verdicts(source: Source, row: Mapping[str, object]) -> Iterator[tuple[bool | None, bool]]:
    """Those that stand in the row, which a filter by step may have cut."""
    turns = row["messages"]
    assert isinstance(turns, list)
    n = sum(turn["role"] == "assistant" for turn in turns)
    yield from zip(source.taught.verdicts[:n], source.truth, strict=False)


async def run_arms(
    arms: Mapping[str, Arm], sources: Sequence[Source], training: Training, test: Test, folder: Path, seed: int = 0
) -> list[CriticScore]:
    """Train and judge every arm, some at once; what is there already is not done again."""
    if not arms:
        return []
    chosen = {name: rows_of(arm, sources) for name, arm in arms.items()}
    n = min([training.rows or sys.maxsize, *map(len, chosen.values())])
    if not n:
        raise ConfigError("an arm of the experiment has no row to train on")
    room = asyncio.Semaphore(training.parallel)
    taken = {name: Random(seed).sample(rows, n) for name, rows in chosen.items()}
    for name, rows in taken.items():  # before any of them trains
        _write(folder / name, [row for _, row in rows])
    tasks = [asyncio.create_task(_arm(arm, training, test, folder / name, room)) for name, arm in arms.items()]
    try:
        hits = dict(zip(arms, await asyncio.gather(*tasks), strict=True))
    finally:
        await cancelled(tasks)
    drawn = _estimates(hits, seed)
    base = next(iter(drawn.values()))
    return [
        CriticScore(
            name=name,
            arm=arm,
            candidates=len(sources),
            kept=len(chosen[name]),
            rows=n,
            wrong=sum(not all(source.truth) for source, _ in taken[name]) / n,
            label_accuracy=accuracy(taken[name], seed).value or 0.0,
            f1=drawn[name].measure(),
            difference=base.minus(drawn[name]),
            unjudged=sum(not judged for _, _, judged in hits[name].values()),
        )
        for name, arm in arms.items()
    ]


Hits = dict[str, tuple[bool, bool, bool]]
"""By solution: whether it has an error, whether the critic's first error is the true one, whether it has named one."""


def _estimates(hits: Mapping[str, Hits], seed: int) -> dict[str, Estimate]:
    first = next(iter(hits.values()))
    wrong = [is_wrong for is_wrong, _, _ in first.values()]
    columns = {name: [[each[id_][1] for id_ in first]] for name, each in hits.items()}
    return estimate(wrong, columns, seed=seed, resamples=RESAMPLES)


async def _arm(arm: Arm, training: Training, test: Test, folder: Path, room: asyncio.Semaphore) -> Hits:
    async with room:
        model = folder / "model"
        await _run("train", "critic", str(folder / ROWS), "--model", _folder(training.model), "--output", str(model),
                   *training.options, log=folder / "train.log")  # fmt: skip
        await _run(*_judging(arm, test, model), "--run", str(folder / "judged"), log=folder / "judge.log")
    return _hits(folder / "judged")


def _write(folder: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Raises ConfigError where the arm was begun with other rows: its critic has not seen these."""
    lines = [(json.dumps(row, ensure_ascii=False) + "\n").encode() for row in rows]
    path = folder / ROWS
    if path.exists():
        if path.read_bytes() != b"".join(lines):
            raise ConfigError(f"{folder} was begun with other rows; name another folder with -o")
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, lines)


def _judging(arm: Arm, test: Test, model: Path) -> list[str]:
    options = [word for option in _JUDGED_WITH[arm.code] for word in ("--option", option)]
    hard = [] if test.difficulty is None else ["--difficulty", str(test.difficulty)]
    return ["eval", "world", "--engine", test.engine.format(model=model), "--split", test.split,
            "--problems", str(test.problems), *hard, "-n", "1", "--temperature", "0",
            "--stop-at-first-error", *options]  # fmt: skip


def _folder(model: str) -> str:
    if not model.startswith("nano:"):
        return model
    from genprm.engines.nano import shipped  # its weights are a folder like any other

    return str(shipped(model.removeprefix("nano:")))


async def _run(*words: str, log: Path) -> None:
    """A command of genprm. Raises GenPRMError where it fails; its own words are in ``log``."""
    threads = {"OMP_NUM_THREADS": "1"} if "OMP_NUM_THREADS" not in os.environ else {}
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "genprm", *words),
            stdout=output,
            stderr=output,
            env=os.environ | threads,
            preexec_fn=_die_with_parent,
        )
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            process.terminate()
            await process.wait()
            raise
    if code:
        raise GenPRMError(f"genprm {' '.join(words[:2])} ended with exit code {code}: {log} says why")


def _die_with_parent() -> None:
    """A killed experiment would else leave trainings behind, which hold the folders that it goes on in."""
    if sys.platform == "linux":
        from genprm.sandbox.kernel.calls import die_with_parent

        die_with_parent(signal.SIGKILL)


def _hits(run: Path) -> Hits:
    found: Hits = {}
    for critique in records.read_lines(run / "results.jsonl", Critique):
        gold = critique.solution.first_error
        found[key(critique.solution)] = (gold != NO_ERROR, critique.first_error == gold, critique.outcome == "ok")
    return found
