"""What a run came to and how it was made, as tables: by the shapes of ``report.json`` that are known, else as it is."""

from collections.abc import Iterator, Mapping
from typing import Any

from genprm.viewing.sheets import FORMLESS, Block, fields

_HEAD = ["", "n", "missing", "error acc", "correct acc", "F1"]


def figures(report: Mapping[str, Any]) -> list[Block]:
    """Of a ``report.json``; nothing where there is none."""
    for tables in (_world, _processbench, _policy):
        try:
            return tables(report)
        except FORMLESS:
            continue
    return [fields({name: value for name, value in report.items() if name != "settings"})] if report else []


def how(made: Mapping[str, Any]) -> list[Block]:
    """Of a ``run.json``."""
    config = made.get("config")
    if not isinstance(config, dict):
        return [fields(made)] if made else []
    others = {name: value for name, value in made.items() if name != "config"}
    return [fields(config), fields(others)]


def table(title: str, head: list[str], rows: list[list[str]]) -> Block:
    """The first column has names, the others figures."""
    return {"type": "table", "title": title, "head": head, "rows": rows}


def _world(report: Mapping[str, Any]) -> list[Block]:
    blocks = [
        table("First error, in percent", _HEAD, [_score(arm["whole"]["score"], arm["name"]) for arm in report["arms"]])
    ]
    for arm in report["arms"]:
        rows = [_score(score, score["split"]) for score in arm["kinds"]]
        blocks.append(table(f"By kind of error, {arm['name']}, in percent", _HEAD[:4], [row[:4] for row in rows]))
    return [*blocks, _failures(arm["whole"]["failures"] for arm in report["arms"])]


def _processbench(report: Mapping[str, Any]) -> list[Block]:
    rows = [_score(split["score"], split["score"]["split"]) for split in report["splits"]]
    rows.append(["mean", "", "", "", "", _share(report["mean"]["f1"], report["mean"]["f1_interval"])])
    return [table("First error, in percent", _HEAD, rows), _failures(iter([report["failures"]]))]


def _policy(report: Mapping[str, Any]) -> list[Block]:
    shares = {"solve": report["solve"], "revise": report["revise"]}
    shares |= {f"solve, difficulty {level}": share for level, share in report["solve_by_difficulty"].items()}
    rows = [[name, f"{s['n']}", _share(s["value"], s["interval"])] for name, s in shares.items() if s]
    return [table("Right answers, in percent", ["", "problems", "right"], rows)]


def _score(score: Mapping[str, Any], name: str) -> list[str]:
    shares = [_share(score[f"{kind}"], score[f"{kind.removesuffix('_accuracy')}_interval"]) for kind in _SHARES]
    return [name, f"{score['n_error'] + score['n_correct']:,}", f"{score['missing']:,}", *shares]


_SHARES = ("error_accuracy", "correct_accuracy", "f1")


def _share(value: float | None, interval: Mapping[str, float] | None) -> str:
    if value is None:
        return "–"
    within = f" ({100 * interval['low']:.1f} to {100 * interval['high']:.1f})" if interval else ""
    return f"{100 * value:.1f}{within}"


def _failures(found: Iterator[Mapping[str, int]]) -> Block:
    total: dict[str, int] = {}
    for each in found:
        for name, count in each.items():
            total[name] = total.get(name, 0) + count
    return table("Failures", ["", "times"], [[name, f"{count:,}"] for name, count in sorted(total.items())])
