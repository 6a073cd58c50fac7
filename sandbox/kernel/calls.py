"""The few kernel calls that Python's library does not offer, through ctypes."""

import ctypes
import os
import platform

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_CAPABILITY_VERSION_3 = 0x20080522
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_CAPSET = {"x86_64": 126, "aarch64": 91}
_MOUNT_SETATTR = 442
_AT_RECURSIVE = 0x8000
_AT_FDCWD = -100
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID = 0x1, 0x2
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 0x2, 0x4, 0x8, 0x1000, 0x4000, 0x40000
MNT_DETACH = 2
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x4000000, 0x8000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
_CLONE = {"x86_64": 56, "aarch64": 220}
_HUGE_PAGE = 2 << 20
_MADV_COLLAPSE = 25


def machine() -> str:
    return platform.machine()


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def syscall(what: str, number: int, *args: object) -> int:
    """A raw call; integers are passed at full width."""
    words = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    return _checked(_libc.syscall(ctypes.c_long(number), *words), what)


def _prctl(what: str, option: int, *args: object) -> None:
    words = [ctypes.c_ulong(arg) if isinstance(arg, int) else arg for arg in args]
    padding = [ctypes.c_ulong(0)] * (4 - len(words))
    _checked(_libc.prctl(ctypes.c_int(option), *words, *padding), what)


def no_new_privileges() -> None:
    _prctl("no_new_privs", _PR_SET_NO_NEW_PRIVS, 1)


def not_dumpable() -> None:
    _prctl("dumpable", _PR_SET_DUMPABLE, 0)


def die_with_parent(signal: int) -> None:
    _prctl("pdeathsig", _PR_SET_PDEATHSIG, signal)


def seccomp_filter(program: ctypes.Structure) -> None:
    _prctl("seccomp", _PR_SET_SECCOMP, 2, ctypes.byref(program))


def unshare(what: str, flags: int) -> None:
    _checked(_libc.unshare(ctypes.c_int(flags)), what)


def drop_capabilities() -> None:
    """Give up every capability of this process."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    syscall("capset", _CAPSET[machine()], header, nothing)


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    result = _libc.mount(
        source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode() or None
    )
    _checked(result, f"mount on {target}")


def unmount(target: str) -> None:
    _checked(_libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def mount_attributes(target: str, attributes: int) -> None:
    """Set attributes (``MOUNT_ATTR_*``) on a mount and all below it."""
    wanted = (ctypes.c_uint64 * 4)(attributes, 0, 0, 0)
    syscall("mount_setattr", _MOUNT_SETATTR, _AT_FDCWD, target.encode(), _AT_RECURSIVE, wanted, ctypes.sizeof(wanted))


def pivot_root(new_root: str) -> None:
    """Make ``new_root`` the root folder, and the old one unreachable."""
    os.chdir(new_root)
    syscall("pivot_root", _PIVOT_ROOT[machine()], b".", b".")
    unmount(".")
    os.chdir("/")


def fork(flags: int) -> int:
    """``fork`` with the given flags of ``clone``, and nothing else; only for a process with one thread.

    ``os.fork`` cannot choose its flags, and makes Python run what it has registered for forks (fresh randomness, fresh
    locks). One thread needs none of that, and not to run it saves a third of what a new process costs. What is libc's
    own part in a fork (the locks of other threads, its memory of the thread's number) concerns threads as well.
    """
    pid = _with_gil.syscall(_CLONE_NUMBER, ctypes.c_long(flags), *_NOTHING)
    return int(_checked(pid, "fork"))


_with_gil = ctypes.PyDLL(None, use_errno=True)
_with_gil.syscall.restype = ctypes.c_long
_CLONE_NUMBER = ctypes.c_long(_CLONE.get(machine(), -1))
_NOTHING = [ctypes.c_long(0)] * 4


def collapse(start: int, end: int) -> None:
    """Put the memory from ``start`` to ``end`` on huge pages: a fork copies far fewer entries (Linux 6.1)."""
    first = -(-start // _HUGE_PAGE) * _HUGE_PAGE
    length = (end - first) // _HUGE_PAGE * _HUGE_PAGE
    if length > 0:
        _checked(_libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(length), _MADV_COLLAPSE), "madvise")
