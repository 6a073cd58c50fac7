"""Continuous batching: sequences join and leave a running batch, token by token.

One thread does all the computing. A sequence that joins reads what the prefix store does not have of its prompt;
those that begin alike take turns, so that the first reads for all. One that ends leaves its keys and values in the
store, where the next call that goes on from it finds them.
"""

import random
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from genprm.engines.backend import Backend, Row
from genprm.engines.prefixes import PrefixStore
from genprm.engines.rendering import Rendered, Renderer
from genprm.engines.sampling import Chosen, Shortlist, choose, n_needed
from genprm.errors import EngineError, EngineUnavailable
from genprm.types import Finish, Sampling, Token

_PREFILL = 8192
"""Tokens, padding included, that new sequences read at once."""


class Writing:
    """One completion in the making."""

    def __init__(self, prompt: Rendered, sampling: Sampling, renderer: Renderer, done: Callable[[], None]) -> None:
        self.prompt = prompt
        self.sampling = sampling
        self.written: list[int] = []
        self.text = ""
        self.tokens: list[Token] = []
        self.n_cached = 0
        self.finish: Finish | None = None
        self.error: EngineError | None = None
        self.cancelled = False
        self.told = False
        self._renderer = renderer
        self._reader = renderer.reader(prompt.ids)
        self._random = random.Random(sampling.seed)
        self._done = done

    @property
    def ids(self) -> tuple[int, ...]:
        return (*self.prompt.ids, *self.written)

    @property
    def over(self) -> bool:
        return self.cancelled or self.finish is not None or self.error is not None

    def draw(self) -> float:
        return self._random.random()

    def take(self, chosen: Chosen, ends: frozenset[int]) -> None:
        """The next token, and whether it is the last."""
        self.written.append(chosen.token)
        piece = self._reader.read(chosen.token)
        if chosen.token in ends:
            self.finish = "stop"
        elif len(self.written) >= self.sampling.max_tokens:
            self.finish = "length"
        if self.finish:
            piece += self._reader.rest()
        searched = len(self.text) - max(map(len, self.sampling.stop), default=0)
        self.text += piece
        if self.sampling.logprobs:
            self.tokens.append(Token(piece, chosen.logprob, self._top(chosen)))
        found = [at + len(s) for s in self.sampling.stop if (at := self.text.find(s, max(searched, 0))) >= 0]
        if found:
            self.text = self.text[: min(found)]
            self.finish = "stop"

    def end(self, error: EngineError | None = None) -> None:
        self.error = error
        self.told = True
        self._done()

    def _top(self, chosen: Chosen) -> dict[str, float]:
        top: dict[str, float] = {}
        for token, logprob in chosen.top:  # likeliest first: of ids that read alike the first counts
            top.setdefault(self._renderer.word(token), logprob)
        return top


