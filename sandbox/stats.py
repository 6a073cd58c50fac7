"""What a sandbox has done so far, in numbers."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

from genprm.sandbox.result import Result, Status

BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)
"""Upper bounds of the histograms' buckets, in seconds; the last bucket has none."""


@dataclass(slots=True)
class Histogram:
    """Seconds, counted by size."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    @property
    def count(self) -> int:
        return sum(self.counts)

    def quantile(self, share: float) -> float:
        """Upper bound of the bucket that holds this share of all (infinity for the last); 0 for an empty one."""
        left = share * self.count
        for bound, count in zip((*BOUNDS, float("inf")), self.counts, strict=True):
            left -= count
            if left <= 0:
                return bound if self.count else 0.0
        return float("inf")


@dataclass(slots=True)
class Stats:
    """Counts since the sandbox was made. Cheap to keep, safe to read at any time."""

    cpu: dict[Status, Histogram] = field(default_factory=dict)
    """CPU seconds of the checks, by how they ended."""
    wall: dict[Status, Histogram] = field(default_factory=dict)
    """Wall-clock seconds of the checks."""
    flags: Counter[str] = field(default_factory=Counter)
    """How many results carried each flag."""
    fresh: int = 0
    """Processes made when they were wanted, the policy's among them."""
    spares: int = 0
    """Processes taken from the reserve."""
    forks: int = 0
    """Sessions forked from the state of another."""
    replays: int = 0
    """Sessions whose earlier checks were run again."""
    starts: int = 0
    """Warm processes started; more than one where one was lost."""

    def count(self, result: Result) -> None:
        self.cpu.setdefault(result.status, Histogram()).add(result.cpu_s)
        self.wall.setdefault(result.status, Histogram()).add(result.wall_s)
        self.flags.update(result.flags)

    @property
    def checks(self) -> dict[Status, int]:
        """Checks by how they ended."""
        return {status: histogram.count for status, histogram in self.cpu.items()}
