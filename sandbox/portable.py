"""The weaker fallback for machines without Linux: a plain process for each session, and nothing that confines it.

It keeps what needs no kernel: a process of its own (a crash or an endless loop takes nothing with it), the limits on
wall-clock time and output, a namespace that is never shared. Checks can read and write files, reach the network and
start processes with the rights of the user who runs them, so ``Sandbox`` takes it only at ``level="process"``, and
every result carries the flag ``unconfined``. CPU time cannot be read from outside here: wall-clock time stands for it.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections import deque
from dataclasses import asdict

from genprm.sandbox.errors import SandboxError
from genprm.sandbox.frames import FrameError, Reply, Request, decode_reply, encode_request
from genprm.sandbox.inside.preload import environment
from genprm.sandbox.launch import command
from genprm.sandbox.layers import Layer
from genprm.sandbox.nursery import Plan
from genprm.sandbox.worker import Exit

_START_S = 60.0
_LAST_WORDS_S = 0.2
_PART = 64 * 1024


class PlainWorker:
    """One process, and its pipes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._process = process
        self._stdin, self._stdout = process.stdin, process.stdout
        self._data = bytearray()
        self._request: Request | None = None
        self._reply: asyncio.Future[Reply | None] | None = None
        self._output_bytes = 0
        self._busy_since: float | None = None
        self._busy_s = 0.0
        self._spoiled = False
        self.idle_cpu_s = 0.0
        self._reading = asyncio.create_task(self._read())
        self._waiting = asyncio.create_task(self._wait())

    def ask(self, request: Request, output_bytes: int) -> "asyncio.Future[Reply | None]":
        self._request, self._output_bytes = request, output_bytes
        self._reply = asyncio.get_running_loop().create_future()
        self._data.clear()
        self._busy_since = time.monotonic()
        self._stdin.write(encode_request(request))
        return self._reply

    async def _read(self) -> None:
        with contextlib.suppress(OSError):
            while part := await self._stdout.read(_PART):
                self._hear(part)

    async def _wait(self) -> None:
        code = await self._process.wait()
        # What it said last is still in the pipe, which never ends where a check left a process behind that holds it.
        await asyncio.wait([self._reading], timeout=_LAST_WORDS_S)
        self.exit.set_result(Exit(code, self.cpu_s()))
        self._answer(None)

    def _hear(self, part: bytes) -> None:
        if self._reply is None or self._request is None or self._reply.done():
            self._spoiled = True
            return
        self._data += part
        try:
            reply = decode_reply(self._data, self._request, self._output_bytes)
        except FrameError as error:
            self._spoiled = True
            self._reply.set_exception(error)
            return
        if reply is not None:
            self._answer(reply)

    def _answer(self, reply: Reply | None) -> None:
        self._busy_s = self.cpu_s()
        self._busy_since = None
        if self._reply is not None and not self._reply.done():
            self._reply.set_result(reply)

    def wait_briefly(self, seconds: float) -> None:
        """Pipes are read by the event loop."""

    def quiet(self) -> bool:
        return not self._spoiled and not self.exit.done()

    def cpu_s(self) -> float:
        return self._busy_s + (0.0 if self._busy_since is None else time.monotonic() - self._busy_since)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def dispose(self) -> None:
        self.kill()
        self._stdin.close()
        if self._reply is not None and not self._reply.done():
            self._reply.cancel()

    async def end(self) -> None:
        self.dispose()
        self._reading.cancel()
        await self._waiting


class Portable:
    """Starts plain processes, a few of them ahead of need; stands where a ``Nursery`` stands on Linux."""

    files = False
    network = False
    lost = False

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._spares: deque[asyncio.Task[PlainWorker]] = deque()
        self._workers: set[PlainWorker] = set()
        why = f"{sys.platform} offers none that this sandbox knows"
        self.layers = (
            Layer("process of its own", True),
            *(Layer(name, False, why) for name in ("namespaces", "landlock", "seccomp", "user")),
        )

    async def start(self) -> None:
        """See that a process can be started at all."""
        self._spares.append(asyncio.create_task(self._launch()))
        await self._spares[0]
        self._refill()

    @property
    def has_spare(self) -> bool:
        return bool(self._spares) and self._spares[0].done()

    def _refill(self) -> None:
        while len(self._spares) < self._plan.spares:
            self._spares.append(asyncio.create_task(self._launch()))

    async def fork(self) -> PlainWorker:
        """A fresh process: no ``fork`` here, the name is that of the role."""
        while self._spares:
            worker = await self._spares.popleft()
            self._refill()
            if worker.quiet():
                return worker
        return await self._launch()

    async def _launch(self) -> PlainWorker:
        plan = asdict(self._plan)
        order = json.dumps({name: plan[name] for name in ("limits", "seed", "preload")})
        try:
            process = await asyncio.create_subprocess_exec(
                *command("plain", order),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment(self._plan.seed) | _system(),
            )
        except OSError as error:
            raise SandboxError(f"no process to be had: {error}") from error
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_START_S):
                ready = await process.stdout.read(1)
        except TimeoutError:
            ready = b""
        if not ready:
            process.kill()
            await process.wait()
            raise SandboxError("a process of the sandbox did not start")
        worker = PlainWorker(process)
        self._workers.add(worker)
        worker.exit.add_done_callback(lambda _: self._workers.discard(worker))
        return worker

    async def close(self) -> None:
        for spare in self._spares:
            with contextlib.suppress(SandboxError):
                await spare
        self._spares.clear()
        await asyncio.gather(*(worker.end() for worker in list(self._workers)))


def _system() -> dict[str, str]:
    """Without these no process starts on Windows."""
    return {name: os.environ[name] for name in ("SYSTEMROOT", "WINDIR") if name in os.environ}
