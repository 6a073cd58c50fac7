"""One row of the table: what became of an attack, and which layer it ran into."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from genprm.sandbox.result import Result
from genprm.sandbox.trials.attacks.kind import SUCCEEDED, Attack

Verdict = Literal["held", "ESCAPED", "late", "unhealthy"]
"""``ESCAPED``: something outside was read, changed, reached or left over. ``late``: it ran past its limit by more than
is allowed. ``unhealthy``: the sandbox gave wrong answers or kept something afterwards."""


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one attack."""

    kind: str
    name: str
    outcome: str
    """Statuses of its checks."""
    stopped_by: str
    verdict: Verdict
    why: str = ""
    """What was seen, where the verdict is not ``held``."""
    error: str = ""
    """The last error of its checks."""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    """Of its slowest check, by the clock of the harness."""


_ERRNO = {
    1: "seccomp",
    2: "mount namespace",
    13: "Landlock or ownership",
    30: "read-only mount",
    38: "seccomp",
    27: "rlimit (file size)",
    24: "rlimit (descriptors)",
    12: "rlimit (memory)",
    11: "rlimit (processes)",
    97: "seccomp",
    101: "network namespace",
    111: "network namespace",
    3: "pid namespace",
    9: "no descriptors",
    88: "no descriptors",
    28: "size of the scratch space",
}


def stopped_by(attack: Attack, results: Sequence[Result]) -> str:
    """The layer that an attack ran into, inferred from what its session said; the last check that says something wins.

    - killed by SIGSYS: seccomp; by another signal: the process boundary (native crash), as is an exit code;
    - ``refused``: the gate, before anything ran; "tampered": the checks on frames of the result channel;
    - ``timeout``: the CPU limit or the wall limit. With a traceback or output the timer inside the process did it,
      without them the host;
    - ``memory``: rlimit; ``output_limit``: the cap on output;
    - errno: EPERM and ENOSYS are seccomp's, EACCES is Landlock's (or the other user's), ENOENT of a path that exists on
      the host the mount namespace's, ENETUNREACH and ECONNREFUSED the network namespace's, ESRCH the pid namespace's,
      EAGAIN and EMFILE rlimits'. Where several layers would stop it, that is the first one it met;
    - it says that it succeeded, or ran to its end: ``inside only`` (its own interpreter, nothing outside), or the text
      cleaning where its output is all there is;
    - an exception of another type: ``Python`` (the feature does not work that way here).
    """
    if any(SUCCEEDED in result.stdout for result in results):
        return "inside only"
    for result in reversed(results):
        if layer := _layer(result):
            return layer
    return "text cleaning" if attack.kind == "misleading output" else "inside only"


def _layer(result: Result) -> str:
    if result.status == "timeout":
        kind = "CPU limit" if "CPU" in result.error else "wall limit"
        return f"{kind} ({'timer' if result.traceback or result.stdout else 'host'})"
    if result.status == "crashed":
        return _death(result.error)
    simple = {"ok": "", "memory": "rlimit (memory)", "output_limit": "output cap", "refused": "gate"}
    return simple[result.status] if result.status in simple else _error(result.error)


def _death(error: str) -> str:
    if "SIGSYS" in error:
        return "seccomp (killed)"
    return "frame check" if "tamper" in error else "process boundary"


def _error(error: str) -> str:
    if found := re.search(r"\[Errno (\d+)\]", error):
        return _ERRNO.get(int(found[1]), f"errno {found[1]}")
    if error.startswith(("PermissionError", "OSError: unsupported")):
        return "seccomp"
    if "the shell gave" in error:  # the C library does not say whether it had no process or no shell
        return "seccomp or mount namespace (no shell)"
    if "can't start new thread" in error:
        return "seccomp or rlimit (no thread)"
    if "unable to open database" in error or "not found" in error:
        return "Landlock or mount namespace"
    return "Python"
