"""Memory: more than the limit, in every way that there is."""

from genprm.sandbox.trials.attacks.kind import attacks

_PAYLOADS: dict[str, str | tuple[str, ...]] = {
    "a list": "x = [0] * 10**10",
    "a list that grows": "x = []\nwhile True: x.append(bytes(10**6))",
    "small objects": "x = []\nwhile True: x.append([x])",
    "bytes": "x = b'x' * 10**10",
    "a string": "x = 'x' * 10**10",
    "a string that doubles": "x = 'x'\nwhile True: x += x",
    "numpy": "import numpy as np\nx = np.ones(10**9)",
    "numpy, piece by piece": "import numpy as np\nx = []\nwhile True: x.append(np.ones(10**6))",
    "mapped memory": "import mmap\nx = []\nwhile True:\n    m = mmap.mmap(-1, 10**8)\n"
    "    m[::4096] = bytes(len(m[::4096]))\n"
    "    x.append(m)",
    "shared mapping": "import mmap\nm = mmap.mmap(-1, 4 * 10**9, flags=1)\n"
    "for i in range(0, len(m), 4096): m[i] = 1\nwon()",
    "big integers": "x = 1 << 10**11",
    "integers that grow": "x = 3\nwhile True: x = x * x",
    "sympy": "import sympy\nx = sympy.symbols('x:60')\nsympy.expand(sum(x)**60)",
    "a dict": "d = {}\nwhile True: d[len(d)] = str(len(d)) * 99",
    "a product": "import itertools\nx = list(itertools.product(range(100), repeat=6))",
    "a matrix": "import sympy\nx = sympy.zeros(20000, 20000)",
    "malloc": "import ctypes\nc = ctypes.CDLL(None)\nc.malloc.restype = ctypes.c_void_p\n"
    "for _ in range(300):\n    p = c.malloc(10**7)\n    if not p: raise MemoryError\n"
    "    ctypes.memset(p, 1, 10**7)\nwon()",
    "swallowed": "x = []\nfor n in (10**7, 10**5, 10**3, 64):\n    try:\n        while True: x.append(bytearray(n))\n"
    "    except MemoryError: pass",
    "format width": "x = '{:>9999999999}'.format(1)",
    "in the error": "class E(Exception):\n    def __str__(self): return 'x' * 10**10\nraise E",
}

ATTACKS = attacks("memory", _PAYLOADS, slow=True)
