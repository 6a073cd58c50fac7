"""Native code: memory of its own written at will, and machine code of its own."""

import platform

from genprm.sandbox.trials.attacks.kind import NATIVE, attacks

_CODE = {
    "x86_64": b"\xb8\x2a\x00\x00\x00\xc3",  # mov eax, 42; ret
    "aarch64": b"\x40\x05\x80\x52\xc0\x03\x5f\xd6",  # mov w0, #42; ret
}.get(platform.machine(), b"")

_MAP = f"""{NATIVE}
libc.mmap.restype = ctypes.c_void_p
def pages(prot, flags, fd=-1):
    at = libc.mmap(None, ctypes.c_size_t(4096), prot, flags, fd, ctypes.c_long(0))
    if at == ctypes.c_void_p(-1).value: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return at
def run(at): won(ctypes.CFUNCTYPE(ctypes.c_int)(at)())
code = {_CODE!r}
"""

_PAYLOADS: dict[str, str | tuple[str, ...]] = {
    "system through ctypes": f"{NATIVE}\nshell(lambda s: ctypes.PyDLL(None).system(s.encode()))",
    "mprotect and shellcode": f"{_MAP}\nat = pages(3, 0x22)\nctypes.memmove(at, code, len(code))\n"
    "if libc.mprotect(ctypes.c_void_p(at), ctypes.c_size_t(4096), 5): raise OSError(ctypes.get_errno(), 'mprotect')\n"
    "run(at)",
    "pages to write and run": f"{_MAP}\nat = pages(7, 0x22)\nctypes.memmove(at, code, len(code))\nrun(at)",
    "keyed pages": f"{_MAP}\nat = pages(3, 0x22)\nctypes.memmove(at, code, len(code))\n"
    "call('pkey_mprotect', at, 4096, 5, -1)\nrun(at)",
    "code from a file": f"{_MAP}\nat = pages(5, 2, os.open(OPEN_FILE, 0))\nwon()",
    "code in shared memory": f"{_MAP}\nid = call('shmget', 0, 4096, 0o1700)\nat = call('shmat', id, None, 0o100000)\n"
    "ctypes.memmove(at, code, len(code))\nrun(at)",
    "a callback": f"{NATIVE}\nhits = []\nf = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)"
    "(lambda a, b: hits.append(1) or 0)\nlibc.qsort((ctypes.c_int * 4)(3, 1, 2), 4, 4, f)\nwon(len(hits))",
    "load a library of its own": "import ctypes\nctypes.CDLL(OPEN_FILE)\nwon()",
    "an extension of its own": "import importlib.machinery as m, importlib.util as u\n"
    "u.module_from_spec(u.spec_from_loader('x', m.ExtensionFileLoader('x', OPEN_FILE)))\nwon()",
    "write to its own text": f"{NATIVE}\nat = ctypes.cast(libc.getpid, ctypes.c_void_p).value\n"
    f"ctypes.memset(at, 0xC3, 1)\nwon()",
    "write to /proc/self/mem": "with open('/proc/self/mem', 'r+b') as f: f.seek(id(won)); f.write(b'x')\nwon()",
    "change an integer": "import ctypes\nctypes.c_char.from_address(id(7) + 24).value = 9\nprint(7 + 0)",
    "change a type": "import ctypes\nd = ctypes.py_object.from_address(id(int.__dict__) + 16).value\n"
    "d['won'] = 1\nctypes.pythonapi.PyType_Modified(ctypes.py_object(int))\nwon((5).won)",
    "numpy beyond its bounds": "import numpy as np\na = np.lib.stride_tricks.as_strided(np.zeros(1), (10**9,), (8,))\n"
    "a[:] = 1\nwon()",
}

ATTACKS = attacks("native code", _PAYLOADS)
