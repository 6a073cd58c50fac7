"""Plain Python, for comparison: runs the checks with ``exec`` in this very process, without any protection.

Started as a script, with the checks of every solution as JSON on the first line of standard input. Warms itself as the
sandbox's warm process does, and runs them all; from then on, each further line of input makes it run them all again.
Every pass is answered by one line of JSON: for every check in turn, its seconds and what it printed. In the first pass
the checks are as new to it as they are to a session; after that sympy remembers most of their results.
"""

import contextlib
import gc
import io
import json
import sys
import time
from typing import Any

from genprm.sandbox.inside import warmup
from genprm.sandbox.inside.preload import preload


def main() -> None:
    solutions: list[list[str]] = json.loads(sys.stdin.readline())
    preload()
    warmup.first()
    for _ in warmup.rest():
        pass
    gc.collect()
    gc.freeze()
    answers = sys.stdout
    while True:
        answers.write(json.dumps([run for checks in solutions for run in _solution(checks)]) + "\n")
        answers.flush()
        if not sys.stdin.readline():
            return


def _solution(checks: list[str]) -> list[tuple[float, str]]:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    return [_check(code, namespace) for code in checks]


def _check(code: str, namespace: dict[str, Any]) -> tuple[float, str]:
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "<check>", "exec"), namespace)
    return time.perf_counter() - began, printed.getvalue()


if __name__ == "__main__":
    main()
