"""The engines that compute in this process, on one real model with random weights: what holds of both."""

import asyncio
import math
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

pytest.importorskip("torch", reason="needs the extra hf")
pytest.importorskip("transformers", reason="needs the extra hf")

import torch

from genprm.engines import nano_model, open_engine
from genprm.engines.backend import Backend, Batch, Row
from genprm.engines.hf import HfEngine
from genprm.engines.hf_batch import HfBackend, shortlist
from genprm.engines.hf_tokenizer import HfTokenizer
from genprm.engines.local import LocalEngine
from genprm.engines.rendering import Reader, Renderer
from genprm.engines.sampling import Chosen, Shortlist, choose, n_needed
from genprm.errors import ConfigError, EngineUnavailable, PromptTooLong
from genprm.types import Completion, Message, Prompt, Sampling
from tests.tiny_models import make_model

pytestmark = pytest.mark.slow

T = TypeVar("T")
GREEDY = Sampling(temperature=0.0, max_tokens=40)
FREE = Sampling(temperature=1.0, top_p=1.0, top_k=0, max_tokens=40)
WINDOW = 2048


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "tiny", window=WINDOW)


@pytest.fixture(scope="module")
def reference(folder: Path) -> tuple[Any, Renderer]:
    """The same model and tokenizer, used without the engine."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(folder).eval(), Renderer(
        HfTokenizer(AutoTokenizer.from_pretrained(folder))
    )


@pytest.fixture(params=["hf", "nano"])
def spec(request: pytest.FixtureRequest, folder: Path) -> str:
    """Both engines, on the same folder."""
    return f"{request.param}:{folder}"


@pytest.fixture
def hf(folder: Path) -> str:
    return f"hf:{folder}"


def with_engine(spec: str, work: Callable[[LocalEngine], Awaitable[T]], **options: object) -> T:
    words = {name: str(value) for name, value in options.items()}
    place = {"device": "cpu"} if spec.startswith("hf:") else {}

    async def run() -> T:
        async with open_engine(spec, options=place | words) as engine:
            assert isinstance(engine, LocalEngine)
            return await work(engine)

    return asyncio.run(run())


class Watched:
    """A backend between the batcher and the real one: ``before`` sees what is to be read, ``after`` what came of it."""

    def __init__(
        self,
        backend: Backend,
        before: Callable[[Sequence[Sequence[int]]], None] = lambda ids: None,
        after: Callable[[Sequence[Sequence[int]], Shortlist], Shortlist] = lambda ids, found: found,
    ) -> None:
        self.out_of_memory = backend.out_of_memory
        self._backend = backend
        self._before = before
        self._after = after

    def batch(self, rows: Sequence[Row | None], lengths: Sequence[int]) -> "Watched":
        made = Watched(self._backend, self._before, self._after)
        made._batch = self._backend.batch(rows, lengths)
        return made

    def read(self, ids: Sequence[Sequence[int]], most: int | None) -> Shortlist:
        self._before(ids)
        return self._after(ids, self._batch.read(ids, most))

    def row(self, at: int) -> Row:
        return self._batch.row(at)

    _batch: Batch


def prompt(text: str = "What is 2 + 3?", opening: str = "<analyze>\n") -> Prompt:
    return Prompt((Message("system", "You are a teacher."), Message("user", text)), opening)


def every(engine: LocalEngine, *asked: tuple[Prompt, Sampling]) -> Awaitable[list[Completion]]:
    return asyncio.gather(*(engine.complete(*one) for one in asked))


def generated(reference: tuple[Any, Renderer], asked: Prompt, n: int) -> list[int]:
    """What transformers itself writes greedily."""
    model, renderer = reference
    ids = torch.tensor([renderer.render(asked, WINDOW, n).ids])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=n)
    return list(out[0, ids.shape[1] :].tolist())


def ids_of(done: Completion, before: int) -> list[int]:
    assert done.seam is not None
    return list(done.seam.ids[before:])


def test_greedy_text_is_that_of_generate_whatever_the_lengths(spec: str, reference: tuple[Any, Renderer]) -> None:
    asked = [prompt("step " * n, "<analyze>\n" * (n % 3)) for n in (0, 1, 5, 40, 41, 100, 300)]
    done = with_engine(spec, lambda engine: every(engine, *((p, GREEDY) for p in asked)))
    assert len({one.text for one in done}) > 3
    for p, one in zip(asked, done, strict=True):
        expected = generated(reference, p, 40)
        written = ids_of(one, one.usage.prompt_tokens)
        assert written == expected[: len(written)]
        assert expected[len(written) :] in ([], [reference[1].end])
        assert one.usage.completion_tokens == len(expected)


def test_a_model_that_sees_only_the_last_tokens(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = make_model(tmp_path / "mistral", window=WINDOW, sliding=16)
    model, renderer = (
        AutoModelForCausalLM.from_pretrained(folder).eval(),
        Renderer(HfTokenizer(AutoTokenizer.from_pretrained(folder))),
    )
    asked = [prompt("step " * n) for n in (1, 30, 31, 80)]

    async def work(engine: LocalEngine) -> list[Completion]:
        await every(engine, *((p, GREEDY) for p in asked[:2]))
        return await every(engine, *((p, GREEDY) for p in asked))

    for p, one in zip(asked, with_engine(f"hf:{folder}", work), strict=True):
        expected = generated((model, renderer), p, 40)
        written = ids_of(one, one.usage.prompt_tokens)
        assert written == expected[: len(written)]
        assert len(written) > 5


def test_the_same_seed_writes_the_same_in_any_company(spec: str) -> None:
    async def work(engine: LocalEngine) -> None:
        asked = [(prompt(f"{n} " * (1 + 7 * n)), replace(FREE, seed=n)) for n in range(12)]
        alone = [await engine.complete(*one) for one in asked]
        together = await every(engine, *asked)
        assert [one.text for one in alone] == [one.text for one in together]
        votes = await every(engine, *((prompt(), replace(FREE, seed=n)) for n in range(8)))
        assert len({one.text for one in votes}) == 8
        unseeded = await every(engine, *[(prompt(), FREE)] * 4)
        assert len({one.text for one in unseeded}) == 4

    with_engine(spec, work)


def test_every_call_in_a_batch_is_sampled_in_its_own_way(spec: str) -> None:
    samplings = [
        GREEDY,
        replace(FREE, seed=1),
        replace(FREE, seed=1, top_k=1),
        replace(FREE, seed=1, top_p=1e-6),
        replace(FREE, seed=1, max_tokens=3),
        replace(GREEDY, repetition_penalty=1e6),
    ]

    async def work(engine: LocalEngine) -> list[Completion]:
        return await every(engine, *((prompt(), sampling) for sampling in samplings))

    greedy, free, one, nucleus, short, varied = with_engine(spec, work)
    assert greedy.text == one.text == nucleus.text != free.text
    assert free.text.startswith(short.text)
    assert (short.finish, short.usage.completion_tokens) == ("length", 3)
    assert len(set(ids_of(varied, varied.usage.prompt_tokens))) == varied.usage.completion_tokens
    assert len(set(ids_of(greedy, greedy.usage.prompt_tokens))) < greedy.usage.completion_tokens


def chosen_of(
    logits: torch.Tensor, samplings: Sequence[Sampling], seen: Sequence[Sequence[int]], draws: Sequence[float]
) -> list[Chosen | None]:
    """Through the shortlists of both backends, which must not differ."""
    most = n_needed(samplings)
    chosen = choose(shortlist(logits, most), samplings, seen, draws)
    in_numpy = choose(nano_model.shortlist(logits.numpy(), most), samplings, seen, draws)
    assert [one and one.token for one in chosen] == [one and one.token for one in in_numpy]
    for one, other in zip(chosen, in_numpy, strict=True):
        if one and other:
            assert [logprob for _, logprob in other.top] == pytest.approx([logprob for _, logprob in one.top], abs=1e-5)
    return chosen


def warped(logits: torch.Tensor, sampling: Sampling, seen: Sequence[int]) -> torch.Tensor:
    """Chances of each token, as transformers' own processors make them."""
    from transformers.generation import logits_process as lp

    steps: list[Any] = [lp.RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty)]
    steps += [lp.TemperatureLogitsWarper(sampling.temperature)]
    steps += [lp.TopKLogitsWarper(sampling.top_k)] if sampling.top_k else []
    steps += [lp.TopPLogitsWarper(sampling.top_p)] if sampling.top_p < 1 else []
    for step in steps:
        logits = step(torch.tensor([list(seen)]), logits)
    return logits[0].softmax(-1)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1.0, top_p=1.0, top_k=0),
        Sampling(temperature=0.6, top_p=0.95, top_k=20),
        Sampling(temperature=1.7, top_p=0.5, top_k=0),
        Sampling(temperature=1.0, top_p=1.0, top_k=3),
        Sampling(temperature=0.8, top_p=0.9, top_k=30, repetition_penalty=1.4),
    ],
)
def test_draws_hit_tokens_as_often_as_transformers_would(sampling: Sampling) -> None:
    torch.manual_seed(1)
    logits = torch.randn(1, 50) * 2
    seen = (3, 4, 5, 5)
    n = 4000
    draws = [(i + 0.5) / n for i in range(n)]
    company = Sampling(temperature=1.0, top_p=1.0, top_k=0)  # a second row must not change the first
    rows = logits.expand(2 * n, -1)
    chosen = chosen_of(rows, [sampling, company] * n, [seen, ()] * n, [d for draw in draws for d in (draw, draw)])[::2]
    shares = torch.bincount(torch.tensor([one.token for one in chosen if one]), minlength=50) / n
    assert (shares - warped(logits, sampling, seen)).abs().max() < 2 / n


