"""What checks see: plain Python, a namespace of their own, and results for everything."""

import asyncio
import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

import genprm.sandbox
from genprm.sandbox import Limits, Result, Sandbox, SandboxError

RunAll = Callable[..., list[Result]]


@pytest.fixture(scope="module")
def run_all() -> Iterator[RunAll]:
    """Runs codes one after the other in one fresh session."""
    with asyncio.Runner() as runner:
        sandbox = Sandbox(limits=Limits(cpu_s=5, output_bytes=2000, code_bytes=50_000), warm=False)

        async def session(*codes: str) -> list[Result]:
            async with sandbox.session() as session:
                return [await session.run(code) for code in codes]

        yield lambda *codes: runner.run(session(*codes))
        runner.run(sandbox.close())


FIDELITY = {
    "arithmetic": "print(2 + 2)\nprint(7 / 2, 7 // 2, -7 % 3)",
    "write": "import sys\nsys.stdout.write('a')\nsys.stdout.write('b\\n')\nprint('c', end='')",
    "buffer": "import sys\nsys.stdout.buffer.write(b'raw\\n')\nsys.stdout.flush()",
    "formats": "x = 3.14159\nprint(f'{x:.2f} {x!r:>12} {10**20:,}')\nprint('a', 'b', sep='-', end='!\\n')",
    "main": "def main():\n    print('main')\nif __name__ == '__main__':\n    main()",
    "recursion": "def f(n):\n    return 1 if n == 0 else n * f(n - 1)\nprint(f(30))",
    "closure": "def outer():\n    def inner(x):\n        print(x, base)\n    base = 5\n    inner(1)\nouter()",
    "classes": "class P:\n    def __init__(self, x): self.x = x\n    def __repr__(self): return 'P'\nprint(P(1))",
    "dataclass": "from dataclasses import dataclass\n@dataclass\nclass Q:\n    a: int\n    b: float = 2\nprint(Q(1))",
    "comprehension": "k = 3\nprint([i * k for i in range(4)], {i: k for i in range(2)})",
    "fraction": "from fractions import Fraction as F\nprint(F(1, 3) + F(1, 6), repr(F(2, 4)))",
    "decimal": "from decimal import Decimal, getcontext\ngetcontext().prec = 30\nprint(Decimal(1) / Decimal(7))",
    "solve": "from sympy import *\nx = symbols('x')\nprint(solve(x**2 - 5*x + 6), simplify(sin(x)**2 + cos(x)**2))",
    "system": "import sympy as sp\nx, y = sp.symbols('x y')\nprint(sp.solve([x + y - 10, x - y - 2], [x, y]))",
    "integral": "import sympy as sp\nt = sp.Symbol('t')\nprint(sp.integrate(t * sp.exp(-t), (t, 0, sp.oo)))",
    "matrix": "from sympy import Matrix, pprint\nm = Matrix([[2, 1], [1, 3]])\npprint(m)\nprint(m.eigenvals())",
    "modular": "from sympy.ntheory.modular import crt\nprint(crt([3, 5, 7], [2, 3, 2]), pow(3, -1, 7))",
    "sets": "print({'b', 'a', 'c'} == {'c', 'b', 'a'}, sorted({'x', 'y'}), list({'apple', 'pear', 'fig'}))",
    "itertools": "import itertools as it\nprint(sum(1 for p in it.permutations(range(6)) if p[0] < p[5]))",
    "lazy imports": "import statistics\nfrom sympy.stats import E, Die\nprint(statistics.mean([1, 4]), E(Die('X', 6)))",
    "annotations": "from __future__ import annotations\ndef f(x: Missing): pass\nprint(f.__annotations__)",
    "unicode": "print('π ≈ 3.14159, x² ≤ 2, 你好')",
    "exception": "print('before')\nraise ValueError('no')",
    "exit": "print('before')\nexit()\nprint('after')",
    "input": "print('before')\nx = input('? ')",
    "pickle": "import pickle\nclass C: pass\nprint(type(pickle.loads(pickle.dumps(C()))).__name__)",
    "walrus": "if (n := 10) > 5:\n    print(n)\nmatch n:\n    case 10: print('ten')",
}


