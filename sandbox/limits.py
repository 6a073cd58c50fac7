"""How much a check may use."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one check. All are hard: none can be lifted from inside."""

    cpu_s: float = 5.0
    """CPU seconds of one check. CPU time and not wall-clock time, so that verdicts do not depend on the load."""
    wall_s: float = 15.0
    """Backstop for checks that sleep: wall-clock seconds, waiting for a free core left out."""
    memory_mb: int = 1024
    """Address space on top of the warm interpreter's own. Below 512 large numpy arrays and imports begin to fail."""
    output_bytes: int = 64 * 1024
    """What a check may print."""
    code_bytes: int = 64 * 1024
    """Length of a check."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise ValueError(f"limit {field.name} must be above 0, not {getattr(self, field.name)!r}")