def test_a_draw_at_the_very_end_stays_within_the_limits() -> None:
    logits = torch.tensor([[0.0, 5.0, 4.0, -1.0]])
    almost = math.nextafter(1.0, 0.0)
    samplings = [Sampling(temperature=1.0, top_k=2, top_p=1.0), Sampling(temperature=1.0, top_k=0, top_p=0.5)]
    chosen = chosen_of(logits.expand(2, -1), samplings, [()] * 2, [almost] * 2)
    assert [one and one.token for one in chosen] == [2, 1]


def test_stop_strings_end_the_text_and_stay_in_it(spec: str, reference: tuple[Any, Renderer]) -> None:
    async def work(engine: LocalEngine) -> None:
        free = await engine.complete(prompt(), replace(FREE, seed=5))
        stop = free.text[9:13]  # somewhere within tokens
        end = free.text.index(stop) + len(stop)
        asked = replace(FREE, seed=5, stop=("never written", stop), logprobs=2)
        done = await engine.complete(prompt(), asked)
        assert (done.text, done.finish) == (free.text[:end], "stop")
        assert "".join(token.text for token in done.tokens).startswith(done.text)
        assert done.usage.completion_tokens < free.usage.completion_tokens
        before = reference[1].text(prompt())
        assert done.seam is not None
        assert (before + done.text).startswith(done.seam.text)
        assert len(done.seam.text) > len(before) + 4

    with_engine(spec, work)


