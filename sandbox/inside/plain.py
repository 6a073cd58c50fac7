"""A process that serves one session without any confinement, where the kernel is not Linux: see ``portable``."""

import contextlib
import gc
import json
import os
import sys

from genprm.sandbox.inside import warmup
from genprm.sandbox.inside.preload import preload, reseed
from genprm.sandbox.inside.serve import Server
from genprm.sandbox.limits import Limits


def main(plan: str) -> None:
    order = json.loads(plan)
    limits = Limits(**order["limits"])
    source, sink = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
    preload(order["preload"])
    warmup.first()
    reseed(order["seed"])
    gc.collect()
    gc.freeze()
    _limit(limits)
    for name in [name for name in sys.modules if name.split(".")[0] == "genprm"]:
        del sys.modules[name]
    os.environ.clear()
    os.write(sink, b"\x01")
    Server(source, sink, limits).serve()


def _limit(limits: Limits) -> None:
    """What there is of limits: none on Windows, and macOS takes no bound on memory."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        for what, value in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)):
            resource.setrlimit(what, (value, value))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 * 4 + (limits.memory_mb << 20)
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
