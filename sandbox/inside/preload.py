"""What the zygote loads and warms, so that a check finds it ready."""

import contextlib
import importlib
import os
import random
import sys
from collections.abc import Iterable

_ALWAYS = (
    "bisect cmath collections copy ctypes dataclasses datetime decimal enum fractions functools heapq itertools json"
    " math numbers operator random re resource signal statistics string textwrap time traceback typing"
)
_IF_THERE = "numpy"
# Needed to start some Pythons at all.
_PASSED_ON = ("LD_LIBRARY_PATH",)


def environment(seed: int | None) -> dict[str, str]:
    """All that the zygote sees of the host's environment (keys and tokens stay behind)."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {
        # One thread: forks of a process with threads are unsafe, and user namespaces are refused to it.
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"),
        "PYTHONHASHSEED": "random" if seed is None else str(seed % 2**32),
        "PYTHONUTF8": "1",
        "LC_ALL": "C.UTF-8",
        "PATH": "/usr/bin:/bin",
    }


def preload(wanted: Iterable[str] = ()) -> list[str]:
    """Import the libraries of the checks; returns the folders that hold them. ``wanted`` must be there."""
    import sympy  # noqa: F401

    for name in (*_ALWAYS.split(), *_IF_THERE.split()):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for name in wanted:
        importlib.import_module(name)
    sys.dont_write_bytecode = True
    roots = (sys.modules.get(name.split(".")[0]) for name in ("sympy", "mpmath", *_IF_THERE.split(), *wanted))
    return [os.path.dirname(os.path.dirname(root.__file__)) for root in roots if root and root.__file__]


def warm_up(seed: int | None) -> None:
    """A few operations of every kind, so that sympy's lazy imports and caches are filled once and not in each child."""
    import sympy

    x, y = sympy.symbols("x y")
    sympy.expand((x + y) ** 3)
    sympy.factor(x**2 - 1)
    sympy.simplify(sympy.sin(x) ** 2 + sympy.cos(x) ** 2)
    sympy.solve(x**2 - 5 * x + 6, x)
    sympy.solve([x + y - 3, x - y - 1], [x, y])
    sympy.diff(x**3, x)
    sympy.integrate(x**2, (x, 0, 1))
    sympy.limit(sympy.sin(x) / x, x, 0)
    sympy.Matrix([[1, 2], [3, 4]]).det()
    sympy.factorint(360)
    sympy.Rational(1, 3).evalf()
    str(sympy.sqrt(2) * x / y + sympy.pi)
    repr(sympy.Eq(x, y))
    reseed(seed)


def reseed(seed: int | None) -> None:
    """Set every random state that a program has without asking for it. None: fresh randomness."""
    from sympy.core import random as of_sympy

    random.seed(seed)
    of_sympy.seed(seed)
    if (of_numpy := sys.modules.get("numpy.random")) is not None:
        of_numpy.seed(None if seed is None else seed % 2**32)
