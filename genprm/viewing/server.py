"""The page over HTTP, for this machine alone: files of the page, and JSON. Nothing can be changed through it."""

import asyncio
import mimetypes
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from genprm import records
from genprm.errors import ConfigError, GenPRMError, InputError
from genprm.serving.headers import HEADERS
from genprm.viewing.answers import Answer, Desk, wanted_of

HOST = "127.0.0.1"
_FOLDERS = ("genprm.viewing", "genprm.serving")
Query = dict[str, list[str]]


def assets() -> dict[str, bytes]:
    """The files of the page by name: its own, and those of the live page that draw a critique."""
    found = {}
    for package in reversed(_FOLDERS):
        folder = files(package).joinpath("page")
        found.update({file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()})
    return found


class Server(ThreadingHTTPServer):
    """Listens on the loopback address only."""

    daemon_threads = True

    def __init__(self, desk: Desk, port: int = 0) -> None:
        """Raises ConfigError where the port is taken."""
        self.desk = desk
        self.assets = assets()
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ConfigError(f"cannot listen on {HOST}:{port}: {error}") from None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_port}"

    def allows(self, host: str) -> bool:
        """Whether a request was meant for this server: a page elsewhere may have a name that leads here."""
        return host in (f"{HOST}:{self.server_port}", f"localhost:{self.server_port}")

    def handle_error(self, *_: Any) -> None:
        """A browser that has gone is no news."""

    def answer(self, path: str, query: Query) -> Answer | None:
        """Raises InputError, ValueError for questions that make no sense; None: there is no such question."""
        number = {name: int(query.get(name, ["0"])[0]) for name in ("part", "number", "start")}
        match path:
            case "/api/about":
                return self.desk.about()
            case "/api/rows":
                text = query.get("text", [""])[0]
                return self.desk.rows(number["part"], wanted_of(query), text, max(number["start"], 0))
            case "/api/row":
                return self.desk.row(number["part"], number["number"])
            case "/api/find":
                return {"number": self.desk.find(number["part"], query.get("what", [""])[0])}
        return None

    def picture(self, path: str) -> bytes | None:
        """``/picture/RUN/PART/NAME``: one of the plots of a run, by what its folder lists."""
        run, part, name = path.removeprefix("/picture/").split("/", 2)
        pictures = self.desk.runs[int(run)].part(int(part)).pictures()
        return next((each.read_bytes() for each in pictures if each.name == unquote(name)), None)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        if not self.server.allows(self.headers.get("host", "")):
            self._send(421, b"this server has another name\n", "text/plain")
            return
        asked = urlsplit(self.path)
        try:
            self._answer(asked.path, parse_qs(asked.query, keep_blank_values=True))
        except InputError as error:
            self._send_json(404, {"error": str(error)})
        except (ValueError, IndexError):
            self._send_json(400, {"error": "this is no question that the page asks"})
        except (GenPRMError, OSError) as error:
            self._send_json(500, {"error": str(error)})

    def _answer(self, path: str, query: Query) -> None:
        name = "view.html" if path == "/" else path.removeprefix("/page/")
        if path.startswith("/api/"):
            found = self.server.answer(path, query)
            self._send_json(200 if found else 404, found or {"error": "there is nothing there"})
        elif path.startswith("/picture/") and (picture := self.server.picture(path)):
            self._send(200, picture, "image/png")
        elif (path == "/" or path.startswith("/page/")) and name in self.server.assets:
            self._send(200, self.server.assets[name], _kind_of(name))
        else:
            self._send_json(404, {"error": "there is nothing there"})

    def _send_json(self, status: int, answer: Answer) -> None:
        self._send(status, records.to_json(answer), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "content-type": kind, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """One user, one machine: nothing to write down."""


def _kind_of(name: str) -> str:
    kind = "text/javascript" if name.endswith(".js") else mimetypes.guess_type(name)[0] or "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


async def serve(desk: Desk, port: int, say_where: Callable[[str], None]) -> None:
    """Until SIGTERM or Ctrl-C. Raises ConfigError where the port is taken."""
    server = Server(desk, port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        say_where(server.url)
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        pass  # this is how it is meant to end
    finally:
        server.shutdown()
        server.server_close()
