"""Dying, cancelling, closing, healing, and many at once: nothing is disturbed and nothing is left behind."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genprm.sandbox import Limits, Result, Sandbox, SandboxError
from genprm.sandbox.nursery import Nursery

pytestmark = pytest.mark.slow

LOOP = "while True: pass"


def children(parent: int) -> set[int]:
    """Living processes below ``parent``."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            parents[int(stat.parent.name)] = int(fields[1])
    found = {parent}
    while more := {pid for pid, above in parents.items() if above in found} - found:
        found |= more
    return found - {parent}


def descriptors(pid: int | None = None) -> int:
    """Open descriptors of this process, or of another one (0 where we may not look)."""
    try:
        return len(os.listdir(f"/proc/{pid or 'self'}/fd"))
    except PermissionError:
        return 0


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: set[int], seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.01)
    return not any(map(alive, pids))


def zygote(sandbox: Sandbox) -> int:
    """The warm process itself, below the one that waits for it where it counts processes anew."""
    assert isinstance(sandbox._nursery, Nursery)
    pid = sandbox._nursery._process.pid
    return min(children(pid)) if "pid namespace" in sandbox.in_force else pid


def bare(workers: int | None = None) -> Sandbox:
    """A sandbox whose processes are those of its sessions, and no others."""
    return Sandbox(workers=workers, policy="off", spares=0)


async def until_busy(sandbox: Sandbox, count: int = 1) -> set[int]:
    """Wait for ``count`` children of the zygote; returns them."""
    await until(lambda: sandbox.started and len(children(zygote(sandbox))) >= count)
    await asyncio.sleep(0.02)
    return children(zygote(sandbox))


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("waited in vain")


