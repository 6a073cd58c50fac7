"""Processes: programs, children, threads, signals to others."""

from genprm.sandbox.trials.attacks.kind import NATIVE, attacks

_STAY = "\nif pid == 0:\n    import time\n    time.sleep(30)\n    os._exit(0)\nwon(pid)"
"""A child that is there to be seen."""

_PROGRAMS: dict[str, str | tuple[str, ...]] = {
    "os.system": "import os\nshell(os.system)",
    "os.popen": "import os\nprint(os.popen(SHELL).read())\nwon()",
    "subprocess": "import subprocess\nsubprocess.run(SHELL, shell=True, check=True)\nwon()",
    "subprocess without a shell": "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'print(1)'])\nwon()",
    "os.execv": "import os, sys\nos.execv(sys.executable, ['python', '-c', 'print(1)'])",
    "os.execve of a shell": "import os\nos.execve('/bin/sh', ['sh', '-c', SHELL], {})",
    "os.posix_spawn": "import os\nwon(os.posix_spawn('/bin/sh', ['sh', '-c', SHELL], {}))",
    "os.spawnl": "import os\nshell(lambda s: os.spawnl(os.P_WAIT, '/bin/sh', 'sh', '-c', s))",
    "pty.spawn": "import pty\npty.spawn(['/bin/sh', '-c', SHELL])\nwon()",
    "webbrowser": "import webbrowser\nwebbrowser.register('x', None, webbrowser.GenericBrowser(['sh', '-c', SHELL]))\n"
    "assert webbrowser.get('x').open('x')\nwon()",
    "memfd and execveat": f"{NATIVE}\nfd = call('memfd_create', b'x', 0)\n"
    "os.write(fd, b'#!/bin/sh\\n' + SHELL.encode())\ncall('execveat', fd, b'', None, None, 0x1000)",
    "system of the C library": f"{NATIVE}\nshell(lambda s: libc.system(s.encode()))",
}

_CHILDREN: dict[str, str | tuple[str, ...]] = {
    "fork": f"import os\npid = os.fork(){_STAY}",
    "forkpty": f"import os\npid, _ = os.forkpty(){_STAY}",
    "fork bomb": "import os\nfor _ in range(400): os.fork()\nwon()",
    "fork bomb that does not give up": "import os\nfor _ in range(10**4):\n    try: os.fork(); won()\n"
    "    except OSError: pass",
    "vfork": f"{NATIVE}\npid = call('vfork', 0x4011 if NR['vfork'] == NR['clone'] else 0, 0, 0, 0, 0)\n"
    "if pid == 0: os._exit(0)\nwon(pid)",
    "clone": f"{NATIVE}\npid = call('clone', 17, 0, 0, 0, 0){_STAY}",
    "clone as a sister": f"{NATIVE}\npid = call('clone', 0x8011, 0, 0, 0, 0){_STAY}",
    "clone without a signal": f"{NATIVE}\npid = call('clone', 0, 0, 0, 0, 0){_STAY}",
    "clone3": f"{NATIVE}\nwords = (ctypes.c_uint64 * 11)(0, 0, 0, 0, 17)\n"
    f"pid = call('clone3', words, ctypes.sizeof(words)){_STAY}",
    "clone into a user namespace": f"{NATIVE}\npid = call('clone', 0x10000011, 0, 0, 0, 0){_STAY}",
    "clone until the gate opens": f"{NATIVE}\nfor _ in range(3000):\n    try:\n"
    "        if call('clone', 0x8011, 0, 0, 0, 0) == 0: os._exit(0)\n        won()\n    except OSError as e: last = e\n"
    "raise last",
    "daemon": "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork(): os._exit(0)\n"
    "    time.sleep(30)\nwon()",
    "multiprocessing": "import multiprocessing as m, time\n"
    "m.get_context('fork').Process(target=time.sleep, args=(30,)).start()\nwon()",
    "process pool": "import concurrent.futures as c\nwon(c.ProcessPoolExecutor().submit(abs, 1).result())",
    "thread": "import threading, time\nthreading.Thread(target=time.sleep, args=(9,), daemon=True).start()\nwon()",
    "thread bomb": "import _thread, time\nfor _ in range(1000): _thread.start_new_thread(time.sleep, (9,))\nwon()",
    "thread pool": "import concurrent.futures as c\nwon(c.ThreadPoolExecutor().submit(abs, 1).result())",
    "thread of the C library": f"{NATIVE}\nt = ctypes.c_ulong()\n"
    "e = libc.pthread_create(ctypes.byref(t), None, libc.pause, None)\nif e: raise OSError(e, os.strerror(e))\nwon()",
    "session of its own": "import os\nos.setsid()\nwon()",
    "group of its own": "import os\nos.setpgid(0, 0)\nwon()",
}

