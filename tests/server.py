"""A small OpenAI-compatible server for tests: real sockets, answers from a function.

As a program, ``python -m tests.server PORT BUSY_S``, it serves one model that verifies by the protocol ``chat``, and
answers 429 for the first seconds.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = dict[str, Any] | tuple[int, dict[str, Any]] | tuple[int, dict[str, Any], dict[str, str]] | bytes | None
Answer = Callable[[str, dict[str, Any], dict[str, str]], Reply]
"""(path, body, headers) -> the reply: JSON, (status, JSON[, headers]), raw bytes, or None to hang up.

A ``Content-Length`` beyond the content ends it in the middle; a function that sleeps hangs; ``Drip`` drips.
"""


class Drip(bytes):
    """A body that is sent a byte at a time, a tenth of a second each."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


def _serving(answer: Answer, port: int = 0) -> _Server:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

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
            headers = {"Content-Length": str(len(content)), **headers}
            with suppress(BrokenPipeError, ConnectionResetError):  # a client that left is no news
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self._write(content)
            self.close_connection |= int(headers["Content-Length"]) != len(content)

        def _write(self, content: bytes) -> None:
            if not isinstance(content, Drip):
                self.wfile.write(content)
                return
            for at in range(len(content)):
                time.sleep(0.1)
                self.wfile.write(content[at : at + 1])

        def log_message(self, *_: Any) -> None:
            pass

    return _Server(("127.0.0.1", port), Handler)


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """The server's address, ``http://127.0.0.1:PORT/v1``."""
    server = _serving(answer)
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


def models(*names: str, **fields: Any) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": name, "object": "model", **fields} for name in names]}


def completion(text: str, finish: str = "stop", **choice: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
    return {"choices": [{"index": 0, "text": text, "finish_reason": finish, **choice}], "usage": usage}


def chat(text: str | None, finish: str = "stop", **message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
    return {"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}


def verifying(path: str, body: dict[str, Any], headers: dict[str, str]) -> Reply:
    """A model that calls every paragraph wrong that says so."""
    if path == "/models":
        return models("verifier")
    messages = body["messages"]
    last = messages[-1]["content"]
    if last.startswith("Is paragraph"):
        judged = next(m["content"] for m in reversed(messages) if "Judge paragraph" in m["content"])
        return chat('{"correct": "No"}' if "wrong" in judged.rpartition("<paragraph_")[2] else '{"correct": "Yes"}')
    return chat("It printed what I expected." if last.startswith("Output") else "I look.\n```python\nprint(1)\n```")


def main(port: int, busy_s: float) -> None:
    began = time.monotonic()

    def answer(path: str, body: dict[str, Any], headers: dict[str, str]) -> Reply:
        if path != "/models" and time.monotonic() - began < busy_s:
            return 429, {"error": {"message": "too many requests"}}
        time.sleep(0.02)
        return verifying(path, body, headers)

    server = _serving(answer, port)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