def names(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*")]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


# --- dying ---------------------------------------------------------------------------------------------------------


def test_a_child_killed_from_outside_is_a_crash() -> None:
    async def main() -> None:
        async with bare() as sandbox, sandbox.session() as session:
            await sandbox.start()
            run = asyncio.create_task(session.run(LOOP))
            for pid in await until_busy(sandbox):
                os.kill(pid, signal.SIGKILL)
            result = await run
            assert (result.status, result.error) == ("crashed", "Crashed: its process was killed by SIGKILL")
            assert (await session.run("print(1)")).flags == ("state_lost",)

    asyncio.run(main())


def test_a_child_killed_between_checks_is_replaced() -> None:
    async def main() -> None:
        async with bare() as sandbox, sandbox.session() as session:
            await session.run("x = 1")
            pids = await until_busy(sandbox)
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            assert gone(pids)
            result = await session.run("print(x)")
            assert (result.stdout, result.flags) == ("1\n", ("replayed",))

    asyncio.run(main())


def waiter(sandbox: Sandbox) -> int:
    """The process that waits for the zygote, where there is one."""
    assert isinstance(sandbox._nursery, Nursery)
    return sandbox._nursery._process.pid


@pytest.mark.parametrize("which", [zygote, waiter])
def test_a_killed_zygote_is_replaced(which: Callable[[Sandbox], int]) -> None:
    async def main() -> None:
        async with bare() as sandbox, sandbox.session() as busy, sandbox.session() as idle:
            await idle.run("x = 1")
            run = asyncio.create_task(busy.run(LOOP))
            pids = await until_busy(sandbox, 2)
            first = which(sandbox)
            os.kill(first, signal.SIGKILL)
            lost = await run
            assert (lost.status, lost.error) == ("crashed", "Crashed: the sandbox process was lost")
            assert gone(pids)
            again = await asyncio.gather(busy.run("print(1)"), idle.run("print(x)"))
            assert [(r.stdout, r.flags) for r in again] == [("1\n", ("state_lost",)), ("1\n", ("replayed",))]
            assert which(sandbox) != first

    asyncio.run(main())


HOST = """
import asyncio, sys
from genprm.sandbox import Limits, Sandbox
async def main():
    async with Sandbox(limits=Limits(cpu_s=60, wall_s=60), workers=3) as sandbox:
        sessions = [sandbox.session() for _ in range(4)]
        await sessions[0].run("1")
        print("ready", flush=True)
        await asyncio.gather(*(s.run("while True: pass") for s in sessions[1:]))
asyncio.run(main())
"""


_OTHER_WAYS = [pytest.param(way, marks=pytest.mark.slow) for way in (signal.SIGINT, signal.SIGTERM)]


@pytest.mark.parametrize("way", [signal.SIGKILL, *_OTHER_WAYS])
def test_nothing_outlives_the_host(way: signal.Signals) -> None:
    command = [sys.executable, "-c", f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{HOST}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as host:
        assert host.stdout is not None
        assert host.stdout.readline() == b"ready\n"
        while len(pids := children(host.pid)) < 5:
            time.sleep(0.01)
        host.send_signal(way)
        host.wait(10)
        assert gone(pids)


# --- cancelling ----------------------------------------------------------------------------------------------------


def test_cancelling_a_run_kills_its_process_and_nothing_else() -> None:
    async def main() -> None:
        async with bare(workers=1) as sandbox, sandbox.session() as session, sandbox.session() as other:
            await other.run("x = 1")
            run = asyncio.create_task(session.run(LOOP))
            pids = await until_busy(sandbox, 2)
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await run
            await until(lambda: len(children(zygote(sandbox)) & pids) == 1)
            assert (await other.run("print(x)")).stdout == "1\n"
            assert (await session.run("print(2)")).flags == ("state_lost",)

    asyncio.run(main())


def test_cancelling_at_any_moment_leaves_the_pool_healthy() -> None:
    chance = random.Random(0)

    async def main() -> None:
        async with bare(workers=2) as sandbox:
            await sandbox.start()
            before = descriptors()

            async def one() -> None:
                async with sandbox.session() as session:
                    await session.run("x = 1")
                    await session.run(LOOP)

            tasks = [asyncio.create_task(one()) for _ in range(60)]
            for task in tasks:
                await asyncio.sleep(chance.random() * 0.006)
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            async with sandbox.session() as a, sandbox.session() as b:
                results = await asyncio.gather(a.run("print(1)"), b.run("print(2)"))
            assert [r.stdout for r in results] == ["1\n", "2\n"]
            await until(lambda: not children(zygote(sandbox)))
            assert descriptors() == before

    asyncio.run(main())


@pytest.mark.slow
def test_cancelling_the_start() -> None:
    async def main() -> None:
        async with Sandbox() as sandbox, sandbox.session() as session:
            run = asyncio.create_task(session.run("print(1)"))
            await asyncio.sleep(0.05)
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await run
            assert (await session.run("print(1)")).stdout == "1\n"

    asyncio.run(main())


# --- closing -------------------------------------------------------------------------------------------------------


def test_closing_leaves_nothing_behind(temporary: Path) -> None:
    async def main() -> None:
        before = descriptors()
        sandbox = bare(workers=2)
        sessions = [sandbox.session() for _ in range(3)]
        await sessions[0].run("x = 1")
        runs = [asyncio.create_task(s.run(LOOP)) for s in sessions[1:]]
        pids = await until_busy(sandbox, 3) | {zygote(sandbox)}
        await sandbox.close()
        assert not any(map(alive, pids))
        assert [(await run).status for run in runs] == ["crashed", "crashed"]
        assert descriptors() == before
        assert names(temporary) == []
        with pytest.raises(SandboxError, match="closed"):
            await sessions[0].run("1")
        await sandbox.close()

    asyncio.run(main())


def test_a_sandbox_that_is_never_used_starts_nothing() -> None:
    before = children(os.getpid())

    async def main() -> None:
        async with Sandbox() as sandbox, sandbox.session():
            assert sandbox.layers == ()
            assert children(os.getpid()) <= before

    asyncio.run(main())


def test_a_closed_session_refuses() -> None:
    async def main() -> None:
        async with Sandbox() as sandbox:
            async with sandbox.session() as session:
                pass
            with pytest.raises(SandboxError, match="the session is closed"):
                await session.run("1")

    asyncio.run(main())


def test_many_sessions_leak_nothing(temporary: Path) -> None:
    kinds = ["print(1)", "open('a', 'w').write('b')", "1/0", "import os; os._exit(1)", "x = 1"]

    async def main() -> None:
        async with bare(workers=4) as sandbox:
            await sandbox.start()
            before = descriptors(), descriptors(zygote(sandbox))

            async def one(number: int) -> None:
                async with sandbox.session() as session:
                    for step in range(3):
                        await session.run(kinds[(number + step) % len(kinds)])

            await asyncio.gather(*(one(number) for number in range(300)))
            await until(lambda: not children(zygote(sandbox)))
            await until(lambda: (descriptors(), descriptors(zygote(sandbox))) == before)
            assert len(names(temporary)) <= 3

    asyncio.run(main())


# --- many at once --------------------------------------------------------------------------------------------------


def test_many_at_once_get_the_verdicts_that_they_get_alone() -> None:
    async def main() -> list[Result]:
        async with Sandbox(limits=Limits(cpu_s=0.2, wall_s=5), workers=2) as sandbox:

            async def one(number: int) -> Result:
                code = LOOP if number % 16 == 0 else f"s = 0\nfor i in range(100_000): s += {number}\nprint(s)"
                async with sandbox.session() as session:
                    await session.run("import sympy")
                    return await session.run(code)

            return await asyncio.gather(*(one(number) for number in range(64)))

    for number, result in enumerate(asyncio.run(main())):
        if number % 16 == 0:
            assert result.status == "timeout"
        else:
            assert (result.status, result.stdout) == ("ok", f"{100_000 * number}\n")


def test_the_checks_of_one_session_run_in_order() -> None:
    async def main() -> list[str]:
        async with Sandbox() as sandbox, sandbox.session() as session:
            await session.run("x = 0")
            results = await asyncio.gather(*(session.run("x += 1\nprint(x)") for _ in range(20)))
            return [r.stdout for r in results]

    assert asyncio.run(main()) == [f"{n}\n" for n in range(1, 21)]


@pytest.mark.slow
def test_waiting_for_a_core_is_not_counted() -> None:
    async def main() -> list[Result]:
        async with Sandbox(limits=Limits(wall_s=2.0), workers=1) as sandbox:

            async def one() -> Result:
                async with sandbox.session() as session:
                    return await session.run("import time\ntime.sleep(0.6)")

            return await asyncio.gather(*(one() for _ in range(5)))

    for result in asyncio.run(main()):
        assert result.status == "ok"
        assert 0.6 <= result.wall_s < 2.0  # one after another, the last has waited for 2.4 s


def test_several_sandboxes_and_several_loops() -> None:
    found: list[str] = []

    async def main(number: int) -> None:
        async with Sandbox() as one, Sandbox() as two, one.session() as a, two.session() as b:
            for result in await asyncio.gather(a.run(f"print({number})"), b.run(f"print({number})")):
                found.append(result.stdout.strip())

    threads = [threading.Thread(target=lambda n=n: asyncio.run(main(n))) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["0", "0", "1", "1"]


def test_the_start_does_not_block_the_loop() -> None:
    async def main() -> tuple[float, float]:
        async with Sandbox() as sandbox:
            start = asyncio.create_task(sandbox.start())
            worst, last = 0.0, time.monotonic()
            began = last
            while not start.done():
                await asyncio.sleep(0.001)
                now = time.monotonic()
                worst, last = max(worst, now - last), now
            return worst, last - began

    worst, whole = asyncio.run(main())
    assert worst < max(0.5, whole / 2), "on a busy machine every turn of the loop takes longer"


# --- layers --------------------------------------------------------------------------------------------------------


def test_layers_are_reported() -> None:
    async def main() -> dict[str, bool]:
        async with Sandbox() as sandbox:
            await sandbox.start()
            assert all(layer.active != bool(layer.why) for layer in sandbox.layers)
            return {layer.name: layer.active for layer in sandbox.layers}

    layers = asyncio.run(main())
    assert {"landlock", "seccomp", "network namespace", "mount namespace", "rlimits"} <= set(layers)
    assert layers["rlimits"]


# A host on which the kernel refuses some layers: a filter of its own, inherited by all that it starts.
CRIPPLED = """
import asyncio, errno, json, sys
from genprm.sandbox import Sandbox, SandboxError
from genprm.sandbox.kernel import calls, seccomp
missing, level = json.loads(sys.argv[1]), sys.argv[2]
absent = seccomp._end(seccomp._ERRNO | errno.ENOSYS)
parts = [seccomp._op(0x20, 0), *(seccomp._on(n, absent) for n in missing), seccomp._end(seccomp._ALLOW)]
calls.no_new_privileges()
seccomp.install(b"".join(parts))
code = "try:\\n    print(open('/etc/passwd').read()[:4])\\nexcept OSError as e: print(type(e).__name__)\\n"
code += "import os\\ntry:\\n    os.fork()\\nexcept OSError as e: print(type(e).__name__)"
async def main():
    async with Sandbox(level=level, policy="off") as sandbox, sandbox.session() as session:
        result = await session.run(code)
        print(json.dumps([[l.name for l in sandbox.layers if not l.active], result.stdout, result.flags]))
try:
    asyncio.run(main())
except SandboxError as error:
    print(json.dumps(str(error)))
"""
LANDLOCK = 444
UNSHARE = {"x86_64": 272, "aarch64": 97}[os.uname().machine]


def crippled(missing: list[int], level: str = "confined") -> Any:
    command = [sys.executable, "-c", CRIPPLED, json.dumps(missing), level]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def test_without_namespaces_the_rest_still_confines() -> None:
    missing, stdout, flags = crippled([UNSHARE])
    assert {"network namespace", "mount namespace"} <= set(missing)
    assert stdout == "PermissionError\nPermissionError\n"
    assert flags == []


@pytest.mark.slow
def test_without_landlock_the_mount_namespace_confines_where_it_can_be_had() -> None:
    said = crippled([LANDLOCK])
    assert isinstance(said, str) or said == [["landlock"], "FileNotFoundError\nPermissionError\n", []]


def test_without_any_confinement_of_files_it_does_not_start() -> None:
    said = crippled([LANDLOCK, UNSHARE])
    assert isinstance(said, str)
    assert said.startswith("checks could reach files on this machine (")
    assert "landlock: this kernel has no Landlock" in said
    assert said.endswith("pass level='process' to run them all the same")


@pytest.mark.slow
def test_unless_it_is_asked_for_in_so_many_words() -> None:
    _, stdout, flags = crippled([LANDLOCK, UNSHARE], "process")
    assert stdout == "root\nPermissionError\n"
    assert flags == ["unconfined"]
