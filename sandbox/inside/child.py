"""A child of the zygote: confines itself, serves one session, and becomes two when the host says so."""

import gc
import os
import socket

from genprm.sandbox.frames import BORN, Reply
from genprm.sandbox.inside.confine import CHANNEL, Kit, confine, die_with_zygote
from genprm.sandbox.inside.preload import reseed
from genprm.sandbox.inside.serve import Server
from genprm.sandbox.kernel import calls, seccomp


def server_of(kit: Kit) -> Server:
    """What will serve in a child. Made in the zygote: what a child need not make it need not wait for."""
    return Server(CHANNEL, CHANNEL, kit.limits, lambda: _fork(kit))


def live(kit: Kit, server: Server, channel: int) -> None:
    """Serve until the host hangs up."""
    confine(kit, channel)
    if kit.seed is None:
        reseed(None)
    gc.enable()
    server.serve()


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
