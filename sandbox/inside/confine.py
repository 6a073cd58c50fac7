"""Layers that each child puts on itself before it runs anything, and that nothing can take off again."""

import os
import resource
import signal
from collections.abc import Callable
from dataclasses import dataclass

from genprm.sandbox.kernel import calls, seccomp
from genprm.sandbox.limits import Limits

CHANNEL = 3
"""The child's only open descriptor besides 0, 1 and 2, which lead to /dev/null."""
_DESCRIPTORS = 64


@dataclass(frozen=True, slots=True)
class Kit:
    """What a child needs to confine itself, prepared once in the zygote."""

    limits: Limits
    zygote: int
    address_space: int
    """Virtual memory of the warm interpreter, in bytes."""
    seed: int | None = 0
    filter: bytes = b""
    """The seccomp program; empty where there is none."""
    forks: bool = False
    """A session can be forked: the filter asks the host each time."""


def confine(kit: Kit, channel: int, failed: Callable[[str, OSError], None] | None = None) -> None:
    """Confine this process. ``failed`` hears of layers that could not be had; without it they are raised."""
    os.setsid()
    die_with_zygote(kit)
    _close_all_but(channel)
    steps: list[tuple[str, Callable[[], None]]] = [
        ("rlimits", lambda: _limit(kit)),
        ("seccomp", lambda: seccomp.install(kit.filter) if kit.filter else None),
    ]
    for name, act in steps:
        try:
            act()
        except OSError as error:
            if failed is None:
                raise
            failed(name, error)


def die_with_zygote(kit: Kit) -> None:
    if kit.zygote == 1:  # the kernel ends all that is numbered by a first process when that ends
        return
    calls.die_with_parent(signal.SIGKILL)
    if os.getppid() != kit.zygote:
        os._exit(1)


def _close_all_but(channel: int) -> None:
    os.dup2(channel, CHANNEL)
    os.closerange(CHANNEL + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _limit(kit: Kit) -> None:
    memory = kit.address_space + (kit.limits.memory_mb << 20)
    # CPU time adds up over a session; this only backs up the host's own clock, so it is far off.
    cpu = int(kit.limits.cpu_s * 200) + 10
    limits = [
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _DESCRIPTORS),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ]
    if not kit.forks:  # it counts all processes of a user, so it cannot let through the one that the host allows
        limits.append((resource.RLIMIT_NPROC, 0))
    for what, value in limits:
        resource.setrlimit(what, (value, value))