def test_logprobs_are_the_models_own(spec: str, reference: tuple[Any, Renderer]) -> None:
    model, renderer = reference
    asked = replace(FREE, temperature=0.3, top_k=2, seed=2, max_tokens=12, logprobs=5)
    company = (prompt("x" * 99), replace(FREE, seed=1))
    done = with_engine(spec, lambda engine: every(engine, (prompt(), asked), company))[0]
    before = renderer.render(prompt(), WINDOW, 0).ids
    written = ids_of(done, len(before))
    with torch.inference_mode():
        logprobs = model(torch.tensor([[*before, *written]])).logits[0].log_softmax(-1)
    assert len(done.tokens) == len(written) == 12
    assert "".join(token.text for token in done.tokens) == done.text
    for at, (token, given) in enumerate(zip(written, done.tokens, strict=True), len(before) - 1):
        assert given.logprob == pytest.approx(float(logprobs[at, token]), abs=1e-3)
        values, ids = logprobs[at].topk(5)
        assert list(given.top.values()) == pytest.approx(values.tolist(), abs=1e-3)
        assert list(given.top) == [renderer.word(int(i)) for i in ids]
    assert with_engine(spec, lambda engine: every(engine, (prompt(), FREE)))[0].tokens == ()


def test_a_call_that_goes_on_reads_only_what_is_new(spec: str) -> None:
    async def work(engine: LocalEngine) -> None:
        whole = await engine.complete(prompt(), replace(GREEDY, max_tokens=60))
        first = await engine.complete(prompt(), replace(GREEDY, max_tokens=25))
        await engine.complete(prompt("something else"), GREEDY)
        again = replace(prompt(opening="<analyze>\n" + first.text), seam=first.seam)
        second = await engine.complete(again, replace(GREEDY, max_tokens=35))
        assert first.text + second.text == whole.text
        n = first.usage.prompt_tokens + 25
        assert (second.usage.prompt_tokens, second.usage.cached_tokens) == (n, n - 1)

    with_engine(spec, work)


