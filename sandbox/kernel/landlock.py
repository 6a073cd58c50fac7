"""Landlock: which files a check may open. Needs no privileges; Linux 5.13 and later.

Not covered by Landlock itself: ``stat`` (a check can learn which paths exist, where no mount namespace hides them),
``readlink``, ``chmod`` and the like (refused by seccomp), UDP (seccomp, network namespace).
"""

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterable

from genprm.sandbox.kernel import calls
from genprm.sandbox.layers import Unavailable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION, _PATH_BENEATH = 1, 1

_READ_FILE, _READ_DIR = 1 << 2, 1 << 3


def abi() -> int:
    """The kernel's version of Landlock; raises where there is none."""
    try:
        return calls.syscall("landlock", _CREATE_RULESET, None, 0, _ASK_VERSION)
    except OSError as error:
        words = {errno.ENOSYS: "this kernel has no Landlock", errno.EOPNOTSUPP: "Landlock is switched off at boot"}
        raise Unavailable(words.get(error.errno or 0, str(error))) from error


def _handled(version: int) -> bytes:
    """Everything that this version can refuse: files, TCP, signals and abstract sockets out of the domain."""
    rights = 13 if version < 2 else 14 if version < 3 else 15 if version < 5 else 16
    words = [(1 << rights) - 1]
    if version >= 4:
        words.append(0b11)
    if version >= 6:
        words.append(0b11)
    return struct.pack(f"={len(words)}Q", *words)


def _allow(ruleset: int, path: str) -> None:
    descriptor = os.open(path, os.O_PATH)
    try:
        folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        rights = _READ_FILE | _READ_DIR if folder else _READ_FILE
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, descriptor))
        calls.syscall("landlock rule", _ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
    finally:
        os.close(descriptor)


def read_only(paths: Iterable[str]) -> None:
    """Let this process, and all that it will start, read what lies beneath ``paths`` and touch no other file."""
    attributes = _handled(abi())
    ruleset = calls.syscall("landlock", _CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path in paths:
            _allow(ruleset, path)
        calls.syscall("landlock", _RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
