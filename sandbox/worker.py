"""The host's side of one child: its channel, its clock, its end, and the deadline of what it is doing."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from dataclasses import dataclass
from typing import Protocol

from genprm.sandbox.frames import FrameError, Reply, Request, decode_reply, encode_request
from genprm.sandbox.limits import Limits

_GRACE_S = 0.1
"""The child ends itself at the limit; the host this much later, in case it did not."""
_SHORTEST_S = 0.005
_BRIEFLY_S = 0.0002
_EXIT_S = 2.0
"""A process that closed its channel by dying is reaped well within this time, on a busy machine too."""
_PART = 64 * 1024


@dataclass(frozen=True, slots=True)
class Exit:
    """How a child ended."""

    code: int | None = None
    """Exit code, negative for a signal; None where nobody is left to tell."""
    cpu_s: float = 0.0


class Worker(Protocol):
    """One process that serves one session."""

    exit: "asyncio.Future[Exit]"

    def ask(self, request: Request, output_bytes: int) -> "asyncio.Future[Reply | None]":
        """Hand over an order. The reply; None where the process went; ``FrameError`` for anything else."""

    def wait_briefly(self, seconds: float) -> None:
        """Block for a reply that comes at once: a turn of the event loop costs more than such a check does."""

    def quiet(self) -> bool:
        """Alive, and has nothing to say unasked. Anything else is the work of a check."""

    def cpu_s(self) -> float:
        """CPU seconds so far."""

    idle_cpu_s: float
    """What ``cpu_s`` was when it had answered its last order."""

    def kill(self) -> None: ...

    def dispose(self) -> None:
        """Kill it and let go of it."""


class Child:
    """A child of the zygote. Its channel is watched by the event loop for as long as it lives."""

    def __init__(self, pid: int, group: int, pidfd: int, channel: socket.socket, exit: "asyncio.Future[Exit]") -> None:
        self.pid = pid
        self.group = group
        """Its process group: that of the first of its line, which no check can leave."""
        self.exit = exit
        self._pidfd = pidfd
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._clock = (~pid << 3) | 2
        self._data = bytearray()
        self._request: Request | None = None
        self._reply: asyncio.Future[Reply | None] | None = None
        self._output_bytes = 0
        self._rest = memoryview(b"")
        self._watched = True
        self.idle_cpu_s = 0.0
        self._loop.add_reader(channel, self._on_readable)

    def ask(self, request: Request, output_bytes: int) -> "asyncio.Future[Reply | None]":
        self._request, self._output_bytes = request, output_bytes
        self._reply = self._loop.create_future()
        self._data.clear()
        self._rest = memoryview(encode_request(request))
        self._send()
        return self._reply

    def send_descriptor(self, descriptor: int) -> None:
        """The channel of a fork, after the order for it."""
        socket.send_fds(self._channel, [b"\0"], [descriptor])

    def _send(self) -> None:
        try:
            sent = self._channel.send(self._rest)
        except BlockingIOError:
            sent = 0
        except OSError:  # it went before it had read everything; the end of its channel says so
            return
        if self._rest:
            rest, self._rest = self._rest[sent:], self._rest[sent:]
            if rest and self._watched:
                self._loop.add_writer(self._channel, self._on_writable)

    def _on_writable(self) -> None:
        self._loop.remove_writer(self._channel)
        self._send()

    def _on_readable(self) -> None:
        try:
            part = self._channel.recv(_PART)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        reply, request = self._reply, self._request
        if reply is None or request is None or reply.done():
            self._unwatch()  # unasked, or the end: ``quiet`` says no from now on
            return
        if not part:
            self._unwatch()
            reply.set_result(None)
            return
        self._data += part
        try:
            said = decode_reply(self._data, request, self._output_bytes)
        except FrameError as error:
            self._unwatch()
            reply.set_exception(error)
            return
        if said is not None:
            reply.set_result(said)

    def _unwatch(self) -> None:
        if self._watched:
            self._watched = False
            self._loop.remove_reader(self._channel)
            self._loop.remove_writer(self._channel)

    def wait_briefly(self, seconds: float) -> None:
        end = time.perf_counter() + seconds
        while self._watched and self._reply is not None and not self._reply.done() and time.perf_counter() < end:
            self._on_readable()

    def quiet(self) -> bool:
        if not self._watched:
            return False
        try:
            self._channel.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def cpu_s(self) -> float:
        try:
            return time.clock_gettime(self._clock)
        except OSError:
            return self.exit.result().cpu_s if self.exit.done() else 0.0

    def kill(self) -> None:
        """By descriptor and not by number: a number may belong to another process by now."""
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def dispose(self) -> None:
        self.kill()
        self._unwatch()
        self._channel.close()
        if self._reply is not None and not self._reply.done():
            self._reply.cancel()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one order: a reply, or why there is none."""

    reply: Reply | None = None
    overrun: str = ""
    """The limit that the host had to enforce."""
    broken: str = ""
    """What was wrong with the reply."""
    exit: Exit | None = None
    cpu_s: float = 0.0
    wall_s: float = 0.0


