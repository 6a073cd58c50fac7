"""Runs a command as somebody else, or on a poorer machine: ``python tests/elsewhere.py [options] COMMAND…``, as root.

``--user``: as a plain user. ``--docker``: with the system calls and capabilities that a default Docker container has.
``--open``: with nothing that could confine a process (no namespaces, no Landlock, no seccomp).

Python and the repository may lie in folders that only root may enter; here they are laid bare in a mount namespace of
our own, and nothing else changes for anybody.
"""

import argparse
import ctypes
import errno
import os
import platform
import struct
import sys
import tempfile
from pathlib import Path

_USER = 54321
_libc = ctypes.CDLL(None, use_errno=True)
_NEWNS, _BIND, _REC, _PRIVATE = 0x20000, 0x1000, 0x4000, 0x40000
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 38, 22, 24
_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[platform.machine()]
_COLUMN = ("x86_64", "aarch64").index(platform.machine())

# What moby's default profile does not allow to a container with default capabilities: (x86_64, aarch64).
_REFUSED_BY_DOCKER = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "bpf": (321, 280),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "get_mempolicy": (239, 236),
    "init_module": (175, 105),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "mbind": (237, 235),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "set_mempolicy": (238, 237),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}
_CAPABILITIES_IN_DOCKER = (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31)
_CLONE, _CLONE3, _SOCKET, _PERSONALITY = ((56, 220), (435, 435), (41, 198), (135, 92))
_NAMESPACES = 0x7E020000
_VSOCK = 40
_CONFINING = {"unshare": (272, 97), "landlock_create_ruleset": (444, 444), "seccomp": (317, 277)}
_PRCTL = (157, 167)

_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000


def _op(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


def _error(number: int) -> bytes:
    return _op(_RETURN, 0x00050000 | number)


def _refuse(call: tuple[int, int], number: int) -> bytes:
    return _op(_EQUAL, call[_COLUMN], 0, 1) + _error(number)


def _refuse_where(call: tuple[int, int], test: int, value: int) -> bytes:
    """Refuse a call whose first argument passes the test."""
    first = 16
    return b"".join(
        (
            _op(_EQUAL, call[_COLUMN], 0, 4),
            _op(_LOAD, first),
            _op(test, value, 0, 1),
            _error(errno.EPERM),
            _op(_RETURN, _ALLOW),
        )
    )


def _filter(rules: list[bytes]) -> bytes:
    start = [_op(_LOAD, 4), _op(_EQUAL, _ARCH, 1, 0), _op(_RETURN, _KILL), _op(_LOAD, 0)]
    return b"".join([*start, *rules, _op(_RETURN, _ALLOW)])


def _docker() -> bytes:
    rules = [_refuse(call, errno.EPERM) for call in _REFUSED_BY_DOCKER.values()]
    rules += [_refuse(_CLONE3, errno.ENOSYS), _refuse_where(_CLONE, _ANY_BIT, _NAMESPACES)]
    rules += [_refuse_where(_SOCKET, _EQUAL, _VSOCK), _refuse_where(_PERSONALITY, _EQUAL, 0x0400000)]
    return _filter(rules)


def _open() -> bytes:
    rules = [_refuse(call, errno.ENOSYS) for call in _CONFINING.values()]
    return _filter([*rules, _refuse_where(_PRCTL, _EQUAL, _PR_SET_SECCOMP)])


def _checked(result: int, what: str) -> None:
    if result:
        raise OSError(ctypes.get_errno(), what)


def _prctl(option: int, *words: object) -> int:
    padded = [ctypes.c_ulong(w) if isinstance(w, int) else w for w in (*words, *[0] * (4 - len(words)))]
    result: int = _libc.prctl(option, *padded)
    return result


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def _install(instructions: bytes) -> None:
    """As root and without ``no_new_privs``, as a container's runtime does it."""
    program = _Program(len(instructions) // 8, instructions)
    _checked(_prctl(_PR_SET_SECCOMP, 2, ctypes.byref(program)), "seccomp")


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    result = _libc.mount(
        source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode() or None
    )
    _checked(result, f"mount on {target}")


def _lay_bare(paths: list[str]) -> None:
    """Cover the folders that others may not enter with empty ones that hold only ``paths``."""
    _checked(_libc.unshare(_NEWNS), "mount namespace")
    _mount("none", "/", "", _REC | _PRIVATE)
    for path in paths:
        closed = next((str(p) for p in reversed(Path(path).parents) if not p.stat().st_mode & 0o001), None)
        if closed is None:
            continue
        below = [other for other in paths if Path(other).is_relative_to(closed)]
        held = {other: os.open(other, os.O_PATH) for other in below}
        _mount("tmpfs", closed, "tmpfs", 0, "mode=0755")
        for other, descriptor in held.items():
            os.makedirs(other, exist_ok=True)
            _mount(f"/proc/self/fd/{descriptor}", other, "", _BIND | _REC)
            os.close(descriptor)


def _drop_capabilities(kept: tuple[int, ...]) -> None:
    for number in set(range(64)) - set(kept):
        _prctl(_PR_CAPBSET_DROP, number)  # those that this kernel does not know are gone already
    mask = sum(1 << number for number in kept)
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    data[0] = data[1] = mask & 0xFFFFFFFF
    _checked(_libc.capset(header, data), "capset")


def main() -> None:
    parser = argparse.ArgumentParser()
    for option in ("--user", "--docker", "--open"):
        parser.add_argument(option, action="store_true")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    _lay_bare([sys.base_prefix, sys.prefix, str(Path(__file__).resolve().parents[1])])
    home = tempfile.mkdtemp(prefix="genprm-home-")
    if args.docker:
        _install(_docker())
        _drop_capabilities(_CAPABILITIES_IN_DOCKER)
    if args.open:
        _install(_open())
    if args.user:
        os.chown(home, _USER, _USER)
        os.setgroups([])
        os.setresgid(_USER, _USER, _USER)
        os.setresuid(_USER, _USER, _USER)
    os.execve(args.command[0], args.command, {**os.environ, "HOME": home})


if __name__ == "__main__":
    main()
