"""One hostile check per property. Real processes, real files, real listeners; after each the sandbox still works."""

import asyncio
import os
import select
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from genprm.sandbox import Limits, Result, Sandbox
from genprm.sandbox.nursery import Nursery

CPU_S, WALL_S = 0.25, 4.0
RunAll = Callable[..., list[Result]]


class Harness:
    """A sandbox with tight limits, kept for the whole file: no attack may spoil it for the next."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.runner = runner
        limits = Limits(cpu_s=CPU_S, wall_s=WALL_S, memory_mb=512, output_bytes=4096)
        self.sandbox = Sandbox(limits=limits, warm=False)

    def all(self, *codes: str) -> list[Result]:
        async def session() -> list[Result]:
            async with self.sandbox.session() as session:
                return [await session.run(code) for code in codes]

        return self.runner.run(session())

    def __call__(self, code: str) -> Result:
        [result] = self.all(code)
        return result


@pytest.fixture(scope="module")
def harness() -> Iterator[Harness]:
    with asyncio.Runner() as runner:
        harness = Harness(runner)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GENPRM_TEST_API_KEY", "hunter2")
            runner.run(harness.sandbox.start())
        yield harness
        runner.run(harness.sandbox.close())


@pytest.fixture
def attack(harness: Harness) -> Iterator[Harness]:
    zygote = zygote_pid(harness)
    yield harness
    assert harness("print('alive')").stdout == "alive\n"
    assert zygote_pid(harness) == zygote


def zygote_pid(harness: Harness) -> int:
    nursery = harness.sandbox._nursery
    assert isinstance(nursery, Nursery)
    return nursery._process.pid


# --- time ----------------------------------------------------------------------------------------------------------

ENDLESS = {
    "loop": "while True: pass",
    "big power": "10**10**8",
    "sum": "sum(range(10**12))",
    "factorial": "import math\nmath.factorial(10**8)",
    "regex": "import re\nre.match('(a+)+$', 'a' * 50 + 'b')",
    "sorting key": "sorted(range(10**9))",
    "str": "import sys\nsys.set_int_max_str_digits(0)\nstr(7**10**7)",
    "except Exception": "while True:\n    try:\n        while True: pass\n    except Exception: pass",
    "except BaseException": "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
    "finally": "def f():\n    try:\n        while True: pass\n    finally: f()\nf()",
    "ignores signals": "import signal\nfor s in range(1, 32):\n    if s not in (9, 19): signal.signal(s, 1)\n"
    "while True: pass",
    "blocks signals": "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\nwhile True: pass",
    "switches timers off": "import signal\nfor t in range(3): signal.setitimer(t, 0)\nwhile True: pass",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ENDLESS)
def test_endless_computing_ends_at_the_cpu_limit(attack: Harness, name: str) -> None:
    result = attack(ENDLESS[name])
    assert (result.status, result.error) in {
        ("timeout", f"Timeout: still running after {CPU_S} s of CPU time"),
        ("memory", "MemoryError"),  # some of them grow before they are late
    }
    assert result.cpu_s < CPU_S + 0.3


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    ["import time\ntime.sleep(60)", "import signal\nwhile True: signal.sigtimedwait([], 50)"],
    ids=["sleep", "wait"],
)
def test_sleeping_ends_at_the_wall_limit(attack: Harness, code: str) -> None:
    started = time.monotonic()
    result = attack(code)
    assert (result.status, result.error) == ("timeout", f"Timeout: still running after {WALL_S:g} s")
    assert time.monotonic() - started < WALL_S + 20
    assert result.cpu_s < 0.2


def test_what_a_late_check_printed_is_kept(attack: Harness) -> None:
    result = attack("def f():\n    while True: pass\nprint('before')\nf()")
    assert (result.status, result.stdout) == ("timeout", "before\n")
    assert result.traceback in {"line 4\nline 2, in f"}


def test_after_a_timeout_the_state_is_that_of_before_and_said_to_be(attack: Harness) -> None:
    _, late, after, later = attack.all("x = 1", "x = 2\nwhile True: pass", "print(x)", "print(2)")
    assert late.status == "timeout"
    assert (after.stdout, after.flags) == ("1\n", ("replayed",))
    assert (later.stdout, later.flags) == ("2\n", ())


@pytest.mark.slow
def test_a_state_that_costs_too_much_to_make_again_is_lost_and_said_to_be(attack: Harness) -> None:
    work = f"import time\nend = time.process_time() + {CPU_S * 0.7}\nwhile time.process_time() < end: x = 1"
    *_, late, after = attack.all(work, work, "while True: pass", "print('x' in globals())")
    assert late.status == "timeout"
    assert (after.stdout, after.flags[0]) == ("False\n", "state_lost")


def test_timers_do_not_run_between_checks(attack: Harness) -> None:
    arm = "import signal\nhits = []\nsignal.signal(signal.SIGALRM, lambda *a: hits.append(1))\nsignal.setitimer(0, .05)"
    _, result = attack.all(arm, "import time\ntime.sleep(.2)\nprint(hits)")
    assert result.stdout == "[]\n"


# --- memory, output, processes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "x = [0] * 10**10",
        "x = bytearray(10**9)",
        "x = []\nwhile True: x.append(bytes(10**6))",
        "x = bytes(10**9)",
    ],
)
def test_memory_is_bounded(attack: Harness, code: str) -> None:
    result = attack(code)
    assert (result.status, result.error) == ("memory", "MemoryError")


def test_a_namespace_without_room_is_no_crash(attack: Harness) -> None:
    fill = "x = []\nfor size in (10**7, 10**5, 10**3, 64):\n    try:\n        while True: x.append(bytearray(size))\n"
    results = attack.all(fill + "    except MemoryError: pass", "print(1)", "print(2)")
    assert {r.status for r in results} <= {"ok", "memory", "timeout"}


def test_print_flood(attack: Harness) -> None:
    result = attack("while True: print('x' * 1000)")
    assert (result.status, result.truncated, len(result.stdout)) == ("output_limit", True, 4096)


def test_one_huge_print(attack: Harness) -> None:
    result = attack("print('x' * 10**7)")
    assert (result.status, len(result.stdout)) == ("output_limit", 4096)


@pytest.mark.slow
def test_print_flood_that_swallows_everything(attack: Harness) -> None:
    result = attack("while True:\n    try: print('x' * 1000)\n    except BaseException: pass")
    assert (result.status, len(result.stdout)) == ("timeout", 4096)


def test_error_flood(attack: Harness) -> None:
    result = attack("raise ValueError('x' * 10**7)")
    assert result.status == "error"
    assert len(result.error) <= 2000


@pytest.mark.parametrize("descriptor", [0, 1, 2, 4, 5])
def test_flood_of_other_descriptors_goes_nowhere(attack: Harness, descriptor: int) -> None:
    result = attack(f"import os\nfor _ in range(1000): os.write({descriptor}, b'x' * 10000)\nprint('done')")
    assert (result.stdout, result.error) in {("done\n", ""), ("", "OSError: [Errno 9] Bad file descriptor")}


def test_flood_of_the_channel_is_a_crash(attack: Harness) -> None:
    result = attack("import os\nwhile True: os.write(3, b'x' * 10000)")
    assert result.status == "crashed"
    assert "channel" in result.error


FORGED = {
    "rubbish": "b'rubbish that is long enough to be a header'",
    "huge lengths": "struct.pack('!I8sBBIII', 1, nonce, 0, 0, 2**32 - 1, 0, 0)",
    "unknown status": "struct.pack('!I8sBBIII', 1, nonce, 200, 0, 0, 0, 0)",
    "wrong nonce": "struct.pack('!I8sBBIII', 1, b'8 bytes.', 0, 0, 0, 0, 0)",
    "two frames": "struct.pack('!I8sBBIII', 1, nonce, 0, 0, 0, 0, 0) * 2",
}
FIND_NONCE = """
import os, struct, sys
frame = sys._getframe()
while "request" not in frame.f_locals: frame = frame.f_back
nonce = frame.f_locals["request"].nonce
"""


@pytest.mark.parametrize("name", FORGED)
def test_forged_frames_end_the_process(attack: Harness, name: str) -> None:
    first, second = attack.all(f"{FIND_NONCE}\nos.write(3, {FORGED[name]})\nwhile True: pass", "print('fresh')")
    assert first.status == "crashed"
    assert "channel" in first.error
    assert (second.stdout, second.flags) == ("fresh\n", ("state_lost",))


def test_a_forged_reply_is_not_taken_for_the_next_ones(attack: Harness) -> None:
    forge = f"{FIND_NONCE}\nos.write(3, struct.pack('!I8sBBIII', 1, nonce, 0, 0, 2, 0, 0) + b'hi')"
    results = attack.all(forge, "print('mine')")
    assert results[1].stdout == "mine\n" or results[1].status == "crashed"


@pytest.mark.slow
def test_half_a_frame_ends_at_the_limit(attack: Harness) -> None:
    code = "struct.pack('!I8sBBIII', 1, nonce, 0, 0, 9, 0, 0)"
    result = attack(f"{FIND_NONCE}\nos.write(3, {code})\nimport time\ntime.sleep(9)")
    assert result.status in {"timeout", "crashed"}


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import os\nos._exit(7)", "Crashed: its process ended with exit code 7"),
        ("import os\nos.close(3)", "Crashed: its process ended with exit code"),
        pytest.param("import os\nos.dup2(1, 3)\nwhile True: pass", "Crashed: it", marks=pytest.mark.slow),
        ("import ctypes\nctypes.string_at(0)", "Crashed: its process was killed by SIGSEGV"),
        ("import ctypes\nctypes.CDLL(None).abort()", "Crashed: its process was killed by SIG"),
        (
            "import sys\nsys.setrecursionlimit(10**9)\nx = ()\nfor _ in range(3 * 10**5): x = (x,)\nhash(x)",
            "Crashed: its",
        ),
    ],
    ids=["exit", "close", "dup", "segfault", "abort", "C stack"],
)
def test_a_process_that_dies_is_a_crash(attack: Harness, code: str, error: str) -> None:
    first, second = attack.all(code, "print(2)")
    assert first.status == "crashed"
    assert first.error.startswith(error)
    assert (second.stdout, second.flags) == ("2\n", ("state_lost",))


def test_deep_recursion(attack: Harness) -> None:
    assert attack("def f(): f()\nf()").error.startswith("RecursionError")
    unlimited = "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()"
    assert attack(unlimited).status in {"memory", "crashed", "timeout"}


REFUSED = {
    "fork bomb": "import os\nwhile True: os.fork()",
    "system": "import os\nassert os.system('true') == 0",
    "popen": "import os\nos.popen('true').read()",
    "subprocess": "import subprocess\nsubprocess.run(['true'])",
    "spawn": "import os\nassert os.spawnl(os.P_WAIT, '/bin/true', 'true') == 0",
    "exec": "import os, sys\nos.execv(sys.executable, ['python'])",
    "multiprocessing": "import multiprocessing\nmultiprocessing.Process(target=print).start()",
    "threads": "import threading\nthreading.Thread(target=print).start()",
    "kill parent": "import os\nos.kill(os.getppid(), 9)",
    "kill all": "import os\nos.kill(-1, 9)",
    "kill group": "import os\nos.killpg(0, 9)",
    "pidfd": "import os\nos.pidfd_open(os.getppid())",
    "setsid": "import os\nos.setsid()",
    "setuid": "import os\nos.setuid(0); assert os.getuid() == 0",
    "tcp": "import socket\nsocket.create_connection(('127.0.0.1', 1))",
    "unix socket": "import socket\nsocket.socket(socket.AF_UNIX)",
    "lift limits": "import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "lift own soft limits": "import resource\nresource.setrlimit(resource.RLIMIT_NPROC, (100, 100))",
    "sub-folder": "import os\nos.mkdir('x')",
    "link": "import os\nos.symlink('/etc/passwd', 'x')",
    "chmod": "import os, sys\nos.chmod(sys.prefix, 0o777)",
    "/etc/passwd": "open('/etc/passwd')",
    "/proc": "open('/proc/self/environ')",
    "/proc of the parent": "import os\nopen(f'/proc/{os.getppid()}/mem', 'rb')",
    "/dev/shm": "open('/dev/shm/x', 'w')",
    "root folder": "import os\nos.listdir('/'); open('/x', 'w')",
    "library": "import sympy\nopen(sympy.__file__, 'a')",
    "up": "open('../x', 'w')",
    "device": "open('/dev/mem', 'rb')",
    "prctl": "import ctypes\nassert ctypes.CDLL(None).prctl(1, 0, 0, 0, 0) == 0",
    "raw fork": "import ctypes\nassert ctypes.CDLL(None).syscall(57) >= 0",
    "memfd": "import os\nos.memfd_create('x')",
    "core of the object graph": "[c for c in object.__subclasses__() if c.__name__ == '_wrap_close'][0]"
    ".__init__.__globals__['system']('true') == 0 or 1 / 0",
    "through sympify": "import sympy\nsympy.sympify(\"open('/etc/passwd')\")",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_the_system(attack: Harness, name: str) -> None:
    first, second = attack.all(REFUSED[name], "print('still here')")
    assert first.status == "error"
    assert (second.stdout, second.flags) == ("still here\n", ())


DEADLY = {
    "namespace": "import ctypes\nctypes.CDLL(None).unshare(0x10000000)",
    "ptrace": "import ctypes\nctypes.CDLL(None).ptrace(0, 0, 0, 0)",
    "io_uring": "import ctypes\nctypes.CDLL(None).syscall(425, 1, ctypes.create_string_buffer(120))",
    "other memory": "import ctypes\nctypes.CDLL(None).process_vm_readv(1, None, 0, None, 0, 0)",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DEADLY)
def test_what_no_honest_check_calls_kills_its_process(attack: Harness, name: str) -> None:
    first, second = attack.all(DEADLY[name], "print('still here')")
    assert (first.status, first.error) == ("crashed", "Crashed: its process was killed by SIGSYS")
    assert second.stdout == "still here\n"


MEMORY = """
import ctypes, mmap
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
code = {code}
print("got it")
"""


@pytest.mark.parametrize(
    "code",
    [
        "mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)",
        "mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)",
        "1 / (libc.mprotect(ctypes.c_void_p(id(libc) & ~4095), 4096, 7) + 1)",
        "mmap.mmap(open(ctypes.__file__, 'rb').fileno(), 4096, flags=mmap.MAP_PRIVATE, prot=7)",
    ],
    ids=["anonymous", "writable", "mprotect", "writable file"],
)
def test_no_memory_is_written_and_executed(attack: Harness, code: str) -> None:
    result = attack(MEMORY.format(code=code))
    assert (result.status, result.stdout) == ("error", "")


@pytest.mark.parametrize("flags", [0x8011, 0x11, 0x8011 | 0x10000000, 0x3D0F00])
def test_the_gate_lets_no_fork_through_unasked(attack: Harness, flags: int) -> None:
    code = f"libc.syscall(56, ctypes.c_long({flags}), 0, 0, 0, 0)\nif pid >= 0: print('in', pid)"
    result = attack(f"import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\npid = {code}\nprint(ctypes.get_errno())")
    assert result.stdout == "1\n"


@pytest.mark.parametrize("name", ["big", "/tmp/big", "/dev/null"])
def test_no_file_is_written(attack: Harness, name: str) -> None:
    result = attack(f"with open({name!r}, 'wb') as f: f.write(b'x')")
    assert result.error == f"PermissionError: [Errno 1] Operation not permitted: {name!r}"


# --- secrets, files, network ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["home", "tmp", "cwd"])
def test_a_secret_file_cannot_be_read(attack: Harness, place: str) -> None:
    folder = {"home": Path.home(), "tmp": Path(tempfile.gettempdir()), "cwd": Path.cwd()}[place]
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix=".genprm-secret-") as file:
        file.write("hunter2")
        file.flush()
        os.chmod(file.name, 0o644)
        assert "hunter2" in Path(file.name).read_text()
        result = attack(f"print(open({file.name!r}).read())")
    assert (result.status, result.stdout) == ("error", "")
    assert result.error.startswith(("FileNotFoundError", "PermissionError"))


@pytest.mark.parametrize("folder", [tempfile.gettempdir(), "/var/tmp", str(Path.home()), str(Path.cwd()), "/"])
def test_nothing_is_written_anywhere(attack: Harness, folder: str) -> None:
    path = Path(folder) / f"genprm-written-{os.getpid()}"
    result = attack(f"open({str(path)!r}, 'w').write('x')")
    assert result.status == "error"
    assert not path.exists()


def test_environment_and_arguments_hold_no_secrets(attack: Harness) -> None:
    """The key was in the environment that the sandbox was started in."""
    result = attack("import os, ctypes\nprint(dict(os.environ), ctypes.CDLL(None).getenv(b'GENPRM_TEST_API_KEY'))")
    assert result.stdout == "{} 0\n"


def test_no_tcp_to_the_host(attack: Harness) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        result = attack(f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 0.2)\nprint('in')")
        assert (result.status, result.stdout) == ("error", "")
        assert select.select([listener], [], [], 0)[0] == []


def test_no_udp_to_the_host(attack: Harness) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        code = f"import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {port}))"
        assert attack(code).status == "error"
        assert select.select([listener], [], [], 0.1)[0] == []


def test_sister_sessions_cannot_be_signalled_or_read(attack: Harness) -> None:
    async def main() -> tuple[Result, Result, Result]:
        async with attack.sandbox.session() as victim, attack.sandbox.session() as villain:
            told = await victim.run("import os\nsecret = 'hunter2'\nx = 1\nprint(os.getpid())")
            pid = told.stdout.strip()
            kill = await villain.run(f"import os\nos.kill({pid}, 9)")
            read = await villain.run(f"open('/proc/{pid}/mem').read()")
            return kill, read, await victim.run("print(x)")

    kill, read, after = attack.runner.run(main())
    assert kill.error.startswith("PermissionError")
    assert read.error.startswith(("PermissionError", "FileNotFoundError"))
    assert (after.stdout, after.flags) == ("1\n", ())