def test_votes_share_one_reading_of_the_prompt(spec: str) -> None:
    async def work(engine: LocalEngine) -> None:
        long = prompt("step by step " * 100)
        done = await every(engine, *((long, replace(FREE, seed=n)) for n in range(8)))
        n = done[0].usage.prompt_tokens
        assert sorted(one.usage.cached_tokens for one in done) == [0] + [n - 1] * 7
        counted = engine.counters()
        assert counted["prefix_cache_queries"] == 8 * n
        assert counted["prefix_cache_hits"] == 7 * (n - 1)

    with_engine(spec, work)


@pytest.mark.parametrize("cache_tokens", [0, 200])
def test_a_small_store_forgets_and_stays_right(spec: str, cache_tokens: int) -> None:
    asked = [(prompt("step " * n), replace(GREEDY, max_tokens=8)) for n in (3, 30, 50, 3, 50)]
    expected = [one.text for one in with_engine(spec, lambda engine: every(engine, *asked))]

    async def work(engine: LocalEngine) -> list[str]:
        return [(await engine.complete(*one)).text for one in asked]

    assert with_engine(spec, work, cache_tokens=cache_tokens) == expected


def test_nobody_waits_for_what_will_not_be_kept(spec: str) -> None:
    reading: list[int] = []

    async def work(engine: LocalEngine) -> None:
        def note(ids: Sequence[Sequence[int]]) -> None:
            reading.append(sum(len(new) > 1 for new in ids))

        engine._batcher._backend = Watched(engine._batcher._backend, note)
        await every(engine, *((prompt(), replace(FREE, seed=n)) for n in range(8)))

    with_engine(spec, work, cache_tokens=0)
    assert sum(reading) == 8
    assert max(reading) > 1


def test_cancelling_frees_the_place(spec: str) -> None:
    async def work(engine: LocalEngine) -> None:
        cancelled = threading.Event()
        reads: list[None] = []

        def held(_: Sequence[Sequence[int]]) -> None:
            reads.append(None)
            cancelled.wait(20)

        engine._batcher._backend = Watched(engine._batcher._backend, held)
        long = replace(FREE, max_tokens=1900, seed=3, stop=())
        hogs = [asyncio.create_task(engine.complete(prompt(), long)) for _ in range(3)]
        while not engine.counters()["running"]:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        for hog in hogs:
            hog.cancel()
        await asyncio.sleep(0)
        cancelled.set()
        done = await engine.complete(prompt(), replace(GREEDY, max_tokens=2))
        assert len(reads) < 50  # of 1,900
        assert done.usage.completion_tokens == 2
        assert all(
            isinstance(one, asyncio.CancelledError) for one in await asyncio.gather(*hogs, return_exceptions=True)
        )

    with_engine(spec, work, max_batch=1)


