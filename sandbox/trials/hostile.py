"""Checks that misbehave, to be mixed among honest ones. For the sandbox only.

They are here to disturb others; whether anything gets out is the attack suite's question. One that gets what it must
not have prints ``ESCAPED``.
"""

from dataclasses import dataclass

from genprm.sandbox import Status


@dataclass(frozen=True, slots=True)
class Hostile:
    """One check, and how its run may end."""

    name: str
    code: str
    ends: tuple[Status, ...]

    @property
    def fatal(self) -> bool:
        """Whether its process is gone afterwards in any case, so that the session goes on in a new one."""
        return set(self.ends) <= {"timeout", "crashed"}


ESCAPED = "ESCAPED"
_ANY: tuple[Status, ...] = ("ok", "error", "timeout", "memory", "output_limit", "crashed")


def _forbidden(name: str, code: str, ends: tuple[Status, ...] = ("error",)) -> Hostile:
    return Hostile(name, f"{code}\nprint('{ESCAPED}')", ends)


HOSTILE = (
    Hostile("loop", "while True: pass", ("timeout",)),
    Hostile(
        "loop that swallows everything",
        "while True:\n    try:\n        while True: pass\n    except BaseException:\n        pass",
        ("timeout",),
    ),
    Hostile("loop in C", "print(sum(range(10**12)))", ("timeout",)),
    Hostile("huge power", "print(len(str(7 ** 10**8)))", ("timeout", "memory", "error")),
    Hostile("one huge block", "x = bytearray(10**12)", ("memory",)),
    Hostile("memory bit by bit", "x = []\nwhile True: x.append(bytearray(10**7))", ("memory", "timeout")),
    Hostile("prints without end", "while True: print('a' * 1000)", ("output_limit",)),
    Hostile(
        "writes to every descriptor",
        "import os\nwhile True:\n    for fd in range(64):\n"
        "        try: os.write(fd, b'x' * 65536)\n        except OSError: pass",
        ("timeout", "crashed"),
    ),
    Hostile(
        "forged frames",
        "import os, struct\nfor step in range(9):\n    try: os.write(3, struct.pack("
        "'!I8sBBIII', step, bytes(8), 0, 0, 3, 0, 0) + b'42\\n')\n    except OSError: pass",
        _ANY,
    ),
    Hostile("half a frame", "import os\ntry: os.write(3, b'\\0\\0\\0')\nexcept OSError: pass", _ANY),
    Hostile(
        "reads its channel",
        "import os\nfor fd in range(3, 64):\n    try: os.read(fd, 10**6)\n    except OSError: pass",
        _ANY,
    ),
    Hostile("closes its channel", "import os\nos.closerange(0, 64)", _ANY),
    Hostile("native crash", "import ctypes\nctypes.string_at(0)", ("crashed",)),
    Hostile("recursion", "import sys\nsys.setrecursionlimit(10**8)\ndef f(): f()\nf()", _ANY),
    Hostile(
        "clears all that lives",
        "import gc\nfor thing in gc.get_objects():\n    if isinstance(thing, (dict, list)): thing.clear()",
        _ANY,
    ),
    Hostile("exit", "import sys\nsys.exit(3)", ("error",)),
    Hostile("hard exit", "import os\nos._exit(0)", ("crashed",)),
    Hostile(
        "patched builtins",
        "import builtins, sympy\nbuiltins.print = lambda *a, **k: None\n"
        "builtins.sum = len\nsympy.solve = sympy.integrate = None\nsympy.Basic.__eq__ = lambda a, b: True",
        ("ok",),
    ),
    Hostile("patched runner", "import sys\nfor name in list(sys.modules): sys.modules[name] = None", _ANY),
    _forbidden("fork", "import os\nif os.fork() == 0:\n    while True: pass", ("error", "crashed")),
    _forbidden("thread", "import threading\nthreading.Thread(target=print).start()"),
    _forbidden("program", "import subprocess\nsubprocess.run(['/bin/sh', '-c', 'true'])"),
    _forbidden("reads a file", "open('/etc/passwd').read()"),
    _forbidden("writes a file", "open('/var/tmp/genprm-soak', 'w').write('x')"),
    _forbidden("network", "import socket\nsocket.create_connection(('127.0.0.1', 80), 1)"),
    _forbidden("kills everybody", "import os\nos.kill(-1, 9)", ("error", "crashed")),
)
