"""Sockets and signals: uvicorn, with a bound on how long a client may take to say what it wants."""

import asyncio
import contextlib
import resource
import signal
import socket
from collections.abc import Callable, Iterator

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from genprm.errors import ConfigError
from genprm.serving.log import say
from genprm.serving.service import Service

_OTHER_FILES = 1024
IDLE_S = 15
"""A connection waits so long for its next request."""
_LAST_S = 3.0
"""What is left after the grace has this long to be told so."""


class PatientProtocol(H11Protocol):
    """A connection that has not come to a whole request within ``read_s`` is closed: a client that sends a header a
    minute holds a place for no longer. (Bodies have a clock of their own, answers have the deadline, and between
    two requests there is the time of ``IDLE_S``.)"""

    read_s = 10.0
    take_s = 30.0
    """A client that takes nothing of its answer for so long is left."""
    _clock: asyncio.TimerHandle | None = None
    _taking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()
        elif self._idle():
            self._stop()
            self._keep()
        elif self._clock is None:
            self._start()

    def _idle(self) -> bool:
        """Whether the last request has its answer and nothing of the next is there."""
        return self.cycle is not None and self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]

    def _keep(self) -> None:
        """Wait for the next request. The rest of a body that was refused ends uvicorn's own wait."""
        self._unset_keepalive_if_required()
        later = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)
        self.timeout_keep_alive_task = later

    def pause_writing(self) -> None:
        super().pause_writing()
        self._taking = self.loop.call_later(self.take_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._taken()

    def _taken(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        self._taken()
        super().connection_lost(exc)

    def _start(self) -> None:
        self._clock = self.loop.call_later(self.read_s, self._late)

    def _stop(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _late(self) -> None:
        self._clock = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()


class _Server(uvicorn.Server):
    """Leaves signals to :func:`serve`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(app: ASGIApp, service: Service, *, say_where: Callable[[str], None]) -> None:
    """Answer until SIGTERM or Ctrl-C; then finish what runs, within the grace, and tell the rest.

    Raises:
        ConfigError: the address is taken or is none.
    """
    options = service.options
    protocol = type("Protocol", (PatientProtocol,), {"read_s": options.read_s})
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        loop="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=options.connections,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=int(options.grace_s + 2 * _LAST_S) or 1,
        h11_max_incomplete_event_size=32 * 1024,
    )
    server = _Server(config)
    _open_files(options.connections)
    loop = asyncio.get_running_loop()
    try:
        # A socket of our own: uvicorn would leave the process where the address is taken.
        sock = listening(options.host, options.port)
    except OSError as error:
        raise ConfigError(f"cannot listen on {options.host}:{options.port}: {error.strerror or error}") from None
    going: list[asyncio.Task[None]] = []

    def stop() -> None:
        server.force_exit = bool(going)  # said twice
        going.append(asyncio.create_task(_wind_down(server, service)))

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        say_where(f"http://{_bracketed(options.host)}:{sock.getsockname()[1]}")
        await server.serve(sockets=[sock])
    finally:
        for task in going:
            task.cancel()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        sock.close()


def _open_files(connections: int) -> None:
    """Leave room for the engine and the sandbox beside the connections, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


async def _wind_down(server: uvicorn.Server, service: Service) -> None:
    say("stopping", in_flight=service.gate.admitted)
    service.stopping = server.should_exit = True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(service.options.grace_s):
            await service.gate.idle.wait()
    service.stopped.set()


def listening(host: str, port: int) -> socket.socket:
    """Raises OSError."""

    family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
        0
    ]
    sock = socket.socket(family, kind, number)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(1024)
    except BaseException:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
