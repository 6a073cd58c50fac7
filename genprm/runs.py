"""A run is a folder: what was asked for, and one line for every item that is done.

    run.json        the resolved configuration, the versions, when it began
    results.jsonl   one record a line, appended as items end (``docs/results.md``)
    report.json     the summary, written at the end

A killed run is started again with the same command and goes on where it was: a torn last line is cut off, items with a
line are not paid for twice. A folder belongs to one process at a time, and to one configuration.
"""

import fcntl
import functools
import hashlib
import os
import platform
import time
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from genprm import records
from genprm.appending import AppendedFile
from genprm.errors import ConfigError, InputError, WriteError
from genprm.types import Solution

T = TypeVar("T")
Config = Mapping[str, Any]
_DIGESTS = {"data": "with other rows", "code": "with another version of this program"}
"""What a difference in a fingerprint means."""
_PACKAGES = ("genprm", "sympy", "httpx", "msgspec", "vllm", "transformers", "torch")


class Run:
    """An open run folder; a context manager."""

    def __init__(self, folder: Path, config: Config, *, results: str = "results.jsonl", option: str = "--run") -> None:
        """Make the folder, or go on in it. ``option`` is what names it on the command line.

        Raises:
            ConfigError: it holds a run with another configuration, or something else, or another process works in it;
                or it cannot be made.
        """
        self.folder = folder
        self.config = dict(config)
        self.results = folder / results
        self._option = option
        require_fitting(folder, self.config, option)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"no run can be kept in {folder}: {error.strerror}") from None
        self._lock = _locked(folder)
        try:
            self._settle()
            self._file = AppendedFile(self.results)
        except BaseException:
            os.close(self._lock)
            raise

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        os.close(self._lock)

    def append(self, record: Any) -> None:
        """One item is done. The line is with the operating system when this returns, so a SIGKILL does not lose it.

        Raises:
            WriteError: the disk is full. What was written before stays, and can be gone on from.
        """
        self._file.append(records.to_json(record))

    def rewrite(self, results: Iterable[Any]) -> None:
        """All lines anew, in one move: for those who want them in an order of their own."""
        try:
            write_whole(self.results, (records.to_json(record) + b"\n" for record in results))
        except OSError as error:
            raise WriteError(self.results, error) from None
        self._file.close()
        self._file = AppendedFile(self.results)

    def read(self, type_: type[T]) -> Iterator[T]:
        """The lines so far, in their order. An item that was judged again has several: the last one counts."""
        return records.read_lines(self.results, type_)

    def write_report(self, report: Any) -> Path:
        path = self.folder / "report.json"
        write_whole(path, [msgspec.json.format(records.to_json(report), indent=2), b"\n"])
        return path

    def _settle(self) -> None:
        path = self.folder / "run.json"
        if path.exists():  # another process may have been quicker
            require_fitting(self.folder, self.config, self._option)
            return
        began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        run = {"config": self.config, "versions": versions(), "began": began}
        write_whole(path, [msgspec.json.format(records.to_json(run), indent=2), b"\n"])


def require_fitting(folder: Path, config: Config, option: str = "--run") -> None:
    """Whether a run of this configuration can be kept in ``folder``, by what is there; nothing is written.

    Raises:
        ConfigError: it holds a run with another configuration, or something else.
        InputError: its ``run.json`` cannot be read.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; a run needs a folder")
    path = folder / "run.json"
    if not path.exists():
        if folder.is_dir() and _visible(folder):
            raise ConfigError(f"{folder} holds files, but no run; name another folder with {option}")
        return
    try:
        kept = msgspec.json.decode(path.read_bytes())["config"]
    except (msgspec.MsgspecError, KeyError, TypeError):
        raise InputError(f"this is no run.json; remove the folder or name another with {option}", str(path)) from None
    wanted = msgspec.json.decode(records.to_json(config))
    for name in sorted(kept.keys() | wanted.keys(), key=lambda name: (name in _DIGESTS, name)):
        if kept.get(name) != wanted.get(name):
            change = _DIGESTS.get(name) or f"with {name} = {kept.get(name)!r}, now it is {wanted.get(name)!r}"
            raise ConfigError(f"{folder} was begun {change}; name another folder with {option}")


def default_folder(name: str, config: Config) -> Path:
    """``runs/NAME-xxxxxxxx``: the same configuration finds its own run again."""
    digest = hashlib.blake2b(records.to_json(dict(sorted(config.items()))), digest_size=4).hexdigest()
    return Path("runs") / f"{name}-{digest}"


def key(solution: Solution) -> str:
    """What names a solution within a run."""
    return f"{solution.source}/{solution.id}"


def digest(solutions: Iterable[Solution]) -> str:
    """A fingerprint of solutions, so that a run is not continued on other data."""
    state = hashlib.blake2b(digest_size=8)
    for solution in solutions:
        for text in (key(solution), str(solution.first_error), solution.problem.text, *solution.steps):
            state.update(text.encode("utf-8", "replace") + b"\0")
    return state.hexdigest()


def config_of_program() -> dict[str, str]:
    """The part of a configuration that says which program it was: results of two are never mixed in one run."""
    return {"genprm": metadata.version("genprm"), "code": _code_digest()}


@functools.cache
def _code_digest() -> str:
    """Of the files as they are when it is first asked for: what comes after that is not what runs."""
    state = hashlib.blake2b(digest_size=8)
    package = Path(__file__).parent
    for folder in (package, *(Path(child) for child in os.scandir(package) if child.is_symlink())):
        for path in sorted(folder.rglob("*.py")):
            state.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return state.hexdigest()


def versions() -> dict[str, str]:
    """Of Python and of what is installed of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def write_whole(path: Path, parts: Iterable[bytes]) -> int:
    """Write a file in one move, so that nobody ever sees half of it; how many parts it has."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    count = 0
    try:
        with partial.open("wb") as file:
            for part in parts:
                file.write(part)
                count += 1
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return count


def _visible(folder: Path) -> bool:
    return any(not entry.name.startswith(".") for entry in folder.iterdir())


def _locked(folder: Path) -> int:
    try:
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ConfigError(f"no run can be kept in {folder}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise ConfigError(f"another process works in {folder}") from None
    return descriptor
