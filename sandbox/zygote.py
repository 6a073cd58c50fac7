"""The warm process: loads the libraries once, confines itself, then forks one child per session.

It never runs or even sees a check: the code goes straight to the child, through a channel whose end the host sends
along with the order to fork. It speaks with the host in JSON records over a socket, and dies with it.
"""

import contextlib
import gc
import json
import os
import resource
import select
import signal
import socket
import sys
from dataclasses import dataclass, replace
from typing import Any

from genprm.sandbox import landlock, seccomp
from genprm.sandbox.child import live
from genprm.sandbox.confine import Kit
from genprm.sandbox.frames import RECORD_BYTES
from genprm.sandbox.isolate import DEVICES, isolate, readable
from genprm.sandbox.kernel import machine
from genprm.sandbox.layers import Layer, attempt
from genprm.sandbox.limits import Limits
from genprm.sandbox.preload import preload, warm_up
from genprm.sandbox.probe import probe


@dataclass(frozen=True, slots=True)
class _Born:
    session: int
    pid: int
    scratch: str


def main(control_fd: int) -> None:
    """Entry of the process."""
    control = socket.socket(fileno=control_fd)
    order = json.loads(control.recv(RECORD_BYTES))
    host = os.pidfd_open(order["host"])
    if os.getppid() != order["host"]:
        return
    gc.disable()
    with open("/proc/self/statm") as statm:
        layers, kit, scratch = _prepare(order["base"], Limits(**order["limits"]), statm.fileno())
    found = probe(kit, _folder(scratch, "probe"))
    os.rmdir(os.path.join(scratch, "probe"))
    layers = [
        replace(layer, active=False, why=found.failed[layer.name]) if layer.name in found.failed else layer
        for layer in layers
    ]
    if "landlock" in found.failed:
        kit = replace(kit, landlock=0)
    if "seccomp" in found.failed:
        kit = replace(kit, filter=b"")
    _forget_ourselves()
    gc.collect()
    gc.freeze()
    zygote = Zygote(control, host, kit, scratch)
    zygote.say(
        {
            "event": "ready",
            "layers": [[layer.name, layer.active, layer.why] for layer in layers],
            "files": found.files,
            "network": found.network,
        }
    )
    zygote.serve()


def _prepare(base: str, limits: Limits, statm: int) -> tuple[list[Layer], Kit, str]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    _die_first()
    packages = preload()
    warm_up()
    paths = readable(packages)
    layers, scratch = isolate(base, paths)
    kit = Kit(limits, os.getpid(), _address_space(statm))
    filters: list[bytes] = []
    versions: list[int] = []
    layers.append(attempt("landlock", lambda: versions.append(landlock.abi())))
    layers.append(attempt("seccomp", lambda: filters.append(seccomp.program(machine()))))
    layers += [Layer("rlimits", True), Layer("own process group", True)]
    rules = [(os.open(path, os.O_PATH), landlock.READ) for path in paths] if versions else []
    rules += [(os.open(path, os.O_PATH), landlock.DEVICE) for path in DEVICES] if versions else []
    return layers, replace(kit, landlock=sum(versions), rules=rules, filter=b"".join(filters)), scratch


def _address_space(statm: int) -> int:
    return int(os.pread(statm, 100, 0).split()[0]) * resource.getpagesize()


def _die_first() -> None:
    """Ask to be the one that goes when the machine runs out of memory: we and our children can be had again."""
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


def _forget_ourselves() -> None:
    """Checks import what is installed, not what happens to be in our process."""
    for name in [name for name in sys.modules if name.split(".")[0] == "genprm"]:
        del sys.modules[name]
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)


def _folder(scratch: str, name: str) -> str:
    path = os.path.join(scratch, name)
    os.mkdir(path, 0o700)
    return path


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
        scratch = _folder(self._scratch, str(session))
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
