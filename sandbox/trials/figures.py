"""Figures with the bars they are held to, and how they are shown."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number."""

    name: str
    value: float | None
    """None where it could not be had here."""
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None without a bar or a value."""
        if self.value is None or (self.at_most is None and self.at_least is None):
            return None
        return self.value <= self.at_most if self.at_most is not None else self.value >= (self.at_least or 0)

    @property
    def bar(self) -> str:
        if self.at_most is not None:
            return f"at most {self.at_most:g}"
        return "" if self.at_least is None else f"at least {self.at_least:g}"

    def record(self) -> dict[str, Any]:
        return {"name": self.name, "value": self.value, "unit": self.unit, "bar": self.bar, "met": self.met}


def quantile(values: Sequence[float], q: float) -> float:
    """The value at rank ``q``, nearest rank: always one that was measured."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def spread(name: str, seconds: Sequence[float], *quantiles: float) -> list[Figure]:
    """Mean and quantiles in milliseconds."""
    figures = [Figure(f"{name}, mean", 1000 * statistics.fmean(seconds), "ms")]
    return figures + [Figure(f"{name}, p{q * 100:g}", 1000 * quantile(seconds, q), "ms") for q in quantiles]


def table(figures: Iterable[Figure]) -> str:
    """One line a figure, the bar beside it."""
    rows = [(f.name, _number(f.value), f.unit, f.bar, _MARKS[f.met]) for f in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        f"{name:{widths[0]}}  {value:>{widths[1]}} {unit:{widths[2]}}  {bar:{widths[3]}}  {mark}".rstrip()
        for name, value, unit, bar, mark in rows
    )


_MARKS = {True: "met", False: "NOT met", None: ""}


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"
