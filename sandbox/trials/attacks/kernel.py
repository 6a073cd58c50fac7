"""System calls that reach other processes, other namespaces, or surfaces of the kernel with a long record of holes."""

from genprm.sandbox.trials.attacks.kind import NATIVE, Attack, attacks

_VECTORS = """
class V(ctypes.Structure): _fields_ = [('at', ctypes.c_void_p), ('n', ctypes.c_size_t)]
got = ctypes.create_string_buffer(400)
here, there = V(ctypes.addressof(got), 400), V(ADDRESS, 400)
"""

_OTHERS: dict[str, str | tuple[str, ...]] = {
    "ptrace": f"{NATIVE}\nattempt(*[lambda p=p: call('ptrace', 16, p, 0, 0) for p in (SISTER, os.getppid(), HOST, 1)])",
    "ptrace, seize": f"{NATIVE}\nattempt(*[lambda p=p: call('ptrace', 0x4206, p, 0, 0) for p in (SISTER, HOST)])",
    "ask to be traced": f"{NATIVE}\ncall('ptrace', 0, 0, 0, 0)\nwon()",
    "read the sister's memory": f"{NATIVE}{_VECTORS}\ntry: call('process_vm_readv', SISTER, ctypes.byref(here), 1, "
    "ctypes.byref(there), 1, 0)\nfinally: print(got.raw)\nwon()",
    "read the zygote's memory": f"{NATIVE}{_VECTORS}\nthere.at = id(won)\n"
    "call('process_vm_readv', os.getppid(), ctypes.byref(here), 1, ctypes.byref(there), 1, 0)\nwon()",
    "write the sister's memory": f"{NATIVE}{_VECTORS}\n"
    "call('process_vm_writev', SISTER, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)\nwon()",
    "write the zygote's memory": f"{NATIVE}{_VECTORS}\nthere.at = id(won)\n"
    "call('process_vm_writev', os.getppid(), ctypes.byref(here), 1, ctypes.byref(there), 1, 0)\nwon()",
    "process_madvise": f"{NATIVE}\nfd = call('pidfd_open', SISTER, 0)\n"
    f"call('process_madvise', fd, None, 0, 21, 0)\nwon()",
    "pidfd_open": "import os\nattempt(*[lambda p=p: os.pidfd_open(p) for p in (SISTER, os.getppid(), HOST, 1)])",
    "pidfd_getfd": f"{NATIVE}\nattempt(*[lambda p=p: call('pidfd_getfd', call('pidfd_open', p, 0), 3, 0) "
    "for p in (SISTER, os.getppid(), HOST)])",
    "kcmp": f"{NATIVE}\ncall('kcmp', os.getpid(), SISTER, 0, 3, 3)\nwon()",
    "move_pages": f"{NATIVE}\ncall('move_pages', SISTER, 0, None, None, None, 0)\nwon()",
    "limits of the sister": f"{NATIVE}\ncall('prlimit64', SISTER, 0, (ctypes.c_uint64 * 2)(0, 0), None)\nwon()",
    "priority of the host": f"{NATIVE}\ncall('setpriority', 0, HOST, 19)\nwon()",
    "cores of the sister": f"{NATIVE}\ncall('sched_setaffinity', SISTER, 8, (ctypes.c_uint64 * 1)(1))\nwon()",
}

