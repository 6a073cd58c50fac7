"""The host's side of one zygote: starts it, has children forked and kept in reserve, hears of their ends."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

from genprm.sandbox.errors import SandboxError
from genprm.sandbox.forks import Gate
from genprm.sandbox.frames import BORN, RECORD_BYTES, FrameError, Request
from genprm.sandbox.inside.preload import environment
from genprm.sandbox.launch import command
from genprm.sandbox.layers import Layer
from genprm.sandbox.limits import Limits
from genprm.sandbox.text import one_line
from genprm.sandbox.worker import Child, Exit

_START_S = 60.0
_FORK_S = 20.0
_SPLIT_S = 2.0
_STOP_S = 5.0
_REFILL_S = 0.005
"""The reserve is filled up when the check that took from it has begun, not while it tries to."""
_AT_ONCE = 4
"""Orders on their way at once: the socket's buffer has room for them, and the zygote is never without work."""
_CREDENTIALS = struct.Struct("=iII")


@dataclass(frozen=True, slots=True)
class Plan:
    """How the warm process is to be made."""

    limits: Limits = field(default_factory=Limits)
    seed: int | None = 0
    preload: tuple[str, ...] = ()
    spares: int = 0
    """Children forked ahead of need."""
    warm: bool = True
    """Whether it goes on to get warmer while it is idle."""


