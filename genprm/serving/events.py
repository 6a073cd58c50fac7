"""Server-sent events: a critique as it is made."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from genprm import records
from genprm.flight import cancelled
from genprm.serving.errors import Refusal
from genprm.serving.waiting import ClientGone, while_wanted

Events = AsyncGenerator[tuple[str, Any], None]
_LINE_ENDS = (("\x85".encode(), b"\\u0085"), ("\u2028".encode(), b"\\u2028"), ("\u2029".encode(), b"\\u2029"))
_BEAT_S = 15.0
"""A comment is sent so often, so that no proxy takes the silence of a slow step for the end."""


class EventStream(Response):
    """Pairs of an event's name and its record, the first of them made already.

    A Refusal on the way, or none in time, is the last event, ``error``."""

    media_type = "text/event-stream"

    def __init__(self, first: tuple[str, Any], events: Events, deadline_s: float, stopped: asyncio.Event) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        self._first = first
        self._events = events
        self._deadline_s = deadline_s
        self._stopped = stopped

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in self.raw_headers if name != b"content-length"]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async with aclosing(self._events):
            await self._send_all(scope, receive, send)

    async def _send_all(self, scope: Scope, receive: Receive, send: Send) -> None:
        last = b""
        try:
            try:
                await while_wanted(self._write(send), receive, self._deadline_s, self._stopped)
            except Refusal as refusal:
                scope["genprm"]["error"] = refusal.code
                last = event("error", refusal.body())
            await send({"type": "http.response.body", "body": last, "more_body": False})
        except (ClientGone, OSError):
            scope["genprm"]["status"] = 499  # the 200 was never taken

    async def _write(self, send: Send) -> None:
        lock = asyncio.Lock()
        beat = asyncio.create_task(_beat(send, lock))
        try:
            await send({"type": "http.response.body", "body": event(*self._first), "more_body": True})
            async with aclosing(self._events) as events:
                async for name, record in events:
                    async with lock:
                        await send({"type": "http.response.body", "body": event(name, record), "more_body": True})
        finally:
            await cancelled([beat])


def event(name: str, record: Any) -> bytes:
    """One line of data: JSON has no line ends of its own, but for those that only some readers take for one."""
    data = records.to_json(record)
    for sign, escape in _LINE_ENDS:
        data = data.replace(sign, escape)
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


async def _beat(send: Send, lock: asyncio.Lock) -> None:
    while True:
        await asyncio.sleep(_BEAT_S)
        async with lock:
            await send({"type": "http.response.body", "body": b": still here\n\n", "more_body": True})
