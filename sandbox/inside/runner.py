"""Runs checks one after the other in one namespace, as plain Python would run them as one program."""

import contextlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from types import FrameType, ModuleType

from genprm.sandbox.frames import CUT, LAST, READ_STDIN, Reply, Request
from genprm.sandbox.inside.capture import Discard, NoInput, Output, OutputLimit, text_in, text_out
from genprm.sandbox.limits import Limits
from genprm.sandbox.result import Status

_OWN = "<check "
_FRAMES_SHOWN = 8
# None on Windows: the host's clock ends what is late.
_SIGNALS = (signal.SIGPROF, signal.SIGALRM) if hasattr(signal, "setitimer") else ()


class Runner:
    """One session's namespace. ``send`` puts a reply on the channel."""

    def __init__(self, limits: Limits, send: Callable[[Request, Reply], None]) -> None:
        self._limits = limits
        self._send = send
        self._running: Request | None = None
        self._main = ModuleType("__main__")
        sys.modules["__main__"] = self._main
        sys.argv = ["-c"]
        self._out, self._err, self._in = Output(limits.output_bytes), Discard(), NoInput()
        self._streams = text_in(self._in), text_out(self._out), text_out(self._err)
        self.prepare()

    def rehearse(self) -> None:
        """Run nothing, as a check is run: what is shared with the warm process until it is touched is then our own."""
        self.run(Request(0, b"", "print(end='')"))
        self.prepare()

    def prepare(self) -> None:
        """Whatever can be done before the next check comes, so that it need not wait for it."""
        stdin, stdout, stderr = self._streams
        # The same streams as long as they are whole: a check may hold on to the ``stdout`` of an earlier one.
        if self._out.cut or not _open(stdout):
            self._out = Output(self._limits.output_bytes)
            stdout = text_out(self._out)
        if not _open(stderr):
            stderr = text_out(self._err)
        if self._in.asked or not _open(stdin):
            self._in = NoInput()
            stdin = text_in(self._in)
        self._streams = stdin, stdout, stderr
        self._out.data = bytearray()
        for number in _SIGNALS:
            signal.signal(number, self._stop)

    def run(self, request: Request) -> Reply:
        out = self._out
        sys.stdin, sys.stdout, sys.stderr = sys.__stdin__, sys.__stdout__, sys.__stderr__ = self._streams  # type: ignore[misc]
        name = f"{_OWN}{request.step}>"
        self._running = request
        if _SIGNALS:
            signal.setitimer(signal.ITIMER_PROF, self._limits.cpu_s)
            signal.setitimer(signal.ITIMER_REAL, self._limits.wall_s)
        try:
            status, error, where = self._execute(request.code, name)
            with contextlib.suppress(ValueError, OutputLimit):  # a closed stream has nothing left to say
                self._streams[1].flush()
        finally:
            self._disarm()
        if out.cut:
            status, error = "output_limit", f"OutputLimit: more than {self._limits.output_bytes} bytes of output"
        flags = READ_STDIN * self._in.asked | CUT * out.cut
        return Reply(status, bytes(out.data), _bytes(error), _bytes(where), flags)

    def _execute(self, code: str, name: str) -> tuple[Status, str, str]:
        try:
            exec(compile(code, name, "exec", dont_inherit=True), self._main.__dict__)
        except SystemExit as stop:
            return ("ok", "", "") if stop.code in (None, 0) else ("error", _describe(stop), "")
        except MemoryError as error:
            return "memory", _describe(error), _where(error, name)
        except OutputLimit as error:
            return "output_limit", "", _where(error, name)
        except BaseException as error:  # the worker's record of whatever a check raises
            return "error", _describe(error), _where(error, name)
        return "ok", "", ""

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """End the check from inside, at its limit, so that what it printed is kept.

        Not to be swallowed by a handler, but a check can switch the timers off and C code can hold them up: then the
        host kills the process, and the output is lost with it.
        """
        request, self._running = self._running, None
        if request is None:
            return
        limits, out = self._limits, self._out
        spent = f"{limits.cpu_s:g} s of CPU time" if number == signal.SIGPROF else f"{limits.wall_s:g} s"
        where = _lines(reversed(list(traceback.walk_stack(frame))), f"{_OWN}{request.step}>")
        error = f"Timeout: still running after {spent}"
        flags = LAST | CUT * out.cut
        self._send(request, Reply("timeout", bytes(out.data), _bytes(error), _bytes(where), flags))
        os._exit(0)

    def _disarm(self) -> None:
        """Also what a check armed itself: nothing of it runs between two checks."""
        self._running = None
        if _SIGNALS:
            for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL, signal.ITIMER_VIRTUAL):
                signal.setitimer(timer, 0)


def _open(stream: io.TextIOWrapper) -> bool:
    try:
        return not stream.closed
    except ValueError:  # detached
        return False


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _describe(error: BaseException) -> str:
    """``Type: message``. The message is the check's own code, and may do anything but run for ever."""
    try:
        message = error.msg if isinstance(error, SyntaxError) else str(error)
    except BaseException:  # an exception that cannot be printed is still an exception
        message = "<no message: str() failed>"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _where(error: BaseException, name: str) -> str:
    lines = _lines(traceback.walk_tb(error.__traceback__), name)
    if isinstance(error, SyntaxError) and error.filename == name:
        return f"line {error.lineno}"
    return lines


def _lines(frames: Iterable[tuple[FrameType, int]], name: str) -> str:
    """The check's own lines, outermost first; those of functions from earlier checks say so."""
    lines = []
    for frame, number in frames:
        code = frame.f_code
        if not code.co_filename.startswith(_OWN):
            continue
        place = "" if code.co_name == "<module>" else f", in {code.co_name}"
        lines.append(f"line {number}{place}" + ("" if code.co_filename == name else " of an earlier check"))
    if len(lines) > _FRAMES_SHOWN:
        half = _FRAMES_SHOWN // 2
        lines[half:-half] = [f"... {len(lines) - 2 * half} more"]
    return "\n".join(lines)
