"""Deaths: the process of the check goes, nothing else does."""

from genprm.sandbox.trials.attacks.kind import attacks

_PAYLOADS: dict[str, str | tuple[str, ...]] = {
    "segmentation fault": "import ctypes\nctypes.string_at(0)",
    "abort": "import os\nos.abort()",
    "exit": "import os\nos._exit(0)",
    "sys.exit": "import sys\nsys.exit('x')",
    "exit in a finaliser": "import os\nclass D:\n    def __del__(self): os._exit(3)\nd = D()\ndel d",
    "kills itself": "import os\nos.kill(os.getpid(), 9)",
    "stops itself": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
    "fatal error": "import ctypes\nctypes.pythonapi.Py_FatalError(b'x')",
    "broken bytecode": "def f(): pass\n"
    "f.__code__ = f.__code__.replace(co_code=bytes([124, 200] * 50), co_stacksize=0)\nf()",
    "deep recursion": "def f(): f()\nf()",
    "recursion without a limit": "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
    "recursion in C": "import sys\nsys.setrecursionlimit(10**9)\nx = ()\nfor _ in range(3 * 10**5): x = (x,)\nhash(x)",
    "deep repr": "import sys\nsys.setrecursionlimit(10**9)\nx = []\nfor _ in range(10**6): x = [x]\nrepr(x)",
    "deep source": "exec('(' * 5000 + ')' * 5000)",
    "deep sympy": "import sympy\nx = sympy.Symbol('x')\nfor _ in range(10**5): x = sympy.sin(x)\nprint(x)",
    "reference counts": "import ctypes\n"
    "for _ in range(10**5): ctypes.pythonapi.Py_DecRef(ctypes.py_object(None))\nprint(None)",
    "float error": "import ctypes, signal\nctypes.CDLL(None).raise_(8) if 0 else ctypes.CDLL(None)['raise'](8)",
    "clears its modules": "import sys\nsys.modules.clear()\nprint(1)\nimport os",
    "deletes builtins": "import builtins\nfor n in dir(builtins):\n    if n != 'delattr': delattr(builtins, n)",
}

ATTACKS = attacks("crashes", _PAYLOADS)
