"""Layers that hold for the zygote and so for every child: namespaces, another user, no privileges.

All of them are extras. What cannot be had is reported and left out; whether the rest is enough, ``probe`` finds out.
"""

import os
import sys
from collections.abc import Iterable

from genprm.sandbox import kernel
from genprm.sandbox.layers import Layer, Unavailable, attempt

_NOBODY = 65534
_SCRATCH = "/scratch"
_SCRATCH_OPTIONS = "size=64m,nr_inodes=4k,mode=0700"
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache")
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")


def readable(packages: Iterable[str]) -> list[str]:
    """What a check may read: Python, its libraries, the shared libraries of the system."""
    found: list[str] = []
    for path in sorted({sys.prefix, sys.base_prefix, *packages, *_LIBRARIES}, key=len):
        covered = any(path == other or path.startswith(other + "/") for other in found)
        if os.path.exists(path) and not covered:
            found.append(path)
    return found


def isolate(base: str, paths: list[str]) -> tuple[list[Layer], str]:
    """Put every layer in force that can be had. Returns them, and the folder that may hold scratch folders."""
    root = os.getuid() == 0
    layers = [] if root else [attempt("user namespace", _user_namespace)]
    layers.append(attempt("network namespace", lambda: kernel.unshare("unshare", kernel.CLONE_NEWNET)))
    layers.append(attempt("ipc namespace", lambda: kernel.unshare("unshare", kernel.CLONE_NEWIPC)))
    mounts = attempt("mount namespace", lambda: _own_root(base, paths))
    layers.append(mounts)
    scratch = _SCRATCH if mounts.active else os.path.join(base, "scratch")
    os.makedirs(scratch, mode=0o700, exist_ok=True)
    if root:
        layers.append(attempt("user", lambda: _become_nobody(base, scratch, paths)))
    layers.append(attempt("no capabilities", kernel.drop_capabilities))
    layers.append(attempt("no new privileges", kernel.no_new_privileges))
    kernel.not_dumpable()
    return layers, scratch


def _user_namespace() -> None:
    """Power over namespaces of our own, for a user who has none."""
    user, group = os.getuid(), os.getgid()
    kernel.unshare("unshare", kernel.CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _own_root(base: str, paths: list[str]) -> None:
    """A root folder that holds Python and an empty scratch folder, and nothing else."""
    kernel.unshare("unshare", kernel.CLONE_NEWNS)
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", base, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1m,mode=0755")
    try:
        for path in paths:
            _bind(path, base, kernel.MOUNT_ATTR_RDONLY | kernel.MOUNT_ATTR_NOSUID)
        for path in DEVICES:
            _bind(path, base, kernel.MOUNT_ATTR_NOSUID)
        os.mkdir(base + _SCRATCH)
        flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
        kernel.mount("tmpfs", base + _SCRATCH, "tmpfs", flags, _SCRATCH_OPTIONS)
        kernel.pivot_root(base)
    except OSError:
        os.chdir("/")
        kernel.unmount(base)
        raise


def _bind(path: str, base: str, attributes: int) -> None:
    target = base + path
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    kernel.mount(path, target, "", kernel.MS_BIND | kernel.MS_REC)
    kernel.mount_attributes(target, attributes)


def _become_nobody(base: str, scratch: str, paths: list[str]) -> None:
    """Another user than root, so that limits on processes bind and root's files are foreign."""
    for path in paths:
        _traversable(path)
    for folder in {base, scratch}:
        if os.path.isdir(folder):
            os.chown(folder, _NOBODY, _NOBODY)
    os.setgroups([])
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)


def _traversable(path: str) -> None:
    """Lazy imports must still work afterwards: Python often lies under a home that only its owner may enter."""
    while path != "/":
        if os.path.isdir(path) and not os.stat(path).st_mode & 0o001:
            raise Unavailable(f"other users may not enter {path}, which Python needs")
        path = os.path.dirname(path)
