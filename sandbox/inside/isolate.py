"""Layers that hold for the zygote and so for every child: namespaces, another user, no privileges, no files.

All of them are extras. What cannot be had is reported and left out; whether the rest is enough, ``probe`` finds out.
"""

import os
import select
import signal
import socket
import sys
from collections.abc import Iterable

from genprm.sandbox.kernel import calls, landlock
from genprm.sandbox.layers import Layer, Unavailable, attempt

_NOBODY = 65534
_HOSTNAME = "sandbox"
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache")
_DEVICES = ("/dev/null", "/dev/urandom")


def own_processes() -> list[Layer]:
    """Number processes anew: those of the host cannot even be named, and all end with the first.

    Does not return in the process that was called: it waits for the one that goes on, and ends like it. To be called
    before anything is loaded, because both keep what is.
    """
    layers = [] if os.getuid() == 0 else [attempt("user namespace", _user_namespace)]
    numbers = attempt("pid namespace", lambda: calls.unshare("unshare", calls.CLONE_NEWPID))
    if numbers.active:
        outer = os.pidfd_open(os.getpid())
        if pid := os.fork():
            _, status = os.waitpid(pid, 0)
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
        _end_with(outer)
    return [*layers, numbers]


def _end_with(outer: int) -> None:
    """Die with the process that started us, which may be gone already (its number here is 0 in any case)."""
    calls.die_with_parent(signal.SIGKILL)
    gone, _, _ = select.select([outer], [], [], 0)
    if gone:
        os._exit(1)
    os.close(outer)


def _user_namespace() -> None:
    """Power over namespaces of our own, for a user who has none."""
    user, group = os.getuid(), os.getgid()
    calls.unshare("unshare", calls.CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def readable(packages: Iterable[str]) -> list[str]:
    """What a check may read: Python, its libraries, the shared libraries of the system, two devices."""
    found: list[str] = []
    for path in sorted({sys.prefix, sys.base_prefix, *packages, *_LIBRARIES, *_DEVICES}, key=len):
        covered = any(path == other or path.startswith(other + "/") for other in found)
        if os.path.exists(path) and not covered:
            found.append(path)
    return found


def isolate(base: str, paths: list[str]) -> list[Layer]:
    """Put every layer in force that can be had. ``base`` is an empty folder of our own."""
    layers = [
        attempt("network namespace", lambda: calls.unshare("unshare", calls.CLONE_NEWNET)),
        attempt("ipc namespace", lambda: calls.unshare("unshare", calls.CLONE_NEWIPC)),
        attempt("uts namespace", _own_name),
        attempt("mount namespace", lambda: _own_root(base, paths)),
    ]
    os.chdir("/")
    if os.getuid() == 0:
        layers.append(attempt("user", lambda: _become_nobody(paths)))
    layers.append(attempt("no capabilities", calls.drop_capabilities))
    layers.append(attempt("no new privileges", calls.no_new_privileges))
    calls.not_dumpable()
    layers.append(attempt("landlock", lambda: landlock.read_only(paths)))
    return layers


def _own_name() -> None:
    """The host's name is its own affair."""
    calls.unshare("unshare", calls.CLONE_NEWUTS)
    socket.sethostname(_HOSTNAME)


def _own_root(base: str, paths: list[str]) -> None:
    """A root folder that holds Python, read-only, and nothing else."""
    calls.unshare("unshare", calls.CLONE_NEWNS)
    calls.mount("none", "/", "", calls.MS_REC | calls.MS_PRIVATE)
    calls.mount("tmpfs", base, "tmpfs", calls.MS_NOSUID | calls.MS_NODEV, "size=1m,mode=0755")
    try:
        for path in paths:
            writable_device = 0 if path in _DEVICES else calls.MOUNT_ATTR_RDONLY
            _bind(path, base, writable_device | calls.MOUNT_ATTR_NOSUID)
        calls.mount_attributes(base, calls.MOUNT_ATTR_RDONLY)
        calls.pivot_root(base)
    except OSError:
        os.chdir("/")
        calls.unmount(base)
        raise


def _bind(path: str, base: str, attributes: int) -> None:
    target = base + path
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    calls.mount(path, target, "", calls.MS_BIND | calls.MS_REC)
    calls.mount_attributes(target, attributes)


def _become_nobody(paths: list[str]) -> None:
    """Another user than root, so that limits on processes bind and root's files are foreign."""
    for path in paths:
        _traversable(path)
    os.setgroups([])
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    calls.die_with_parent(signal.SIGKILL)  # forgotten with the old user


def _traversable(path: str) -> None:
    """Lazy imports must still work afterwards: Python often lies under a home that only its owner may enter."""
    while path != "/":
        if os.path.isdir(path) and not os.stat(path).st_mode & 0o001:
            raise Unavailable(f"other users may not enter {path}, which Python needs")
        path = os.path.dirname(path)
