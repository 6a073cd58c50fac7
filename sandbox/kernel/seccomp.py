"""seccomp: the system calls that a check may make, as a hand-written BPF program.

An allow-list. What is not on it fails with an error that Python turns into an exception; what no honest check comes
near kills the process. Of the calls that are needed in part, the arguments are looked at:

- files are opened for reading only, so nothing outside the process can change, whatever else is missing;
- memory is never writable and executable, and executable only where it maps a file (a library that is imported late);
- ``clone`` takes exactly one shape, the fork of a session, and then asks the host (``listener``) each time: neither
  threads nor processes otherwise.
"""

import ctypes
import errno
import struct
from collections.abc import Iterable

from genprm.sandbox.kernel import calls, syscalls
from genprm.sandbox.layers import Unavailable

_LOAD, _EQUAL, _ABOVE, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _ARGS = 0, 4, 16
_ALLOW, _NOTIFY, _ERRNO, _KILL = 0x7FFF0000, 0x7FC00000, 0x00050000, 0x80000000
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000

_WRITING = 0o3 | 0o100 | 0o1000 | 0o2000 | 0o20000000  # O_ACCMODE, O_CREAT, O_TRUNC, O_APPEND, __O_TMPFILE
_PROT_WRITE, _PROT_EXEC, _MAP_ANONYMOUS = 2, 4, 0x20
_FCNTL = (0, 1, 2, 3, 4, 1030)  # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
_PDEATHSIG, _SIGKILL = 1, 9
_SET_MODE_FILTER, _NEW_LISTENER = 1, 8

FORK_FLAGS = 0x8000 | 17
"""CLONE_PARENT | SIGCHLD: a session's fork is a child of the warm process, like its origin."""


def _op(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


def _end(verdict: int) -> bytes:
    return _op(_RETURN, verdict)


_REFUSE = _end(_ERRNO | errno.EPERM)


def _word(argument: int, high: bool = False) -> bytes:
    return _op(_LOAD, _ARGS + 8 * argument + 4 * high)


def _on(number: int, body: bytes) -> bytes:
    """``body``, which ends in a verdict, for this call. The accumulator holds the number before and after."""
    return _op(_EQUAL, number, 0, len(body) // 8) + body


def _unless_equal(argument: int, values: Iterable[int]) -> bytes:
    """Refuse unless the argument, as 64 bits, is one of ``values`` (below 2**32)."""
    parts = b""
    for value in reversed(tuple(values)):
        parts = _op(_EQUAL, value, (len(parts) + len(_REFUSE)) // 8, 0) + parts
    return _word(argument, high=True) + _op(_EQUAL, 0, 1, 0) + _REFUSE + _word(argument) + parts + _REFUSE


def _if_any(argument: int, bits: int, body: bytes) -> bytes:
    return _word(argument) + _op(_ANY_BIT, bits, 0, len(body) // 8) + body


def _checks(channel: int, forks: bool) -> dict[str, bytes]:
    """What is asked of the arguments of a call, by its name."""
    allow = _end(_ALLOW)
    return {
        "openat": _if_any(2, _WRITING, _REFUSE) + allow,
        "mprotect": _if_any(2, _PROT_EXEC, _REFUSE) + allow,
        "mmap": _if_any(2, _PROT_EXEC, _if_any(2, _PROT_WRITE, _REFUSE) + _if_any(3, _MAP_ANONYMOUS, _REFUSE)) + allow,
        "fcntl": _unless_equal(1, _FCNTL) + allow,
        "ioctl": _unless_equal(1, _IOCTL) + allow,
        # Ask for its own limits, never set any.
        "prlimit64": _unless_equal(0, (0,)) + _unless_equal(2, (0,)) + allow,
        # A session's fork asks to die with the warm process, as its origin did.
        "prctl": _unless_equal(0, (_PDEATHSIG,)) + _unless_equal(1, (_SIGKILL,)) + allow,
        # A session's fork is sent its channel through that of its origin.
        "recvmsg": _unless_equal(0, (channel,)) + allow,
        "clone": (_unless_equal(0, (FORK_FLAGS,)) + allow) if forks else _REFUSE,
    }


def _head(machine: str) -> bytes:
    """Kill what comes by another table of calls; leave the number in the accumulator."""
    if not syscalls.known(machine):
        raise Unavailable(f"no table of system calls for {machine}")
    parts = [_op(_LOAD, _ARCH), _op(_EQUAL, _AUDIT_ARCH[machine], 1, 0), _end(_KILL), _op(_LOAD, _NUMBER)]
    if machine == "x86_64":
        parts += [_op(_AT_LEAST, _X32, 0, 1), _end(_KILL)]
    return b"".join(parts)


def program(machine: str, channel: int, forks: bool) -> bytes:
    """The filter of a check's process. ``forks``: a listener stands behind it and decides on each fork."""
    parts = [_head(machine)]
    parts += [_on(number, _end(_ALLOW)) for number in syscalls.numbers(syscalls.ALLOWED, machine).values()]
    checks = _checks(channel, forks)
    parts += [_on(number, checks[name]) for name, number in syscalls.numbers(syscalls.CHECKED, machine).items()]
    parts += [_on(number, _end(_KILL)) for number in syscalls.numbers(syscalls.DEADLY, machine).values()]
    absent = _end(_ERRNO | errno.ENOSYS)
    parts += [_on(number, absent) for number in syscalls.numbers(syscalls.ABSENT, machine).values()]
    parts += [_op(_ABOVE, syscalls.NEWEST, 0, 1), absent, _REFUSE]
    return b"".join(parts)


def gate(machine: str) -> bytes:
    """The filter of the warm process: a fork of a session waits for the host's word, all else passes."""
    clone = syscalls.numbers(syscalls.CHECKED, machine)["clone"] if syscalls.known(machine) else 0
    ask = _word(0) + _op(_EQUAL, FORK_FLAGS, 0, 1) + _end(_NOTIFY)
    return _head(machine) + _on(clone, ask + _end(_ALLOW)) + _end(_ALLOW)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def install(instructions: bytes) -> None:
    """Put the filter on this process and all that it will start, for good."""
    calls.seccomp_filter(_Program(len(instructions) // 8, instructions))


def listen(instructions: bytes, machine: str) -> int:
    """Put the filter on this process; returns the descriptor on which its questions arrive."""
    program = _Program(len(instructions) // 8, instructions)
    number = syscalls.SECCOMP[machine]
    return calls.syscall("seccomp listener", number, _SET_MODE_FILTER, _NEW_LISTENER, ctypes.byref(program))
