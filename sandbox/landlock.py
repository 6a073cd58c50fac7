"""Landlock: which files a check may open. Needs no privileges; Linux 5.13 and later.

Not covered by Landlock itself: ``stat`` (a check can learn which paths exist, where no mount namespace hides them),
``chmod`` and the like (refused by seccomp), UDP (seccomp, network namespace).
"""

import ctypes
import errno
import os
import stat
import struct

from genprm.sandbox import kernel
from genprm.sandbox.layers import Unavailable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION, _PATH_BENEATH = 1, 1

_WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_FILE, _MAKE_REG, _TRUNCATE = (1 << n for n in (1, 2, 3, 5, 8, 14))
_FILE_ONLY = _WRITE_FILE | _READ_FILE | _TRUNCATE
READ = _READ_FILE | _READ_DIR
# Plain files only: without folders and links in it, a scratch folder is removed in one flat pass.
SCRATCH = READ | _WRITE_FILE | _REMOVE_FILE | _MAKE_REG | _TRUNCATE
DEVICE = _READ_FILE | _WRITE_FILE


def abi() -> int:
    """The kernel's version of Landlock; raises where there is none."""
    try:
        return kernel.syscall("landlock", _CREATE_RULESET, None, 0, _ASK_VERSION)
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


def _allow(ruleset: int, descriptor: int, rights: int, version: int) -> None:
    if version < 3:
        rights &= ~_TRUNCATE
    if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
        rights &= _FILE_ONLY
    rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, descriptor))
    kernel.syscall("landlock rule", _ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)


def restrict(version: int, rules: list[tuple[int, int]]) -> None:
    """Confine this process to what ``rules`` allow: (an open descriptor, the rights beneath it)."""
    attributes = _handled(version)
    ruleset = kernel.syscall("landlock", _CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for descriptor, rights in rules:
            _allow(ruleset, descriptor, rights, version)
        kernel.syscall("landlock", _RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
