"""The sandbox without async, for scripts, threads and the shell."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

from genprm.sandbox.errors import SandboxError
from genprm.sandbox.layers import Layer
from genprm.sandbox.limits import Limits
from genprm.sandbox.pool import Level, Sandbox
from genprm.sandbox.result import Result
from genprm.sandbox.session import Session
from genprm.sandbox.stats import Stats

T = TypeVar("T")


class BlockingSandbox:
    """What ``with Sandbox() as sandbox`` gives. Its event loop runs in a thread of its own; any thread may call."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="genprm-sandbox", daemon=True)
        self._thread.start()

    def call(self, work: "Coroutine[Any, Any, T]") -> T:
        """Wait for something that the sandbox does; an interrupt cancels it."""
        if self._loop.is_closed():
            work.close()
            raise SandboxError("the sandbox is closed")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    @property
    def layers(self) -> tuple[Layer, ...]:
        return self._sandbox.layers

    @property
    def stats(self) -> Stats:
        return self._sandbox.stats

    def start(self) -> None:
        self.call(self._sandbox.start())

    def warmed(self) -> None:
        self.call(self._sandbox.warmed())

    def session(self) -> "BlockingSession":
        return BlockingSession(self, self._sandbox.session())

    def close(self) -> None:
        if not self._loop.is_closed():
            self.call(self._sandbox.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


class BlockingSession:
    """A session of a ``BlockingSandbox``."""

    def __init__(self, sandbox: BlockingSandbox, session: Session) -> None:
        self._sandbox = sandbox
        self._session = session

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def run(self, code: str) -> Result:
        return self._sandbox.call(self._session.run(code))

    def fork(self) -> "BlockingSession":
        return BlockingSession(self._sandbox, self._sandbox.call(self._session.fork()))

    def close(self) -> None:
        self._sandbox.call(self._close())

    async def _close(self) -> None:
        self._session.close()


def run(code: str, limits: Limits | None = None, level: Level = "confined") -> Result:
    """Run one check in a fresh sandbox. Takes about a second; for many checks use ``Sandbox``."""
    with Sandbox(limits, level=level, spares=0, warm=False) as sandbox, sandbox.session() as session:
        return session.run(code)
