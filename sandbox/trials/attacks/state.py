"""The session itself: frames forged on its channel, and traps laid for its own later checks.

One session has one author, so what it does to itself is its own affair: it must reach no other session, and no limit
may fall with it.
"""

from genprm.sandbox.trials.attacks.kind import Attack, attacks

_FIND = """
import gc, os, struct, sys
def channels():
    found = []
    for fd in range(64):
        try: mode = os.fstat(fd).st_mode
        except OSError: continue
        if mode & 0o170000 == 0o140000: found.append(fd)
    return found or [3]
request, frame = None, sys._getframe()
while frame:
    for value in list(frame.f_locals.values()):
        if hasattr(value, 'nonce'): request = value
    frame = frame.f_back
nonce = request.nonce if request else bytes(8)
step = request.step if request else 1
def header(*lengths, status=0, step=step, nonce=nonce):
    return struct.pack('!I8sBBIII', step, nonce, status, 0, *lengths)
def send(data):
    for fd in channels(): os.write(fd, data)
"""

_FRAMES: dict[str, str | tuple[str, ...]] = {
    "a frame of its own": (f"{_FIND}\nsend(header(2, 0, 0) + b'hi')", "print('mine')"),
    "two frames": (f"{_FIND}\nsend(header(0, 0, 0) * 2)", "print('mine')"),
    "a frame for the next check": (f"{_FIND}\nsend(header(2, 0, 0, step=step + 1) + b'hi')", "print('mine')"),
    "rubbish": (f"{_FIND}\nsend(b'rubbish that is long enough for a header' * 9)", "print('mine')"),
    "huge lengths": (f"{_FIND}\nsend(header(2**32 - 1, 2**32 - 1, 2**32 - 1))", "print('mine')"),
    "unknown status": (f"{_FIND}\nsend(header(0, 0, 0, status=255))", "print('mine')"),
    "half a frame": (f"{_FIND}\nsend(header(9, 0, 0) + b'hi')\nimport time\ntime.sleep(9)", "print('mine')"),
    "half a header": (f"{_FIND}\nsend(header(0, 0, 0)[:7])\nimport time\ntime.sleep(9)",),
    "a flood": (f"{_FIND}\nwhile True: send(b'x' * 10**5)", "print('mine')"),
    "drop by drop": (
        f"{_FIND}\nimport time\nfor b in header(4000, 0, 0) + bytes(4000): send(bytes([b])); time.sleep(.01)",
    ),
    "closes it": ("import os\nos.closerange(0, 64)", "print('mine')"),
    "closes it and goes on": ("import os\nos.closerange(0, 64)\nwhile True: pass", "print('mine')"),
    "another end": ("import os\nos.dup2(1, 3)\nwhile True: pass", "print('mine')"),
    "shuts half of it": (
        "import socket\ns = socket.socket(fileno=3)\ns.shutdown(socket.SHUT_RD)\ns.detach()",
        "print('mine')",
    ),
    "descriptors in it": (
        f"{_FIND}\nimport array, socket\ns = socket.socket(fileno=3)\n"
        "s.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [0, 1, 2] * 80))])",
        "print('mine')",
    ),
    "text that is not text": (f"{_FIND}\nsend(header(3, 0, 0) + b'\\xff\\xfe\\x1b')", "print('mine')"),
}

_TRAPS: dict[str, str | tuple[str, ...]] = {
    "print": ("import builtins\nbuiltins.print = lambda *a, **k: None", "print(1)"),
    "sympy.solve": ("import sympy\nsympy.solve = lambda *a, **k: [42]", "import sympy\nprint(sympy.solve('x - 1'))"),
    "equality": ("import sympy\nsympy.Basic.__eq__ = lambda a, b: True", "import sympy\nprint(sympy.Integer(1) == 2)"),
    "compile and exec": ("import builtins\nbuiltins.exec = builtins.compile = lambda *a, **k: None", "print(1)"),
    "signal handlers": (
        "import signal\nfor s in range(1, 32):\n    if s not in (9, 19): signal.signal(s, lambda *a: print('late'))\n"
        "signal.setitimer(0, 0.01, 0.01)",
        "print(sum(range(10**6)))",
    ),
    "functions that set timers": (
        "import signal\nsignal.setitimer = signal.signal = lambda *a: None",
        "while True: pass",
    ),
    "finaliser": ("class D:\n    def __del__(self): print('late')\nd = D()", "d = 0\nprint(1)"),
    "finaliser that loops": ("class D:\n    def __del__(self):\n        while True: pass\nd = D()", "d = 0"),
    "atexit": ("import atexit\natexit.register(print, 'late')\natexit.register(lambda: [0 for _ in iter(int, 1)])",),
    "the runner": (
        "import gc\ngc.unfreeze()\nfor o in gc.get_objects():\n    if type(o).__name__ == 'Runner':\n"
        "        type(o).run = lambda *a: 1 / 0",
        "print(1)",
        "print(2)",
    ),
    "every function": (
        "import gc, types\ngc.unfreeze()\ndef nothing(*a, **k): pass\nfor o in gc.get_objects():\n"
        "    if type(o) is types.FunctionType and 'genprm' in o.__code__.co_filename: o.__code__ = nothing.__code__",
        "print(1)",
    ),
    "limits of the runner": (
        "import gc\ngc.unfreeze()\n"
        "for o in gc.get_objects():\n    if type(o).__name__ in ('Runner', 'Kit', 'Limits'):\n"
        "        for n in ('cpu_s', 'wall_s', 'output_bytes'):\n"
        "            for x in (o, getattr(o, '_limits', o), getattr(o, 'limits', o)):\n"
        "                try: object.__setattr__(x, n, 10**9)\n                except Exception: pass",
        "while True: pass",
    ),
    "output beyond the limit": (
        "import gc\ngc.unfreeze()\n"
        "for o in gc.get_objects():\n    if hasattr(o, '_limit') and hasattr(o, 'cut'): o._limit = 10**9\n"
        "print('x' * 10**6)",
    ),
    "streams": ("import sys\nsys.stdout.close()\nsys.stdout = None", "print(1)"),
    "tracing": ("import sys\nsys.settrace(lambda *a: 1 / 0)\nsys.setprofile(lambda *a: 1 / 0)", "print(1)"),
    "audit hook": (
        "import sys\ndef hook(*a): raise SystemExit\nsys.addaudithook(hook)",
        "print(open(SECRET_FILE).read())",
    ),
    "hash seed and random": (
        "import random\nrandom.seed = random.random = lambda *a: 0",
        "import random\nprint(random.random())",
    ),
}

