"""Files: reading what is not the check's, and leaving anything behind."""

from genprm.sandbox.trials.attacks.kind import NATIVE, attacks

_READ: dict[str, str | tuple[str, ...]] = {
    "/etc/passwd": "print(open('/etc/passwd').read())",
    "a secret file": "print(open(SECRET_FILE).read())",
    "os.open and os.read": "import os\nprint(os.read(os.open(SECRET_FILE, os.O_RDONLY), 999))",
    "through a path of its own": "import os\nprint(open('/usr/lib/../../' + SECRET_FILE).read())",
    "environment": "import os\nprint(dict(os.environ), os.environb, os.getenv(ENV))",
    "environment of the C library": f"{NATIVE}\nlibc.getenv.restype = ctypes.c_char_p\n"
    f"print(libc.getenv(ENV.encode()))\n"
    "e = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, 'environ')\nprint([e[i] for i in range(3) if e and e[i]])",
    "/proc of itself": "attempt(*[lambda n=n: print(open(f'/proc/self/{n}', 'rb').read(9999)) "
    "for n in ('environ', 'maps', 'cmdline', 'mounts')])",
    "/proc of host and zygote": "import os\nattempt(*[lambda p=p: print(open(f'/proc/{p}/environ').read()) "
    "for p in (HOST, os.getppid(), 1, 'self')])",
    "roots in /proc": "import os\nattempt(*[lambda p=p: print(open(f'/proc/{p}/root{SECRET_FILE}').read()) "
    "for p in (HOST, os.getppid(), 1, 'self')])",
    "memory of the zygote": "import os\nopen(f'/proc/{os.getppid()}/mem', 'rb').read(1)\nwon()",
    "list folders": "import os\nattempt(lambda: print(os.listdir(OPEN_FOLDER)), lambda: print(os.listdir('..')))",
    "glob and walk": "import glob, os\nprint(glob.glob(OPEN_FOLDER + '/*'), list(os.walk(OPEN_FOLDER)))",
    "where a link leads": "import os\nprint(os.readlink(LINK))",
    "np.load": "import numpy as np\nprint(np.load(SECRET_FILE, allow_pickle=True))",
    "np.fromfile": "import numpy as np\nprint(bytes(np.fromfile(SECRET_FILE, dtype='u1')))",
    "np.memmap": "import numpy as np\nprint(bytes(np.memmap(SECRET_FILE, dtype='u1', mode='r')))",
    "np.genfromtxt": "import numpy as np\nprint(np.genfromtxt(SECRET_FILE, dtype=str))",
    "mmap": "import mmap, os\nprint(mmap.mmap(os.open(SECRET_FILE, 0), 0, prot=1)[:])",
    "linecache": "import linecache\nprint(linecache.getlines(SECRET_FILE) or open(SECRET_FILE))",
    "a loader": "import importlib.machinery as m\nprint(m.SourceFileLoader('x', SECRET_FILE).get_data(SECRET_FILE))",
    "runpy": "import runpy\nrunpy.run_path(SECRET_FILE)",
    "fopen": f"{NATIVE}\nlibc.fopen.restype = ctypes.c_void_p\nf = libc.fopen(SECRET_FILE.encode(), b'r')\n"
    "if not f: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))\n"
    "b = ctypes.create_string_buffer(99)\nlibc.fread(b, 1, 98, ctypes.c_void_p(f))\nprint(b.value)",
    "openat2": f"{NATIVE}\nhow = (ctypes.c_uint64 * 3)()\n"
    "print(os.read(call('openat2', -100, SECRET_FILE.encode(), how, 24), 99))",
    "open_by_handle_at": f"{NATIVE}\ncall('open_by_handle_at', 3, ctypes.create_string_buffer(136), 0)\nwon()",
    "sqlite3 reads": "import sqlite3\nc = sqlite3.connect(f'file:{SECRET_FILE}?mode=ro', uri=True)\n"
    "print(c.execute('select * from sqlite_master').fetchall())",
    "devices": "attempt(*[lambda d=d: open(d, 'rb').read(1) for d in ('/dev/mem', '/dev/kmsg', '/dev/vda')])",
}

