"""What all calls to one server share about its health: one asks whether it is back, the others wait for news.

A call that fails is either unlucky by itself, which is so where the server has answered another call since, or where
it answers a probe at once; or the server is away. Then a single task probes it, with back-off, and no other call is
sent. Once it answers, the calls that waited go out one after the other and not as a herd. A server that has answered
nothing for ``patience_s`` is lost: all calls fail at once, those in flight and those to come.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

from genprm.errors import EngineLost

SAID_EVERY_S = 30.0
QUIET_S = 60.0
"""A server with calls in flight that answers none for so long may hang, or be slow: it is said, and waited for."""
_MOST_S = 2.0
"""Longest pause between two probes, unless the server asks for a longer one."""
_PACE_S = 0.002
_SLOWEST_PACE_S = 1.0


class Trouble(Exception):
    """A failure that may pass."""

    def __init__(self, said: str, wait_s: float | None = None, busy: bool = False) -> None:
        """``wait_s``: for how long the server asks to be left alone. ``busy``: too many calls, no fault of this one."""
        super().__init__(said)
        self.wait_s = wait_s
        self.busy = busy


class _Outage:
    """From the first failure to the next answer."""

    def __init__(self) -> None:
        self.since = time.monotonic()
        self.news = asyncio.Event()
        self.probes = 0
        """Probes that failed. An outage without any was none."""
        self.said_at: float | None = None


class Health:
    """The state of one server, for all calls of one engine in one event loop.

    ``probe`` asks the server for next to nothing and raises Trouble where it does not answer; ``say`` is told a line
    when the server is away, every half a minute then, and when it is back.
    """

    def __init__(
        self, where: str, patience_s: float, probe: Callable[[], Awaitable[None]], say: Callable[[str], None]
    ) -> None:
        self.lost = ""
        """Why the server has been given up; empty while it has not."""
        self._where = where
        self._patience_s = patience_s
        self._probe = probe
        self._say = say
        self._answered_at = -1.0
        self._outage: _Outage | None = None
        self._prober: asyncio.Task[None] | None = None
        self._pause_s = 0.0
        self._clocks: set[asyncio.Timeout] = set()
        self._flying_since = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._is_quiet = False
        self._pace_s = 0.0
        self._left_at = 0.0
        """When the last call went out."""
        self._slowed_at = 0.0
        self._door = asyncio.Lock()
        self._given_up = asyncio.Event()

    @property
    def away_s(self) -> float:
        """For how many seconds the server has not even answered probes; 0 where it does."""
        return time.monotonic() - self._outage.since if self._outage is not None and self._outage.probes else 0.0

    async def turn(self) -> None:
        """Wait until the server may be asked: first come, first served, at today's pace and not an earlier one.

        Raises:
            EngineLost: it has been given up.
        """
        async with self._door:
            while True:
                self._check()
                wait_s = self._left_at + self._pace_s - time.monotonic()
                if self._outage is not None:
                    await self._outage.news.wait()
                elif self._pace_s and wait_s > 0:
                    await self.rest(wait_s)
                else:
                    self._left_at = time.monotonic()
                    return

    async def rest(self, seconds: float) -> None:
        """Sleep.

        Raises:
            EngineLost: the server has been given up, perhaps meanwhile.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._given_up.wait()
        self._check()

    def _check(self) -> None:
        if self.lost:
            raise EngineLost(self.lost)

    @contextmanager
    def watching(self, clock: asyncio.Timeout) -> Iterator[None]:
        """While this call is in flight, its time is up as soon as the server is given up."""
        if not self._clocks:
            self._flying_since = time.monotonic()
            self._alarm = self._alarm or asyncio.get_running_loop().call_later(QUIET_S, self._listen)
        self._clocks.add(clock)
        try:
            yield
        finally:
            self._clocks.discard(clock)

    def answered(self) -> None:
        """The server has answered a call properly."""
        if self._is_quiet:
            self._is_quiet = False
            self._say(f"{self._where}: answering again after {self._silence_s():.0f} s")
        self._answered_at = time.monotonic()
        if self._pace_s > _PACE_S / 2:
            self._pace_s *= 0.95
        elif not self._door.locked():  # while calls wait, some distance stays: they would come as a herd
            self._pace_s = 0.0
        if self._outage is not None:
            self._end(self._outage)

    async def is_own(self, trouble: Trouble, sent_at: float) -> bool:
        """Whether a failed call that was sent then has only itself to blame; else, wait until the server is back.

        Raises:
            EngineLost: it did not come back.
        """
        self._check()
        if self._outage is None and self._answered_at > sent_at:
            if trouble.busy:
                self._slow_down()
            return True
        if self._outage is None:
            self._outage = _Outage()
            self._pause_s = (trouble.wait_s or back_off(0)) if trouble.busy else 0.0
            self._prober = asyncio.create_task(self._ask_until_back(self._outage, trouble))
            self._prober.add_done_callback(self._prober_ended)
        elif trouble.wait_s:
            self._pause_s = max(self._pause_s, trouble.wait_s)
        outage = self._outage
        await outage.news.wait()
        self._check()
        return not outage.probes

    def close(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        if self._prober is not None:
            self._prober.cancel()
        self._give_up(f"{self._where}: closed")

    async def _ask_until_back(self, outage: _Outage, trouble: Trouble) -> None:
        while True:
            await asyncio.sleep(min(self._pause_s, max(outage.since + self._patience_s - time.monotonic(), 0.0)))
            try:
                await self._probe()
            except Trouble as failed:
                trouble = failed
            else:
                return self.answered()
            outage.probes += 1
            self._pause_s = max(back_off(outage.probes, _MOST_S), trouble.wait_s or 0.0)
            away_s = time.monotonic() - outage.since
            if away_s >= self._patience_s:
                return self._give_up(f"no answer from {self._where} for {away_s:.0f} s: {trouble}")
            self._tell(outage, away_s, trouble)

    def _prober_ended(self, prober: asyncio.Task[None]) -> None:
        """Nobody waits for a prober that broke."""
        if not prober.cancelled() and (error := prober.exception()) is not None:
            self._give_up(f"{self._where}: {type(error).__name__}: {error}")

    def _listen(self) -> None:
        """Once in a while: say it where calls are in flight and nothing comes back."""
        self._alarm = None
        if not self._clocks:
            return
        silence_s = self._silence_s()
        if silence_s >= QUIET_S and self._outage is None:
            self._is_quiet = True
            self._say(f"{self._where}: no answer to {len(self._clocks)} calls for {silence_s:.0f} s; waiting")
        left_s = QUIET_S - silence_s if silence_s < QUIET_S else QUIET_S
        self._alarm = asyncio.get_running_loop().call_later(left_s, self._listen)

    def _silence_s(self) -> float:
        return time.monotonic() - max(self._answered_at, self._flying_since)

    def _tell(self, outage: _Outage, away_s: float, trouble: Trouble) -> None:
        now = time.monotonic()
        if outage.said_at is None or now - outage.said_at >= SAID_EVERY_S:
            outage.said_at = now
            limit = f"waiting up to {self._patience_s:.0f} s"
            self._say(f"{self._where}: not answering for {away_s:.0f} s ({trouble}); {limit}")

    def _end(self, outage: _Outage) -> None:
        self._outage = None
        if self._prober is not None and self._prober is not asyncio.current_task():
            self._prober.cancel()
        self._slow_down()
        if outage.said_at is not None:
            self._say(f"{self._where}: answering again after {time.monotonic() - outage.since:.0f} s")
        outage.news.set()

    def _slow_down(self) -> None:
        """Let calls out one after the other; each relapse doubles the distance, each answer shortens it."""
        now = time.monotonic()
        if not self._pace_s or now - self._slowed_at > 1.0:  # many calls are refused at once
            self._slowed_at = now
            self._pace_s = min(max(2 * self._pace_s, _PACE_S), _SLOWEST_PACE_S)

    def _give_up(self, why: str) -> None:
        self.lost = self.lost or why
        self._given_up.set()
        now = asyncio.get_running_loop().time()
        for clock in self._clocks:
            if not clock.expired():
                clock.reschedule(now)
        if self._outage is not None:
            self._outage.news.set()


def back_off(attempt: int, most_s: float = 30.0) -> float:
    """Seconds: doubling from half a second, with jitter so that many calls do not come back at once."""
    return min(0.5 * 2.0 ** min(attempt, 20), most_s) * random.uniform(0.75, 1.25)