# Signals that do nothing by default where they could reach somebody else's process.
_SIGNALS: dict[str, str | tuple[str, ...]] = {
    "kill the parent": "import os\nos.kill(os.getppid(), 9)\nwon()",
    "kill init": "import os\nos.kill(1, 9)\nwon()",
    "kill the sister": "import os\nos.kill(SISTER, 9)\nwon()",
    "signal the host": "import os, signal\nos.kill(HOST, signal.SIGURG)\nwon()",
    "signal everybody": "import os, signal\nos.kill(-1, signal.SIGURG)\nwon()",
    "signal its group": "import os, signal\nos.killpg(0, signal.SIGURG)\n"
    "os.killpg(os.getpgid(0), signal.SIGURG)\nwon()",
    "tgkill": f"{NATIVE}\nattempt(*[lambda p=p: call('tgkill', p, p, 9) for p in (SISTER, os.getppid())])",
    "queued signal": f"{NATIVE}\ninfo = (ctypes.c_int * 32)(9, 0, -1)\n"
    "attempt(*[lambda p=p: call('rt_sigqueueinfo', p, 9, info) for p in (SISTER, os.getppid())])",
    "signal by descriptor": f"{NATIVE}\n"
    "attempt(*[lambda p=p: call('pidfd_send_signal', call('pidfd_open', p, 0), 9, None, 0) for p in (SISTER, 1)])",
    "stop the parent": "import os, signal\nos.kill(os.getppid(), signal.SIGSTOP)\nwon()",
    "numbers at random": "import os, signal\nfor pid in range(1, 5000):\n    try: os.kill(pid, 0)\n"
    "    except OSError: continue\n    if pid != os.getpid(): won(pid)",
}

# The kernel sends a signal for it when the host writes the next check to its channel.
_BY_INPUT: dict[str, str | tuple[str, ...]] = {
    "signal on input": (
        "import fcntl, os, signal\nfcntl.fcntl(3, fcntl.F_SETSIG, 9)\nfcntl.fcntl(3, fcntl.F_SETOWN, SISTER)\n"
        "fcntl.fcntl(3, fcntl.F_SETFL, os.O_ASYNC)\nwon()",
        "print(1)",
    ),
    "signal on input, by ioctl": (
        "import fcntl, struct\nfcntl.fcntl(3, fcntl.F_SETSIG, 9)\nfcntl.ioctl(3, 0x8901, struct.pack('i', SISTER))\n"
        "fcntl.ioctl(3, 0x5452, struct.pack('i', 1))\nwon()",
        "print(1)",
    ),
    "signal on input, to the parent": (
        "import fcntl, os, signal, struct\nfcntl.fcntl(3, fcntl.F_SETSIG, 9)\n"
        "fcntl.fcntl(3, 15, struct.pack('ii', 1, os.getppid()))\n"
        "fcntl.fcntl(3, fcntl.F_SETFL, os.O_ASYNC)\nwon()",
        "print(1)",
    ),
    "signal on a change of a folder": (
        "import fcntl, os\nfd = os.open('/', os.O_RDONLY)\nfcntl.fcntl(fd, fcntl.F_SETSIG, 9)\n"
        "fcntl.fcntl(fd, fcntl.F_SETOWN, SISTER)\nfcntl.fcntl(fd, fcntl.F_NOTIFY, 0x8000003F)\nwon()",
        "print(1)",
    ),
}

ATTACKS = (
    *attacks("programs", _PROGRAMS),
    *attacks("children and threads", _CHILDREN, forbidden=True),
    *attacks("signals", _SIGNALS, forbidden=True),
    *attacks("signals", _BY_INPUT),
)
