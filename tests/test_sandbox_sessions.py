"""Forks of sessions, spares, replays, the blocking face, seeds, statistics, and the fallback without Linux."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from genprm.sandbox import Limits, Result, Sandbox, SandboxError
from genprm.sandbox.nursery import Nursery
from genprm.sandbox.worker import Child
from tests.rooms import room


def within(sandbox: Sandbox, work: Callable[[Sandbox], Awaitable[None]]) -> None:
    async def main() -> None:
        async with sandbox:
            await sandbox.start()
            await work(sandbox)

    asyncio.run(main())


def outputs(results: list[Result]) -> list[str]:
    return [result.stdout.strip() for result in results]


# --- forks ---------------------------------------------------------------------------------------------------------


def test_forks_go_on_from_the_same_state_and_not_from_each_others() -> None:
    async def work(sandbox: Sandbox) -> None:
        async with sandbox.session() as origin:
            await origin.run("from sympy import symbols\nx = symbols('x')\nitems = [1]")
            forks = [await origin.fork() for _ in range(8)]
            runs = (fork.run(f"items.append({i})\nprint(x, items)") for i, fork in enumerate(forks))
            assert outputs(await asyncio.gather(*runs)) == [f"x [1, {i}]" for i in range(8)]
            again = [await fork.fork() for fork in forks]
            assert outputs([await fork.run("print(items)") for fork in again]) == [f"[1, {i}]" for i in range(8)]
            result = await origin.run("print(items)")
            assert (result.stdout, result.flags) == ("[1]\n", ())
            assert sandbox.stats.forks == 16
            for fork in (*forks, *again):
                fork.close()

    room().run(work)


@pytest.mark.slow
def test_forks_outlive_their_origin() -> None:
    async def work(sandbox: Sandbox) -> None:
        async with sandbox.session() as origin:
            await origin.run("x = 5")
            fork = await origin.fork()
        result = await fork.run("print(x)")
        assert (result.stdout, result.flags) == ("5\n", ())
        fork.close()

    room().run(work)


@pytest.mark.slow
def test_forks_are_alike_to_the_last_random_number() -> None:
    async def work(sandbox: Sandbox) -> None:
        async with sandbox.session() as origin:
            await origin.run("import random\nrandom.random()")
            forks = [await origin.fork() for _ in range(2)]
            draw = "print(random.random(), hash('a'))"
            said = outputs([await session.run(draw) for session in (origin, *forks)])
            assert len(set(said)) == 1

    room().run(work)


@pytest.mark.slow
def test_a_fork_has_limits_and_an_end_of_its_own() -> None:
    async def work(sandbox: Sandbox) -> None:
        async with sandbox.session() as origin:
            await origin.run("x = 1")
            late, dead, large = [await origin.fork() for _ in range(3)]
            assert (await late.run("while True: pass")).error == "Timeout: still running after 0.3 s of CPU time"
            assert (await dead.run("import ctypes; ctypes.string_at(0)")).error.endswith("killed by SIGSEGV")
            assert (await large.run("bytes(2**31)")).status == "memory"
            after = [await session.run("print(x)") for session in (late, dead, large, origin)]
            assert outputs(after) == ["1"] * 4
            assert [result.flags for result in after] == [("replayed",), ("replayed",), (), ()]

    within(Sandbox(Limits(cpu_s=0.3)), work)


@pytest.mark.slow
def test_a_fork_of_a_session_without_a_process() -> None:
    async def work(sandbox: Sandbox) -> None:
        async with sandbox.session() as empty:
            assert (await (await empty.fork()).run("print(1)")).flags == ()
            await empty.run("x = 1")
            assert empty._worker is not None
            empty._worker.kill()
            await asyncio.sleep(0.05)
            result = await (await empty.fork()).run("print(x)")
            assert (result.stdout, result.flags) == ("1\n", ("replayed",))
        with pytest.raises(SandboxError, match="closed"):
            await empty.fork()

    room().run(work)


@pytest.mark.slow
def test_without_the_gate_a_fork_runs_the_past_again() -> None:
    async def work(sandbox: Sandbox) -> None:
        assert isinstance(sandbox._nursery, Nursery)
        assert sandbox._nursery.gate is not None
        sandbox._nursery.gate.close()
        sandbox._nursery.gate = None
        async with sandbox.session() as origin:
            await origin.run("x = 1")
            await origin.run("x += 1\n1 / 0")
            fork = await origin.fork()
            result = await fork.run("print(x)")
            assert (result.stdout, result.flags) == ("2\n", ("replayed",))

    within(Sandbox(), work)


# A check that has got hold of the loop which carries out the host's orders, and uses the permission to fork for itself.
THIEF = """
import ctypes, os, sys
pid = os.getpid()
def fork():
    libc = ctypes.CDLL(None)
    if libc.syscall(56, ctypes.c_long(0x8011), 0, 0, 0, 0) == 0:
        while True:
            libc.pause()
    {then}
