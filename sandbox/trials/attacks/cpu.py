"""Time: loops in Python and in C code, sleeps, and everything that keeps a timer from being heard."""

from genprm.sandbox.trials.attacks.kind import NATIVE, attacks

_PYTHON: dict[str, str | tuple[str, ...]] = {
    "loop": "while True: pass",
    "except Exception": "while True:\n    try:\n        while True: pass\n    except Exception: pass",
    "except BaseException": "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
    "finally": "def f():\n    try:\n        while True: pass\n    finally: f()\nf()",
    "generator that does not close": "def g():\n    while True:\n        try: yield\n"
    "        except BaseException: pass\n"
    "x = g()\nnext(x)\nwhile True: x.throw(ValueError)",
    "finaliser": "class D:\n    def __del__(self):\n        while True: pass\nd = D()\ndel d",
    "the message of an error": "class E(Exception):\n    def __str__(self):\n        while True: pass\nraise E",
    "the name of an error": "class M(type):\n    @property\n    def __name__(self):\n        while True: pass\n"
    "class E(Exception, metaclass=M): pass\nraise E",
    "ignores signals": "import signal\nfor s in range(1, 32):\n    if s not in (9, 19): signal.signal(s, 1)\n"
    "while True: pass",
    "blocks signals": "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\nwhile True: pass",
    "switches timers off": "import signal\nfor t in range(3): signal.setitimer(t, 0)\nwhile True: pass",
    "sets timers far off": "import signal\nfor t in range(3): signal.setitimer(t, 10**6)\nwhile True: pass",
    "handlers of its own": "import signal\nfor s in (14, 26, 27): signal.signal(s, lambda *a: None)\nwhile True: pass",
    "tracing": "import sys\nsys.settrace(lambda *a: None)\nwhile True: abs(1)",
    "hard sums": "import sympy\nwhile True: sympy.factorint((10**40 + 121) * (10**41 + 187), use_ecm=False)",
    "hopeless integral": "import sympy\nx = sympy.Symbol('x')\nwhile True: sympy.integrate(sympy.sin(x**x) / x**x, x)",
}

_C: dict[str, str | tuple[str, ...]] = {
    "big power": "10**10**8",
    "factorial": "import math\nmath.factorial(10**8)",
    "combinations": "import math\nmath.comb(10**8, 5 * 10**7)",
    "integer to text": "import sys\nsys.set_int_max_str_digits(0)\nstr(7**10**7)",
    "text to integer": "import sys\nsys.set_int_max_str_digits(0)\nint('7' * 10**7)",
    "regex": "import re\nre.match('(a+)+$', 'a' * 50 + 'b')",
    "sum": "sum(range(10**12))",
    "sorting": "sorted(range(3 * 10**7), key=lambda n: -n)",
    "search in a range": "1.5 in range(10**12)",
    "endless iterator": "import collections, itertools\ncollections.deque(itertools.count(), 0)",
    "any": "import itertools\nany(itertools.repeat(0))",
    "modular power": "pow(3, 10**300000, 10**6001)",
    "matrix product": "import numpy as np\na = np.ones((4000, 4000))\nwhile True: a @ a",
    "decimal": "import decimal\ndecimal.getcontext().prec = 10**7\ndecimal.Decimal(2).sqrt()",
    "blocked and in C": "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\nsum(range(10**12))",
    "timers of the C library": f"{NATIVE}\nfor t in range(3): libc.setitimer(t, (ctypes.c_long * 4)(), None)\n"
    f"sum(range(10**12))",
    "colliding keys": "p = 2**61 - 1\nd = {}\nfor i in range(10**6): d[i * p] = i",
}

_WAITING: dict[str, str | tuple[str, ...]] = {
    "sleep": "import time\ntime.sleep(60)",
    "sleep that resumes": "import time\nwhile True:\n    try: time.sleep(60)\n    except BaseException: pass",
    "sleep, blocked": "import signal, time\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\ntime.sleep(60)",
    "pause": "import signal\nfor s in (14, 27): signal.signal(s, lambda *a: None)\nwhile True: signal.pause()",
    "wait for a signal": "import signal\nwhile True: signal.sigtimedwait([], 50)",
    "deadlock": "import threading\nl = threading.Lock()\nl.acquire()\nl.acquire()",
    "poll": "import select\nselect.poll().poll()",
    "reads its own channel": "import os\nwhile True: os.read(3, 99)",
    "a little at a time": "import time\nfor t in range(10**6): time.sleep(0.01)",
}

ATTACKS = (
    *attacks("CPU in Python", _PYTHON, slow=True),
    *attacks("CPU in C", _C, slow=True),
    *attacks("waiting", _WAITING, slow=True),
)
