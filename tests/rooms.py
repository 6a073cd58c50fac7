"""One sandbox for all tests of a process that need some sandbox: to start one takes a second."""

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from genprm.sandbox import Policy, Sandbox, Stats

T = TypeVar("T")


class Room:
    """A sandbox in an event loop that goes on between two tests, in a thread of its own."""

    def __init__(self) -> None:
        self._sandbox = Sandbox(warm=False)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="room", daemon=True)
        self._thread.start()

    def run(self, work: Callable[[Sandbox], Coroutine[Any, Any, T]], policy: Policy = "audit") -> T:
        """What ``work`` gives with the sandbox, which has counted nothing yet; sessions it leaves are closed."""

        async def whole() -> T:
            await self._sandbox.start()
            self._sandbox.policy, self._sandbox.stats = policy, Stats()
            try:
                return await work(self._sandbox)
            finally:
                for session in list(self._sandbox._sessions):
                    session.close()

        return self._wait_for(whole())

    def close(self) -> None:
        self._wait_for(self._sandbox.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


@functools.cache
def room() -> Room:
    return Room()


def close() -> None:
    if room.cache_info().currsize:
        room().close()
