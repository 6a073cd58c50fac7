"""vLLM in this process and as a server, on a real model with random weights."""

import asyncio
import gc
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from genprm.engines import open_engine
from genprm.engines.hf_tokenizer import HfTokenizer
from genprm.engines.openai import OpenAIEngine
from genprm.engines.rendering import Renderer
from genprm.engines.vllm import VllmEngine, _quiet
from genprm.errors import ConfigError, EngineLost, EngineRefused, EngineUnavailable, PromptTooLong
from genprm.types import Completion, Message, Prompt, Sampling
from tests.tiny_models import make_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200), pytest.mark.filterwarnings("ignore")]

T = TypeVar("T")
Run = Callable[[Awaitable[T]], T]
ROOT = Path(__file__).parents[1]
WINDOW = 2048
GREEDY = Sampling(temperature=0.0, max_tokens=40)
FREE = Sampling(temperature=1.0, top_p=1.0, top_k=0, max_tokens=40)
SCHEMA = {
    "type": "object",
    "properties": {"first_error": {"type": "integer"}, "sure": {"type": "boolean"}},
    "required": ["first_error", "sure"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module", autouse=True)
def _vllm() -> None:
    """Loaded when a test runs: it takes seconds, and the quick suite has none of these tests."""
    pytest.importorskip("vllm", reason="needs the extra vllm", exc_type=ImportError)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "tiny", window=WINDOW)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner
    gc.collect()  # sockets of engines that died are vLLM's to close; here, where warnings about them are let pass


@pytest.fixture(scope="module")
def engine(folder: Path, runner: asyncio.Runner) -> Iterator[VllmEngine]:
    """One engine for all tests here, for it takes half a minute to start."""
    made = runner.run(VllmEngine.start(str(folder), options={"max-num-seqs": "64", "dtype": "float32"}))
    yield made
    runner.run(made.close())


@pytest.fixture(scope="module")
def reference(folder: Path) -> tuple[Any, Renderer]:
    return in_transformers(folder)


def in_transformers(folder: Path) -> tuple[Any, Renderer]:
    """The same model and tokenizer in transformers."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(folder).eval(), Renderer(
        HfTokenizer(AutoTokenizer.from_pretrained(folder))
    )


def prompt(text: str = "What is 2 + 3?", opening: str = "<analyze>\n") -> Prompt:
    return Prompt((Message("system", "You are a teacher."), Message("user", text)), opening)


async def every(engine: Any, *asked: tuple[Prompt, Sampling]) -> list[Completion]:
    done: list[Completion] = await asyncio.gather(*(engine.complete(*one) for one in asked))
    return done


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110
        await asyncio.sleep(0.002)


def logprobs_of(reference: tuple[Any, Renderer], ids: list[int]) -> Any:
    import torch

    with torch.inference_mode():
        return reference[0](torch.tensor([ids])).logits[0].log_softmax(-1)


def test_greedy_text_and_its_logprobs_are_the_models(
    engine: VllmEngine, runner: asyncio.Runner, reference: tuple[Any, Renderer]
) -> None:
    asked = [prompt("step " * n) for n in (0, 7, 90)]
    done = runner.run(every(engine, *((p, replace(GREEDY, logprobs=20)) for p in asked)))
    for p, one in zip(asked, done, strict=True):
        before = reference[1].render(p, WINDOW, 0).ids
        assert one.seam is not None
        written = one.seam.ids[len(before) :]
        assert one.seam.ids[: len(before)] == before
        assert one.usage.prompt_tokens == len(before)
        assert len(written) > 10
        logprobs = logprobs_of(reference, list(one.seam.ids))
        for at, (token, given) in enumerate(zip(written, one.tokens, strict=False), len(before) - 1):
            assert token == int(logprobs[at].argmax())
            assert given.logprob == pytest.approx(float(logprobs[at, token]), abs=1e-2)
            assert max(given.top.values()) == pytest.approx(given.logprob, abs=1e-6)
            assert given.top[given.text] == given.logprob
            assert 15 < len(given.top) <= 20
        assert "".join(token.text for token in one.tokens) == one.text


def test_seeds(engine: VllmEngine, runner: asyncio.Runner) -> None:
    asked = [(prompt(), replace(FREE, seed=n)) for n in range(8)]
    first = runner.run(every(engine, *asked))
    alone = [runner.run(engine.complete(*one)) for one in asked]
    assert [one.text for one in first] == [one.text for one in alone]
    assert len({one.text for one in first}) == 8
    unseeded = runner.run(every(engine, *[(prompt(), FREE)] * 4))
    assert len({one.text for one in unseeded}) == 4


def test_stop_strings_end_the_text_and_stay_in_it(
    engine: VllmEngine, runner: asyncio.Runner, reference: tuple[Any, Renderer]
) -> None:
    free = runner.run(engine.complete(prompt(), replace(FREE, seed=5)))
    stop = free.text[9:13]  # somewhere within tokens
    asked = replace(FREE, seed=5, stop=("never written", stop), logprobs=2)
    done = runner.run(engine.complete(prompt(), asked))
    assert (done.text, done.finish) == (free.text[: free.text.index(stop) + len(stop)], "stop")
    assert "".join(token.text for token in done.tokens).startswith(done.text)
    assert done.seam is not None
    before = reference[1].text(prompt())
    assert (before + done.text).startswith(done.seam.text)
    again = replace(prompt(opening="<analyze>\n" + done.text + "more"), seam=done.seam)
    assert reference[1].render(again, WINDOW, 0).ids[: len(done.seam.ids)] == done.seam.ids


def test_budgets_and_other_samplings(engine: VllmEngine, runner: asyncio.Runner) -> None:
    samplings = [GREEDY, replace(FREE, seed=1, top_k=1), replace(FREE, seed=1, max_tokens=3)]
    varied = replace(GREEDY, repetition_penalty=2.0)
    greedy, one, short, other = runner.run(every(engine, *((prompt(), s) for s in [*samplings, varied])))
    assert greedy.text == one.text != other.text
    assert (short.finish, short.usage.completion_tokens, short.tokens) == ("length", 3, ())


@pytest.mark.parametrize(("most", "n"), [(-1, 5), (2, 2), (0, 0)])
def test_logprobs_within_what_the_engine_gives(
    engine: VllmEngine, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch, most: int, n: int
) -> None:
    """``max_logprobs`` of vLLM: -1 is no limit, and 0 none at all."""
    monkeypatch.setattr(engine, "_most_logprobs", most)
    done = runner.run(engine.complete(prompt(), replace(GREEDY, logprobs=5, max_tokens=3)))
    assert len(done.tokens) == (3 if n else 0)
    assert all(n - 1 <= len(token.top) <= n + 1 for token in done.tokens)  # ids may read alike; its own is there too


def test_two_threads_leave_the_standard_streams_as_they_were(capfd: pytest.CaptureFixture[str]) -> None:
    """One that begins while the other redirects, and ends after it."""
    first = threading.Event()

    def one() -> None:
        with _quiet():
            first.set()
            time.sleep(0.2)
            os.write(1, b"unseen")

    def other() -> None:
        first.wait()
        with _quiet():
            time.sleep(0.4)

    threads = [threading.Thread(target=work) for work in (one, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(1, b"seen")
    assert capfd.readouterr() == ("seen", "")


def test_a_call_that_goes_on_finds_its_tokens_in_the_cache(engine: VllmEngine, runner: asyncio.Runner) -> None:
    long = [(prompt("go on " * 20), replace(FREE, seed=n, max_tokens=100)) for n in range(16)]
    first = next(one for one in runner.run(every(engine, *long)) if one.finish == "length")
    again = replace(prompt("go on " * 20, "<analyze>\n" + first.text + "<verify>\n"), seam=first.seam)
    second = runner.run(engine.complete(again, GREEDY))
    read = first.usage.prompt_tokens + first.usage.completion_tokens - 1
    assert second.usage.cached_tokens >= read // 32 * 32 - 32 > first.usage.prompt_tokens
    assert second.usage.prompt_tokens > first.usage.prompt_tokens + 100


def test_votes_share_one_prompt_as_vllm_counts(engine: VllmEngine, runner: asyncio.Runner) -> None:
    long = prompt("step by step " * 100)
    runner.run(engine.complete(long, replace(FREE, max_tokens=1)))
    before = engine.counters()
    done = runner.run(every(engine, *((long, replace(FREE, seed=n)) for n in range(8))))
    after = engine.counters()
    queries, hits = (after[name] - before[name] for name in ("prefix_cache_queries", "prefix_cache_hits"))
    assert queries == sum(one.usage.prompt_tokens for one in done)
    assert hits == sum(one.usage.cached_tokens for one in done)
    assert hits / queries > 0.9


def test_a_schema_is_followed(engine: VllmEngine, runner: asyncio.Runner) -> None:
    asked = [(prompt(opening=""), replace(FREE, seed=n, schema=SCHEMA, max_tokens=300)) for n in range(4)]
    for one in runner.run(every(engine, *asked)):
        if one.finish == "stop":
            answer = json.loads(one.text)
            assert (type(answer["first_error"]), type(answer["sure"])) == (int, bool)
        else:
            assert one.text.lstrip().startswith("{")
    with pytest.raises(EngineRefused, match="vLLM refuses the request"):
        runner.run(engine.complete(prompt(), replace(FREE, schema={"type": "no such type"})))


def test_the_window_is_kept_to_the_token(engine: VllmEngine, runner: asyncio.Runner) -> None:
    assert engine.window == WINDOW
    n = runner.run(engine.complete(prompt(), replace(GREEDY, max_tokens=1))).usage.prompt_tokens
    stop = replace(FREE, seed=1, max_tokens=WINDOW - n, stop=("a", "e", "i", "o", " "))
    assert runner.run(engine.complete(prompt(), stop)).finish == "stop"
    with pytest.raises(PromptTooLong, match="window of 2048"):
        runner.run(engine.complete(prompt(), replace(stop, max_tokens=WINDOW - n + 1)))


def test_cancelling_aborts_in_vllm(engine: VllmEngine, runner: asyncio.Runner) -> None:
    async def work() -> None:
        long = [replace(FREE, seed=n, max_tokens=1900) for n in range(16)]
        calls = [asyncio.create_task(engine.complete(prompt(), one)) for one in long]
        await until(lambda: engine.counters()["running"] >= 12)
        for call in calls:
            call.cancel()
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(one, asyncio.CancelledError) for one in ended) >= 10
        assert engine._running.core.get_num_unfinished_requests() == 0
        await engine.complete(prompt(), GREEDY)
        assert (engine.counters()["running"], engine.counters()["waiting"]) == (0, 0)

    runner.run(work())


def test_64_in_flight_are_5_times_as_fast_as_one_by_one(engine: VllmEngine, runner: asyncio.Runner) -> None:
    asked = [(prompt(f"{n}"), replace(FREE, seed=n, logprobs=20, max_tokens=64)) for n in range(64)]

    def speed(*rounds: list[tuple[Prompt, Sampling]]) -> float:
        began = time.perf_counter()
        done = [one for some in rounds for one in runner.run(every(engine, *some))]
        return sum(one.usage.completion_tokens for one in done) / (time.perf_counter() - began)

    runner.run(every(engine, *asked[:2]))
    alone, together = speed(*([one] for one in asked[:4])), speed(asked)
    assert together > 5 * alone, (together, alone)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tensor_paralel_size": "2"}, "has no option 'tensor_paralel_size'; near it: tensor.parallel.size"),
        ({"model": "other"}, "has no option 'model'"),
        ({"tensor_parallel_size": "two"}, "tensor-parallel-size.*'two'"),
        ({"enforce_eager": "maybe"}, "'enforce_eager' is true or false, not 'maybe'"),
        ({"dtype": "float8"}, "dtype.*float8"),
        ({"max_model_len": "1000000"}, "vLLM does not take model .*max_model_len"),
    ],
)
def test_options_that_do_not_fit(folder: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        asyncio.run(VllmEngine.start(str(folder), options=options))
    assert "\n" not in str(caught.value)


def test_models_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"does not take model .*nowhere"):
        asyncio.run(VllmEngine.start(str(tmp_path / "nowhere")))


def test_an_engine_that_does_not_start_says_why(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The reason lies in a process two below: blocks of this size are unknown to the attention kernel on CPU."""
    with pytest.raises(EngineUnavailable, match=r"does not start with .*block size.*GENPRM_VLLM_LOG=1 shows") as caught:
        asyncio.run(VllmEngine.start(str(folder), options={"block_size": "16"}))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


SCRIPT = """
import asyncio, sys
from genprm.engines import open_engine
from genprm.types import Message, Prompt, Sampling

async def main():
    async with open_engine("vllm:" + sys.argv[1], options={"max_model_len": "256"}) as engine:
        done = await engine.complete(Prompt((Message("user", "?"),), "Let"), Sampling(max_tokens=4, seed=1))
        print("tokens", done.usage.completion_tokens)
        long = Sampling(max_tokens=200, temperature=1.0, top_p=1.0, top_k=0)
        calls = [asyncio.create_task(engine.complete(Prompt((Message("user", "?"),), "a"), long)) for _ in range(9)]
        while not engine.counters()["running"]:
            await asyncio.sleep(0.001)
        calls += [asyncio.create_task(engine.complete(Prompt((Message("user", "?"),), "b"), long)) for _ in range(9)]
        await asyncio.sleep(0)
        await asyncio.wait_for(engine.close(), 60)
        ended = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 30)
        print({type(one).__name__ for one in ended} - {"Completion"})
    print("closed")

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_nothing_is_printed_and_no_process_is_left(folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    mark = uuid.uuid4().hex
    done = subprocess.run(
        [sys.executable, str(script), str(folder)],
        capture_output=True,
        text=True,
        timeout=180,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "GENPRM_MARK": mark},
    )
    assert (done.stdout, done.stderr, done.returncode) == ("tokens 4\n{'EngineUnavailable'}\nclosed\n", "", 0)
    deadline = time.monotonic() + 30  # Python's own resource tracker ends a moment after the process that it serves
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert marked(mark) == []


def marked(mark: str) -> list[str]:
    """Command lines of the processes that have it in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a real ``vllm serve``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = ["--host=127.0.0.1", f"--port={port}", "--served-model-name=tiny-deepseek-r1", "--enforce-eager"]
    flags += ["--no-enable-chunked-prefill", "--block-size=32", "--max-num-seqs=16", "--enable-prompt-tokens-details"]
    flags += ["--dtype=float32", f"--kv-cache-memory-bytes={1 << 30}"]
    # What ``vllm serve`` runs; the command itself does not know its own version in the builds for CPU.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", f"--model={folder}", *flags]
    quiet = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"}
    log = folder.parent / "serve.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            command, stdout=out, stderr=out, start_new_session=True, env={**os.environ, **quiet}, cwd=folder
        )
    try:
        url = f"http://127.0.0.1:{port}/v1"
        deadline = time.monotonic() + 150
        while not answers(url):
            assert server.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.5)
        yield url
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/models", timeout=2).is_success
    except httpx.HTTPError:
        return False


