"""What happens while an attack runs: how late the machine is, how much memory processes take."""

import asyncio
import contextlib
import ctypes
import os
import time
from collections.abc import Iterator
from pathlib import Path

from genprm.sandbox.trials.processes import descendants

_EVERY_S = 0.05
_MARGIN_MB = 96
"""What the allocator and shared pages add to the limit."""
_PR_SET_CHILD_SUBREAPER = 36


class Watch:
    """Looks at our processes a few times a second while it is entered."""

    def __init__(self, memory_mb: int) -> None:
        self.seen: list[str] = []
        self.lag_s = 0.0
        """The most that this task itself was kept waiting."""
        largest = max((_resident_mb(pid) for pid in descendants()), default=0)
        self._most_mb = memory_mb + largest + _MARGIN_MB
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> "Watch":
        self.seen, self.lag_s = [], 0.0
        self._task = asyncio.ensure_future(self._look())
        return self

    def __exit__(self, *exc_info: object) -> None:
        assert self._task is not None
        self._task.cancel()

    async def _look(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(_EVERY_S)
            self.lag_s = max(self.lag_s, time.monotonic() - began - _EVERY_S)
            for pid in descendants():
                if (resident := _resident_mb(pid)) > self._most_mb and not self.seen:
                    self.seen.append(f"a process took {resident:.0f} MB of memory")


@contextlib.contextmanager
def adopting() -> Iterator[None]:
    """While this holds, a process whose parent dies becomes our child and not init's: nobody leaves the tree unseen."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _resident_mb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
