"""The policy's word on a check, had from a process of its own.

The policy parses what untrusted text says is Python, and parsers have holes and worst cases. So not even that happens
in the host: a child of the zygote, confined like all others, reads the code and runs none of it.
"""

import asyncio
import os
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable

from genprm.sandbox.errors import SandboxError
from genprm.sandbox.frames import Request
from genprm.sandbox.limits import Limits
from genprm.sandbox.text import plain
from genprm.sandbox.worker import Worker, exchange

_REMEMBERED = 1024
_UNREADABLE = b"the policy cannot read it"
_LIMITS = Limits(cpu_s=1.0, wall_s=5.0, output_bytes=16 * 1024)

Findings = tuple[str, ...]
"""What the policy says against a check; empty where it has nothing to say."""


class Reviewer:
    """Reviews one check after the other; remembers the last thousand."""

    def __init__(self, worker: Callable[[], Awaitable[Worker]]) -> None:
        self._take_worker = worker
        self._worker: Worker | None = None
        self._known: OrderedDict[str, asyncio.Future[Findings]] = OrderedDict()
        self._queue: deque[str] = deque()
        self._task: asyncio.Task[None] | None = None
        self._step = 0

    def review(self, code: str) -> "asyncio.Future[Findings]":
        """The findings, at once where they are known."""
        if (known := self._known.get(code)) is not None:
            self._known.move_to_end(code)
            return asyncio.shield(known)
        future = self._known[code] = asyncio.get_running_loop().create_future()
        while len(self._known) > _REMEMBERED and self._known[next(iter(self._known))].done():
            self._known.popitem(last=False)
        self._queue.append(code)
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return asyncio.shield(future)  # others may wait for the same: who is cancelled takes nothing from them

    async def _work(self) -> None:
        try:
            while self._queue:
                code = self._queue.popleft()
                future = self._known[code]
                try:
                    findings = await self._ask(code)
                    if findings is None:  # lost, with the warm process perhaps
                        findings = await self._ask(code)
                except SandboxError:
                    findings = None
                if findings is None:
                    del self._known[code]  # nobody has looked at it, and it may be asked again
                said = _UNREADABLE if findings is None else findings
                if not future.done():
                    future.set_result(tuple(plain(said.decode("utf-8", "replace")).splitlines()))
        finally:
            self._task = None

    async def _ask(self, code: str) -> bytes | None:
        """What the policy says, a line each; None where its process was lost and says nothing about the code."""
        if self._worker is None or not self._worker.quiet():
            self._drop()
            self._worker = await self._take_worker()
        self._step += 1
        outcome = await exchange(self._worker, Request(self._step, os.urandom(8), code, "review"), _LIMITS)
        if outcome.reply is not None and outcome.reply.status == "ok":
            return outcome.reply.stdout
        self._drop()
        return None if outcome.reply is None and not outcome.overrun else _UNREADABLE

    def _drop(self) -> None:
        if self._worker is not None:
            self._worker.dispose()
            self._worker = None

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        for future in self._known.values():
            if not future.done():
                future.set_result(())  # whoever waits for it learns from the closed sandbox
        self._drop()
