"""The shipped attacks: all classes, all held; and the harness that says so is able to say otherwise."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from genprm.cli import main
from genprm.sandbox.trials.attacks import ATTACKS, KINDS, Attack
from genprm.sandbox.trials.rows import Row
from genprm.sandbox.trials.suite import Suite

ROOT = Path(__file__).parents[1]
Touch = Callable[[Suite], object]


def rows_of(attacks: Sequence[Attack], touch: Touch = lambda suite: None) -> list[Row]:
    """The rows of these attacks, after ``touch`` has done from outside what an attack would do."""

    async def main() -> list[Row]:
        async with Suite() as suite:
            touch(suite)
            return [row async for row in suite.run(attacks)]

    return asyncio.run(main())


def command(*args: str, stdin: str = "") -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "genprm", "sandbox", *args], input=stdin, capture_output=True, text=True, cwd=ROOT
    )
    return done.returncode, done.stdout, done.stderr


# --- the suite -----------------------------------------------------------------------------------------------------


def test_there_are_attacks_of_every_class() -> None:
    assert len(ATTACKS) >= 80
    assert len({(attack.kind, attack.name) for attack in ATTACKS}) == len(ATTACKS)
    assert len(KINDS) == len(set(KINDS)) >= 20
    for attack in ATTACKS:
        for code in filter(None, (*attack.checks, attack.later)):
            compile(code, attack.name, "exec")


@pytest.mark.slow
def test_the_quickest_of_every_class_is_held() -> None:
    first = {attack.kind: attack for attack in reversed(ATTACKS) if not attack.slow and not attack.idle}
    rows = rows_of(list(first.values()))
    assert [(row.name, row.why) for row in rows if row.verdict != "held"] == []


@pytest.mark.slow
def test_layers_are_inferred_from_what_was_seen() -> None:
    wanted = {"TCP": "seccomp", "print flood": "output cap", "segmentation fault": "process boundary"}
    rows = rows_of([attack for attack in ATTACKS if attack.name in wanted])
    assert {row.name: row.stopped_by for row in rows} == wanted


# --- the harness can fail ------------------------------------------------------------------------------------------

HARMLESS = Attack("nothing", "nothing", ("print(1)",))


def _connect(suite: Suite) -> None:
    socket.create_connection(suite.canaries.address("TCP")).close()


def _send(suite: Suite) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", suite.canaries.address("UDP"))


def _connect_abstract(suite: Suite) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect("\0" + suite.canaries.token)


def _make(suite: Suite) -> None:
    (suite.canaries.open / suite.canaries.token).write_text("x")


TOUCHES: dict[str, tuple[Touch, str]] = {
    "change": (lambda suite: suite.canaries.open_file.write_text("other"), "open/file was changed"),
    "remove": (lambda suite: suite.canaries.open_file.unlink(), "open/file was removed"),
    "make": (_make, " was made"),
    "mode": (lambda suite: suite.canaries.file.chmod(0o600), "secret was changed"),
    "TCP": (_connect, "the TCP listener was reached"),
    "UDP": (_send, "the UDP listener was reached"),
    "abstract": (_connect_abstract, "the abstract listener was reached"),
    "signal": (lambda suite: os.kill(os.getpid(), signal.SIGURG), "the host was sent signal"),
}


_QUICK = ("change", "TCP")


@pytest.mark.slow
@pytest.mark.parametrize("name", [n if n in _QUICK else pytest.param(n, marks=pytest.mark.slow) for n in TOUCHES])
def test_a_canary_that_was_touched_is_an_escape(name: str) -> None:
    touch, why = TOUCHES[name]
    [row, after] = rows_of([HARMLESS, HARMLESS], touch)
    assert row.verdict == "ESCAPED"
    assert why in row.why
    assert after.verdict == "held", after.why  # what one did is not held against the next


@pytest.mark.slow
def test_what_is_left_or_told_is_an_escape() -> None:
    told = Attack("nothing", "tells", ())

    def touch(suite: Suite) -> None:
        nonlocal told
        told = replace(told, checks=tuple(f"print({secret!r})" for secret in suite.canaries.secrets.values()))

    async def main() -> list[Row]:
        async with Suite() as suite:
            touch(suite)
            rows = [row async for row in suite.run([told, Attack("x", "believes", ("won()",), forbidden=True)])]
            left = await asyncio.create_subprocess_exec("sleep", "30")
            rows += [row async for row in suite.run([HARMLESS])]
            left.kill()
            await left.wait()
            return rows

    telling, believing, leaving = asyncio.run(main())
    assert [row.verdict for row in (telling, believing, leaving)] == ["ESCAPED"] * 3
    for name in ("file", "name", "environment", "sister"):
        assert f"the secret {name} was read" in telling.why
    assert "1 processes are left over" in leaving.why


@pytest.mark.slow
def test_what_runs_on_is_late() -> None:
    async def main() -> list[Row]:
        async with Suite() as suite:
            suite.limits = replace(suite.limits, wall_s=0.05, cpu_s=0.01)  # what is expected, not what is in force
            attacks = [Attack("x", "x", (code,)) for code in ("import time\ntime.sleep(1)", "while True: pass")]
            return [row async for row in suite.run(attacks)]

    rows = asyncio.run(main())
    assert [row.verdict for row in rows] == ["late", "late"]
    assert "over the wall limit" in rows[0].why
    assert "of CPU time over the limit" in rows[1].why


@pytest.mark.slow
def test_a_session_that_was_harmed_is_an_escape() -> None:
    async def main() -> list[Row]:
        async with Suite() as suite:
            await suite._sister.run("secret = 'other'")
            return [row async for row in suite.run([HARMLESS, HARMLESS])]

    harmed, after = asyncio.run(main())
    assert (harmed.verdict, after.verdict) == ("ESCAPED", "held")
    assert "the sister session was harmed" in harmed.why


# --- the commands --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_running_a_file(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text("print(6 * 7)\n")
    bad.write_text("print('before')\nprint(open('/etc/passwd').read())\n")
    assert command("run", str(good)) == (0, "42\n", "")
    code, out, err = command("run", str(bad))
    assert (code, out) == (1, "before\n")
    assert err.startswith("line 2\n")
    assert "Error" in err


@pytest.mark.slow
def test_running_standard_input_as_a_record() -> None:
    code, out, _ = command("run", "-", "--json", "--cpu", "0.3", stdin="print('\\x1b[31m')\nwhile True: pass")
    record = json.loads(out)
    assert code == 1
    assert (record["status"], record["stdout"]) == ("timeout", "[31m\n")
    assert {"seccomp", "rlimits"} <= set(record["layers"])


@pytest.mark.slow
def test_policies_of_running(tmp_path: Path) -> None:
    file = tmp_path / "file.py"
    file.write_text("print(().__class__.__bases__[0].__name__)\n")
    code, out, err = command("run", str(file))
    assert (code, out) == (0, "object\n")
    assert "flags: policy" in err
    code, out, err = command("run", str(file), "--policy", "enforce")
    assert (code, out) == (1, "")
    assert "Refused" in err
    assert command("run", str(file), "--policy", "off") == (0, "object\n", "")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["run", "/nowhere.py"], "/nowhere.py: No such file"),
        (["run", "-", "--cpu", "0"], "cpu_s must be above 0"),
        (["attack", "--class", "nonsense"], "no class of attacks is called nonsense"),
    ],
)
def test_usage(args: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.devnull) as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        assert main(["sandbox", *args]) == 2
    assert said in capsys.readouterr().err


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "file.py"
    file.write_bytes(b"\xff\xfe")
    code, out, err = command("run", str(file))
    assert (code, out) == (2, "")
    assert err == f"genprm: {file}: not UTF-8\n"


@pytest.mark.slow
def test_the_table() -> None:
    code, out, _ = command("attack", "--class", "format strings")
    *table, summary = out.strip().split("\n")
    assert code == 0
    assert all(line.endswith("held") for line in table)
    assert summary.startswith(f"{len(table)} attacks in ")
    assert f": {len(table)} held. Layers missing here:" in summary


# --- the whole of it, for everybody --------------------------------------------------------------------------------


def attacked(*options: str, args: Sequence[str] = ()) -> dict[str, Any]:
    """What ``genprm sandbox attack`` says, run as somebody else or on a poorer machine."""
    command = [sys.executable, "-m", "genprm", "sandbox", "attack", "--json", *args]
    if options:
        if os.getuid() != 0:
            pytest.skip("only root can become somebody else")
        command = [sys.executable, str(ROOT / "tests" / "elsewhere.py"), *options, *command]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if set(said["counts"]) == {"held"} and not said["left"] else 1)
    return said


_REACHING_OUT = ("read files", "write files", "network", "other processes", "kernel surfaces", "namespaces", "signals")
"""Classes whose outcome hangs on the layers that are there."""
_BY_LIMITS = ("CPU in Python", "CPU in C", "waiting", "memory")
"""Classes that limits and deadlines end, the same ones on every machine; they take the longest."""
_POOREST = tuple(kind for kind in KINDS if kind not in _BY_LIMITS)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("options", "classes"),
    [((), ()), (("--user",), _REACHING_OUT), (("--docker",), _REACHING_OUT), (("--docker", "--user"), _POOREST)],
    ids=["here", "user", "docker", "docker user"],
)
def test_every_attack_is_held(options: tuple[str, ...], classes: tuple[str, ...]) -> None:
    """All of them on the richest machine; on the poorest, all but those that meet the same limits there."""
    said = attacked(*options, args=[word for name in classes for word in ("--class", name)])
    assert [row for row in said["attacks"] if row["verdict"] != "held"] == []
    assert said["left"] == []
    missing = {layer["name"] for layer in said["layers"] if not layer["active"]}
    assert ("mount namespace" in missing) == ("--docker" in options)


@pytest.mark.slow
def test_in_an_open_place_attacks_do_escape() -> None:
    """Proof that the payloads are real: without any layer they read files and reach listeners."""
    said = attacked(
        "--open", "--user", args=["--sandbox-level", "process", "--class", "read files", "--class", "network"]
    )
    escaped = {row["name"] for row in said["attacks"] if row["verdict"] == "ESCAPED"}
    assert {"a secret file", "np.fromfile", "/etc/passwd", "TCP", "UDP", "abstract unix socket", "http"} <= escaped
