"""A small OpenAI-compatible server for tests: real sockets, answers from a function."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = dict[str, Any] | tuple[int, dict[str, Any]] | tuple[int, dict[str, Any], dict[str, str]] | bytes | None
Answer = Callable[[str, dict[str, Any], dict[str, str]], Reply]
"""(path, body, headers) -> the reply: JSON, (status, JSON[, headers]), raw bytes, or None to hang up."""


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """The server's address, ``http://127.0.0.1:PORT/v1``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._reply({})

        def do_POST(self) -> None:
            self._reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _reply(self, body: dict[str, Any]) -> None:
            reply = answer(self.path.removeprefix("/v1"), body, {k.lower(): v for k, v in self.headers.items()})
            if reply is None:
                self.close_connection = True
                return
            status, content, headers = _parts(reply)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(BrokenPipeError, ConnectionResetError):  # a client that left is no news
                self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _parts(reply: Reply) -> tuple[int, bytes, dict[str, str]]:
    if isinstance(reply, bytes):
        return 200, reply, {}
    if isinstance(reply, dict):
        return 200, json.dumps(reply).encode(), {}
    assert reply is not None
    status, body, *headers = reply
    return status, json.dumps(body).encode(), headers[0] if headers else {}


def models(*names: str) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": name, "object": "model"} for name in names]}


def completion(text: str, finish: str = "stop", **choice: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
    return {"choices": [{"index": 0, "text": text, "finish_reason": finish, **choice}], "usage": usage}
