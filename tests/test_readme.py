"""What the README says is what happens."""

import asyncio
import itertools
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from genprm.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def timeless(text: str) -> str:
    """Without what differs from run to run."""
    return re.sub(r"[\d.]+ m?s\b", "TIME", text).strip()


@pytest.mark.slow
def test_the_first_example_is_the_real_output() -> None:
    command = [sys.executable, "-m", "genprm", "critique", "examples/savings.md", "-n", "8"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert timeless(blocks("text")[0]) == timeless(done.stdout)


@pytest.mark.slow
def test_the_first_python_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    first, _ = blocks("python")
    exec(first, {})
    assert capsys.readouterr().out.splitlines() == ["1", "2 + 12 = 14, the text says 15: False", ""]


@pytest.mark.slow
def test_the_second_python_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    from genprm.types import Problem, Solution

    _, second = blocks("python")
    body = second.replace('"http://localhost:8000/v1"', '"symbolic"').replace("\n", "\n    ")
    names: dict[str, object] = {"solutions": [Solution(Problem("What is 3 * 4?"), ("3 * 4 = 13.",), "one")]}
    exec("async def main():\n    " + body, names)
    asyncio.run(names["main"]())  # type: ignore[operator]
    assert capsys.readouterr().out.startswith("one 0 [0.")


@pytest.mark.parametrize("target", re.findall(r"^make (\w+)", README, re.MULTILINE))
def test_make_knows_what_the_readme_names(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_every_command_of_the_readme_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line.partition("#")[0] for line in "".join(blocks("sh")).splitlines()]
    commands = [line for line in lines if re.match(r"(?:\S+=\S+ )*genprm |.*\| genprm ", line)]
    assert len(commands) > 10
    helps: dict[tuple[str, ...], str] = {}
    for line in commands:
        words = line.rpartition("genprm ")[2].split()
        options = [word for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)]
        command = tuple(itertools.takewhile(str.isalpha, words))  # what follows are its arguments
        if command not in helps:
            helps[command] = help_of(command, capsys)
        assert all(option in helps[command] for option in options), line


def help_of(command: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0, command
    return capsys.readouterr().out


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)]+)\)", README)
    assert targets
    for target in targets:
        assert target.startswith("https://") or (ROOT / target.partition("#")[0]).exists(), target


def test_the_version_is_said_once() -> None:
    import genprm

    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == genprm.__version__
