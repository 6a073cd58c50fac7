"""One check: hand over, wait for the reply, and end it when it takes too much."""

import asyncio
import time
from dataclasses import dataclass

from genprm.sandbox.frames import FrameError, Reply, Request, decode_reply, encode_request
from genprm.sandbox.limits import Limits
from genprm.sandbox.nursery import Child, Exit

_GRACE_S = 0.1
"""The child ends itself at the limit; the host this much later, in case it did not."""
_SHORTEST_S = 0.005
_EXIT_S = 0.5
"""A process that closed its channel by dying is reaped well within this time."""
_PART = 64 * 1024


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one check: a reply, or why there is none."""

    reply: Reply | None = None
    overrun: str = ""
    """The limit that the host had to enforce."""
    broken: str = ""
    """What was wrong with the reply."""
    exit: Exit | None = None
    cpu_s: float = 0.0
    wall_s: float = 0.0


async def exchange(child: Child, request: Request, limits: Limits) -> Outcome:
    """Run one check in ``child``. However this ends without a reply, the child is dead or dying."""
    began, cpu_before = time.monotonic(), child.cpu_s()
    watch = _Watch(child, limits, began, cpu_before)
    reply, broken = None, ""
    try:
        reply = await _converse(child, request, limits)
    except FrameError as error:
        broken = str(error)
    except OSError:
        pass  # the child went before it had read everything: the same as no reply
    except BaseException:
        child.kill()
        raise
    finally:
        watch.stop()
    wall = time.monotonic() - began
    cpu_after = child.cpu_s()
    ending = None
    if reply is None:
        if broken:
            child.kill()
        ending = await _ending(child)
        if ending is None:
            broken = "closed"
            child.kill()
        else:
            cpu_after = max(cpu_after, ending.cpu_s)
    return Outcome(reply, watch.overrun, broken, ending, max(0.0, cpu_after - cpu_before), wall)


async def _converse(child: Child, request: Request, limits: Limits) -> Reply | None:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(child.channel, encode_request(request))
    data = bytearray()
    while True:
        part = await loop.sock_recv(child.channel, _PART)
        if not part:
            return None
        data += part
        reply = decode_reply(data, request, limits.output_bytes)
        if reply is not None:
            return reply


async def _ending(child: Child) -> Exit | None:
    """How it ended, or None where it lives on without a channel."""
    try:
        async with asyncio.timeout(_EXIT_S):
            return await asyncio.shield(child.exit)
    except TimeoutError:
        return None


class _Watch:
    """Ends a check that is past its limits, by the clock of its own process."""

    def __init__(self, child: Child, limits: Limits, began: float, cpu_before: float) -> None:
        self.overrun = ""
        self._child = child
        self._loop = asyncio.get_running_loop()
        self._cpu_end = cpu_before + limits.cpu_s + _GRACE_S
        self._wall_end = began + limits.wall_s + _GRACE_S
        self._words = f"{limits.cpu_s:g} s of CPU time", f"{limits.wall_s:g} s"
        # A process with one thread cannot use CPU time faster than the clock on the wall runs.
        self._timer = self._loop.call_later(min(limits.cpu_s, limits.wall_s) + _GRACE_S, self._look)

    def _look(self) -> None:
        cpu_left = self._cpu_end - self._child.cpu_s()
        wall_left = self._wall_end - time.monotonic()
        if cpu_left <= 0 or wall_left <= 0:
            self.overrun = self._words[0] if cpu_left <= 0 else self._words[1]
            self._child.kill()
        else:
            self._timer = self._loop.call_later(max(_SHORTEST_S, min(cpu_left, wall_left)), self._look)

    def stop(self) -> None:
        self._timer.cancel()