def test_the_loop_goes_on_while_the_model_computes(spec: str) -> None:
    async def work(engine: LocalEngine) -> None:
        calls = asyncio.ensure_future(every(engine, *((prompt(), replace(FREE, seed=n)) for n in range(16))))
        ticks = 0
        while not calls.done():
            await asyncio.sleep(0.002)
            ticks += 1
        assert ticks > 10

    with_engine(spec, work)


def test_the_window_is_kept_to_the_token(spec: str) -> None:
    async def work(engine: LocalEngine) -> None:
        n = (await engine.complete(prompt(), replace(GREEDY, max_tokens=1))).usage.prompt_tokens
        fits = await engine.complete(prompt(), replace(FREE, seed=3, max_tokens=100 - n))
        assert fits.usage.completion_tokens <= 100 - n
        with pytest.raises(PromptTooLong, match="window of 100"):
            await engine.complete(prompt(), replace(FREE, max_tokens=101 - n))

    with_engine(spec, work, max_model_len=100)


async def beside(engine: LocalEngine, *asked: tuple[Prompt, Sampling]) -> list[Completion | BaseException]:
    """A long call, and others that join while it is written."""
    long = asyncio.create_task(engine.complete(prompt(), replace(FREE, seed=1, max_tokens=200)))
    while not engine.counters()["running"]:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    others = await asyncio.gather(*(engine.complete(*one) for one in asked), return_exceptions=True)
    assert not long.done(), "the others were to join it"
    return [await long, *others]


def test_who_cannot_join_for_want_of_memory_does_not_harm_who_runs(spec: str) -> None:
    async def work(engine: LocalEngine) -> None:
        backend = engine._batcher._backend

        def full(ids: Sequence[Sequence[int]]) -> None:
            if max(map(len, ids)) > 200:
                raise backend.out_of_memory("no more")

        engine._batcher._backend = Watched(backend, full)
        done = await beside(engine, (prompt("x" * 900), GREEDY))
        assert "out of memory; a smaller max_batch" in str(done[1])
        assert isinstance(done[0], Completion)
        assert done[0].text == (await engine.complete(prompt(), replace(FREE, seed=1, max_tokens=200))).text

    with_engine(spec, work)


def test_a_failure_of_the_running_batch_is_told_to_all_in_it_and_passes(spec: str) -> None:
    async def work(engine: LocalEngine) -> None:
        left = [20]
        backend = engine._batcher._backend

        def full(_: Sequence[Sequence[int]]) -> None:
            left[0] -= 1
            if not left[0]:
                raise backend.out_of_memory("no more")

        engine._batcher._backend = Watched(backend, full)
        asked = [engine.complete(prompt("x" * n), replace(FREE, seed=n, max_tokens=200)) for n in range(6)]
        done = await asyncio.gather(*asked, return_exceptions=True)
        assert {str(one).partition("; ")[2] for one in done if isinstance(one, EngineUnavailable)} == {
            "a smaller max_batch, cache_tokens or max_model_len may fit"
        }
        assert (await engine.complete(prompt(), GREEDY)).text

    with_engine(spec, work)


def test_a_row_that_is_no_numbers_fails_alone(spec: str) -> None:
    bad, inf = torch.full((1, 4), math.nan), torch.full((1, 4), -math.inf)
    some = torch.tensor([[0.0, 1.0, math.nan, 0.0]])
    good = torch.tensor([[0.0, 3.0, 0.0, -math.inf]])
    for sampling in (Sampling(temperature=0.0, logprobs=2), Sampling(temperature=1.0, logprobs=2)):
        alone = chosen_of(good, [sampling], [()], [0.5])[0]
        rows = chosen_of(torch.cat([bad, good, some, inf]), [sampling] * 4, [()] * 4, [0.5] * 4)
        assert rows == [None, alone, None, None]

    async def work(engine: LocalEngine) -> None:
        backend = engine._batcher._backend

        def broken(ids: Sequence[Sequence[int]], found: Shortlist) -> Shortlist:
            return replace(found, total=found.total * math.nan) if max(map(len, ids)) > 200 else found

        engine._batcher._backend = Watched(backend, after=broken)
        done = await beside(engine, (prompt("x" * 900), GREEDY))
        assert isinstance(done[0], Completion)
        assert "logits are no numbers" in str(done[1])
        engine._batcher._backend = backend
        again = await engine.complete(prompt("x" * 900), GREEDY)
        assert again.usage.cached_tokens < 200, "nothing is kept of what broke"

    with_engine(spec, work)


