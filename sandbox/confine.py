"""Layers that each child puts on itself before it runs anything, and that nothing can take off again."""

import os
import resource
import signal
from collections.abc import Callable
from dataclasses import dataclass, field

from genprm.sandbox import kernel, landlock, seccomp
from genprm.sandbox.limits import Limits

CHANNEL = 3
"""The child's only open descriptor besides 0, 1 and 2, which lead to /dev/null."""
_FILE_BYTES = 16 << 20
_DESCRIPTORS = 64


@dataclass(frozen=True, slots=True)
class Kit:
    """What a child needs to confine itself, prepared once in the zygote."""

    limits: Limits
    zygote: int
    address_space: int
    """Virtual memory of the warm interpreter."""
    landlock: int = 0
    """Version; 0 for none."""
    rules: list[tuple[int, int]] = field(default_factory=list)
    filter: bytes = b""


def confine(kit: Kit, scratch: str, channel: int, failed: Callable[[str, OSError], None] | None = None) -> None:
    """Confine this process. ``failed`` hears of layers that could not be had; without it they are raised."""
    os.setsid()
    kernel.die_with_parent(signal.SIGKILL)
    if os.getppid() != kit.zygote:
        os._exit(1)
    os.chdir(scratch or "/")
    steps: list[tuple[str, Callable[[], None]]] = [
        ("landlock", lambda: _files(kit, scratch)),
        ("descriptors", lambda: _close_all_but(channel)),
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


def _files(kit: Kit, scratch: str) -> None:
    if not kit.landlock:
        return
    if not scratch:
        landlock.restrict(kit.landlock, kit.rules)
        return
    own = os.open(".", os.O_PATH | os.O_DIRECTORY)
    try:
        landlock.restrict(kit.landlock, [*kit.rules, (own, landlock.SCRATCH)])
    finally:
        os.close(own)


def _close_all_but(channel: int) -> None:
    os.dup2(channel, CHANNEL)
    os.closerange(CHANNEL + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _limit(kit: Kit) -> None:
    memory = kit.address_space + (kit.limits.memory_mb << 20)
    # CPU time adds up over a session; this only backs up the host's own clock, so it is far off.
    cpu = int(kit.limits.cpu_s * 200) + 10
    for what, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_FSIZE, _FILE_BYTES),
        (resource.RLIMIT_NOFILE, _DESCRIPTORS),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        resource.setrlimit(what, (value, value))