def plain(code: str) -> subprocess.CompletedProcess[bytes]:
    environment = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "PATH": os.environ["PATH"]}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, stdin=subprocess.DEVNULL)


# Each of these loads sympy again in plain Python. "solve", which does so too, stands for them in the quick suite.
SLOW = ("system", "integral", "matrix", "modular", "lazy imports")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in FIDELITY]
)
def test_stdout_and_error_are_those_of_plain_python(run_all: RunAll, name: str) -> None:
    [ours] = run_all(FIDELITY[name])
    theirs = plain(FIDELITY[name])
    assert ours.stdout == theirs.stdout.decode()
    assert ours.status == ("ok" if theirs.returncode == 0 else "error")
    if ours.status == "error":
        assert ours.error == theirs.stderr.decode().splitlines()[-1]


def test_state_is_kept_between_checks(run_all: RunAll) -> None:
    results = run_all("x = 5\ndef f(): return x", "x += 1", "print(f())")
    assert [r.status for r in results] == ["ok"] * 3
    assert results[2].stdout == "6\n"


def test_state_is_not_shared_between_sessions(run_all: RunAll) -> None:
    run_all("x = 5\nimport builtins, sympy\nbuiltins.print = None\nsympy.solve = None")
    [result] = run_all("import sympy\nprint('x' in globals(), sympy.solve is None)")
    assert result.stdout == "False False\n"


def test_what_a_check_breaks_in_the_streams_is_whole_in_the_next(run_all: RunAll) -> None:
    breaking = "import sys, io\nsys.stdin.close(); sys.stdout = io.StringIO(); sys.stderr = None\nprint('lost')"
    first, second = run_all(breaking, "print('seen')\ninput()")
    assert (first.status, first.stdout) == ("ok", "")
    assert (second.stdout, second.error) == ("seen\n", "EOFError: EOF when reading a line")


def test_a_stream_taken_in_one_check_works_in_the_next(run_all: RunAll) -> None:
    results = run_all(
        "from sys import stdout\nstdout.write('a')",
        "print('b', file=stdout)\nstdout.reconfigure(write_through=False)",
        "print('c', end='')",
        "stdout.detach()",
        "print('d')",
    )
    assert [r.stdout for r in results] == ["a", "b\n", "c", "", "d\n"]


def test_input_is_empty_and_flagged(run_all: RunAll) -> None:
    [result] = run_all("input()")
    assert (result.status, result.error) == ("error", "EOFError: EOF when reading a line")
    assert result.flags == ("stdin",)


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("exit()", "ok", ""),
        ("import sys; sys.exit(0)", "ok", ""),
        ("import sys; sys.exit(2)", "error", "SystemExit: 2"),
        ("exit('bad')", "error", "SystemExit: bad"),
        ("raise KeyboardInterrupt", "error", "KeyboardInterrupt"),
        ("assert 1 == 2", "error", "AssertionError"),
        ("assert 1 == 2, 'one\\nis not\\ttwo'", "error", "AssertionError: one is not two"),
        ("{}['k']", "error", "KeyError: 'k'"),
        (
            "class E(Exception):\n    def __str__(self): raise OSError\nraise E",
            "error",
            "E: <no message: str() failed>",
        ),
        ("raise ValueError('v' * 10000)", "error", "ValueError: " + "v" * 1988),
        ("x = (", "error", "SyntaxError: '(' was never closed"),
        (
            "def f():\nreturn 1",
            "error",
            "IndentationError: expected an indented block after function definition on line 1",
        ),
        ("print('\\ud800')", "error", None),
    ],
)
def test_endings(run_all: RunAll, code: str, status: str, error: str | None) -> None:
    [result] = run_all(code)
    assert result.status == status
    assert error is None or result.error == error
    assert "\n" not in result.error


