"""How much at once, and how much a second."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import islice

from genprm.serving.errors import busy

_MOST_CLIENTS = 4096


class Gate:
    """So many solutions at once, so many more that wait; what is beyond is refused at once and never left hanging."""

    def __init__(self, in_flight: int, queue: int) -> None:
        self._slots = asyncio.Semaphore(in_flight)
        self._in_flight = in_flight
        self._queue = queue
        self._mean_s = 1.0
        self.running = 0
        self.admitted = 0
        self.idle = asyncio.Event()
        """Nobody is admitted."""
        self.idle.set()

    @property
    def waiting(self) -> int:
        return self.admitted - self.running

    def require_room(self, count: int) -> None:
        """Raises Refusal (429) where so many solutions cannot wait."""
        if self.admitted + count > self._in_flight + self._queue:
            wait_s = min(self._mean_s * self.admitted / self._in_flight, 60.0)
            raise busy(f"the queue is full: {self.admitted} solutions are being judged or wait", wait_s)

    @contextmanager
    def admit(self, count: int) -> Iterator[None]:
        """Room for ``count`` solutions until the end of the block. Raises Refusal (429) where there is none."""
        self.require_room(count)
        self.admitted += count
        self.idle.clear()
        try:
            yield
        finally:
            self.admitted -= count
            if not self.admitted:
                self.idle.set()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """One solution's turn."""
        async with self._slots:
            self.running += 1
            began = time.perf_counter()
            try:
                yield
            finally:
                self.running -= 1
                self._mean_s += 0.1 * (time.perf_counter() - began - self._mean_s)


@dataclass(slots=True)
class _Client:
    tokens: float
    at: float
    running: int = 0


class Clients:
    """A token bucket (``rate`` a second, at most ``burst``) and a bound on requests at once, for every client apart.

    0 means no limit. Clients that have been quiet longest are forgotten.
    """

    def __init__(self, rate: float, burst: int, in_flight: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._in_flight = in_flight
        self._clock = clock
        self._clients: OrderedDict[str, _Client] = OrderedDict()

    @contextmanager
    def one_more(self, client: str) -> Iterator[None]:
        """A request of ``client``, until the end of the block. Raises Refusal (429) where it has too many."""
        known = self._known(client)
        if self._in_flight and known.running >= self._in_flight:
            raise busy(f"{known.running} requests of yours are running, as many as are allowed", 1.0)
        known.running += 1
        try:
            yield
        finally:
            known.running -= 1

    def pay(self, client: str, count: int) -> None:
        """``count`` solutions of ``client``. Raises Refusal (429) where the bucket has not as many.

        More than a whole bucket can be asked for at once, of a full one: it is in debt for a while then.
        """
        if not self._rate:
            return
        known, now = self._known(client), self._clock()
        known.tokens = min(self._burst, known.tokens + (now - known.at) * self._rate)
        known.at = now
        needed = min(count, self._burst)
        if known.tokens < needed:
            raise busy(f"more than {self._rate:g} solutions a second", (needed - known.tokens) / self._rate)
        known.tokens -= count

    def _known(self, client: str) -> _Client:
        known = self._clients.setdefault(client, _Client(float(self._burst), self._clock()))
        self._clients.move_to_end(client)
        self._forget(len(self._clients) - _MOST_CLIENTS, client)
        return known

    def _forget(self, count: int, but: str) -> None:
        """Those that have been quiet longest. Clients with a request stay: connections bound their number."""
        if count > 0:
            quiet = (name for name, known in self._clients.items() if not known.running and name != but)
            for name in list(islice(quiet, count)):
                del self._clients[name]