async def exchange(worker: Worker, request: Request, limits: Limits, *, alone: bool = False) -> Outcome:
    """Have one order carried out. However this ends without a reply, the process is dead or dying.

    ``alone``: nothing else runs, and a core is free to wait on for a moment.
    """
    began, cpu_before = time.monotonic(), worker.cpu_s()
    answer = worker.ask(request, limits.output_bytes)
    if alone:
        worker.wait_briefly(_BRIEFLY_S)
    watch = _Watch(worker, limits, began, cpu_before)
    reply, broken = None, ""
    try:
        reply = await answer
    except FrameError as error:
        broken = str(error)
    except BaseException:
        worker.kill()
        raise
    finally:
        watch.stop()
    wall, cpu_after = time.monotonic() - began, worker.cpu_s()
    worker.idle_cpu_s = cpu_after
    ending = None
    if reply is None:
        if broken:
            worker.kill()
        ending = await _ending(worker)
        if ending is None:
            broken = broken or "closed"
            worker.kill()
        else:
            cpu_after = max(cpu_after, ending.cpu_s)
    # Below a tick the kernel may not have counted yet; it cannot have been more than the time on the wall.
    cpu = cpu_after - cpu_before if cpu_after > cpu_before else min(wall, _BRIEFLY_S)
    return Outcome(reply, watch.overrun, broken, ending, cpu, wall)


async def _ending(worker: Worker) -> Exit | None:
    """How it ended, or None where it lives on without a channel."""
    try:
        async with asyncio.timeout(_EXIT_S):
            return await asyncio.shield(worker.exit)
    except TimeoutError:
        return None


class _Watch:
    """Ends what is past its limits, by the clock of its own process."""

    def __init__(self, worker: Worker, limits: Limits, began: float, cpu_before: float) -> None:
        self.overrun = ""
        self._worker = worker
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._cpu_end = cpu_before + limits.cpu_s + _GRACE_S
        self._wall_end = began + limits.wall_s + _GRACE_S
        # A process with one thread cannot use CPU time faster than the clock on the wall runs.
        self._timer = self._loop.call_later(min(limits.cpu_s, limits.wall_s) + _GRACE_S, self._look)

    def _look(self) -> None:
        cpu_left = self._cpu_end - self._worker.cpu_s()
        wall_left = self._wall_end - time.monotonic()
        if cpu_left <= 0 or wall_left <= 0:
            limits = self._limits
            self.overrun = f"{limits.cpu_s:g} s of CPU time" if cpu_left <= 0 else f"{limits.wall_s:g} s"
            self._worker.kill()
        else:
            self._timer = self._loop.call_later(max(_SHORTEST_S, min(cpu_left, wall_left)), self._look)

    def stop(self) -> None:
        self._timer.cancel()
