"""Run folders: nothing is lost, nothing is paid for twice, nothing is mixed."""

import subprocess
import sys
from pathlib import Path

import pytest

from genprm.errors import ConfigError, InputError, WriteError
from genprm.runs import Run, config_of_program, default_folder, digest
from genprm.types import Problem, Solution
from tests.full_disk import room_for

CONFIG = {"engine": "symbolic", "n": 1}


def solution(n: int) -> Solution:
    return Solution(Problem(f"problem {n}"), ("step",), str(n))


def ids(run: Run) -> list[str]:
    return [s.id for s in run.read(Solution)]


def test_what_was_appended_is_there_after_it_is_opened_again(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    for n in range(3):
        with Run(folder, CONFIG) as run:
            assert ids(run) == [str(k) for k in range(n)]
            run.append(solution(n))
            assert ids(run) == [str(k) for k in range(n + 1)]


@pytest.mark.parametrize(
    "torn", [b"{", b'{"problem": {"text": "problem 9"}, "steps"', b"\x00\xff", '{"a": "é'.encode()[:-1]]
)
def test_a_torn_last_line_is_cut_off(tmp_path: Path, torn: bytes) -> None:
    with Run(tmp_path, CONFIG) as run:
        run.append(solution(0))
    with (tmp_path / "results.jsonl").open("ab") as file:
        file.write(torn)
    with Run(tmp_path, CONFIG) as run:
        assert ids(run) == ["0"]
        run.append(solution(1))
        assert ids(run) == ["0", "1"]


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    with Run(tmp_path, CONFIG) as run:
        run.append(solution(0))
    results = tmp_path / "results.jsonl"
    results.write_bytes(results.read_bytes() + b"{broken\n")
    with Run(tmp_path, CONFIG) as run, pytest.raises(InputError, match=r"results\.jsonl:2: not JSON"):
        ids(run)


def test_a_folder_belongs_to_one_configuration(tmp_path: Path) -> None:
    Run(tmp_path, CONFIG).__exit__()
    with pytest.raises(ConfigError, match="was begun with n = 1, now it is 2"):
        Run(tmp_path, {**CONFIG, "n": 2})
    with pytest.raises(ConfigError, match=r"begun with temperature = None, now it is 0\.6"):
        Run(tmp_path, {**CONFIG, "temperature": 0.6})


def test_a_folder_belongs_to_one_process_at_a_time(tmp_path: Path) -> None:
    with Run(tmp_path, CONFIG):
        code = f"from genprm.runs import Run; from pathlib import Path; Run(Path({str(tmp_path)!r}), {CONFIG!r})"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "another process works in" in other.stderr
    Run(tmp_path, CONFIG).__exit__()


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("important")
    with pytest.raises(ConfigError, match="holds files, but no run"):
        Run(tmp_path, CONFIG)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(ConfigError, match="is a file"):
        Run(tmp_path / "thesis.tex", CONFIG)


def test_a_run_json_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(InputError, match=r"run\.json"):
        Run(tmp_path, CONFIG)


def test_the_same_configuration_finds_its_own_folder() -> None:
    assert default_folder("p", CONFIG) == default_folder("p", dict(reversed(CONFIG.items())))
    assert default_folder("p", CONFIG) != default_folder("p", {**CONFIG, "n": 2})


def test_a_run_is_not_continued_by_another_program(tmp_path: Path) -> None:
    assert config_of_program() == config_of_program()
    Run(tmp_path, {**CONFIG, "code": "a"}).__exit__()
    with pytest.raises(ConfigError, match="begun with another version of this program; name another folder"):
        Run(tmp_path, {**CONFIG, "code": "b"})
    with pytest.raises(ConfigError, match="begun with n = 1, now it is 2"):  # said first: it says more
        Run(tmp_path, {**CONFIG, "n": 2, "code": "b"})


@pytest.mark.parametrize("folder", ["/dev/null/run", "/proc/run"])
def test_a_folder_that_cannot_be_made(folder: str) -> None:
    with pytest.raises(ConfigError, match=folder):
        Run(Path(folder), CONFIG)


def test_a_full_disk_loses_nothing_that_was_written(tmp_path: Path) -> None:
    with room_for(4000), Run(tmp_path, CONFIG) as run, pytest.raises(WriteError, match="File too large"):
        list(map(run.append, map(solution, range(1000))))
    with Run(tmp_path, CONFIG) as run:
        kept = ids(run)
        assert kept == [str(n) for n in range(len(kept))]
        assert len(kept) > 10
        run.append(solution(len(kept)))
        assert len(ids(run)) == len(kept) + 1


def test_a_digest_tells_other_data() -> None:
    one = digest([solution(1), solution(2)])
    assert one == digest([solution(1), solution(2)])
    assert one != digest([solution(1)])
    assert one != digest([solution(1), Solution(Problem("problem 2"), ("st", "ep"), "2")])