def test_an_error_at_the_last_token_is_told_too(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def torn(_: Any) -> str:
        raise RuntimeError("no such bytes")

    monkeypatch.setattr(Reader, "rest", torn)

    async def work(engine: LocalEngine) -> None:
        with pytest.raises(EngineUnavailable, match="no such bytes"):
            await asyncio.wait_for(engine.complete(prompt(), replace(FREE, seed=1, max_tokens=5)), 20)

    with_engine(spec, work)


def test_closing_ends_what_is_in_flight_and_is_safe_twice(spec: str) -> None:
    async def work(engine: LocalEngine) -> None:
        calls = [asyncio.create_task(engine.complete(prompt(), replace(FREE, max_tokens=1900))) for _ in range(3)]
        await asyncio.sleep(0.05)
        await engine.close()
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(one) for one in done} <= {EngineUnavailable, Completion}
        with pytest.raises(EngineUnavailable, match="closed"):
            await engine.complete(prompt(), GREEDY)

    with_engine(spec, work, max_batch=2)


def test_many_in_flight_are_faster_than_one_by_one(hf: str) -> None:
    async def work(engine: LocalEngine) -> None:
        asked = [(prompt(f"{n}"), replace(FREE, seed=n, logprobs=20)) for n in range(32)]
        began = time.process_time()
        alone = [await engine.complete(*one) for one in asked[:8]]
        middle = time.process_time()
        together = await every(engine, *asked)
        speeds = [
            sum(one.usage.completion_tokens for one in done) / seconds
            for done, seconds in ((alone, middle - began), (together, time.process_time() - middle))
        ]
        assert speeds[1] > 3 * speeds[0], "in tokens a second of processor time: other work does not change it"

    with_engine(hf, work)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"colour": "red"}, "has no option 'colour'; there are cache_tokens, device, dtype, max_batch, max_model_len"),
        ({"max_batch": "many"}, "max_batch='many'"),
        ({"max_batch": "0"}, "max_batch and max_model_len are at least 1"),
        ({"dtype": "float8"}, "dtype='float8'"),
        ({"device": "mps"}, "no device mps here"),
    ],
)
def test_options_that_do_not_fit(folder: Path, options: dict[str, str], message: str) -> None:
    async def run() -> None:
        async with open_engine(f"hf:{folder}", options=options):
            pass

    with pytest.raises(ConfigError, match=message):
        asyncio.run(run())


def test_options_are_words(folder: Path) -> None:
    async def run() -> None:
        options = {"dtype": "bfloat16", "max-batch": "2", "device": "cpu", "max_model_len": "64"}
        async with open_engine(f"hf:{folder}", options=options) as engine:
            assert isinstance(engine, HfEngine)
            backend = engine._batcher._backend
            assert isinstance(backend, HfBackend)
            assert (engine.window, backend.model.dtype) == (64, torch.bfloat16)
            assert (await engine.complete(prompt(), replace(GREEDY, max_tokens=4))).usage.completion_tokens == 4

    asyncio.run(run())


def test_models_that_are_not_there(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such folder"):
        asyncio.run(HfEngine.load(str(tmp_path / "nowhere")))
    with pytest.raises(ConfigError, match="cannot be loaded"):
        asyncio.run(HfEngine.load(str(tmp_path)))
    with pytest.raises(ConfigError, match="cannot be loaded"):
        asyncio.run(HfEngine.load("genprm-tests/no-such-model"))
    torn = tmp_path / "torn"
    torn.mkdir()
    for file in folder.iterdir():
        (torn / file.name).write_bytes(file.read_bytes()[:2000])
    with pytest.raises(ConfigError, match="cannot be loaded"):
        asyncio.run(HfEngine.load(str(torn)))
