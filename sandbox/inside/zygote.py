"""The warm process, once it is warm: forks one child per session, reaps it, tells the host.

It never runs or even sees a check: the code goes straight to the child, through a channel whose end the host sends
along with the order to fork. It speaks with the host in JSON records over a socket, and dies with it. The fork of a
session is a child of the zygote too: the host, which let it happen, sends its descriptor here to be looked after.
"""

import contextlib
import json
import os
import select
import signal
import socket
from collections.abc import Iterator
from typing import Any

from genprm.sandbox.frames import RECORD_BYTES
from genprm.sandbox.inside.child import live, server_of
from genprm.sandbox.inside.confine import Kit
from genprm.sandbox.kernel import calls


class Zygote:
    """Forks, adopts, reaps, and reports."""

    def __init__(self, control: socket.socket, host: int, kit: Kit, chores: Iterator[None]) -> None:
        self._control = control
        self._host = host
        self._kit = kit
        self._server = server_of(kit)
        self._chores: Iterator[None] | None = chores
        self._children: dict[int, int] = {}
        """The host's number of each child, by its pidfd, which becomes readable when it is gone."""
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
        events = self._poll.poll(None if self._chores is None else 0)
        if not events:
            self._do_a_chore()
        for descriptor, _ in events:
            if descriptor == self._host:
                return False
            if descriptor == self._control.fileno():
                if not self._obey():
                    return False
            else:
                self.say(self._reap(descriptor))
        return True

    def _do_a_chore(self) -> None:
        """Get warmer while nobody waits."""
        assert self._chores is not None
        if next(self._chores, self) is self:
            self._chores = None
            self.say({"event": "warm"})

    def _obey(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self._control, RECORD_BYTES, 1)
        if not data or not descriptors:
            return False
        order = json.loads(data)
        act = self._fork if order["do"] == "fork" else self._adopt
        try:
            said, given = act(order["number"], descriptors[0])
        except OSError as error:
            said, given = {"event": "failed", "number": order["number"], "why": str(error)}, ()
        self.say(said, *given)
        return True

    def _fork(self, number: int, channel: int) -> tuple[dict[str, Any], tuple[int, ...]]:
        try:
            pid = calls.fork(signal.SIGCHLD)
            if pid == 0:
                try:
                    live(self._kit, self._server, channel)
                finally:
                    os._exit(0)
        finally:
            os.close(channel)
        pidfd = os.pidfd_open(pid)
        self._watch(pidfd, number)
        return {"event": "forked", "number": number}, (pidfd,)

    def _adopt(self, number: int, pidfd: int) -> tuple[dict[str, Any], tuple[int, ...]]:
        try:
            # Raises for what is no child of ours: a number can be forged or used again, a parent cannot.
            os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except OSError:
            os.close(pidfd)
            raise
        self._watch(pidfd, number)
        return {"event": "adopted", "number": number}, ()

    def _watch(self, pidfd: int, number: int) -> None:
        self._children[pidfd] = number
        self._poll.register(pidfd, select.POLLIN)

    def _reap(self, pidfd: int) -> dict[str, Any]:
        number = self._children.pop(pidfd)
        self._poll.unregister(pidfd)
        ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
        os.close(pidfd)
        assert ended is not None
        if not self._kit.filter:
            # Without it a check may have left processes behind in its group. The number is still taken.
            with contextlib.suppress(OSError):
                os.killpg(ended.si_pid, signal.SIGKILL)
        _, status, usage = os.wait4(ended.si_pid, 0)
        cpu = usage.ru_utime + usage.ru_stime
        return {"event": "exit", "number": number, "code": os.waitstatus_to_exitcode(status), "cpu_s": cpu}

    def _kill_all(self) -> None:
        for pidfd in list(self._children):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        for pidfd in list(self._children):
            self._reap(pidfd)