_SURFACES: dict[str, str | tuple[str, ...]] = {
    "io_uring": f"{NATIVE}\ncall('io_uring_setup', 4, ctypes.create_string_buffer(120))\nwon()",
    "bpf": f"{NATIVE}\ncall('bpf', 0, (ctypes.c_uint32 * 18)(1, 4, 4, 1), 72)\nwon()",
    "userfaultfd": f"{NATIVE}\ncall('userfaultfd', 1)\nwon()",
    "perf_event_open": f"{NATIVE}\nattr = (ctypes.c_uint32 * 32)(1, 128)\n"
    f"call('perf_event_open', attr, 0, -1, -1, 0)\nwon()",
    "keyring": f"{NATIVE}\nkey = call('add_key', b'user', TOKEN.encode(), b'x', 1, -4)\nwon(key)",
    "keyctl": f"{NATIVE}\nwon(call('keyctl', 0, -3, 1))",
    "memfd_create": f"{NATIVE}\ncall('memfd_create', b'x', 0)\nwon()",
    "memfd_secret": f"{NATIVE}\ncall('memfd_secret', 0)\nwon()",
    "inotify": f"{NATIVE}\ncall('inotify_init1', 0)\nwon()",
    "fanotify": f"{NATIVE}\ncall('fanotify_init', 0x200, 0)\nwon()",
    "load a module": f"{NATIVE}\ncall('init_module', b'x', 1, b'')\nwon()",
    "kernel log": f"{NATIVE}\ncall('syslog', 3, ctypes.create_string_buffer(99), 99)\nwon()",
    "host name": f"{NATIVE}\ncall('sethostname', TOKEN.encode(), len(TOKEN))\nwon()",
    "a call from the future": f"{NATIVE}\nNR['new'] = 700\ncall('new')\nwon()",
    "x32 calls": f"{NATIVE}\nNR['x32'] = 0x40000000 + NR['socket']\ncall('x32', 2, 1, 0)\nwon()",
}

_NAMESPACES: dict[str, str | tuple[str, ...]] = {
    "user namespace": f"{NATIVE}\ncall('unshare', 0x10000000)\nwon()",
    "every namespace": f"{NATIVE}\nattempt(*[lambda f=f: call('unshare', f) for f in "
    "(0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000, 0x80)])",
    "setns": f"{NATIVE}\n"
    f"attempt(*[lambda p=p: call('setns', os.open(f'/proc/{{p}}/ns/mnt', 0), 0) for p in (1, HOST)])",
    "setns by descriptor": f"{NATIVE}\ncall('setns', call('pidfd_open', HOST, 0), 0x20000)\nwon()",
    "setns, bad descriptor": f"{NATIVE}\ncall('setns', 3, 0)\nwon()",
    "mount": f"{NATIVE}\ncall('mount', b'x', b'/', b'tmpfs', 0, None)\nwon()",
    "new mount calls": f"{NATIVE}\n"
    f"attempt(lambda: call('fsopen', b'tmpfs', 0), lambda: call('open_tree', -100, b'/', 1))",
    "chroot": "import os\nos.chroot('/')\nwon()",
    "pivot_root": f"{NATIVE}\ncall('pivot_root', b'.', b'.')\nwon()",
    "become root": "import os\nos.setuid(0)\nassert os.getuid() == 0\nwon() if open('/etc/shadow') else None",
    "capabilities": f"{NATIVE}\nhead = (ctypes.c_uint32 * 2)(0x20080522, 0)\n"
    "call('capset', head, (ctypes.c_uint32 * 6)(*[0xffffffff] * 6))\nwon()",
}

_LIMITS: dict[str, str | tuple[str, ...]] = {
    "lift limits": "import resource as r\nattempt(*[lambda w=w: r.setrlimit(w, (-1, -1)) for w in "
    "(r.RLIMIT_AS, r.RLIMIT_CPU, r.RLIMIT_NPROC, r.RLIMIT_FSIZE, r.RLIMIT_NOFILE)])",
    "lift limits, raw": f"{NATIVE}\nmost = (ctypes.c_uint64 * 2)(2**64 - 1, 2**64 - 1)\n"
    "attempt(*[lambda w=w: call('prlimit64', 0, w, most, None) for w in (0, 1, 6, 7, 9)])",
    "another filter": f"{NATIVE}\ncall('seccomp', 1, 0, (ctypes.c_uint64 * 2)())\nwon()",
    "new privileges": f"{NATIVE}\ncall('prctl', 38, 0, 0, 0, 0)\nwon()",
    "outlive the parent": f"{NATIVE}\ncall('prctl', 1, 0, 0, 0, 0)\nwon()",
    "dumpable": f"{NATIVE}\ncall('prctl', 4, 1, 0, 0, 0)\nwon()",
    "personality": f"{NATIVE}\ncall('personality', 0x0400000)\nwon()",
}

