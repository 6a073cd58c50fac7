"""A child of the zygote: confines itself, serves one session, and becomes two when the host says so."""

import gc
import os
import socket

from genprm.sandbox.frames import BORN, Reply
from genprm.sandbox.inside.confine import CHANNEL, Kit, confine, die_with_zygote
from genprm.sandbox.inside.serve import Server
from genprm.sandbox.kernel import calls, seccomp


def live(kit: Kit, channel: int) -> None:
    """Serve until the host hangs up."""
    confine(kit, channel)
    gc.enable()
    Server(CHANNEL, CHANNEL, kit.limits, kit.seed, lambda: _fork(kit)).serve()


def _fork(kit: Kit) -> Reply | None:
    """A second process from here on, which serves the channel that the host sends along and owes no reply."""
    channel = _descriptor()
    try:
        pid = calls.fork(seccomp.FORK_FLAGS)
        if pid == 0:
            os.dup2(channel, CHANNEL)
    except OSError as error:
        return Reply("error", error=str(error).encode())
    finally:
        os.close(channel)
    if pid:
        return Reply("ok")
    die_with_zygote(kit)
    os.write(CHANNEL, BORN)
    return None


def _descriptor() -> int:
    """The one that comes with the next byte."""
    # Its kind is said, because finding it out would need a call that is not allowed.
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=CHANNEL)
    try:
        _, descriptors, _, _ = socket.recv_fds(line, 1, 1)
    finally:
        line.detach()
    return descriptors[0]
