"""What a check gave back: data, whatever the code did."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "error", "timeout", "memory", "output_limit", "refused", "crashed"]
"""How the run of one check ended.

- ``ok``: the code ran to its end.
- ``error``: the code raised; what it printed before is kept.
- ``timeout``: stopped at the CPU-time limit, or at the wall-clock backstop.
- ``memory``: it asked for more memory than the limit.
- ``output_limit``: it printed more than the limit; what fits is kept.
- ``refused``: not run at all (too long, not text, not Python).
- ``crashed``: its process died (native crash, killed from outside).
"""


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one check."""

    status: Status
    stdout: str = ""
    """What the code printed, as plain Python would print it, control characters removed."""
    error: str = ""
    """One line, ``Type: message``, for every status but ``ok``."""
    traceback: str = ""
    """A short traceback through the check's own lines, where there is one."""
    cpu_s: float = 0.0
    """CPU seconds of this check."""
    wall_s: float = 0.0
    """Wall-clock seconds from hand-over to reply, waiting for a free core left out."""
    truncated: bool = False
    """True where stdout was cut."""
    flags: tuple[str, ...] = ()
    """Remarks that are no failure: ``stdin`` (it asked for input), ``policy`` (see there), ``replayed`` and
    ``state_lost`` (see ``Session``), ``unconfined`` (files or network could be reached)."""
    policy: tuple[str, ...] = ()
    """What the static policy says against the code, with line numbers."""
    layers: tuple[str, ...] = ()
    """Names of the layers that were in force."""
