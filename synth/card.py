"""The card of a dataset: what is in it, how it came about, what it cannot do."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)


@dataclass(frozen=True, slots=True)
class Stage:
    """What a stage of the making took and left."""

    name: str
    came: int
    kept: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    """By reason."""


@dataclass(slots=True)
class Counts:
    """Of one split."""

    rows: int = 0
    steps: int = 0
    problems: set[str] = field(default_factory=set)
    firsts: Counter[str] = field(default_factory=Counter)
    """Rows by what their labels say: ``no error``, ``an error``, ``not known``."""
    labels: Counter[str] = field(default_factory=Counter)
    """Steps by label."""
    checks: Counter[str] = field(default_factory=Counter)
    """Checks by how they ended."""
    makers: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Rows by (column, value) for generator, policy, labeler, teacher."""

    def add(self, values: Mapping[str, Any]) -> None:
        """Count a row by its columns."""
        self.rows += 1
        self.steps += len(values["steps"])
        self.problems.add(values["problem_digest"])
        label = values["label"]
        self.firsts["not known" if label is None else "no error" if label < 0 else "an error"] += 1
        for said in values["labels"] or values["verdicts"] or ():
            self.labels[{True: "right", False: "wrong", None: "unsure"}[said]] += 1
        self.checks.update(status for step in values["checks"] or () for status in step)
        self.makers.update((name, values[name]) for name in _MAKERS if values[name])


_MAKERS = ("generator", "policy", "labeler", "teacher")


@dataclass(frozen=True, slots=True)
class Card:
    name: str
    licence: str
    counts: Mapping[str, Mapping[str, Counts]]
    """By configuration and split."""
    stages: Sequence[Stage]
    made: str
    seed: int


def folder_of(config: str) -> str:
    """Where a configuration's files are."""
    return "data" if config == "default" else config


def write_card(card: Card) -> str:
    """The whole of README.md: YAML for the hub, then Markdown. The same for the same card."""
    return "\n".join([*_front(card), "", *_body(card)]) + "\n"


def _front(card: Card) -> list[str]:
    rows = sum(count.rows for splits in card.counts.values() for count in splits.values())
    size = next((name for limit, name in _SIZES if rows < limit), "n>10M")
    lines = ["---", f"pretty_name: {json.dumps(card.name)}", f"license: {json.dumps(card.licence)}"]
    lines += ["size_categories:", f"- {size}", "tags:", "- process-reward-model", "configs:"]
    for config, splits in card.counts.items():
        lines += [f"- config_name: {json.dumps(config)}", *(["  default: true"] if config == "default" else [])]
        lines += ["  data_files:"]
        for split in splits:
            lines += [
                f"  - split: {json.dumps(split)}",
                f"    path: {json.dumps(f'{folder_of(config)}/{split}-*.parquet')}",
            ]
    return [*lines, "---"]


def _body(card: Card) -> list[str]:
    whole = [(config, split, count) for config, splits in card.counts.items() for split, count in splits.items()]
    lines = [f"# {card.name}", "", _WHAT, "", "## Rows", ""]
    lines += _table(
        ("configuration", "split", "rows", "problems", "steps", "no error", "an error", "not known"),
        [(c, s, n.rows, len(n.problems), n.steps, *(n.firsts[k] for k in _FIRSTS)) for c, s, n in whole],
    )
    lines += ["", f"No problem stands in two splits: its digest and the seed {card.seed} say in which.", ""]
    lines += ["## Labels and checks", ""]
    labels: Counter[str] = sum((n.labels for _, _, n in whole), Counter())
    checks: Counter[str] = sum((n.checks for _, _, n in whole), Counter())
    lines += [*_shares("steps labelled", labels), "", *_shares("checks that ended", checks)]
    lines += ["", "## How it was made", ""] + ([card.made, ""] if card.made else [])
    makers: Counter[tuple[str, str]] = sum((n.makers for _, _, n in whole), Counter())
    lines += _table(("what", "which", "rows"), [(*maker, n) for maker, n in sorted(makers.items())])
    if card.stages:
        lines += ["", "| stage | came | kept | share | dropped |", "| --- | ---: | ---: | ---: | --- |"]
        lines += [_stage(stage) for stage in card.stages]
    return [*lines, "", "## Limits", "", _LIMITS]


def _stage(stage: Stage) -> str:
    share = f"{stage.kept / stage.came:.1%}" if stage.came else "-"
    dropped = ", ".join(f"{_cell(reason)} {n}" for reason, n in stage.dropped.items() if n) or "-"
    return f"| {_cell(stage.name)} | {stage.came} | {stage.kept} | {share} | {dropped} |"


def _shares(what: str, counts: Counter[str]) -> list[str]:
    total = sum(counts.values())
    return _table((what, "number", "share"), [(name, n, f"{n / total:.1%}") for name, n in sorted(counts.items())])


def _table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    found = [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    if not found:
        return [f"{names[0].capitalize()}: none."]
    return [f"| {' | '.join(names)} |", f"| {' | '.join(['---'] * len(names))} |", *found]


def _cell(value: object) -> str:
    return " ".join(str(value).replace("|", "\\|").split())


_FIRSTS = ("no error", "an error", "not known")
_WHAT = """Solutions of problems in steps, and for each step a rationale: an analysis, Python code that was run, its
output, a verdict. A row is a conversation (`messages`) as `genprm train critic` and TRL's `SFTTrainer` read it; the
other columns say how it came about."""
_LIMITS = """- Labels are made by programs and models, not by people. Steps labelled right may be wrong, and wrong ones
  right; `label_confidences` is the labelling scheme's own estimate.
- `label` is the index of the first wrong step, from 0; -1 says that none was found, null that it is not known.
- The texts of the rationales count steps from 1."""
