"""The host's side of one zygote: starts it, has it fork children, hears of their ends, puts it away."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from typing import Any

from genprm.sandbox.errors import SandboxError
from genprm.sandbox.frames import RECORD_BYTES
from genprm.sandbox.layers import Layer
from genprm.sandbox.limits import Limits
from genprm.sandbox.preload import ENVIRONMENT, PASSED_ON

_START_S = 60.0
_FORK_S = 20.0
_STOP_S = 5.0
# Empty packages, so that the zygote loads the few modules it needs and nothing of the host's (asyncio, engines).
_BOOT = """
import sys, types
for name in ("genprm", "genprm.sandbox"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [sys.argv[1]]
from genprm.sandbox.boot import main
main(int(sys.argv[2]))
"""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a child ended."""

    code: int | None = None
    """Exit code, negative for a signal; None where the zygote was lost with it."""
    cpu_s: float = 0.0


class Child:
    """One session's process, as the host holds it."""

    def __init__(self, pid: int, pidfd: int, channel: socket.socket, exit: "asyncio.Future[Exit]") -> None:
        self.channel = channel
        self.exit = exit
        self._pid = pid
        self._pidfd = pidfd

    def cpu_s(self) -> float:
        """CPU seconds so far, by the kernel's clock of that process."""
        try:
            return time.clock_gettime((~self._pid << 3) | 2)
        except OSError:
            return self.exit.result().cpu_s if self.exit.done() else 0.0

    def kill(self) -> None:
        """By descriptor and not by number: a number may belong to another process by now."""
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def dispose(self) -> None:
        """Kill it and let go of it."""
        self.kill()
        self.channel.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1


class Nursery:
    """One zygote and its children. Of no more use once ``lost``."""

    def __init__(self, limits: Limits) -> None:
        self.layers: tuple[Layer, ...] = ()
        self.files = False
        self.network = False
        self.lost = False
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._births: dict[int, asyncio.Future[tuple[int, int]]] = {}
        self._exits: dict[int, asyncio.Future[Exit]] = {}
        self._gone = asyncio.Event()
        self._turn = asyncio.Lock()
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
        environment = ENVIRONMENT | {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        here = os.path.dirname(os.path.abspath(__file__))
        with open(os.path.join(self._base, "log"), "wb") as log:
            return subprocess.Popen(
                [sys.executable, "-s", "-P", "-c", _BOOT, here, str(control)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=environment,
                cwd="/",
                pass_fds=(control,),
                start_new_session=True,
            )

    async def start(self) -> None:
        """Wait until the zygote is warm."""
        order = {"host": os.getpid(), "base": self._base, "limits": asdict(self._limits)}
        with contextlib.suppress(OSError):  # where it died at once, the end of the connection says so
            self._control.send(json.dumps(order).encode())
        try:
            async with asyncio.timeout(_START_S):
                await self._ready
        except TimeoutError:
            raise SandboxError(f"the sandbox did not start within {_START_S:g} s") from None

    async def fork(self, session: int) -> Child:
        """A new child, fresh from the warm process."""
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError as error:
            raise SandboxError(f"no channel to be had: {error}") from error
        ours.setblocking(False)
        try:
            with theirs:
                async with self._turn:  # one at a time, so that the socket's buffer always has room
                    exit = self._exits[session] = self._loop.create_future()
                    pid, pidfd = await self._order(session, theirs)
        except BaseException:
            ours.close()
            raise
        return Child(pid, pidfd, ours, exit)

    async def _order(self, session: int, channel: socket.socket) -> tuple[int, int]:
        """Have a child forked; its number and descriptor."""
        birth = self._births[session] = self._loop.create_future()
        try:
            if self.lost:
                raise ConnectionResetError
            socket.send_fds(self._control, [json.dumps({"session": session}).encode()], [channel.fileno()])
        except OSError as error:
            del self._births[session], self._exits[session]
            raise SandboxError("the sandbox process was lost") from error
        # Shielded: an order that was sent is carried out, and the child's descriptor must reach someone.
        try:
            async with asyncio.timeout(_FORK_S):
                return await asyncio.shield(birth)
        except asyncio.CancelledError:
            birth.add_done_callback(_abandon)
            raise
        except TimeoutError:
            birth.add_done_callback(_abandon)
            self._process.kill()
            raise SandboxError(f"the sandbox process did not answer for {_FORK_S:g} s") from None

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

    def _on_ready(self, record: dict[str, Any]) -> None:
        self.layers = tuple(Layer(*fields) for fields in record["layers"])
        self.files, self.network = record["files"], record["network"]
        if not record["base_in_use"]:
            shutil.rmtree(self._base, ignore_errors=True)
        if not self._ready.done():
            self._ready.set_result(None)

    def _on_forked(self, record: dict[str, Any], pidfd: int = -1) -> None:
        birth = self._births.pop(record["session"])
        if pidfd < 0:  # the kernel drops a descriptor that we have no room for; the child hangs up with its channel
            birth.set_exception(SandboxError("no descriptor to be had: too many open files"))
        else:
            birth.set_result((record["pid"], pidfd))

    def _on_failed(self, record: dict[str, Any]) -> None:
        self._exits.pop(record["session"])
        self._births.pop(record["session"]).set_exception(SandboxError(f"no process to be had: {record['why']}"))

    def _on_exit(self, record: dict[str, Any]) -> None:
        self._exits.pop(record["session"]).set_result(Exit(record["code"], record["cpu_s"]))

    def _lose(self) -> None:
        """The zygote is gone, and its children with it."""
        self.lost = True
        self._loop.remove_reader(self._control)
        self._gone.set()
        if not self._ready.done():
            self._ready.set_exception(SandboxError(f"the sandbox did not start: {self._last_words()}"))
            self._ready.exception()  # somebody may have stopped waiting
        for birth in self._births.values():
            birth.set_exception(SandboxError("the sandbox process was lost"))
            birth.exception()
        for exit in self._exits.values():
            exit.set_result(Exit())
        self._births.clear()
        self._exits.clear()

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
            if not self.lost:
                self._lose()
            self._control.close()
            self._process.kill()
            self._process.wait()
            shutil.rmtree(self._base, ignore_errors=True)


def _abandon(birth: "asyncio.Future[tuple[int, int]]") -> None:
    """A child that nobody waits for any more: its channel is closed already, so it ends by itself."""
    if not birth.cancelled() and birth.exception() is None:
        os.close(birth.result()[1])