class Nursery:
    """One zygote and its children. Of no more use once ``lost``."""

    def __init__(self, plan: Plan) -> None:
        self.layers: tuple[Layer, ...] = ()
        self.files = False
        self.network = False
        self.lost = False
        self.gate: Gate | None = None
        self.warm = asyncio.Event()
        self._plan = plan
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._numbers = 0
        self._births: dict[int, tuple[socket.socket, asyncio.TimerHandle]] = {}
        self._adoptions: dict[int, asyncio.Future[None]] = {}
        self._exits: dict[int, asyncio.Future[Exit]] = {}
        self._pids: dict[int, int] = {}
        self._spares: deque[Child] = deque()
        self._cold: deque[Child] = deque()
        self._waiting: deque[asyncio.Future[Child]] = deque()
        self._gone = asyncio.Event()
        self._base = tempfile.mkdtemp(prefix="genprm-sandbox-")
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                self._process = self._launch(theirs.fileno())
        except OSError as error:
            self._control.close()
            shutil.rmtree(self._base, ignore_errors=True)
            raise SandboxError(f"the sandbox did not start: {error}") from error
        self._control.setblocking(False)
        self._loop.add_reader(self._control, self._hear)

    def _launch(self, control: int) -> subprocess.Popen[bytes]:
        with open(os.path.join(self._base, "log"), "wb") as log:
            return subprocess.Popen(
                command("boot", str(control)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=environment(self._plan.seed),
                cwd="/",
                pass_fds=(control,),
                start_new_session=True,
            )

    async def start(self) -> None:
        """Wait until the zygote is warm."""
        root = os.path.join(self._base, "root")
        os.mkdir(root)
        plan = asdict(self._plan)
        told = {name: plan[name] for name in ("limits", "seed", "preload", "warm")}
        order = {"host": os.getpid(), "base": root, **told}
        with contextlib.suppress(OSError):  # where it died at once, the end of the connection says so
            self._control.send(json.dumps(order).encode())
        try:
            async with asyncio.timeout(_START_S):
                await self._ready
        except TimeoutError:
            raise SandboxError(f"the sandbox did not start within {_START_S:g} s") from None
        self._order_what_is_wanted()

    # --- children --------------------------------------------------------------------------------------------------

    async def fork(self) -> Child:
        """A child fresh from the warm process; one from the reserve, where there is one."""
        while reserve := self._spares or self._cold:
            child = reserve.popleft()
            self._loop.call_later(_REFILL_S, self._order_what_is_wanted)
            if child.quiet():
                return child
            child.dispose()
        if self.lost:
            raise SandboxError("the sandbox process was lost")
        waiting: asyncio.Future[Child] = self._loop.create_future()
        self._waiting.append(waiting)
        self._order_what_is_wanted()
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled() and waiting.exception() is None:
                waiting.result().dispose()  # it came at the same moment
            raise

    @property
    def has_spare(self) -> bool:
        return bool(self._spares or self._cold)

    def _order_what_is_wanted(self) -> None:
        """Those that are waited for, and the reserve, a few at a time."""
        while not self.lost and len(self._births) < _AT_ONCE:
            wanted = sum(not waiting.done() for waiting in self._waiting) + self._plan.spares - len(self._spares)
            if len(self._births) >= wanted:
                return
            try:
                ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            except OSError as error:
                self._fail(f"no channel to be had: {error}")
                return
            ours.setblocking(False)
            number = self._next_number()
            self._births[number] = ours, self._loop.call_later(_FORK_S, self._on_silence)
            with theirs:
                self._tell({"do": "fork", "number": number}, theirs.fileno())

    def _next_number(self) -> int:
        self._numbers += 1
        self._exits[self._numbers] = self._loop.create_future()
        return self._numbers

    def _tell(self, record: dict[str, Any], descriptor: int) -> None:
        try:
            socket.send_fds(self._control, [json.dumps(record).encode()], [descriptor])
        except OSError:
            self._lose()

    def _on_silence(self) -> None:
        """An order that is not carried out: this zygote is beyond help."""
        self._process.kill()

    def _fail(self, why: str) -> None:
        """Tell the one who has waited longest; without anybody, the reserve stays smaller."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(SandboxError(why))
                return

    async def split(self, origin: Child, step: int) -> Child:
        """A second process with all that ``origin`` has in memory. Where that fails, ``origin`` is killed."""
        assert self.gate is not None
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError as error:
            raise SandboxError(f"no channel to be had: {error}") from error
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        try:
            with theirs:
                async with asyncio.timeout(min(_SPLIT_S, self._plan.limits.cpu_s)):
                    pid, pidfd = await self._split(origin, step, ours, theirs)
                    return await self._adopt(origin, pid, pidfd, ours)
        except BaseException as error:
            ours.close()
            if self.gate.used(origin.pid):
                self._end_strays(origin)
            origin.kill()
            if isinstance(error, OSError | FrameError | TimeoutError):
                raise SandboxError(f"the session cannot be forked: {error or 'it did not answer'}") from error
            raise

    async def _split(self, origin: Child, step: int, ours: socket.socket, theirs: socket.socket) -> tuple[int, int]:
        """The new process and its descriptor, as the kernel names them."""
        assert self.gate is not None
        self.gate.expect(origin.pid)
        answer = origin.ask(Request(step, os.urandom(8), order="fork"), 0)
        origin.send_descriptor(theirs.fileno())
        theirs.close()
        reply = await answer
        if reply is None or reply.status != "ok":
            why = one_line(reply.error) if reply else "it is gone"  # a check may have written it
            raise SandboxError(f"the session cannot be forked: {why}")
        await _readable(ours)
        said, ancillary, _, _ = ours.recvmsg(len(BORN), socket.CMSG_SPACE(_CREDENTIALS.size))
        kind = (socket.SOL_SOCKET, socket.SCM_CREDENTIALS)
        senders = [data for *found, data in ancillary if tuple(found) == kind]
        if said != BORN or len(senders) != 1:
            raise FrameError("the new process does not show itself")
        pid = _CREDENTIALS.unpack(senders[0])[0]
        if pid in (origin.pid, 0):
            raise FrameError("the new process does not show itself")
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
        return pid, os.pidfd_open(pid)

    async def _adopt(self, origin: Child, pid: int, pidfd: int, channel: socket.socket) -> Child:
        number = self._next_number()
        adopted = self._adoptions[number] = self._loop.create_future()
        try:
            self._tell({"do": "adopt", "number": number}, pidfd)
            await adopted
        except BaseException:
            self._exits.pop(number, None)
            os.close(pidfd)
            raise
        finally:
            self._adoptions.pop(number, None)
        self._pids[number] = pid
        return Child(pid, origin.group, pidfd, channel, self._exits[number])

    def _end_strays(self, origin: Child) -> None:
        """A check that used the permission to fork for a process of its own does not keep it.

        It cannot leave the process group of its origin, and is a child of the zygote, which is told to look after it.
        """
        strays = [pid for pid in _group(origin.group) if pid not in self._pids.values()]
        for pid in strays:
            with contextlib.suppress(OSError):
                pidfd = os.pidfd_open(pid)
                if os.getpgid(pid) == origin.group:  # still the same process
                    self._tell({"do": "adopt", "number": self._next_number()}, pidfd)
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                os.close(pidfd)

    # --- what the zygote says --------------------------------------------------------------------------------------

    def _hear(self) -> None:
        """One record from the zygote."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, RECORD_BYTES, 1)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        if not data:
            self._lose()
            return
        record = json.loads(data)
        getattr(self, "_on_" + record.pop("event"))(record, *descriptors)

    def _on_ready(self, record: dict[str, Any], listener: int = -1) -> None:
        self.layers = tuple(Layer(*fields) for fields in record["layers"])
        self.files, self.network = record["files"], record["network"]
        if record["forks"] and listener >= 0:
            self.gate = Gate(listener)
        shutil.rmtree(self._base, ignore_errors=True)
        if not self._ready.done():
            self._ready.set_result(None)

    def _on_warm(self, record: dict[str, Any]) -> None:
        """The reserve was forked from a colder process: it is replaced, one by one."""
        self._cold.extend(self._spares)
        self._spares.clear()
        self.warm.set()
        self._order_what_is_wanted()

    def _on_forked(self, record: dict[str, Any], pidfd: int = -1) -> None:
        channel, timer = self._births.pop(record["number"])
        timer.cancel()
        if pidfd < 0:  # the kernel drops a descriptor that we have no room for; the child hangs up with its channel
            channel.close()
            self._fail("no descriptor to be had: too many open files")
            return
        pid = self._pids[record["number"]] = _number(pidfd)
        self._give(Child(pid, pid, pidfd, channel, self._exits[record["number"]]))
        self._order_what_is_wanted()

    def _give(self, child: Child) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(child)
                return
        if len(self._spares) < self._plan.spares:
            self._spares.append(child)
            if self._cold:
                self._cold.popleft().dispose()
        else:  # whoever wanted it went away
            child.dispose()

    def _on_failed(self, record: dict[str, Any]) -> None:
        number, why = record["number"], f"no process to be had: {record['why']}"
        self._exits.pop(number, None)
        if number in self._births:
            channel, timer = self._births.pop(number)
            timer.cancel()
            channel.close()
            self._fail(why)
        elif (adoption := self._adoptions.get(number)) and not adoption.done():
            adoption.set_exception(SandboxError(why))

    def _on_adopted(self, record: dict[str, Any]) -> None:
        if (adoption := self._adoptions.get(record["number"])) and not adoption.done():
            adoption.set_result(None)

    def _on_exit(self, record: dict[str, Any]) -> None:
        self._pids.pop(record["number"], None)
        if exit := self._exits.pop(record["number"], None):
            exit.set_result(Exit(record["code"], record["cpu_s"]))

    # --- the end ---------------------------------------------------------------------------------------------------

    def _lose(self) -> None:
        """The zygote is gone, and its children with it."""
        if self.lost:
            return
        self.lost = True
        self.warm.set()
        self._loop.remove_reader(self._control)
        self._gone.set()
        if not self._ready.done():
            self._ready.set_exception(SandboxError(f"the sandbox did not start: {self._last_words()}"))
            self._ready.exception()  # somebody may have stopped waiting
        for channel, timer in self._births.values():
            timer.cancel()
            channel.close()
        self._births.clear()
        while self._waiting:
            self._fail("the sandbox process was lost")
        for adoption in self._adoptions.values():
            if not adoption.done():
                adoption.set_exception(SandboxError("the sandbox process was lost"))
        for exit in self._exits.values():
            exit.set_result(Exit())
        self._exits.clear()
        for spare in (*self._spares, *self._cold):
            spare.dispose()
        self._spares.clear()
        self._cold.clear()
        if self.gate is not None:
            self.gate.close()

    def _last_words(self) -> str:
        try:
            with open(os.path.join(self._base, "log"), errors="replace") as log:
                lines = log.read()[-4000:].strip().splitlines()
        except OSError:
            lines = []
        return lines[-1] if lines else "it ended without a word"

    async def close(self) -> None:
        """Leave no process, descriptor or folder behind."""
        if not self.layers:
            self._process.kill()  # it serves nobody yet
        try:
            with contextlib.suppress(OSError):
                self._control.send(b"stop")  # without a descriptor beside it, any record means stop
            async with asyncio.timeout(_STOP_S):
                await self._gone.wait()
        except TimeoutError:
            pass
        finally:
            self._lose()
            self._control.close()
            self._process.kill()
            self._process.wait()
            shutil.rmtree(self._base, ignore_errors=True)


def _number(pidfd: int) -> int:
    """The process behind a descriptor, numbered as this process numbers them; 0 where it is gone already."""
    with open(f"/proc/self/fdinfo/{pidfd}") as info:
        number = next((int(line.split()[1]) for line in info if line.startswith("Pid:")), 0)
    return max(number, 0)


def _group(group: int) -> list[int]:
    """The processes of a process group."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat") as stat:
            if int(stat.read().rpartition(")")[2].split()[2]) == group:
                found.append(int(name))
    return found


async def _readable(channel: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(channel, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(channel)