def test_traceback_has_the_checks_own_lines_only(run_all: RunAll) -> None:
    _, result, recursion, syntax = run_all(
        "def f(x):\n    return 1 / x",
        "import functools\nfunctools.reduce(lambda a, b: f(b), [1, 0])",
        "def g(): g()\ng()",
        "a = 1\nb = = 2",
    )
    assert result.traceback == "line 2\nline 2, in <lambda>\nline 2, in f of an earlier check"
    assert recursion.error.startswith("RecursionError")
    assert len(recursion.traceback.splitlines()) == 9
    assert syntax.traceback == "line 2"


def test_too_much_output_keeps_what_fits_and_the_state(run_all: RunAll) -> None:
    first, second = run_all("x = 1\nwhile True: print('a' * 99)", "print(x)")
    assert (first.status, first.truncated, first.stdout) == ("output_limit", True, ("a" * 99 + "\n") * 20)
    assert first.error == "OutputLimit: more than 2000 bytes of output"
    assert (second.stdout, second.truncated, second.flags) == ("1\n", False, ())


def test_output_at_the_limit_is_whole(run_all: RunAll) -> None:
    [result] = run_all("print('a' * 1999)")
    assert (result.status, result.truncated, len(result.stdout)) == ("ok", False, 2000)


def test_control_characters_are_removed(run_all: RunAll) -> None:
    nasty = "\x1b[31mred\x1b[0m \x00\x07\x08\r\x7f\x9b31m \u202eright\u2066\t\n"
    [result] = run_all(f"print({nasty!r}, end='')")
    assert result.stdout == "[31mred[0m 31m right\t\n"


def test_bytes_that_are_not_utf8_are_replaced(run_all: RunAll) -> None:
    [result] = run_all("import sys\nsys.stdout.buffer.write(b'a\\xff\\xed\\xa0\\x80b')")
    assert result.status == "ok"
    assert set(result.stdout) == {"a", "b", "\ufffd"}


@pytest.mark.parametrize("code", ["x = 1\0", "#" * 50_001, "x = '\ud800'"], ids=["nul", "long", "surrogate"])
def test_what_is_not_code_is_refused(run_all: RunAll, code: str) -> None:
    [result] = run_all(code)
    assert result.status == "refused"
    assert result.error.startswith("Refused: the code ")


def test_huge_code_within_the_limit_runs(run_all: RunAll) -> None:
    [result] = run_all("x = 1\n" * 8000 + "print(x)")
    assert result.stdout == "1\n"


def test_two_sessions_are_alike_to_the_last_bit(run_all: RunAll) -> None:
    code = (
        "import random, sympy\nprint(random.random(), hash('a'), list({'p', 'q', 'r'}), sympy.randprime(10**6, 10**9))"
    )
    assert run_all(code)[0].stdout == run_all(code)[0].stdout


def test_numpy_where_it_is_installed(run_all: RunAll) -> None:
    pytest.importorskip("numpy")
    code = (
        "import numpy as np\nprint(np.linalg.solve(np.array([[2., 1], [1, 3]]), np.array([3., 5])))\nimport numpy.fft"
    )
    [result] = run_all(code)
    assert (result.status, result.stdout) == ("ok", "[0.8 1.4]\n")


def test_time_and_memory_are_measured(run_all: RunAll) -> None:
    quick, busy, sleepy = run_all("1", "for i in range(3_000_000): pass", "import time\ntime.sleep(0.2)")
    assert quick.cpu_s < 0.1
    assert busy.cpu_s > 0.03
    assert sleepy.cpu_s < 0.1 < 0.2 <= sleepy.wall_s


@pytest.mark.slow
def test_sync_run() -> None:
    result = genprm.sandbox.run("print('hello')", limits=Limits(cpu_s=1))
    assert (result.status, result.stdout) == ("ok", "hello\n")


def test_limits_must_be_positive() -> None:
    with pytest.raises(ValueError, match="limit cpu_s must be above 0, not 0"):
        Limits(cpu_s=0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Limits().cpu_s = 1  # type: ignore[misc]


def test_unknown_level_is_refused() -> None:
    with pytest.raises(SandboxError, match="unknown level 'none'"):
        Sandbox(level="none")  # type: ignore[arg-type]
