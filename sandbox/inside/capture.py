"""The streams that a check sees."""

import io


class OutputLimit(BaseException):
    """Raised inside a check that prints too much; not an Exception, so that a plain handler does not swallow it."""


class Output(io.RawIOBase):
    """Keeps the first ``limit`` bytes that are written to it."""

    def __init__(self, limit: int) -> None:
        self.data = bytearray()
        self.cut = False
        self._limit = limit

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        room = self._limit - len(self.data)
        self.data += view[:room]
        if len(view) > room:
            self.cut = True
            raise OutputLimit
        return len(view)


class Discard(io.RawIOBase):
    """Standard error: not part of what a check says."""

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        return memoryview(data).nbytes  # type: ignore[arg-type]


class NoInput(io.RawIOBase):
    """Standard input: empty, and remembers that it was asked."""

    def __init__(self) -> None:
        self.asked = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        self.asked = True
        return 0


def text_out(raw: io.RawIOBase) -> io.TextIOWrapper:
    return io.TextIOWrapper(raw, encoding="utf-8", newline="\n", write_through=True)  # type: ignore[arg-type]


def text_in(raw: io.RawIOBase) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedReader(raw), encoding="utf-8")
