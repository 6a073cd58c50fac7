"""What an attack is: data. Its code runs in a session and nowhere else."""

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from genprm.sandbox.result import Result

SUCCEEDED = "ATTACK SUCCEEDED"
"""What a payload prints that believes in its success (``won()``). What counts is what is seen outside."""
SECRET = "canary-"
"""Every secret begins with it."""


@dataclass(frozen=True, slots=True)
class Attack:
    """The checks of one hostile session.

    Before each check the harness sets: ``won()``, ``attempt()`` and ``shell()``, ``TOKEN`` (part of every name that is
    made outside), ``SECRET_FILE``, ``OPEN_FOLDER`` and ``OPEN_FILE`` (anybody may write there), ``LINK``, ``ENV`` (name
    of a variable), ``TCP``, ``UDP``, ``UNIX_PATH``, ``UNIX_NAME``, ``HOST`` and ``SISTER`` (process numbers),
    ``ADDRESS`` (of the sister's secret), ``HOME``, ``HERE``, ``LIBRARY``, ``SHELL`` (a command with an effect outside)
    and ``NR`` (numbers of system calls).
    """

    kind: str
    name: str
    checks: tuple[str, ...]
    forbidden: bool = False
    """Its success leaves no trace outside and is still too much: its own word is taken for it."""
    slow: bool = False
    """Expected to run into a limit of time: a few of these run at once."""
    later: str = ""
    """A check of another session afterwards; it succeeds only where the first one left something for it."""
    forks: int = 0
    """Afterwards its session is forked so often, and each fork has to run a check."""
    idle: bool = False
    """Its session is kept open for a while after that, in which it may not compute."""
    judge: Callable[[Sequence[Result]], str] | None = None
    """What is wrong with the results, in words, or nothing."""


def attacks(
    kind: str, payloads: dict[str, str | tuple[str, ...]], *, forbidden: bool = False, slow: bool = False
) -> tuple[Attack, ...]:
    """A class of attacks that differ in their code only."""
    return tuple(
        Attack(kind, name, (code,) if isinstance(code, str) else code, forbidden, slow)
        for name, code in payloads.items()
    )


PRELUDE = f"""
def won(*what):
    print({SUCCEEDED!r}, *what)
def attempt(*ways):
    problem = None
    for way in ways:
        try: won(way())
        except Exception as error: problem = error
    if problem is not None: raise problem
def shell(system):
    code = system(SHELL)
    if code: raise RuntimeError(f'the shell gave {{code}}')
    won(code)
"""
"""Runs before each check, together with the names that ``Attack`` lists."""

NATIVE = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(name, *words):
    words = [ctypes.c_long(w) if isinstance(w, int) else w for w in words]
    result = libc.syscall(ctypes.c_long(NR[name]), *words)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
"""
"""The start of payloads that make system calls of their own."""

# name: (x86_64, aarch64)
_CALLS = {
    "openat2": (437, 437),
    "open_by_handle_at": (304, 265),
    "clone": (56, 220),
    "clone3": (435, 435),
    "vfork": (58, 220),
    "execveat": (322, 281),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "io_uring_setup": (425, 425),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "add_key": (248, 217),
    "keyctl": (250, 219),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "fsopen": (430, 430),
    "open_tree": (428, 428),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "sethostname": (170, 161),
    "init_module": (175, 105),
    "syslog": (103, 116),
    "kill": (62, 129),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "prlimit64": (302, 261),
    "prctl": (157, 167),
    "setresuid": (117, 147),
    "capset": (126, 91),
    "personality": (135, 92),
    "inotify_init1": (294, 26),
    "fanotify_init": (300, 262),
    "setpriority": (141, 140),
    "sched_setaffinity": (203, 122),
    "timer_create": (222, 107),
    "seccomp": (317, 277),
    "socket": (41, 198),
    "connect": (42, 203),
    "pkey_mprotect": (329, 288),
    "move_pages": (279, 239),
    "symlinkat": (266, 36),
    "acct": (163, 89),
}
NUMBERS = {name: numbers[platform.machine() == "aarch64"] for name, numbers in _CALLS.items()}
