"""Work for a client: no longer than it stays, than there is time, and than the server lives."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, TypeVar

from genprm.flight import cancelled
from genprm.serving.errors import stopping, too_late

T = TypeVar("T")
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class ClientGone(Exception):
    """Nobody waits for the answer any more."""


async def while_wanted(work: Coroutine[Any, Any, T], receive: Receive, deadline_s: float, stopped: asyncio.Event) -> T:
    """The result of ``work``, which is cancelled, and waited for, where it is not wanted any more.

    Raises:
        ClientGone: the client left.
        Refusal: the deadline passed (504), or the server is stopping (503).
    """
    task = asyncio.create_task(work)
    gone, halt = asyncio.create_task(_gone(receive)), asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait({task, gone, halt}, timeout=deadline_s, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if gone.done():
            raise ClientGone
        raise stopping() if halt.done() else too_late(deadline_s)
    finally:
        await cancelled([task, gone, halt])


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
