"""Runs checks one after the other in one namespace, as plain Python would run them as one program."""

import contextlib
import os
import random
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from types import FrameType, ModuleType

from genprm.sandbox.capture import Discard, NoInput, Output, OutputLimit, text_in, text_out
from genprm.sandbox.frames import CUT, READ_STDIN, Reply, Request
from genprm.sandbox.limits import Limits
from genprm.sandbox.result import Status

_OWN = "<check "
_FRAMES_SHOWN = 8


class Runner:
    """One session's namespace. ``send`` puts a reply on the channel."""

    def __init__(self, limits: Limits, send: Callable[[Request, Reply], None]) -> None:
        self._limits = limits
        self._send = send
        self._running = False
        self._main = ModuleType("__main__")
        sys.modules["__main__"] = self._main
        sys.argv = ["-c"]
        self._out = Output(limits.output_bytes)
        self._stdout = text_out(self._out)
        random.seed(0)

    def run(self, request: Request) -> Reply:
        out, stdin = self._fresh_output(), NoInput()
        sys.stdout = sys.__stdout__ = self._stdout  # type: ignore[misc]
        sys.stderr = sys.__stderr__ = text_out(Discard())  # type: ignore[misc]
        sys.stdin = sys.__stdin__ = text_in(stdin)  # type: ignore[misc]
        name = f"{_OWN}{request.step}>"
        self._arm(request, out, name)
        try:
            status, error, where = self._execute(request.code, name)
            with contextlib.suppress(ValueError, OutputLimit):  # a closed stream has nothing left to say
                self._stdout.flush()
        finally:
            self._disarm()
        if out.cut:
            status, error = "output_limit", f"OutputLimit: more than {self._limits.output_bytes} bytes of output"
        flags = READ_STDIN * stdin.asked | CUT * out.cut
        return Reply(status, bytes(out.data), _bytes(error), _bytes(where), flags)

    def _fresh_output(self) -> Output:
        """The same stream as long as it is whole: a check may hold on to the ``stdout`` of an earlier one."""
        try:
            whole = not (self._out.cut or self._stdout.closed)
        except ValueError:  # detached
            whole = False
        if whole:
            self._out.data = bytearray()
        else:
            self._out = Output(self._limits.output_bytes)
            self._stdout = text_out(self._out)
        return self._out

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

    def _arm(self, request: Request, out: Output, name: str) -> None:
        """Two timers that end the check from inside, so that what it printed is kept.

        They cannot be swallowed by a handler, but a check can switch them off and C code can hold them up: then the
        host kills the process, and the output is lost with it.
        """

        def stop(number: int, frame: FrameType | None) -> None:
            if not self._running:
                return
            self._running = False
            limits = self._limits
            spent = f"{limits.cpu_s:g} s of CPU time" if number == signal.SIGPROF else f"{limits.wall_s:g} s"
            where = _lines(reversed(list(traceback.walk_stack(frame))), name)
            error = f"Timeout: still running after {spent}"
            self._send(request, Reply("timeout", bytes(out.data), _bytes(error), _bytes(where), CUT * out.cut))
            os._exit(0)

        self._running = True
        signal.signal(signal.SIGPROF, stop)
        signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_PROF, self._limits.cpu_s)
        signal.setitimer(signal.ITIMER_REAL, self._limits.wall_s)

    def _disarm(self) -> None:
        """Also what a check armed itself: nothing of it runs between two checks."""
        self._running = False
        for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL, signal.ITIMER_VIRTUAL):
            signal.setitimer(timer, 0)


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
