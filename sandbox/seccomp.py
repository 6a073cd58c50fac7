"""seccomp: the system calls that a check may not make, as a hand-written BPF program.

A deny-list: what is on it, and every call newer than this file, fails with an error that Python turns into an
exception. Refusing ``clone`` means neither processes nor threads.
"""

import ctypes
import errno
import struct

from genprm.sandbox import kernel
from genprm.sandbox.layers import Unavailable
from genprm.sandbox.syscalls import DENIED, NEWEST

_LOAD, _EQUAL, _ABOVE, _AT_LEAST, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x06
_NUMBER, _ARCH, _ARGS = 0, 4, 16
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE3, _X32 = 435, 0x40000000
_PRLIMIT = {"x86_64": 302, "aarch64": 261}


def _op(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


def _refuse(number: int, error: int) -> bytes:
    return _op(_EQUAL, number, 0, 1) + _op(_RETURN, _ERRNO | error)


def _only_null(number: int, argument: int) -> bytes:
    """Allow the call only with a null pointer as its argument (``prlimit``: ask, never set)."""
    offset = _ARGS + 8 * argument
    return b"".join(
        (
            _op(_EQUAL, number, 0, 6),
            _op(_LOAD, offset),
            _op(_EQUAL, 0, 0, 2),
            _op(_LOAD, offset + 4),
            _op(_EQUAL, 0, 1, 0),
            _op(_RETURN, _ERRNO | errno.EPERM),
            _op(_RETURN, _ALLOW),
        )
    )


def program(machine: str) -> bytes:
    """The filter for this kind of processor."""
    if machine not in _AUDIT_ARCH:
        raise Unavailable(f"no table of system calls for {machine}")
    parts = [_op(_LOAD, _ARCH), _op(_EQUAL, _AUDIT_ARCH[machine], 1, 0), _op(_RETURN, _KILL), _op(_LOAD, _NUMBER)]
    if machine == "x86_64":
        parts += [_op(_AT_LEAST, _X32, 0, 1), _op(_RETURN, _KILL)]
    # glibc falls back to clone only when clone3 is said not to exist.
    parts += [_refuse(_CLONE3, errno.ENOSYS), _op(_ABOVE, NEWEST, 0, 1), _op(_RETURN, _ERRNO | errno.ENOSYS)]
    parts += [_refuse(number, errno.EPERM) for number in DENIED[machine]]
    parts += [_only_null(_PRLIMIT[machine], 2), _op(_RETURN, _ALLOW)]
    return b"".join(parts)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def install(instructions: bytes) -> None:
    """Put the filter on this process, for good."""
    kernel.seccomp_filter(_Program(len(instructions) // 8, instructions))
