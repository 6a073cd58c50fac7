"""What an evaluation found, how sure it is, what failed, what it cost, and how it was made: in one record.

Nothing is left out because it looks bad: a prediction that is missing counts as wrong, and every kind of failure stands
beside the scores, split by split.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from genprm import records
from genprm.errors import InputError
from genprm.eval.metrics import LEVEL, RESAMPLES, Interval, MeanF1, ProcessBenchScore, mean_f1, score_split
from genprm.sandbox.text import plain
from genprm.types import Usage


@dataclass(frozen=True, slots=True)
class Item:
    """What the report needs to know of one judged solution."""

    split: str
    label: int
    """Gold: 0-based index of the first wrong step, -1 for none."""
    prediction: int | None
    """Likewise; None where there is none, which counts as wrong."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """How often each kind of failure occurred on the way, by name."""
    usage: Usage = Usage()
    seconds: float = 0.0
    """Wall-clock seconds from its first call to its last verdict."""
    name: str = ""
    """Of the solution."""
    rewards: tuple[float | None, ...] = ()
    """Of its steps, where all votes of a step have a P(Yes); None elsewhere."""


@dataclass(frozen=True, slots=True)
class SplitReport:
    score: ProcessBenchScore
    failures: Mapping[str, int]
    """Sums over the rows, by kind."""
    usage: Usage
    seconds: float
    """Sum over the rows. Rows overlap in time, so a run takes less; the rationales of a row do too."""


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """How the intervals were made; ``genprm.eval.metrics`` says it in words."""

    level: float = LEVEL
    resamples: int = RESAMPLES
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """The content of ``report.json``. Shares lie in [0, 1]."""

    splits: tuple[SplitReport, ...]
    mean: MeanF1
    failures: Mapping[str, int]
    """Sums over all splits, by kind."""
    usage: Usage
    seconds: float
    bootstrap: Bootstrap
    settings: Mapping[str, Any]
    """How the predictions were made: engine, protocol, votes, threshold, seed, …"""


def build_report(
    items: Iterable[Item], settings: Mapping[str, Any], *, seed: int = 0, resamples: int = RESAMPLES
) -> Report:
    """Score the items split by split, in the order in which the splits first appear, and add up the rest.

    ``settings`` must be JSON-like; ``seed`` and ``resamples`` are those of the bootstrap.
    """
    by_split: dict[str, list[Item]] = {}
    for item in items:
        by_split.setdefault(item.split, []).append(item)
    splits = tuple(split_report(name, rows, seed, resamples) for name, rows in by_split.items())
    return Report(
        splits=splits,
        mean=mean_f1([split.score for split in splits], seed=seed, resamples=resamples),
        failures=sum_failures(split.failures for split in splits),
        usage=sum((split.usage for split in splits), Usage()),
        seconds=sum(split.seconds for split in splits),
        bootstrap=Bootstrap(resamples=resamples, seed=seed),
        settings=dict(settings),
    )


def split_report(name: str, items: Sequence[Item], seed: int = 0, resamples: int = RESAMPLES) -> SplitReport:
    """The items of one split, whatever split they say they are of."""
    pairs = [(item.label, item.prediction) for item in items]
    return SplitReport(
        score=score_split(pairs, name, seed=seed, resamples=resamples),
        failures=sum_failures(item.failures for item in items),
        usage=sum((item.usage for item in items), Usage()),
        seconds=sum(item.seconds for item in items),
    )


def sum_failures(all_failures: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """By kind, in the order of their names."""
    total: Counter[str] = Counter()
    for failures in all_failures:
        total.update(failures)
    return dict(sorted(total.items()))


def read_report(path: str | Path) -> Report:
    """A report as ``genprm.runs.Run.write_report`` writes it. Raises InputError where the file holds none."""
    try:
        return records.from_json(Path(path).read_bytes(), Report, str(path))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", str(path)) from error


# --- on the terminal -----------------------------------------------------------------------------------------------


def print_report(report: Report, console: Console | None = None) -> None:
    """The report as tables that fit 80 columns; plain text where the output is no terminal."""
    (console or Console(highlight=False)).print(render_report(report))


def render_report(report: Report) -> Group:
    scores = score_table(report.splits)
    scores.add_section()
    n, missing = (sum(getattr(split.score, name) for split in report.splits) for name in ("n", "missing"))
    mean = share(report.mean.f1, report.mean.f1_interval, "bold")
    scores.add_row("mean", f"{n:,}", _alarming(missing), "", "", mean)
    counts = count_table(report.splits, report if len(report.splits) != 1 else None)
    return Group(scores, note(report.bootstrap), "", counts, *made(report.settings))


def note(bootstrap: Bootstrap) -> Text:
    """How to read the figures."""
    return Text(
        f"Percent, with {100 * bootstrap.level:g} % bootstrap intervals ({bootstrap.resamples:,} resamples within each"
        " class). A missing prediction counts as wrong.",
        "dim",
    )


def made(settings: Mapping[str, Any]) -> list[Text]:
    """How the figures were made: in words where ``how`` says it, and setting by setting."""
    others = dict(settings)
    how = others.pop("how", None)
    said = [Text(plain(str(how)))] if how else []
    return [*said, Text(", ".join(_flat(others)), "dim")]


def table(*names: str) -> Table:
    """Cells fold where they do not fit; an ellipsis would hide digits."""
    empty = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for i, name in enumerate(names):
        empty.add_column(Text(plain(name)), justify="right" if i else "left", overflow="fold")
    return empty


def score_table(splits: Sequence[SplitReport], what: str = "split") -> Table:
    """The metric, a row per split."""
    scores = table(what, "n", "missing")
    for name in ("error acc", "correct acc", "F1"):
        scores.add_column(name, overflow="fold")
    for split in splits:
        score = split.score
        scores.add_row(
            Text(plain(score.split)),
            f"{score.n:,}",
            _alarming(score.missing),
            share(score.error_accuracy, score.error_interval),
            share(score.correct_accuracy, score.correct_interval),
            share(score.f1, score.f1_interval, "bold"),
        )
    return scores


def count_table(splits: Sequence[SplitReport], total: Report | None = None) -> Table:
    """What failed and what was spent: a row per kind, a column per split, and ``total``."""
    parts: list[SplitReport | Report] = [*splits, *([total] if total else [])]
    counts = table("", *(split.score.split for split in splits), *(["all"] if total else []))
    failures = sorted({kind for part in parts for kind in part.failures})
    for kind in failures:
        counts.add_row(Text(plain(kind)), *(_alarming(part.failures.get(kind, 0)) for part in parts))
    if not failures:
        counts.add_row("failures", *("0" for _ in parts))
    counts.add_section()
    counts.add_row("rationales", *(_short(part.usage.rationales) for part in parts))
    counts.add_row("calls", *(_short(part.usage.calls) for part in parts))
    counts.add_row("prompt tokens", *(_short(part.usage.prompt_tokens) for part in parts))
    counts.add_row("  of them cached", *(_short(part.usage.cached_tokens) for part in parts))
    counts.add_row("completion tokens", *(_short(part.usage.completion_tokens) for part in parts))
    counts.add_row("time, summed over rows", *(_duration(part.seconds) for part in parts))
    counts.add_row("  in the engine", *(_duration(part.usage.engine_s) for part in parts))
    counts.add_row("  in checks", *(_duration(part.usage.sandbox_s) for part in parts))
    counts.add_row("  waiting for either", *(_duration(part.usage.waiting_s) for part in parts))
    return counts


def share(value: float | None, interval: Interval | None, style: str = "") -> Text:
    """In percent."""
    if value is None:
        return Text("n/a", "dim")
    text = Text(f"{100 * value:.1f}", style)
    if interval is not None:
        text.append(f" {100 * interval.low:.1f}–{100 * interval.high:.1f}", "not bold dim")
    return text


def _alarming(count: int) -> Text:
    return Text(f"{count:,}", "yellow" if count else "")


def _short(count: int) -> str:
    """At most seven characters, three digits at least."""
    for limit, unit in ((10**12, "T"), (10**9, "G"), (10**6, "M")):
        if count >= limit:
            return f"{count / limit:.2f}{unit}"
    return f"{count:,}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02}m"


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterable[str]:
    """``name=value`` for every setting, nested ones with a dotted name."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            shown = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            yield plain(f"{prefix}{name}={shown}")
