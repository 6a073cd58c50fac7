"""What the zygote loads, so that a check finds it there, and the states that it begins with."""

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
        "SYMPY_CACHE_SIZE": "None",  # what is pushed out of a full cache is copied first, only to be thrown away
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


def reseed(seed: int | None) -> None:
    """Set every random state that a program has without asking for it. None: fresh randomness."""
    from sympy.core import random as of_sympy

    random.seed(seed)
    of_sympy.seed(seed)
    if (of_numpy := sys.modules.get("numpy.random")) is not None:
        of_numpy.seed(None if seed is None else seed % 2**32)