def test_vllm_serve_behind_the_client(tmp_path: Path) -> None:
    """With a tokenizer that puts the beginning-of-text token before any text, also one that begins with it already."""
    folder = make_model(tmp_path / "tiny", "deepseek-r1", window=WINDOW)
    reference = in_transformers(folder)

    async def work(engine: OpenAIEngine) -> None:
        assert engine.model == "tiny-deepseek-r1"
        asked = replace(FREE, seed=5, logprobs=20)
        free = await engine.complete(prompt("step " * 80), asked)
        before = reference[1].render(prompt("step " * 80), WINDOW, 0).ids
        assert (free.usage.prompt_tokens, free.usage.completion_tokens) == (len(before), 40)
        spoken = "".join(token.text for token in free.tokens)
        assert (
            re.sub("<｜(?:begin|end)▁of▁sentence｜>", "", spoken) == free.text
        )  # the server shows control tokens there
        assert all(len(token.top) > 10 for token in free.tokens)
        first = free.tokens[0]
        logprobs = logprobs_of(reference, list(before))[-1]
        (said,) = reference[1]._tokenizer.letters(first.text)
        assert first.logprob == pytest.approx(float(logprobs[said]), abs=1e-2)

        again = await engine.complete(prompt("step " * 80), asked)
        assert again.text == free.text
        assert again.usage.cached_tokens >= (len(before) - 1) // 32 * 32 - 32 > 0

        stop = free.text[9:13]
        cut = await engine.complete(prompt("step " * 80), replace(asked, stop=("never written", stop)))
        assert (cut.text, cut.finish) == (free.text[: free.text.index(stop) + len(stop)], "stop")

        turn = await engine.complete(prompt(opening=""), asked)
        assert turn.usage.prompt_tokens == len(reference[1].render(prompt(opening=""), WINDOW, 0).ids)
        assert len(turn.tokens) == turn.usage.completion_tokens
        assert all(len(token.top) > 10 for token in turn.tokens)
        many = await every(engine, *((prompt(), replace(FREE, seed=n)) for n in range(32)))
        assert len({one.text for one in many}) == 32

    async def run(url: str) -> None:
        async with open_engine(url) as engine:
            assert isinstance(engine, OpenAIEngine)
            await work(engine)

    with served(folder) as url:
        asyncio.run(run(url))


def test_a_dead_engine_is_lost_and_can_still_be_closed(engine: VllmEngine, runner: asyncio.Runner) -> None:
    """The last test here: it kills the engine that the others share."""

    async def work() -> None:
        call = asyncio.create_task(engine.complete(prompt(), replace(FREE, seed=1, max_tokens=1900)))
        other = asyncio.create_task(engine.complete(prompt(), replace(FREE, seed=2, max_tokens=1900)))
        await until(lambda: engine.counters()["running"] >= 1)
        for process in engine._running.core.engine_core.resources.engine_manager.processes:
            os.kill(process.pid, signal.SIGKILL)
        ended = await asyncio.gather(call, other, return_exceptions=True)
        assert EngineLost in {type(one) for one in ended}
        with pytest.raises(EngineLost, match="vLLM has died"):
            await engine.complete(prompt(), GREEDY)
        await engine.close()
        await engine.close()
        with pytest.raises(EngineUnavailable, match="is closed"):
            await engine.complete(prompt(), GREEDY)

    runner.run(work())
