"""What lies outside for attacks to find: secrets, open folders, listeners. Touching any of it is an escape."""

import contextlib
import os
import secrets
import select
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from genprm.sandbox.trials.attacks.kind import SECRET

_DRAINED = 1000


class Canaries:
    """Set up before the sandbox starts, so that it could inherit them; ``disturbed`` says what was touched since.

    The watched folders are shared with the rest of the machine, so what is new there counts only where its name holds
    ``token``: every payload puts it into the names that it makes.
    """

    def __init__(self) -> None:
        self.token = secrets.token_hex(8)
        self.folder = Path(tempfile.mkdtemp(prefix="genprm-trial-")).resolve()
        self.env = f"GENPRM_TRIAL_{self.token}"
        self.secrets = {
            name: SECRET + secrets.token_hex(12) for name in ("file", "name", "link", "environment", "sister")
        }
        self.library = _library()
        self._signals: list[int] = []
        self._listeners: dict[str, socket.socket] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Canaries":
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self._lay_out()
            os.environ[self.env] = self.secrets["environment"]
            stack.callback(os.environ.pop, self.env, None)
            for name, listener in self._listen():
                self._listeners[name] = stack.enter_context(listener)
            before = signal.signal(signal.SIGURG, self._signalled)
            stack.callback(signal.signal, signal.SIGURG, before)
            self._stack = stack.pop_all()
        self._seen = self._look()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def _lay_out(self) -> None:
        """Folders that anybody may enter; one that anybody may write to."""
        os.chmod(self.folder, 0o755)
        self.open.mkdir()
        self.file.write_text(self.secrets["file"])
        self.open_file.write_text("as it was\n")
        (self.open / self.secrets["name"]).touch()
        self.link.symlink_to(self.secrets["link"])
        for path, mode in ((self.open, 0o777), (self.file, 0o644), (self.open_file, 0o666)):
            os.chmod(path, mode)

    @property
    def file(self) -> Path:
        return self.folder / "secret"

    @property
    def open(self) -> Path:
        return self.folder / "open"

    @property
    def open_file(self) -> Path:
        return self.open / "file"

    @property
    def link(self) -> Path:
        return self.folder / "link"

    def address(self, name: str) -> tuple[str, int]:
        host, port = self._listeners[name].getsockname()[:2]
        return host, port

    def _listen(self) -> Iterator[tuple[str, socket.socket]]:
        yield "TCP", socket.create_server(("127.0.0.1", 0))
        for name, kind, address in (
            ("UDP", socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            ("unix", socket.SOCK_STREAM, str(self.open / "socket")),
            ("abstract", socket.SOCK_STREAM, "\0" + self.token),
        ):
            listener = socket.socket(socket.AF_INET if name == "UDP" else socket.AF_UNIX, kind)
            listener.bind(address)
            if kind == socket.SOCK_STREAM:
                listener.listen(_DRAINED)
            yield name, listener
        os.chmod(self.open / "socket", 0o777)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)

    def names(self) -> dict[str, object]:
        """What a payload is told of them."""
        return {
            "TOKEN": self.token,
            "SECRET_FILE": str(self.file),
            "OPEN_FOLDER": str(self.open),
            "OPEN_FILE": str(self.open_file),
            "LINK": str(self.link),
            "ENV": self.env,
            "TCP": self.address("TCP"),
            "UDP": self.address("UDP"),
            "UNIX_PATH": str(self.open / "socket"),
            "UNIX_NAME": self.token,
            "HOST": os.getpid(),
            "HOME": str(Path.home()),
            "HERE": os.getcwd(),
            "LIBRARY": self.library,
            "SHELL": f"echo x > {self.open}/{self.token}",
        }

    def told(self, text: str) -> list[str]:
        """The secrets in ``text``, by name."""
        found = [f"the secret {name} was read" for name, secret in self.secrets.items() if secret in text]
        return found + (["the password file was read"] if _PASSWORDS and _PASSWORDS in text else [])

    def disturbed(self) -> list[str]:
        """What was touched since the last time that this was asked, in words."""
        now = self._look()
        changed = sorted(f"{path} was {_change(self._seen.get(path), now.get(path))}" for path in self._differing(now))
        self._seen = now
        return changed + list(self._connected())

    def _differing(self, now: dict[str, object]) -> list[str]:
        return [path for path in self._seen | now if self._seen.get(path) != now.get(path)]

    def _look(self) -> dict[str, object]:
        """The state of everything that must stay as it is."""
        state: dict[str, object] = {
            "the host name": os.uname().nodename,
            "a priority": os.getpriority(os.PRIO_PROCESS, 0),
        }
        state |= {str(path): _signature(path) for path in [self.folder, *self.folder.rglob("*"), Path(self.library)]}
        for folder in _watched(self.library):
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                state |= {entry.path: True for entry in entries if self.token in entry.name}
        state |= {f"System V {kind} of its key": True for kind in _system_v(self.token)}
        return state

    def _connected(self) -> Iterator[str]:
        for name, listener in self._listeners.items():
            while select.select([listener], [], [], 0)[0]:
                if listener.type == socket.SOCK_DGRAM:
                    listener.recv(1)
                else:
                    listener.accept()[0].close()
                yield f"the {name} listener was reached"
        while self._signals:
            yield f"the host was sent signal {self._signals.pop()}"


def _library() -> str:
    import sympy

    return str(sympy.__file__)


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text().split("\n")[0]
    except OSError:
        return ""


_PASSWORDS = _first_line("/etc/passwd")


def _watched(library: str) -> list[Path]:
    packages = Path(library).parents[1]
    places = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/etc", "/", str(Path.home()), os.getcwd(), sys.prefix)
    return [*map(Path, places), packages, packages / "sympy"]


def _signature(path: Path) -> object:
    try:
        stat = path.lstat()
    except OSError:
        return None
    return stat.st_mode, stat.st_uid, stat.st_gid, stat.st_nlink, stat.st_size, stat.st_mtime_ns, stat.st_ino


def _system_v(token: str) -> Iterator[str]:
    """Kinds of System V objects under the key that payloads make from the token."""
    key = int(token[:7], 16)
    for kind in ("shm", "msg", "sem"):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/sysvipc/{kind}").read_text().splitlines()[1:]
            if any(int(line.split()[0]) == key for line in lines):
                yield kind


def _change(before: object, now: object) -> str:
    return "made" if before is None else "removed" if now is None else "changed"
