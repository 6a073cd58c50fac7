"""A file of lines that only grows, and is whole whenever a process is killed or the disk is full."""

import os
from pathlib import Path

from genprm.errors import WriteError


class AppendedFile:
    """One writer. A torn last line, as a killed process leaves it, is cut off when the file is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._size = _cut_torn_line(self._descriptor)

    def append(self, line: bytes) -> tuple[int, int]:
        """Write a line (without its end); where it begins, and its length. It is with the operating system then.

        Raises:
            WriteError: there is no room. Nothing of the line stays.
        """
        begin, rest = self._size, memoryview(line + b"\n")
        try:
            while rest:  # what fits on a disk that becomes full is written, and only the next write says no
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            os.ftruncate(self._descriptor, begin)
            raise WriteError(self.path, error) from None
        self._size += len(line) + 1
        return begin, len(line)

    def read(self, place: tuple[int, int]) -> bytes:
        """The line at a place that :meth:`append` told."""
        begin, length = place
        return os.pread(self._descriptor, length, begin)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _cut_torn_line(descriptor: int) -> int:
    """The size of what is left."""
    size = end = os.fstat(descriptor).st_size
    while end:
        begin = max(end - 65536, 0)
        at = os.pread(descriptor, end - begin, begin).rfind(b"\n")
        if at >= 0:
            end = begin + at + 1
            break
        end = begin
    if end < size:
        os.ftruncate(descriptor, end)
    return end
