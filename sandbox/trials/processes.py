"""What the kernel says of our processes: which there are, what they hold."""

import os
from collections.abc import Iterable
from pathlib import Path


def descendants(parent: int | None = None) -> set[int]:
    """Living processes below ``parent``, below this process by default."""
    parents = _parents()
    found = {parent or os.getpid()}
    while more := {pid for pid, above in parents.items() if above in found} - found:
        found |= more
    return found - {parent or os.getpid()}


def with_children(pids: set[int]) -> set[int]:
    """Those of ``pids`` that are parents or have no parent among ``pids``."""
    parents = _parents()
    return {pid for pid in pids if pid in parents.values() or parents.get(pid) not in pids}


def descriptors() -> int:
    """Open descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))


def cpu_s(pids: Iterable[int]) -> dict[int, float]:
    """CPU seconds of each of these processes so far."""
    found = {}
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        found[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def resident_mb() -> float:
    """Resident memory of this process in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def private_mb(pid: int) -> float | None:
    """Memory in MB that goes when this process goes, or None where we may not look."""
    return _rollup(pid, ("Private_Clean", "Private_Dirty"))


def shared_out_mb(pids: Iterable[int]) -> float | None:
    """Memory in MB of these processes together, shared pages counted once; None where we may not look."""
    sizes = [_rollup(pid, ("Pss",)) for pid in pids]
    known = [size for size in sizes if size is not None]
    return sum(known) if known else None


def _rollup(pid: int, names: tuple[str, ...]) -> float | None:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    return sum(int(line.split()[1]) for line in lines if line.split(":")[0] in names) * 1024 / 1e6


def _parents() -> dict[int, int]:
    """The parent of every living process."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, *_ = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if state != "Z":
            parents[int(stat.parent.name)] = int(parent)
    return parents