class Batcher:
    """The thread, and what it works on."""

    def __init__(self, backend: Backend, ends: frozenset[int], *, max_batch: int, cache_tokens: int) -> None:
        self.store = PrefixStore(cache_tokens)
        self.running: list[Writing] = []
        self._backend = backend
        self._ends = ends
        self._max_batch = max_batch
        self._waiting: deque[Writing] = deque()
        self._batch = backend.batch([], [])
        self._wake = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="genprm-batcher", daemon=True)
        self._thread.start()

    def add(self, writing: Writing) -> None:
        with self._wake:
            if self._closed:
                raise EngineUnavailable("the engine is closed")
            self._waiting.append(writing)
            self._wake.notify()

    def close(self) -> None:
        """Ends what is in flight, and waits for the thread."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    def _work(self) -> None:
        while self._wait():
            try:
                self._step()
            except Exception as error:  # a model's own code may raise anything, and somebody waits for an answer
                self._fail(self._why(error))
        self._fail("the engine is closed")
        self.store.clear()

    def _wait(self) -> bool:
        with self._wake:
            self._wake.wait_for(lambda: self._waiting or self.running or self._closed)
            return not self._closed

    def _step(self) -> None:
        joining = self._admitted()
        if joining or any(writing.over for writing in self.running):
            self._regroup(joining)
        if self.running:
            ids = [[writing.written[-1]] for writing in self.running]
            self._advance(self.running, self._batch.read(ids, _n_needed(self.running)))

    def _admitted(self) -> list[Writing]:
        """Those who join now: as many as there is room for, one of each kind of beginning that nobody has read."""
        chosen: list[Writing] = []
        passed: list[Writing] = []
        reading: set[int | None] = set()
        longest = 0
        room = self._max_batch - sum(not writing.over for writing in self.running)
        while len(chosen) < room and (writing := self._next()) is not None:
            key = self.store.first_missing(writing.prompt.ids)
            most = max(longest, len(writing.prompt.ids))
            if key in reading or (chosen and most * (len(chosen) + 1) > _PREFILL):
                passed.append(writing)
                continue
            reading |= {key} - {None}
            longest = most
            chosen.append(writing)
        with self._wake:
            self._waiting.extendleft(reversed(passed))
        return chosen

    def _next(self) -> Writing | None:
        with self._wake:
            while self._waiting:
                if not (writing := self._waiting.popleft()).cancelled:
                    return writing
        return None

    def _regroup(self, joining: Sequence[Writing]) -> None:
        """A batch of those who go on and those who join."""
        # From here on a failure is told to those who join too.
        old, self.running = self.running, [*self.running, *joining]
        rows = [(writing, self._batch.row(at)) for at, writing in enumerate(old)]
        for writing, row in rows:
            if writing.over and not writing.error:
                self.store.keep(writing.ids[:-1], row)  # the last token was written, but never read
        rows = [(writing, row) for writing, row in rows if not writing.over]
        rows += self._joined(joining) if joining else []
        rows = [(writing, row) for writing, row in rows if not writing.over]
        self.running = [writing for writing, _ in rows]
        lengths = [len(writing.ids) - 1 for writing in self.running]
        self._batch = self._backend.batch([row for _, row in rows], lengths)

    def _joined(self, joining: Sequence[Writing]) -> list[tuple[Writing, Row]]:
        """Those who join, with what they have read. What goes wrong there is nothing to those who run already."""
        try:
            return self._read(joining)
        except Exception as error:
            _tell(joining, self._why(error))
            if isinstance(error, self._backend.out_of_memory):
                self.store.clear()  # all that can be spared
            return []

    def _read(self, joining: Sequence[Writing]) -> list[tuple[Writing, Row]]:
        """Read the prompts, and choose the first token of each."""
        found = [self.store.longest(writing.prompt.ids) for writing in joining]
        batch = self._backend.batch([row for _, row in found], [n for n, _ in found])
        ids = [writing.prompt.ids[n:] for writing, (n, _) in zip(joining, found, strict=True)]
        shortlist = batch.read(ids, _n_needed(joining))
        for writing, (n, _) in zip(joining, found, strict=True):
            writing.n_cached = n
        rows = [(writing, batch.row(at)) for at, writing in enumerate(joining)]
        self._advance(joining, shortlist)
        for writing, row in rows:
            if not writing.error:
                self.store.keep(writing.prompt.ids, row)
        return rows

    def _advance(self, writings: Sequence[Writing], shortlist: Shortlist) -> None:
        samplings = [writing.sampling for writing in writings]
        seen = [w.ids if w.sampling.repetition_penalty != 1 else () for w in writings]
        choices = choose(shortlist, samplings, seen, [writing.draw() for writing in writings])
        for writing, chosen in zip(writings, choices, strict=True):
            if chosen is None:
                writing.end(EngineUnavailable("the model's logits are no numbers; dtype float32 may help"))
                continue
            writing.take(chosen, self._ends)
            if writing.over:
                writing.end()

    def _why(self, error: Exception) -> str:
        if isinstance(error, self._backend.out_of_memory):
            return "out of memory; a smaller max_batch, cache_tokens or max_model_len may fit"
        return f"{type(error).__name__}: {error}"

    def _fail(self, why: str) -> None:
        """Tell all who wait, and begin anew."""
        with self._wake:
            failed = [*self.running, *(self._waiting if self._closed else ())]
            if self._closed:
                self._waiting.clear()
        _tell(failed, why)
        self.running = []
        self._batch = self._backend.batch([], [])
        self.store.clear()


def _tell(failed: Iterable[Writing], why: str) -> None:
    for writing in failed:
        if not writing.told:
            writing.end(EngineUnavailable(why))


def _n_needed(writings: Sequence[Writing]) -> int | None:
    return n_needed([writing.sampling for writing in writings])
