"""Progress of long work, on standard error: a bar on a terminal, a line now and then in a pipe."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

_EVERY_S = 10.0


class Tick(Protocol):
    def __call__(self, note: str = "") -> None:
        """One more is done; ``note`` is shown behind the bar."""


@contextmanager
def progress(what: str, total: int, done: int = 0) -> Iterator[Tick]:
    """Count from ``done`` to ``total``. Rate and time left are measured from here on."""
    console = Console(stderr=True)
    if console.is_terminal:
        with _bar(console) as bar:
            task = bar.add_task(what, total=total, completed=done, note="")
            yield lambda note="": bar.update(task, advance=1, note=note)
    else:
        yield _Lines(what, total, done)


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
        console=console,
    )


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0.0:.1f}/s")


class _Lines:
    """One line every ten seconds, so that a log stays readable."""

    def __init__(self, what: str, total: int, done: int) -> None:
        self._what, self._total, self._done = what, total, done
        self._first = done
        self._began = self._said = time.monotonic()

    def __call__(self, note: str = "") -> None:
        self._done += 1
        now = time.monotonic()
        if now - self._said < _EVERY_S and self._done < self._total:
            return
        self._said = now
        rate = (self._done - self._first) / max(now - self._began, 1e-9)
        left = (self._total - self._done) / rate
        line = f"{self._what} {self._done}/{self._total} · {rate:.1f}/s · {left:.0f} s left"
        print(f"{line} · {note}" if note else line, file=sys.stderr, flush=True)
