"""The door: who may ask, how much, and what is written down of it. Nothing behind it sees a request that it refuses."""

import asyncio
import hashlib
import time
import uuid
from collections.abc import Collection, MutableMapping
from contextlib import ExitStack, suppress
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genprm import records
from genprm.serving.errors import Refusal
from genprm.serving.headers import HEADERS
from genprm.serving.keys import Keys
from genprm.serving.log import say, say_error
from genprm.serving.options import is_loopback
from genprm.serving.service import Service
from genprm.serving.waiting import ClientGone

OPEN = frozenset({"/", "/healthz", "/readyz", "/openapi.json", "/v1/info"})
"""What is answered without a key, besides the files of the page."""
PAGE = "/page/"


class Guard:
    """ASGI in front of the application. ``scope["genprm"]`` gathers what is to be logged of a request."""

    def __init__(self, app: ASGIApp, service: Service, keys: Keys | None, paths: Collection[str]) -> None:
        self._app = app
        self._service = service
        self._options = service.options
        self._keys = keys
        self._paths = frozenset(paths)
        own = {self._options.host, "localhost", "127.0.0.1", "::1"} if is_loopback(self._options.host) else set()
        self._hosts = {host.lower() for host in (*own, *self._options.hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        answer = _Answer(send, bare=method == "HEAD")
        if answer.bare:
            scope = {**scope, "method": "GET"}
        note: MutableMapping[str, Any] = scope.setdefault("genprm", {})
        note["id"] = uuid.uuid4().hex[:16]
        answer.headers = {**HEADERS, "x-request-id": note["id"]}
        try:
            await self._let_in(scope, receive, answer, note)
        except Refusal as refusal:
            await answer.refuse(refusal, note)
        except ClientGone:
            answer.status = 499
        except Exception as error:
            say_error("broken", error, id=note["id"])
        finally:
            self._write_down(scope, method, answer, note)

    async def _let_in(self, scope: Scope, receive: Receive, answer: "_Answer", note: MutableMapping[str, Any]) -> None:
        headers = Headers(scope=scope)
        self._require_host(headers)
        client = self._client(scope, headers)
        note["client"] = client
        with ExitStack() as held:
            if scope["method"] == "POST":
                if self._service.stopping:
                    raise Refusal(503, "stopping", "the server is stopping", {"Retry-After": "2"})
                held.enter_context(self._service.clients.one_more(client))
                receive = _again(await self._body(headers, receive), receive)
            await self._app(scope, receive, answer.send)

    def _require_host(self, headers: Headers) -> None:
        """A page from elsewhere that has a name of its own resolve to this machine is not let in."""
        host = headers.get("host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if self._hosts and name.strip("[]").lower() not in self._hosts:
            raise Refusal(421, "wrong_host", "this server does not go by that name; see --allow-host")

    def _client(self, scope: Scope, headers: Headers) -> str:
        """The key's name, or the address. Raises Refusal (401)."""
        address = (scope.get("client") or ("",))[0]
        open_path = scope["path"] in OPEN or scope["path"].startswith(PAGE)
        if self._keys is None or scope["method"] == "OPTIONS" or (open_path and scope["method"] == "GET"):
            return f"address {address}"
        kind, _, key = headers.get("authorization", "").partition(" ")
        name = self._keys.name_of(key.strip()) if kind.lower() == "bearer" else None
        if name is None:
            message = "a key is needed: Authorization: Bearer KEY"
            raise Refusal(401, "no_key", message, {"WWW-Authenticate": "Bearer"})
        return f"key {name}"

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        """All of it. Raises Refusal: too long (413), of another kind (415), too slow (408)."""
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":  # pages of others cannot send this one without asking first
            raise Refusal(415, "wrong_type", "the body is JSON: Content-Type: application/json")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 15 or int(length) > self._options.max_body:
            raise self._too_long()
        try:
            async with asyncio.timeout(self._options.read_s):
                return await self._read(receive)
        except TimeoutError:
            message = f"the body did not come within {self._options.read_s:g} s"
            raise Refusal(408, "too_slow", message, {"Connection": "close"}) from None

    async def _read(self, receive: Receive) -> bytes:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            body += message.get("body", b"")
            if len(body) > self._options.max_body:
                raise self._too_long()
            if not message.get("more_body", False):
                return bytes(body)

    def _too_long(self) -> Refusal:
        message = f"the body is longer than {self._options.max_body} bytes"
        return Refusal(413, "too_large", message, {"Connection": "close"})

    def _write_down(self, scope: Scope, method: str, answer: "_Answer", note: MutableMapping[str, Any]) -> None:
        path: str = scope["path"]
        known = path if path in self._paths else "other"  # what is refused here has no route yet
        route: str = getattr(scope.get("route"), "path", None) or known
        seconds = time.perf_counter() - answer.began
        status: int = note.pop("status", answer.status)  # a stream knows it only at its end
        self._service.metrics.answered(route, status, seconds)
        say("request", method=method, route=route, status=status, seconds=round(seconds, 4), **note)


class _Answer:
    """What goes back: adds headers, remembers the status; ``bare``: without the body."""

    def __init__(self, send: Send, bare: bool) -> None:
        self._send = send
        self.bare = bare
        self.headers: dict[str, str] = {}
        self.status = 0
        self.began = time.perf_counter()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = {name.lower() for name, _ in message["headers"]}
            added = [(name.encode(), value.encode()) for name, value in self.headers.items()]
            message["headers"] = [*message["headers"], *((n, v) for n, v in added if n not in given)]
        elif self.bare:
            message = {**message, "body": b""}
        await self._send(message)

    async def refuse(self, refusal: Refusal, note: MutableMapping[str, Any]) -> None:
        note["error"] = refusal.code
        if self.status:
            return  # the answer has begun: its end is all that can be said
        body = records.to_json(refusal.body())
        headers = {"content-type": "application/json", "content-length": str(len(body)), **refusal.headers}
        encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        with suppress(OSError):
            await self.send({"type": "http.response.start", "status": refusal.status, "headers": encoded})
            await self.send({"type": "http.response.body", "body": body})


def _again(body: bytes, receive: Receive) -> Receive:
    """A channel that begins with the whole body."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def first_that() -> Message:
        return left.pop() if left else await receive()

    return first_that


def digest(text: str) -> str:
    """A name for a text in the log that does not tell it."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()
