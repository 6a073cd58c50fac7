"""The process in which Math-Verify compares two answers; :mod:`genprm.comparing` starts it by its path.

It imports nothing of genprm. A line ``[one, other]`` comes in, a line with the likeness goes out. A comparison that
takes more than its CPU seconds ends the process, by a signal that no Python code can catch in time or ignore; so does
one that needs more memory than there may be.
"""

import json
import logging
import resource
import signal
import sys
from typing import Any

_MEMORY = 2 << 30
"""Bytes of address space."""


def serve(limit_s: float) -> None:
    """Answers until there are no more lines."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.disable(logging.CRITICAL)
    import math_verify

    likeness(math_verify, "x+1", "1+x")  # grammars and sympy are built at the first use
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_PROF, limit_s)
        said = likeness(math_verify, *json.loads(line))
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.write(said + "\n")
        sys.stdout.flush()


def likeness(math_verify: Any, one: str, other: str) -> str:
    """``same``, ``different``, or ``unparsed``."""
    try:
        read, wanted = (_parsed(math_verify, text) for text in (one, other))
        if not (read and wanted):
            return "unparsed"
        return "same" if math_verify.verify(wanted, read, timeout_seconds=None) else "different"
    except MemoryError:
        raise
    except Exception:  # a parser of whatever a model wrote: RecursionError, ValueError of huge integers, …
        return "unparsed"


def _parsed(math_verify: Any, text: str) -> list[Any]:
    found = math_verify.parse("$" + text.replace("$", "") + "$", parsing_timeout=None)
    return found if any(not isinstance(part, str) for part in found) else []


if __name__ == "__main__":
    serve(float(sys.argv[1]))