_WRITE: dict[str, str | tuple[str, ...]] = {
    "create": "open(OPEN_FOLDER + '/' + TOKEN, 'w').write('x')\nwon()",
    "create anywhere": "attempt(*[lambda d=d: open(f'{d}/{TOKEN}', 'w') "
    "for d in ('/tmp', '/var/tmp', '/dev/shm', '/run', '/etc', '/', HOME, HERE, '..')])",
    "overwrite": "open(OPEN_FILE, 'w').write('x')\nwon()",
    "append": "open(OPEN_FILE, 'a').write('x')\nwon()",
    "open for both": "import os\nos.write(os.open(OPEN_FILE, os.O_RDWR), b'x')\nwon()",
    "truncate": "import os\nos.truncate(OPEN_FILE, 0)\nwon()",
    "unlink": "import os\nos.unlink(OPEN_FILE)\nwon()",
    "rename": "import os\nos.rename(OPEN_FILE, OPEN_FILE + TOKEN)\nwon()",
    "symbolic link": "import os\nos.symlink('/etc/passwd', OPEN_FOLDER + '/' + TOKEN)\nwon()",
    "hard link": "import os\nos.link(OPEN_FILE, OPEN_FOLDER + '/' + TOKEN)\nwon()",
    "mkdir": "import os\nos.mkdir(OPEN_FOLDER + '/' + TOKEN)\nwon()",
    "mkfifo": "import os\nos.mkfifo(OPEN_FOLDER + '/' + TOKEN)\nwon()",
    "chmod": "import os\nos.chmod(OPEN_FILE, 0o4777)\nwon()",
    "chown": "import os\nos.chown(OPEN_FILE, 1, 1)\nwon()",
    "utime": "import os\nos.utime(OPEN_FILE, (1, 1))\nwon()",
    "rmtree": "import shutil\nshutil.rmtree(OPEN_FOLDER)\nwon()",
    "copy a tree": "import shutil\nshutil.copytree('/usr/lib/python3', f'{OPEN_FOLDER}/{TOKEN}')\nwon()",
    "nameless file": "import os\nos.open(OPEN_FOLDER, os.O_TMPFILE | os.O_RDWR)\nwon()",
    "poison a library": "attempt(lambda: open(LIBRARY, 'a').write('#'), "
    "lambda: open(LIBRARY.rpartition('/')[0] + f'/../{TOKEN}.pth', 'w').write('import os'))",
    "replace a library": "import os\nattempt(lambda: os.rename(LIBRARY, LIBRARY + TOKEN), lambda: os.unlink(LIBRARY))",
    "disk fill": "attempt(*[lambda d=d: [open(f'{d}/{TOKEN}{i}', 'wb').write(bytes(10**6)) for i in range(100)] "
    "for d in (OPEN_FOLDER, '/dev/shm', '.')])",
    "np.save": "import numpy as np\nnp.save(OPEN_FOLDER + '/' + TOKEN, np.arange(9))\nwon()",
    "np.memmap for writing": "import numpy as np\n"
    "np.memmap(OPEN_FILE, mode='r+', dtype='u1', shape=(3,))[:] = 1\nwon()",
    "np.ndarray.tofile": "import numpy as np\nnp.arange(9).tofile(OPEN_FOLDER + '/' + TOKEN)\nwon()",
    "pickle to a file": "import pickle\npickle.dump(1, open(OPEN_FOLDER + '/' + TOKEN, 'wb'))\nwon()",
    "sqlite3 creates": "import sqlite3\nc = sqlite3.connect(OPEN_FOLDER + '/' + TOKEN)\n"
    "c.execute('create table t (a)')\n"
    "c.commit()\nwon()",
    "tempfile": "import tempfile\ntempfile.template = TOKEN\nattempt(lambda: tempfile.mkstemp(dir=OPEN_FOLDER), "
    "lambda: tempfile.mkdtemp(dir='/tmp'), lambda: tempfile.NamedTemporaryFile(delete=False))",
    "logging": "import logging\nlogging.basicConfig(filename=OPEN_FOLDER + '/' + TOKEN)\nlogging.error('x')\nwon()",
    "dbm and shelve": "import shelve\nshelve.open(OPEN_FOLDER + '/' + TOKEN)['x'] = 1\nwon()",
    "sympy codegen": "from sympy.utilities.codegen import codegen\nimport sympy\n"
    "codegen(('f', sympy.Symbol('x')), 'C89', OPEN_FOLDER + '/' + TOKEN, to_files=True)\nwon()",
    "sympy preview": "import sympy, tempfile\ntempfile.template = TOKEN\n"
    "sympy.preview(sympy.Symbol('x'), viewer='file', filename=OPEN_FOLDER + '/' + TOKEN)\nwon()",
    "sympy plot": "import sympy\nsympy.plot(sympy.Symbol('x'), show=False).save(OPEN_FOLDER + '/' + TOKEN)\nwon()",
    "trace of a crash": "import faulthandler\nfaulthandler.dump_traceback(open(OPEN_FILE, 'r+'))\nwon()",
    "raw link": f"{NATIVE}\ncall('symlinkat', b'/etc/passwd', -100, (OPEN_FOLDER + '/' + TOKEN).encode())\nwon()",
    "terminal injection": "import fcntl, os\nfcntl.ioctl(os.open('/dev/tty', os.O_RDWR), 0x5412, b'x')\nwon()",
    "accounting file": f"{NATIVE}\ncall('acct', OPEN_FILE.encode())\nwon()",
}

ATTACKS = (*attacks("read files", _READ), *attacks("write files", _WRITE))
