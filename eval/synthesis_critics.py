"""What a stage of synthesis is worth to the critic that is trained on its rows: one critic an arm, all else alike.

An arm chooses the labels, the filter and whether the code of the rationales was run. Every arm has the same attempts
and rationales to choose from, trains on as many rows for as many updates, from the same weights, and is judged on the
same problems. Training and judging are the commands that users have, in processes of their own, so that what was
stopped goes on.
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

from genprm import records
from genprm.errors import ConfigError, GenPRMError
from genprm.eval.paired import Estimate, Measure, estimate
from genprm.eval.synthesis_labels import Truth
from genprm.runs import key, write_whole
from genprm.synth.consensus import agree
from genprm.synth.conversations import to_conversation
from genprm.synth.labels import label
from genprm.synth.types import Taught, Valued
from genprm.types import NO_ERROR, Critique

Filter = Literal["none", "solution", "step"]
Code = Literal["run", "written", "none"]
_JUDGED_WITH = {"run": [], "written": ["execute=false"], "none": ["verify=false"]}
"""Options of the protocol by which a critic is judged in the manner that it was trained in."""
RESAMPLES = 4000


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
    rows: int | None = None
    """Rows of each arm; None: as many as the arm that has fewest."""
    parallel: int = 1
    """Arms at once."""


@dataclass(frozen=True, slots=True)
class Test:
    """How critics are judged: by ``genprm eval world``, one greedy rationale a step."""

    engine: str = "nano:{model}"
    split: str = "test"
    problems: int = 400
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


def accuracy(rows: Sequence[tuple[Source, Mapping[str, object]]]) -> float:
    """Share of verdicts in these rows that are true, of the steps up to the first error in truth."""
    pairs = [pair for source, _ in rows for pair in _verdicts(source)]
    return sum(said == true for said, true in pairs) / max(len(pairs), 1)


def _verdicts(source: Source) -> Iterator[tuple[bool | None, bool]]:
    said = [rationale.verdict for rationale in source.taught.rationales]
    yield from zip(said, source.truth, strict=False)


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
    hits = await asyncio.gather(
        *(_arm(arms[name], rows, training, test, folder / name, room) for name, rows in taken.items())
    )
    drawn = _estimates(dict(zip(arms, hits, strict=True)), seed)
    base = next(iter(drawn.values()))
    return [
        CriticScore(
            name=name,
            arm=arm,
            candidates=len(sources),
            kept=len(chosen[name]),
            rows=n,
            wrong=sum(not all(source.truth) for source, _ in taken[name]) / n,
            label_accuracy=accuracy(taken[name]),
            f1=drawn[name].measure(),
            difference=base.minus(drawn[name]),
        )
        for name, arm in arms.items()
    ]


Hits = dict[str, tuple[bool, bool]]
"""By solution: whether it has an error, and whether the critic's first error is the true one."""


def _estimates(hits: Mapping[str, Hits], seed: int) -> dict[str, Estimate]:
    first = next(iter(hits.values()))
    wrong = [is_wrong for is_wrong, _ in first.values()]
    columns = {name: [[each[id_][1] for id_ in first]] for name, each in hits.items()}
    return estimate(wrong, columns, seed=seed, resamples=RESAMPLES)


async def _arm(
    arm: Arm,
    rows: Sequence[tuple[Source, dict[str, object]]],
    training: Training,
    test: Test,
    folder: Path,
    room: asyncio.Semaphore,
) -> Hits:
    data = _written(folder, [row for _, row in rows])
    async with room:
        model = folder / "model"
        await _run("train", "critic", str(data), "--model", _folder(training.model), "--output", str(model),
                   *training.options, log=folder / "train.log")  # fmt: skip
        await _run(*_judging(arm, test, model), "--run", str(folder / "judged"), log=folder / "judge.log")
    return _hits(folder / "judged")


def _written(folder: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "rows.jsonl"
    if not path.exists():
        write_whole(path, ((json.dumps(row, ensure_ascii=False) + "\n").encode() for row in rows))
    return path


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
            sys.executable, "-m", "genprm", *words, stdout=output, stderr=output, env=os.environ | threads
        )
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            process.terminate()
            await process.wait()
            raise
    if code:
        raise GenPRMError(f"genprm {' '.join(words[:2])} ended with exit code {code}: {log} says why")


def _hits(run: Path) -> Hits:
    found: Hits = {}
    with (run / "results.jsonl").open("rb") as lines:
        for number, line in enumerate(lines, 1):
            critique = records.from_json(line, Critique, f"{run}/results.jsonl:{number}")
            gold = critique.solution.first_error
            found[key(critique.solution)] = (gold != NO_ERROR, critique.first_error == gold)
    return found
