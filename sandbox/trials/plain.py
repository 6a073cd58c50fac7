"""Plain Python, for comparison: runs the checks with ``exec`` in this very process, without any protection.

Started as a script, with the checks of every solution as JSON on the first line of standard input. Runs them all once
to get warm; from then on, each further line of input makes it run them all again. Every pass is answered by one line
of JSON: for every check in turn, its seconds and what it printed.
"""

import contextlib
import io
import json
import sys
import time
from typing import Any


def main() -> None:
    solutions: list[list[str]] = json.loads(sys.stdin.readline())
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
