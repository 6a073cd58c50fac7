"""Finds out what the layers are worth on this machine, by trying what they are to prevent."""

import json
import os
import socket
from dataclasses import dataclass, field

from genprm.sandbox.inside.confine import CHANNEL, Kit, confine

_SECRETS = ("/etc/passwd", "/proc/self/status", "/etc/hostname")
_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm", "/")


@dataclass(frozen=True, slots=True)
class Findings:
    """What a child could still do."""

    files: bool = False
    """Reading what is not Python's, and writing anything at all, are refused."""
    network: bool = False
    """Sockets are refused, or lead nowhere."""
    failed: dict[str, str] = field(default_factory=dict)
    """Layers that could not be put in force, and why."""


def probe(kit: Kit) -> Findings:
    """Confine a child that runs no check, and let it try."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            _try_everything(kit, theirs)
        finally:
            os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(pid, 0)
    if not said:
        return Findings(failed={"probe": f"the probe ended with status {status}"})
    return Findings(**json.loads(said))


def _try_everything(kit: Kit, channel: int) -> None:
    failed: dict[str, str] = {}
    confine(kit, channel, lambda name, error: failed.update({name: str(error)}))
    files = not any(map(_can_read, _SECRETS)) and not any(map(_can_write, _FOLDERS))
    said = {"files": files, "network": not _can_connect(), "failed": failed}
    os.write(CHANNEL, json.dumps(said).encode())


def _can_read(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError:
        return False
    return True


def _can_write(folder: str) -> bool:
    path = os.path.join(folder, f".genprm-probe-{os.getpid()}")
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except OSError:
        return False
    os.unlink(path)
    return True


def _can_connect() -> bool:
    """Whether there is a way to the loopback address, which is there wherever a network is. Sends nothing."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe_socket:
            probe_socket.connect(("127.0.0.1", 9))
    except OSError:
        return False
    return True
