"""Continuous batching in real time: what a serving engine does, with the latency model in place of a GPU.

Every iteration first takes one token for each sequence that decodes, then fills the token budget with chunks of the
prompts that are not computed yet, in the order of arrival (chunked prefill). Requests are admitted up to a number of
sequences and as far as their tokens fit; what the prefix cache knows of a prompt is not computed.

Time runs by the model's clock. Where this process is late, because the machine has other things to do, it does not
sleep until it has caught up, so that the simulated GPU is as fast as the model says.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field

from genprm.eval.bench.latency import Latency
from genprm.eval.bench.prefixes import PrefixCache, tokens_of


@dataclass(slots=True, eq=False)
class Request:
    """A prompt, and what will have been written when its time has come."""

    prompt: str
    text: str
    done: asyncio.Future[None]
    prompt_tokens: int = 0
    cached_tokens: int = 0
    computed: int = 0
    """Tokens of the prompt whose keys and values are there."""
    left: int = 0
    """Tokens that are still to be written."""
    written: int = 0

    @property
    def context(self) -> int:
        return self.computed + self.written

    @property
    def size(self) -> int:
        """Tokens that it will hold in the end."""
        return self.prompt_tokens + self.left + self.written


@dataclass(slots=True)
class Counters:
    """Of the whole run. Seconds are those of the model's clock."""

    busy_s: float = 0.0
    idle_s: float = 0.0
    """Time without any request, since the first one."""
    sequence_s: float = 0.0
    """Seconds times sequences that ran in them: by ``busy_s``, the mean batch."""
    waiting_s: float = 0.0
    """Seconds times requests that waited for their turn."""
    late_s: float = 0.0
    """The longest that this process was behind the model's clock."""
    iterations: int = 0
    requests: int = 0
    aborted: int = 0
    prompt_tokens: int = 0
    generation_tokens: int = 0


@dataclass(slots=True)
class Batcher:
    """The engine's loop. ``run`` is a task of its own; ``complete`` is asked by many at once."""

    latency: Latency
    max_sequences: int = 256
    max_batched_tokens: int = 8192
    counters: Counters = field(default_factory=Counters)
    cache: PrefixCache = field(init=False)
    waiting: deque[Request] = field(default_factory=deque)
    running: list[Request] = field(default_factory=list)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _clock: float = 0.0

    def __post_init__(self) -> None:
        self.cache = PrefixCache(self.latency.cache_tokens)

    async def complete(self, prompt: str, text: str) -> Request:
        """Return when ``text`` would have been written after ``prompt``. Cancelling frees its place."""
        request = Request(prompt, text, asyncio.get_running_loop().create_future())
        request.prompt_tokens, request.left = tokens_of(prompt), max(tokens_of(text), 1)
        self.waiting.append(request)
        self._arrived.set()
        try:
            await request.done
        except asyncio.CancelledError:
            self._abort(request)
            raise
        return request

    async def run(self) -> None:
        """Iterate without end."""
        while True:
            if not (self.running or self.waiting):
                await self._idle()
            self._admit()
            seconds = self._iteration()
            self._clock += seconds
            self._account(seconds)
            await asyncio.sleep(max(self._clock - time.perf_counter(), 0))
            self.counters.late_s = max(self.counters.late_s, time.perf_counter() - self._clock)
            self._finish()

    async def _idle(self) -> None:
        self._arrived.clear()
        await self._arrived.wait()
        self.settle()

    def settle(self) -> None:
        """Count the idle time up to now, so that the counters are true when they are read."""
        if self.running:
            return
        now = time.perf_counter()
        if self._clock:
            self.counters.idle_s += max(now - self._clock, 0.0)
        self._clock = max(now, self._clock)

    def _admit(self) -> None:
        held = sum(request.size for request in self.running)
        while self.waiting and len(self.running) < self.max_sequences:
            request = self.waiting[0]
            if self.running and held + request.size > self.latency.cache_tokens:
                return
            self.waiting.popleft()
            request.cached_tokens = request.computed = self.cache.look_up(request.prompt)
            self.running.append(request)
            held += request.size
            self.counters.requests += 1
            self.counters.prompt_tokens += request.prompt_tokens

    def _iteration(self) -> float:
        """Compute the tokens of one iteration; the seconds that takes."""
        budget = self.max_batched_tokens
        sequences = tokens = context = attended = 0
        for request in self.running:
            if request.computed == request.prompt_tokens:
                request.left -= 1
                request.written += 1
                new, seen = 1, request.context
            else:
                continue
            sequences, tokens, context, attended = sequences + 1, tokens + new, context + seen, attended + seen
        budget -= tokens
        for request in self.running:
            new = min(request.prompt_tokens - request.computed, budget)
            if new <= 0:
                continue
            attended += new * request.computed + new * (new + 1) // 2
            request.computed += new
            budget -= new
            if request.computed == request.prompt_tokens:  # the end of the prompt gives the first token
                request.left -= 1
                request.written += 1
                self.cache.keep(request.prompt)
            sequences, tokens, context = sequences + 1, tokens + new, context + request.context
        return self.latency.seconds(sequences, tokens, context, attended)

    def _account(self, seconds: float) -> None:
        counters = self.counters
        counters.busy_s += seconds
        counters.sequence_s += seconds * len(self.running)
        counters.waiting_s += seconds * len(self.waiting)
        counters.iterations += 1

    def _finish(self) -> None:
        ended = [request for request in self.running if request.left <= 0 and request.written]
        for request in ended:
            self.running.remove(request)
            self.cache.keep(request.prompt + request.text)
            self.counters.generation_tokens += request.written
            if not request.done.done():
                request.done.set_result(None)

    def _abort(self, request: Request) -> None:
        for place in (self.running, self.waiting):
            if request in place:
                place.remove(request)
                self.counters.aborted += 1