frame = sys._getframe()
while type(frame.f_locals.get('self')).__name__ != 'Server':
    frame = frame.f_back
frame.f_locals['self']._fork = fork
"""


@pytest.mark.slow
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the payload is written for x86_64")
@pytest.mark.parametrize("then", ["return None", "os._exit(0)", "os.write(3, b'x' * 99)", "while True: pass"])
def test_a_stolen_fork_is_not_kept(then: str) -> None:
    async def work(sandbox: Sandbox) -> None:
        nursery = sandbox._nursery
        async with sandbox.session() as sister, sandbox.session() as thief:
            await sister.run("x = 1")
            assert (await thief.run(THIEF.format(then=then))).status == "ok"
            family = os.getpgid(_pid(thief._worker))
            fork = await thief.fork()
            result = await fork.run("print(os.getpid() > 0)")
            assert result.flags == ("replayed",)
            for _ in range(100):
                if not (left := _alive_in(family)):
                    break
                await asyncio.sleep(0.02)
            assert left == []
            assert (await sister.run("print(x)")).flags == ()
        assert sandbox._nursery is nursery

    room().run(work)


NOISE = """
import sys
frame = sys._getframe()
while type(frame.f_locals.get('self')).__name__ != 'Server':
    frame = frame.f_back
Reply = frame.f_globals['Reply']
frame.f_locals['self']._fork = lambda: Reply('error', error=b'\\xff\\x1b[31m')
"""


def test_what_a_session_says_of_a_fork_that_failed_is_read_as_hostile_text() -> None:
    async def work(sandbox: Sandbox) -> None:
        async with sandbox.session() as session:
            assert (await session.run(NOISE)).status == "ok"
            result = await (await session.fork()).run("print(1)")
            assert (result.stdout, result.flags[0]) == ("1\n", "replayed")

    room().run(work)


def _pid(worker: object) -> int:
    assert isinstance(worker, Child)
    return worker.pid


def _alive_in(group: int) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(of) == group and state != "Z":
            found.append(path.parent.name)
    return found


# --- spares --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_sessions_begin_with_a_spare_where_there_is_one() -> None:
    async def work(sandbox: Sandbox) -> None:
        for _ in range(5):
            await asyncio.sleep(0.1)
            async with sandbox.session() as session:
                assert (await session.run("print(1)")).stdout == "1\n"
        assert sandbox.stats.spares >= 4

    within(Sandbox(spares=2), work)


@pytest.mark.slow
def test_without_spares_each_session_has_a_process_made_for_it() -> None:
    async def work(sandbox: Sandbox) -> None:
        sessions = [sandbox.session() for _ in range(20)]
        results = await asyncio.gather(*(session.run(f"print({i})") for i, session in enumerate(sessions)))
        assert outputs(results) == [str(i) for i in range(20)]
        assert (sandbox.stats.spares, sandbox.stats.fresh) == (0, 20)

    within(Sandbox(spares=0, policy="off"), work)


# --- seeds ---------------------------------------------------------------------------------------------------------

DRAWN = "import random, sympy.core.random as r\nprint(random.random(), r.random(), hash('a'), list({'a', 'b', 'c'}))"


def drawn(seed: int | None) -> list[str]:
    said: list[str] = []

    async def work(sandbox: Sandbox) -> None:
        async with sandbox.session() as one, sandbox.session() as two:
            said.extend(outputs([await one.run(DRAWN), await two.run(DRAWN)]))

    within(Sandbox(seed=seed), work)
    return said


@pytest.mark.slow
def test_the_same_seed_gives_the_same_numbers_and_another_others() -> None:
    assert len(set(drawn(7) + drawn(7))) == 1
    assert drawn(8)[0] != drawn(7)[0]


@pytest.mark.slow
def test_without_a_seed_numbers_are_fresh() -> None:
    assert len({said.split()[0] for said in drawn(None) + drawn(None)}) == 4


# --- preload -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_modules_are_loaded_beforehand_when_asked() -> None:
    async def work(sandbox: Sandbox) -> None:
        async with sandbox.session() as session:
            assert (await session.run("import sys\nprint('calendar' in sys.modules)")).stdout == "True\n"

    within(Sandbox(preload=["calendar"]), work)
    with pytest.raises(SandboxError, match="did not start: ModuleNotFoundError: No module named 'no_such_module'"):
        within(Sandbox(preload=["no_such_module"]), work)


# --- the blocking face ---------------------------------------------------------------------------------------------


def test_the_blocking_face_serves_threads() -> None:
    with Sandbox(warm=False) as sandbox:
        sandbox.start()
        assert any(layer.active for layer in sandbox.layers)
        said: dict[int, str] = {}

        def one(number: int) -> None:
            with sandbox.session() as session:
                session.run(f"x = {number}")
                fork = session.fork()
                said[number] = fork.run("print(x)").stdout.strip()
                fork.close()

        threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert said == {number: str(number) for number in range(8)}
        assert sandbox.stats.checks == {"ok": 16}
    assert not [thread for thread in threading.enumerate() if thread.name == "genprm-sandbox"]
    with pytest.raises(SandboxError, match="closed"):
        sandbox.session().run("1")


# --- statistics ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_was_done_is_counted() -> None:
    async def work(sandbox: Sandbox) -> None:
        async with sandbox.session() as session:
            for code in ("print(1)", "1 / 0", "while True: pass", "input()", "\0"):
                await session.run(code)
        stats = sandbox.stats
        assert stats.checks == {"ok": 1, "error": 2, "timeout": 1, "refused": 1}
        assert stats.flags == {"replayed": 1, "stdin": 1}
        assert (stats.starts, stats.replays) == (1, 1)
        assert 0.25 <= stats.cpu["timeout"].total < 0.6
        assert stats.cpu["timeout"].quantile(0.5) == 0.5
        assert stats.wall["error"].quantile(1) < 2

    within(Sandbox(Limits(cpu_s=0.3), policy="off"), work)


def test_every_result_names_the_layers_in_force() -> None:
    async def work(sandbox: Sandbox) -> None:
        async with sandbox.session() as session:
            named = [(await session.run(code)).layers for code in ("1", "1 / 0", "\0", "import os; os._exit(1)")]
        active = tuple(layer.name for layer in sandbox.layers if layer.active)
        assert named == [active] * 4
        assert "seccomp" in active

    room().run(work)


# --- without Linux -------------------------------------------------------------------------------------------------

ELSEWHERE = """
import asyncio, sys
sys.platform = "darwin"
from genprm.sandbox import Limits, Sandbox, SandboxError
async def main():
    async with Sandbox(Limits(cpu_s=0.5, wall_s=10), level=sys.argv[1], spares=1, policy="off") as sandbox:
        async with sandbox.session() as session:
            for code in ("x = 1; print(x)", "while True: pass", "print(x)", "import os; os._exit(3)", "print(2 * x)"):
                result = await session.run(code)
                print(result.status, result.stdout.strip(), result.error, *result.flags, sep="|")
            fork = await session.fork()
            print((await fork.run("print(3 * x)")).stdout.strip())
try:
    asyncio.run(main())
except SandboxError as error:
    print(error)
"""


def elsewhere(level: str) -> list[str]:
    command = [sys.executable, "-c", ELSEWHERE, level]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.slow
def test_without_linux_it_does_not_start() -> None:
    [said] = elsewhere("confined")
    assert said.startswith("checks could reach files and the network on this machine (namespaces: darwin offers none")


@pytest.mark.slow
def test_unless_plain_processes_are_asked_for_by_name() -> None:
    assert elsewhere("process") == [
        "ok|1||unconfined",
        "timeout||Timeout: still running after 0.5 s of CPU time|unconfined",
        "ok|1||unconfined|replayed",
        "crashed||Crashed: its process ended with exit code 3|unconfined",
        "ok|2||unconfined|replayed",
        "3",
    ]
