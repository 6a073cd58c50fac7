"""The memory that the zygote shares with its children, arranged so that a fork and what follows it are cheap.

A child gets a copy of a page as soon as it writes to it, if only to count one more reference to an object there, and
pays some 2 microseconds for each. Half of what a session costs beyond its checks is that.
"""

import contextlib
import gc
import os
import re
import sys

from genprm.sandbox.kernel import calls

_PIPE_BYTES = 1 << 16
# A line of the statistics: class, size of its blocks, pools, blocks in use, blocks available.
_CLASS = re.compile(rb"^\s*\d+\s+(\d+)\s+\d+\s+\d+\s+(\d+)\s*$", re.MULTILINE)
_BYTES_HEADER = 33
_ballast: list[object] = []


def settle(maps: int) -> None:
    """All that is here now stays: the children's garbage collectors need not look at it, and it goes on huge pages.

    ``maps`` is an open descriptor of ``/proc/self/maps``.
    """
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):  # another kind of Python
        _fill_holes()
    gc.freeze()
    os.lseek(maps, 0, os.SEEK_SET)
    text = b"".join(iter(lambda: os.read(maps, _PIPE_BYTES), b"")).decode()
    for line in map(str.split, text.splitlines()):
        anonymous = len(line) == 5 or line[5] == "[heap]"
        if anonymous and line[1].startswith("rw"):
            start, end = (int(bound, 16) for bound in line[0].split("-"))
            with contextlib.suppress(OSError):  # an old kernel, no huge page to be had: slower, nothing else
                calls.collapse(start, end)


def _fill_holes() -> None:
    """Use up the free blocks between what stays: a child's own objects then lie together, on pages of their own."""
    for size, free in _holes():
        if size == 16:
            _ballast.append([object() for _ in range(free)])
        elif size == 32:
            _ballast.append([(1 << 40) + number for number in range(free)])
        else:
            _ballast.append([bytes(size - _BYTES_HEADER) for _ in range(free)])


def _holes() -> list[tuple[int, int]]:
    """Sizes of the blocks of Python's allocator, and how many of each are free in the pools that it has begun."""
    source, sink = os.pipe()
    stderr = os.dup(2)
    try:
        os.dup2(sink, 2)
        os.close(sink)
        sys._debugmallocstats()  # some 5 KB, which fit into the pipe
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
    with open(source, "rb") as pipe:
        return [(int(size), int(free)) for size, free in _CLASS.findall(pipe.read())]
