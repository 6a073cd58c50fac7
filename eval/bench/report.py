"""What a bench found: a table of figures, the bars they are held to, and how they were made."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from genprm.sandbox.trials.figures import Figure

Number = float | None


@dataclass(frozen=True, slots=True)
class Row:
    """One measured thing in every column; None where a column has none."""

    name: str
    values: tuple[Number, ...]
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """One bench."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    bars: tuple[Figure, ...] = ()
    how: dict[str, Any] = field(default_factory=dict)
    """How the figures were made: all that they depend on."""

    @property
    def met(self) -> bool:
        return all(figure.met is not False for figure in self.bars)

    def record(self) -> dict[str, Any]:
        """For JSON."""
        rows = [
            {"name": row.name, "unit": row.unit, **dict(zip(self.columns, row.values, strict=True))}
            for row in self.rows
        ]
        bars = [figure.record() for figure in self.bars]
        return {"title": self.title, "how": self.how | {"machine": machine()}, "figures": rows, "bars": bars}

    def show(self, console: Console) -> None:
        """One screen; plain text in a pipe."""
        console.print(Text(self.title, "bold"))
        console.print(_table(("", *self.columns), [_cells(row) for row in self.rows]))
        if self.bars:
            console.print()
            console.print(_table(("bar", "measured", "wanted", ""), [_bar(figure) for figure in self.bars]))
        told = " · ".join(f"{name} {_told(value)}" for name, value in self.how.items())
        console.print(Text(f"{told}\n{machine()}", "dim"), soft_wrap=not console.is_terminal)


def machine() -> str:
    """The machine in a line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return f"{system} · Python {platform.python_version()} · {cores} cores"


def number(value: Number) -> str:
    """Three digits, or all of those before the point."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _cells(row: Row) -> list[str]:
    name = f"{row.name}, {row.unit}" if row.unit else row.name
    return [name, *map(number, row.values)]


def _bar(figure: Figure) -> list[str]:
    met = {True: "met", False: "NOT met", None: ""}[figure.met]
    return [figure.name, f"{number(figure.value)} {figure.unit}".rstrip(), figure.bar, met]


def _told(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    for i, name in enumerate(names):
        table.add_column(name, justify="right" if i else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table
