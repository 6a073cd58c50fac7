"""Servers that die, hang, answer garbage or 429: real sockets, real processes, real SIGKILL."""

import asyncio
import collections
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any, TypeVar

import pytest

from genprm.critic import Critic
from genprm.engines.connections import Connections
from genprm.engines.openai import OpenAIEngine
from genprm.engines.outages import Health, Trouble
from genprm.errors import EngineError, EngineLost, EngineUnavailable
from genprm.protocols import ChatProtocol
from genprm.sandbox import Sandbox
from genprm.types import NO_ERROR, Critique, Message, Method, Problem, Prompt, Sampling, Solution
from tests.server import Drip, chat, models, serving
from tests.test_engine_openai import with_engine

T = TypeVar("T")
BUSY = (429, {"error": {"message": "slow down"}})


def turn(text: str) -> Prompt:
    return Prompt((Message("user", text),))


class Server:
    """Answers ``fine``, unless ``trouble`` says otherwise; remembers what it was asked, and when."""

    def __init__(self, trouble: Callable[[str, float], Any]) -> None:
        self._trouble = trouble
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self.asked: list[tuple[float, str]] = []
        """(seconds, last message); a probe is ``1``."""

    def __call__(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
        if path == "/models":
            return models("m")
        text, at = body["messages"][-1]["content"], time.monotonic() - self._began
        with self._lock:
            self.asked.append((at, text))
        reply = self._trouble(text, at)
        reply = reply() if callable(reply) else reply
        return chat("fine") if reply is None else None if reply == "hang up" else reply

    def texts(self, since_s: float = 0.0, until_s: float = 1e9) -> list[str]:
        return [text for at, text in self.asked if since_s <= at < until_s]


async def outcome(engine: OpenAIEngine, text: str) -> str:
    try:
        return (await engine.complete(turn(text), Sampling())).text
    except EngineError as error:
        return type(error).__name__


async def outcomes(engine: OpenAIEngine, *texts: str) -> dict[str, int]:
    return collections.Counter(await asyncio.gather(*(outcome(engine, text) for text in texts)))


@pytest.fixture
def quick_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("openai", "outages"):
        monkeypatch.setattr(f"genprm.engines.{module}.back_off", lambda attempt, most_s=0.0: 0.02)


# --- single calls ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick_waits")
@pytest.mark.parametrize("reply", [(500, {"error": "boom"}), b"<html>", "hang up", (200, {}, {"Content-Length": "99"})])
def test_a_call_that_always_fails_ends_by_itself_while_others_succeed(reply: Any) -> None:
    server = Server(lambda text, at: reply if text == "poison" else None)

    async def work(engine: OpenAIEngine) -> dict[str, int]:
        return await outcomes(engine, "poison", *map(str, range(20, 60)))

    assert with_engine(server, work) == {"fine": 40, "EngineUnavailable": 1}
    assert server.texts().count("poison") == 5
    assert len(server.asked) < 60


@pytest.mark.usefixtures("quick_waits")
def test_a_call_that_always_fails_ends_by_itself_where_it_is_the_only_one() -> None:
    """The probe tells it from a server that is away."""
    server = Server(lambda text, at: (500, {}) if text == "poison" else None)

    async def work(engine: OpenAIEngine) -> None:
        with pytest.raises(EngineUnavailable, match="after 5 tries: HTTP 500") as caught:
            await engine.complete(turn("poison"), Sampling())
        assert not isinstance(caught.value, EngineLost)

    with_engine(server, work)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_waits")
def test_a_call_that_is_always_one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """More patience than with one that breaks the server, but not for ever."""
    monkeypatch.setattr("genprm.engines.openai.BUSY_TRIES", 9)
    server = Server(lambda text, at: BUSY if text == "poison" else None)

    async def work(engine: OpenAIEngine) -> str:
        return await outcome(engine, "poison")

    assert with_engine(server, work) == "EngineUnavailable"
    assert server.texts().count("poison") == 9


@pytest.mark.slow
@pytest.mark.usefixtures("quick_waits")
def test_a_call_that_hangs_while_others_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genprm.engines.openai.HANG_S", 0.3)
    hung: list[str] = []

    def hang() -> None:
        if not hung:
            hung.append("once")
            time.sleep(8)

    server = Server(lambda text, at: hang if text == "unlucky" else None)

    async def work(engine: OpenAIEngine) -> float:
        await outcomes(engine, *map(str, range(20, 50)))
        began = time.perf_counter()
        assert await outcome(engine, "unlucky") == "fine"
        return time.perf_counter() - began

    assert with_engine(server, work) < 6


@pytest.mark.slow
def test_a_body_that_drips_is_no_answer() -> None:
    """No single read takes long, but all of them together do."""
    server = Server(lambda text, at: Drip(b'{"choices": []}' * 9))

    async def work(engine: OpenAIEngine) -> float:
        began = time.perf_counter()
        assert await outcome(engine, "drip") == "EngineLost"
        return time.perf_counter() - began

    assert with_engine(server, work, timeout_s=0.3, patience_s=0.0, on_trouble=lambda _: None) < 6


@pytest.mark.usefixtures("quick_waits")
def test_a_call_that_takes_the_server_down_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others are answered in between; each time, a probe or another call finds the server away before it is back."""
    monkeypatch.setattr("genprm.engines.openai.OUTAGES", 16)  # more than any other call is likely to run into
    is_down = False

    def trouble(text: str, at: float) -> Any:
        nonlocal is_down
        was_down, is_down = is_down, text == "poison"
        return "hang up" if was_down or is_down else None

    async def work(engine: OpenAIEngine) -> dict[str, int]:
        return await asyncio.wait_for(outcomes(engine, "poison", *map(str, range(20, 30))), 20)

    server = Server(trouble)
    assert with_engine(server, work, on_trouble=lambda _: None) == {"fine": 10, "EngineUnavailable": 1}
    assert server.texts().count("poison") in range(5, 25)


def test_waiting_for_a_connection_is_no_failure() -> None:
    server = Server(lambda text, at: time.sleep(0.2))

    async def work(engine: OpenAIEngine) -> dict[str, int]:
        return await outcomes(engine, *map(str, range(20, 40)))

    assert with_engine(server, work, connections=2, timeout_s=1.5) == {"fine": 20}
    assert len(server.asked) == 20


def test_a_call_cancelled_at_any_moment_leaves_the_next_one_a_connection() -> None:
    async def cancelled_after(n_steps: int, url: str) -> None:
        engine = OpenAIEngine(url, "m")
        call = asyncio.create_task(outcome(engine, "cancelled"))
        for _ in range(n_steps):  # of the event loop: some end between the connection and the request
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        assert await asyncio.wait_for(outcome(engine, "next"), 30) == "fine"
        await engine.close()

    with serving(Server(lambda text, at: None)) as url:
        for n_steps in range(40):
            asyncio.run(cancelled_after(n_steps, url))


def test_a_closed_engine_says_so() -> None:
    server = Server(lambda text, at: time.sleep(0.2))

    async def work(engine: OpenAIEngine) -> None:
        flying = [asyncio.create_task(outcome(engine, "x")) for _ in range(3)]
        await asyncio.sleep(0.05)
        await engine.close()
        assert await asyncio.gather(*flying) == ["EngineLost"] * 3
        with pytest.raises(EngineUnavailable, match="/v1: closed"):
            await engine.complete(turn("later"), Sampling())

    with_engine(server, work)


@pytest.mark.parametrize("broken", [RuntimeError("a bug"), asyncio.CancelledError()])
def test_all_connections_are_closed_also_where_one_breaks(broken: BaseException) -> None:
    async def main() -> None:
        connections = Connections("http://127.0.0.1:1/v1", None)

        async def breaks() -> None:
            raise broken

        with connections.one() as first, connections.one() as second:
            first.aclose = breaks  # type: ignore[method-assign]
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        await connections.close()
        assert second.is_closed

    asyncio.run(main())


# --- the server is away ---------------------------------------------------------------------------------------------


def away_for_two_probes(reply: Any) -> Callable[[str, float], Any]:
    """Trouble for every call until a third probe comes."""
    probes = 0

    def trouble(text: str, at: float) -> Any:
        nonlocal probes
        probes += text == "1"
        return reply if probes < 3 else None

    return trouble


@pytest.mark.slow
@pytest.mark.parametrize("reply", [BUSY, (503, {}), b"starting", "hang up"])
def test_while_it_is_away_one_call_asks_and_the_others_wait(reply: Any) -> None:
    said: list[str] = []
    server = Server(away_for_two_probes(reply))

    async def work(engine: OpenAIEngine) -> dict[str, int]:
        return await outcomes(engine, *map(str, range(1000, 1200)))

    assert with_engine(server, work, on_trouble=said.append) == {"fine": 200}
    assert server.texts().count("1") == 3
    assert max(collections.Counter(server.texts()).values()) <= 3
    assert len(server.asked) <= 2 * 200 + 3  # each call failed once at most
    assert len(said) == 2
    assert "/v1: not answering for" in said[0]
    assert said[0].endswith("waiting up to 300 s")
    assert "/v1: answering again after" in said[1]


@pytest.mark.slow
def test_afterwards_they_do_not_come_as_a_herd() -> None:
    server = Server(away_for_two_probes(BUSY))

    async def work(engine: OpenAIEngine) -> dict[str, int]:
        return await outcomes(engine, *map(str, range(1000, 1300)))

    assert with_engine(server, work, on_trouble=lambda _: None) == {"fine": 300}
    third = [at for at, text in server.asked if text == "1"][2]
    back = sorted(at for at, text in server.asked if at > third)
    assert back[30] - back[0] > 0.03
    assert back[-1] - back[0] > 0.15


@pytest.mark.slow
def test_retry_after_is_honoured() -> None:
    server = Server(lambda text, at: (429, {}, {"Retry-After": "1"}) if at < 0.9 else None)

    async def work(engine: OpenAIEngine) -> dict[str, int]:
        return await outcomes(engine, *map(str, range(20, 40)))

    assert with_engine(server, work, on_trouble=lambda _: None) == {"fine": 20}
    assert "1" not in server.texts(until_s=0.9)


@pytest.mark.slow
def test_in_the_end_all_calls_are_told_at_once() -> None:
    """Those that the server keeps hanging too, and those that come later."""
    server = Server(lambda text, at: (lambda: time.sleep(20)) if text == "hang" else (503, {}))
    said: list[str] = []

    async def work(engine: OpenAIEngine) -> None:
        began = time.perf_counter()
        assert await outcomes(engine, *["hang"] * 20, *["x"] * 20) == {"EngineLost": 40}
        assert 0.5 < time.perf_counter() - began < 15
        n_asked = len(server.asked)
        later = asyncio.create_task(engine.complete(turn("later"), Sampling()))
        for _ in range(10):
            await asyncio.sleep(0)
        assert later.done(), "it waits for nothing"
        with pytest.raises(EngineLost, match=r"no answer from http://.*/v1 for \d+ s: HTTP 503: "):
            await later
        assert len(server.asked) == n_asked

    with_engine(server, work, patience_s=0.8, on_trouble=said.append)
    assert said[0].endswith("waiting up to 1 s")


@pytest.mark.slow
def test_an_answer_to_any_call_is_news() -> None:
    """A call in flight that is answered ends the outage before the next probe does."""

    def trouble(text: str, at: float) -> Any:
        if text == "slow":
            return lambda: time.sleep(0.5)
        return BUSY if text == "1" or at < 0.3 else None

    async def work(engine: OpenAIEngine) -> dict[str, int]:
        slow = asyncio.create_task(outcome(engine, "slow"))
        await asyncio.sleep(0.1)
        done = await outcomes(engine, "quick")  # no probe ever succeeds
        assert await slow == "fine"
        return done

    assert with_engine(Server(trouble), work, on_trouble=lambda _: None) == {"fine": 1}


@pytest.mark.slow
def test_a_server_with_room_for_few_is_not_overrun() -> None:
    """It refuses what is too much while it answers the rest: calls go out more slowly, and all are answered."""
    busy, refused = 0, 0
    lock = threading.Lock()

    def trouble(text: str, at: float) -> Any:
        nonlocal busy, refused
        with lock:
            if busy >= 8:
                refused += 1
                return BUSY
            busy += 1
        time.sleep(0.01)
        with lock:
            busy -= 1
        return None

    async def work(engine: OpenAIEngine) -> dict[str, int]:
        return await outcomes(engine, *map(str, range(1000, 1200)))

    assert with_engine(Server(trouble), work, on_trouble=lambda _: None) == {"fine": 200}
    assert refused < 400


def test_a_prober_that_breaks_leaves_nobody_waiting() -> None:
    async def broken() -> None:
        raise RuntimeError("a bug")

    async def main() -> None:
        health = Health("there", 300.0, broken, lambda _: None)
        with pytest.raises(EngineLost, match="there: RuntimeError: a bug"):
            await health.is_own(Trouble("HTTP 500"), time.monotonic())

    asyncio.run(main())


def test_a_slow_pace_is_left_as_soon_as_the_server_answers() -> None:
    """Calls that wait go by the pace of the day; they hold no places in a far future."""

    async def main() -> float:
        health = Health("there", 300.0, asyncio.Event().wait, lambda _: None)  # type: ignore[arg-type]
        health._pace_s = 0.2
        health._left_at = began = time.monotonic()
        waiting = [asyncio.create_task(health.turn()) for _ in range(50)]  # 10 s at that pace
        await asyncio.sleep(0.01)
        for _ in range(200):
            health.answered()
        await asyncio.gather(*waiting)
        return time.monotonic() - began

    assert asyncio.run(main()) < 5


def test_calls_that_wait_for_their_turn_or_rest_are_told_at_once_that_the_server_is_lost() -> None:
    async def main() -> None:
        health = Health("there", 300.0, asyncio.Event().wait, lambda _: None)  # type: ignore[arg-type]
        health._pace_s = 60.0
        health._left_at = time.monotonic()
        waiting = [asyncio.create_task(wait) for wait in (health.turn(), health.turn(), health.rest(60.0))]
        await asyncio.sleep(0.01)
        health.close()
        told = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 30)
        assert [type(error) for error in told] == [EngineLost] * 3

    asyncio.run(main())


@pytest.mark.slow
def test_silence_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genprm.engines.outages.QUIET_S", 0.1)
    said: list[str] = []

    def late() -> Any:
        time.sleep(0.3)
        return chat("fine")

    async def work(engine: OpenAIEngine) -> dict[str, int]:
        return await outcomes(engine, *map(str, range(20, 24)))

    assert with_engine(Server(lambda text, at: late), work, on_trouble=said.append) == {"fine": 4}
    assert "/v1: no answer to 4 calls for 0 s; waiting" in said[0]
    assert "answering again" in said[-1]


@pytest.mark.slow
def test_calls_that_wait_can_be_cancelled_and_the_engine_closed() -> None:
    server = Server(lambda text, at: (503, {}))

    async def work(engine: OpenAIEngine) -> None:
        waiting = [asyncio.create_task(outcome(engine, "x")) for _ in range(10)]
        await asyncio.sleep(0.3)
        waiting[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting[0]
        await engine.close()
        assert await asyncio.gather(*waiting[1:]) == ["EngineLost"] * 9
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    with_engine(server, work, on_trouble=lambda _: None)


# --- a real process, a real SIGKILL ---------------------------------------------------------------------------------


@contextmanager
def process(port: int = 0, busy_s: float = 0.0) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-m", "tests.server", str(port), str(busy_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server, int(server.stdout.readline())
        finally:
            server.kill()


SOLUTIONS = [
    Solution(
        Problem(f"Problem {n}"), ("One step.", "This is wrong." if n % 3 == 0 else "This is right.", "End."), str(n)
    )
    for n in range(30)
]


async def _judged(engine: OpenAIEngine, on_critique: Callable[[int], None]) -> list[Critique]:
    done = []
    async with Sandbox() as sandbox:
        critic = Critic(engine, sandbox, ChatProtocol(), Method("http", "chat", n=2), concurrency=16)
        async with aclosing(critic.critique_many(SOLUTIONS)) as critiques:
            async for critique in critiques:
                done.append(critique)
                on_critique(len(done))
    return done


@pytest.mark.slow
def test_a_run_outlives_429_a_sigkill_and_a_restart() -> None:
    said: list[str] = []

    async def main(port: int, kill: Callable[[], None]) -> list[Critique]:
        engine = await OpenAIEngine.connect(f"http://127.0.0.1:{port}/v1", on_trouble=said.append)
        try:
            return await _judged(engine, lambda n: kill() if n == 10 else None)
        finally:
            await engine.close()

    with process(busy_s=2.0) as (first, port):
        restarted: list[Any] = []

        def restart() -> None:
            first.wait()
            time.sleep(2.0)
            second = process(port)
            restarted.append((second, second.__enter__()))

        def kill() -> None:
            first.send_signal(signal.SIGKILL)
            threading.Thread(target=restart).start()

        done = asyncio.run(main(port, kill))
        restarted[0][0].__exit__(None, None, None)
    assert sorted(int(c.solution.id) for c in done) == list(range(30))
    assert {c.solution.id: c.first_error for c in done} == {str(n): 1 if n % 3 == 0 else NO_ERROR for n in range(30)}
    assert all(r.outcome == "ok" for c in done for step in c.steps for r in step.rationales)
    assert sum("not answering" in line for line in said) >= 2
    assert any("HTTP 429: too many requests" in line for line in said)
    assert any("ConnectError" in line for line in said)
    assert sum("answering again" in line for line in said) == sum("not answering" in line for line in said)


@pytest.mark.slow
def test_a_server_that_stays_away_is_lost() -> None:
    async def main(server: subprocess.Popen[str], port: int) -> None:
        engine = await OpenAIEngine.connect(f"http://127.0.0.1:{port}/v1", patience_s=1.5, on_trouble=lambda _: None)
        assert await outcome(engine, "hello") != "EngineLost"
        server.send_signal(signal.SIGKILL)
        server.wait()
        began = time.perf_counter()
        assert await outcomes(engine, *map(str, range(20, 120))) == {"EngineLost": 100}
        assert 1.2 < time.perf_counter() - began < 20
        await engine.close()

    with process() as (server, port):
        asyncio.run(main(server, port))


@pytest.mark.slow
def test_a_process_that_is_stopped_and_goes_on() -> None:
    """SIGSTOP: connections are accepted by the kernel, and nobody answers."""

    async def main(server: subprocess.Popen[str], port: int) -> None:
        engine = await OpenAIEngine.connect(f"http://127.0.0.1:{port}/v1", timeout_s=1.0, on_trouble=lambda _: None)
        server.send_signal(signal.SIGSTOP)
        calls = asyncio.create_task(outcomes(engine, *map(str, range(20, 70))))
        await asyncio.sleep(2.5)
        assert not calls.done()
        server.send_signal(signal.SIGCONT)
        assert sum((await calls).values()) == 50
        assert "EngineLost" not in await calls
        assert "EngineUnavailable" not in await calls
        await engine.close()

    with process() as (server, port):
        asyncio.run(main(server, port))


def test_a_server_that_is_not_there_at_the_start_is_said_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.perf_counter()
    with pytest.raises(EngineUnavailable, match="no answer from"):
        asyncio.run(OpenAIEngine.connect(f"http://127.0.0.1:{port}/v1"))
    assert time.perf_counter() - began < 20
