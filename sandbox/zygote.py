"""The warm process, once it is warm: forks one child per session, reaps it, tells the host.

It never runs or even sees a check: the code goes straight to the child, through a channel whose end the host sends
along with the order to fork. It speaks with the host in JSON records over a socket, and dies with it.
"""

import contextlib
import json
import os
import select
import signal
import socket
from dataclasses import dataclass
from typing import Any

from genprm.sandbox.child import live
from genprm.sandbox.confine import Kit
from genprm.sandbox.frames import RECORD_BYTES


@dataclass(frozen=True, slots=True)
class _Born:
    session: int
    pid: int
    scratch: str


class Zygote:
    """Forks, reaps, and reports."""

    def __init__(self, control: socket.socket, host: int, kit: Kit, scratch: str) -> None:
        self._control = control
        self._host = host
        self._kit = kit
        self._scratch = scratch
        self._children: dict[int, _Born] = {}
        """By their pidfd, which becomes readable when they are gone."""
        self._poll = select.poll()

    def say(self, record: dict[str, Any], *descriptors: int) -> None:
        socket.send_fds(self._control, [json.dumps(record).encode()], descriptors)

    def serve(self) -> None:
        """Until the host says stop, closes its end, or is gone."""
        for descriptor in (self._control.fileno(), self._host):
            self._poll.register(descriptor, select.POLLIN)
        try:
            while self._turn():
                pass
        finally:
            self._kill_all()

    def _turn(self) -> bool:
        for descriptor, _ in self._poll.poll():
            if descriptor == self._host:
                return False
            if descriptor == self._control.fileno():
                if not self._obey():
                    return False
            else:
                self.say(self._reap(descriptor))
        return True

    def _obey(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self._control, RECORD_BYTES, 1)
        if not data or not descriptors:
            return False
        session = json.loads(data)["session"]
        try:
            pidfd = self._fork(session, descriptors[0])
        except OSError as error:
            self.say({"event": "failed", "session": session, "why": str(error)})
        else:
            self.say({"event": "forked", "session": session, "pid": self._children[pidfd].pid}, pidfd)
        finally:
            os.close(descriptors[0])
        return True

    def _fork(self, session: int, channel: int) -> int:
        scratch = self._folder(session)
        pid = os.fork()
        if pid == 0:
            try:
                live(self._kit, scratch, channel)
            finally:
                os._exit(0)
        pidfd = os.pidfd_open(pid)
        self._children[pidfd] = _Born(session, pid, scratch)
        self._poll.register(pidfd, select.POLLIN)
        return pidfd

    def _folder(self, session: int) -> str:
        """A scratch folder, or none where another session has filled the space: then this one can write nothing."""
        path = os.path.join(self._scratch, str(session))
        try:
            os.mkdir(path, 0o700)
        except OSError:
            return ""
        return path

    def _reap(self, pidfd: int) -> dict[str, Any]:
        born = self._children.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        with contextlib.suppress(OSError):
            # Its number is still taken, so this reaches nobody else: whoever it left behind in its group.
            os.killpg(born.pid, signal.SIGKILL)
        _, status, usage = os.wait4(born.pid, 0)
        _remove(born.scratch)
        cpu = usage.ru_utime + usage.ru_stime
        return {"event": "exit", "session": born.session, "code": os.waitstatus_to_exitcode(status), "cpu_s": cpu}

    def _kill_all(self) -> None:
        for pidfd in list(self._children):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        for pidfd in list(self._children):
            self._reap(pidfd)


def _remove(scratch: str) -> None:
    """Scratch folders are flat (Landlock lets a check make plain files only); the host removes what is left."""
    try:
        for entry in os.scandir(scratch):
            os.unlink(entry.path)
        os.rmdir(scratch)
    except OSError:
        pass
