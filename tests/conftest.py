"""What all tests share: an environment of their own, and the way to data that is never committed."""

import itertools
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Else every run would rewrite all tests' assertions again, and every process that tests start compile what it needs.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as cores: more threads would wait for each other, busily
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings  # noqa: E402

settings.register_profile("house", deadline=None)  # time limits on a loaded machine are noise
settings.load_profile("house")

SharedData = Callable[[str], Path]

_OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY")
os.environ.update(dict.fromkeys(_OFFLINE, "1"))  # read when the hub's client is imported, before any test runs

_KEPT = {"GENPRM_DATA"}
_PRIVATE = ("GENPRM_", "HF_", "HUGGING_FACE_", "OPENAI_", "ANTHROPIC_", "XDG_")
_PROXIES = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}
_TERMINAL = {"COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "TTY_INTERACTIVE"}


def _is_personal(name: str) -> bool:
    """Whether a variable says who or where the user is, so that a test could come out differently for it."""
    name = name.upper()
    if name in _KEPT:
        return False
    return name.startswith(_PRIVATE) or name.endswith("_API_KEY") or name in _PROXIES | _TERMINAL


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Names of folders beside each other; ``mktemp`` for each test would go through all that there are each time."""
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def _own_environment(_homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the user's home, keys, proxies or terminal, and none reaches the hub."""
    for name in [name for name in os.environ if _is_personal(name)]:
        monkeypatch.delenv(name)
    home = next(_homes)
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for kind in ("CONFIG", "CACHE", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(home / kind.lower()))
    for name in _OFFLINE:
        monkeypatch.setenv(name, "1")


@pytest.fixture
def no_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only slow tests draw, for matplotlib takes seconds to import; the others are where it is not installed."""
    if request.node.get_closest_marker("slow") is None:
        monkeypatch.setitem(sys.modules, "matplotlib", None)


@pytest.fixture(scope="session", autouse=True)
def _close_what_is_shared() -> Iterator[None]:
    yield
    for name in ("tests.rooms", "tests.pages"):
        if shared := sys.modules.get(name):
            shared.close()


def _data_dir() -> Path:
    """``$GENPRM_DATA``, else ``shared/data`` beside the repository."""
    beside = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    return Path(os.environ.get("GENPRM_DATA") or beside)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data; the test is skipped where it is absent."""
    folder = _data_dir()
    if not folder.is_dir():
        pytest.skip(f"real data is not here: {folder} (set GENPRM_DATA)")
    return folder


@pytest.fixture(scope="session")
def shared_data(data_dir: Path) -> SharedData:
    """``shared_data("prm_scores")`` is that part of the real data; the test is skipped where it is absent."""

    def part(name: str) -> Path:
        path = data_dir / name
        if not path.exists():
            pytest.skip(f"real data is not here: {path} (set GENPRM_DATA)")
        return path

    return part


_ALL_SLOW = re.compile(r"^pytestmark = \[?\s*pytest\.mark\.slow\b", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The quick suite does not load files that are slow as a whole: most import torch, in every process."""
    if config.getoption("markexpr") != "not slow" or collection_path.suffix != ".py":
        return None
    return _ALL_SLOW.search(collection_path.read_text()) is not None or None


def pytest_report_header() -> str:
    """Skips must be seen even in a quiet run."""
    folder = _data_dir()
    return f"real data: {folder}" if folder.is_dir() else f"real data: none at {folder}, tests that need it SKIP"