_KEY = "int(TOKEN[:7], 16)"
_SHARED: dict[str, str | tuple[str, ...]] = {
    "System V shared memory": f"{NATIVE}\nid = call('shmget', {_KEY}, 4096, 0o1666)\nwon(call('shmat', id, None, 0))",
    "System V queue": f"{NATIVE}\nwon(call('msgget', {_KEY}, 0o1666))",
    "System V semaphore": f"{NATIVE}\nwon(call('semget', {_KEY}, 1, 0o1666))",
    "POSIX queue": f"{NATIVE}\nwon(call('mq_open', TOKEN.encode(), 0o102, 0o666, None))",
    "POSIX shared memory": "from multiprocessing import shared_memory\n"
    "shared_memory.SharedMemory(name=TOKEN, create=True, size=99)\nwon()",
}

_NOTES = (
    Attack(
        "between sessions",
        "a note in a file",
        ("open(f'/tmp/{TOKEN}', 'w').write('x')",),
        later="won(open(f'/tmp/{TOKEN}'))",
    ),
    Attack(
        "between sessions",
        "a note in its folder",
        ("import os\nprint(os.getcwd())\nopen('note', 'w').write('x')",),
        later="import glob\n"
        "for f in glob.glob('*') + glob.glob('../*/note') + glob.glob('/*/*/note'): won(open(f).read())",
    ),
    Attack(
        "between sessions",
        "a note in shared memory",
        (f"{NATIVE}\ncall('shmget', {_KEY}, 4096, 0o1666)",),
        later=f"{NATIVE}\nwon(call('shmget', {_KEY}, 4096, 0))",
    ),
    Attack(
        "between sessions",
        "a note in a socket",
        ("import socket\ns = socket.socket(socket.AF_UNIX)\ns.bind('\\0' + TOKEN)\ns.listen()",),
        later="import socket\nsocket.socket(socket.AF_UNIX).connect('\\0' + TOKEN)\nwon()",
    ),
    Attack(
        "between sessions",
        "a note in a library",
        ("import sympy, builtins, sys\nsympy.NOTE = builtins.NOTE = sys.NOTE = 1",),
        later="import sympy, builtins, sys\nif any(hasattr(m, 'NOTE') for m in (sympy, builtins, sys)): won()",
    ),
    Attack(
        "between sessions",
        "a note in shared pages",
        ("import ctypes, sympy\nctypes.memmove(id(sympy.__name__) + 48, b'X', 1)\nprint(sympy.__name__)",),
        later="import sympy\nif sympy.__name__ != 'sympy': won()",
    ),
    Attack(
        "between sessions",
        "secrets in its own memory",
        (
            "import gc\ngc.unfreeze()\n"
            "for o in gc.get_objects():\n    try: text = repr(o) if type(o) in (dict, list, tuple) else ''\n"
            "    except BaseException: continue\n    at = text.find('cana' + 'ry-')\n"
            "    if at >= 0: print(text[at:at + 60])",
        ),
    ),
    Attack(
        "between sessions",
        "descriptors that were left open",
        (
            "import os\nfor fd in range(4, 1024):\n    try: os.fstat(fd)\n    except OSError: continue\n"
            "    won(fd)\n    os.write(fd, b'x' * 99)",
        ),
    ),
    Attack(
        "between sessions", "the sister's memory file", ("open(f'/proc/{SISTER}/mem', 'r+b').seek(ADDRESS)\nwon()",)
    ),
    Attack("between sessions", "lock a file", ("import fcntl\nfcntl.flock(open(SECRET_FILE), fcntl.LOCK_EX)\nwon()",)),
)

ATTACKS = (
    *attacks("other processes", _OTHERS, forbidden=True),
    *attacks("kernel surfaces", _SURFACES, forbidden=True),
    *attacks("namespaces", _NAMESPACES, forbidden=True),
    *attacks("limits", _LIMITS),
    *attacks("shared memory", _SHARED),
    *_NOTES,
)
