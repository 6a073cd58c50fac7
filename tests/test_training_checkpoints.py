"""What a killed run leaves behind, and the memory of one that runs; no torch needed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from genprm.training.checkpoints import Checkpoint, cut_journal, last_whole


def checkpoint(folder: Path, n: int, state: str | None) -> Path:
    made = folder / f"checkpoint-{n}"
    made.mkdir(parents=True)
    (made / "model.safetensors").write_bytes(b"weights")
    if state is not None:
        (made / "trainer_state.json").write_text(state)
    return made


def state(n: int, **more: Any) -> str:
    return json.dumps({"global_step": n, "best_metric": float("nan"), "stateful_callbacks": more})


@pytest.mark.parametrize("torn", [None, "", state(15)[:-1], '{"global_step": 1'])
def test_what_was_being_written_is_passed_over_and_deleted(tmp_path: Path, torn: str | None) -> None:
    for n in (5, 10):
        checkpoint(tmp_path, n, state(n))
    for n in (15, 100):
        checkpoint(tmp_path, n, torn)
    (tmp_path / "checkpoint-x").mkdir()
    expected = Checkpoint(tmp_path / "checkpoint-10", 10, 0)
    assert last_whole(tmp_path, tidy=False) == expected
    assert (tmp_path / "checkpoint-100").exists(), "only one process deletes"
    assert last_whole(tmp_path, tidy=True) == expected
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-5", "checkpoint-10", "checkpoint-x"}


def test_a_run_without_a_whole_checkpoint_begins_again(tmp_path: Path) -> None:
    assert last_whole(tmp_path / "none", tidy=True) is None
    checkpoint(tmp_path, 15, None)
    assert last_whole(tmp_path, tidy=True) is None
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_knows_how_long_it_was_waited_for_a_better_loss(tmp_path: Path) -> None:
    stopping = {"args": {}, "attributes": {"early_stopping_patience_counter": 2}}
    made = checkpoint(tmp_path, 20, state(20, TrainerControl={"args": {}}, EarlyStoppingCallback=stopping))
    assert last_whole(tmp_path, tidy=True) == Checkpoint(made, 20, 2)


@pytest.mark.parametrize(("updates", "left"), [(0, []), (2, [2, 2]), (5, [2, 2, 4]), (9, [2, 2, 4, 6])])
def test_a_journal_is_cut_where_the_run_goes_on(tmp_path: Path, updates: int, left: list[int]) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(f'{{"update": {n}, "loss": 1.0}}\n' for n in (2, 2, 4, 6)))
    cut_journal(path, updates)
    assert [json.loads(line)["update"] for line in path.read_text().splitlines()] == left


def test_what_is_freed_is_kept() -> None:
    """Large blocks no longer come from the system one by one, and no longer go back to it."""
    code = """
import ctypes
from genprm.training.memory import keep_freed_memory
libc = ctypes.CDLL(None)
if not hasattr(libc, "mallinfo2"):
    raise SystemExit("skip")
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ord sm hblks hblkhd us fsm uord ford keepcost".split()]
libc.mallinfo2.restype = Info
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
def mapped():
    before = libc.mallinfo2().hblks
    block = libc.malloc(20_000_000)
    after = libc.mallinfo2().hblks
    libc.free(block)
    return after - before
first = mapped()
keep_freed_memory()
print(first, mapped(), libc.mallinfo2().keepcost > 20_000_000)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if ran.stderr.strip() == "skip":
        pytest.skip("no glibc of 2.33 or newer")
    assert ran.stdout == "1 0 True\n", ran.stderr