_OFF = """
import signal
for s in (14, 26, 27): signal.signal(s, signal.SIG_IGN)
for t in range(3): signal.setitimer(t, 0)
"""
_LOOP = "\nwhile True: pass"
_MODULE = """
import os, sys, time
frame = sys._getframe()
while frame.f_back and '_fork' not in frame.f_globals: frame = frame.f_back
inside = frame.f_globals
def loop(*a, **k):
    while True: pass
def stay(*a, **k): time.sleep(30)
"""
"""The module that takes orders from the host, wherever it is among the frames above a check."""

# After its reply a session has no check that a limit could end.
_AFTER = {
    "a reply, and on": f"{_FIND}{_OFF}\nsend(header(2, 0, 0) + b'hi'){_LOOP}",
    "a reply, and on in C": f"{_FIND}{_OFF}\nsend(header(2, 0, 0) + b'hi')\nsum(range(10**12))",
    "a timer for later": "import signal\ndef loop(*a):\n    while True: pass\nreal = signal.setitimer\n"
    "signal.setitimer = lambda t, *a: real(1, 0.01)\nsignal.signal(26, loop)\nsignal.signal(27, loop)",
    "instead of the next order": f"{_MODULE}\ninside['_receive'] = inside['_read'] = loop",
    "in the preparations": f"{_MODULE}\nimport gc\nup = sys._getframe()\nwhile up:\n"
    "    for o in list(up.f_locals.values()):\n        if hasattr(o, 'prepare'): type(o).prepare = loop\n"
    "    up = up.f_back",
    "when the collector runs": "import gc\ndef loop(phase, info):\n    while True: pass\ngc.callbacks.append(loop)\n"
    "gc.set_threshold(1)",
}

_FORKS = {
    "nothing bad": "x = 1",
    "forks more than once": f"{_MODULE}\nreal = inside['calls'].fork\ndef fork(flags):\n    for _ in range(50):\n"
    "        try:\n            if real(flags) == 0: stay()\n        except OSError: pass\n    return real(flags)\n"
    "inside['calls'].fork = fork",
    "takes the fork for itself": f"{_MODULE}\nreal = inside['calls'].fork\nimport random\n"
    "def steal():\n    if real(0x8011) == 0: stay()\nrandom.getstate = steal",
    "a fork in the fork": f"{_MODULE}\nreal = inside['calls'].fork\n"
    "def again(kit):\n    for _ in range(50):\n        try:\n            if real(0x8011) == 0: stay()\n"
    "        except OSError: pass\ninside['die_with_zygote'] = again",
    "a fork that never answers": f"{_MODULE}\ninside['die_with_zygote'] = loop",
    "a fork that sleeps": f"{_MODULE}\ninside['die_with_zygote'] = stay",
    "no fork at all": f"{_MODULE}\ninside['_fork'] = lambda *a: None",
    "a loop instead of a fork": f"{_MODULE}\ninside['_fork'] = loop",
    "a fork that goes on by itself": f"{_MODULE}\ninside['_receive'] = inside['_read'] = loop",
    "keeps the descriptors": f"{_MODULE}\nos.dup2 = lambda a, b: b",
    "memory in every fork": "x = bytearray(200 * 10**6)\nfor i in range(0, len(x), 4096): x[i] = 1",
}

ATTACKS = (
    *attacks("result channel", _FRAMES),
    *attacks("later checks", _TRAPS),
    *(Attack("after the reply", name, (code,), idle=True) for name, code in _AFTER.items()),
    *(Attack("forks", name, (code,), forks=2, idle="by itself" in name) for name, code in _FORKS.items()),
)
