"""What breaks around the service: the engine, the sandbox, the client, the machine that wants to go down."""

import asyncio
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from genprm.serving.options import Options
from tests.server import completion, models, serving
from tests.service import YES, events, in_process, on_socket, process, script

BODY = {"problem": "p", "solution": "s"}
DIRECT = ["--option", "analyze=false", "--option", "verify=false"]


def test_an_engine_that_fails_is_502_and_an_error_event_and_not_kept(tmp_path: Path) -> None:
    async def check() -> None:
        engine = script(tmp_path, {"when": "bad", "error": "out of order"}, YES)
        async with on_socket(engine) as (url, service), httpx.AsyncClient(base_url=url) as client:
            bad = {"problem": "p", "solution": ["fine", "bad"]}
            for _ in range(2):
                answer = await client.post("/v1/critique", json=bad)
                assert (answer.status_code, answer.json()["error"]["code"]) == (502, "engine_error")
                assert "out of order" in answer.json()["error"]["message"]
            assert len(service.cache) == 0
            told = events((await client.post("/v1/critique", json={**bad, "stream": True})).text)
            assert [name for name, _ in told] == ["start", "step", "step", "error"]
            assert told[-1][1]["error"]["code"] == "engine_error"
            body = {"items": [bad, {**BODY, "id": "good"}]}
            scores = (await client.post("/v1/score", json=body)).json()["scores"]
            assert [(score["outcome"], score["reward"]) for score in scores] == [
                ("engine_error", None),
                ("ok", pytest.approx(0.9)),
            ]

    asyncio.run(check())


@pytest.mark.slow
def test_an_engine_that_goes_away_is_503_until_it_is_back(tmp_path: Path) -> None:
    """Over HTTP: the server stays, says that it is not ready, and goes on by itself."""
    away = threading.Event()

    def answer(path: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
        if away.is_set():
            return (503, {"error": {"message": "loading"}})
        return models("m") if path == "/models" else completion("{Yes}$\n</output>\n")

    def until(client: httpx.Client, status: int) -> None:
        end = time.monotonic() + 30
        while client.get("/readyz").status_code != status:
            assert time.monotonic() < end
            time.sleep(0.1)

    with (
        serving(answer) as engine,
        process("--engine", engine, "--template", "chatml", *DIRECT, log=tmp_path / "log") as (url, _),
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        assert client.post("/v1/critique", json=BODY).status_code == 200
        away.set()
        late = client.post("/v1/critique", json={"problem": "q", "solution": "s", "timeout_s": 3})
        assert late.status_code == 504
        until(client, 503)
        refused = client.post("/v1/critique", json={"problem": "r", "solution": "s"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "engine_away")
        assert refused.headers["retry-after"] == "5"
        away.clear()
        until(client, 200)
        assert client.post("/v1/critique", json={"problem": "r", "solution": "s"}).status_code == 200


@pytest.mark.slow
def test_a_killed_sandbox_fails_its_checks_and_serves_the_next(tmp_path: Path) -> None:
    async def check() -> None:
        rules: list[dict[str, Any]] = [
            {"when": "[Code Output]", "text": f"Seen.\n</verify>\n<output>\n**Judgement**: $\\boxed{YES['text']}"},
            {"when": "```python", "text": "import time; time.sleep(2); print(6 * 7)\n```\n"},
            {"text": "Look.\n</analyze>\n"},
        ]
        async with (
            on_socket(script(tmp_path, *rules), direct=False) as (url, _),
            httpx.AsyncClient(base_url=url) as client,
        ):
            asked = [asyncio.create_task(_critique(client, n)) for n in range(3)]
            await asyncio.sleep(1)
            for child in _children(os.getpid()):
                os.kill(child, signal.SIGKILL)
            first = [await one for one in asked]
            assert all(status == 200 for status, _ in first)
            seen = {check["result"]["status"] for _, critique in first for check in _checks(critique)}
            assert "crashed" in seen
            status, critique = await _critique(client, 9)
            assert (status, [check["result"]["stdout"] for check in _checks(critique)]) == (200, ["42\n"])
            assert 'genprm_checks_total{status="crashed"}' in (await client.get("/metrics")).text

    asyncio.run(check())


async def _critique(client: httpx.AsyncClient, n: int) -> tuple[int, Any]:
    answer = await client.post("/v1/critique", json={"problem": f"p{n}", "solution": "s"}, timeout=60)
    return answer.status_code, answer.json()


def _checks(critique: Any) -> list[Any]:
    return [check for step in critique["steps"] for r in step["rationales"] for check in r["checks"]]


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_work_for_a_client_that_left_is_given_up(tmp_path: Path) -> None:
    async def check() -> None:
        engine = script(tmp_path, {"when": "slow", "delay_s": 30, **YES}, YES)
        async with on_socket(engine) as (url, service), httpx.AsyncClient(base_url=url) as client:
            body = {"problem": "p", "solution": ["fine", "slow"]}
            async with client.stream("POST", "/v1/critique", json={**body, "stream": True}) as answer:
                async for text in answer.aiter_text():
                    if "event: step" in text:
                        break
            await _until_idle(service)
            asked = asyncio.create_task(client.post("/v1/critique", json=body))
            async with asyncio.timeout(10):
                while service.gate.running != 1:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            asked.cancel()
            await _until_idle(service)

    asyncio.run(check())


async def _until_idle(service: Any) -> None:
    async with asyncio.timeout(10):  # the engine takes 30 s
        await service.gate.idle.wait()
    await asyncio.sleep(0.05)
    assert service.gate.running == 0


@pytest.mark.slow
@pytest.mark.parametrize("delay_s", [2.5, 60.0])
def test_sigterm_under_load_finishes_or_tells_and_leaves_nothing(tmp_path: Path, delay_s: float) -> None:
    """Within the grace answers come, after it streams end with an error and requests with 503; no process stays."""
    engine = script(tmp_path, {"delay_s": delay_s, **YES})
    options = ["--grace", "5", "--in-flight", "20", *DIRECT]
    with process("--engine", engine, *options, log=tmp_path / "log") as (url, running):
        children = _children(running.pid)

        async def load() -> list[Any]:
            async with asyncio.timeout(30), httpx.AsyncClient(base_url=url, timeout=30) as client:
                asked = []
                for n in range(16):
                    body = {"problem": f"p{n}", "solution": "s", "stream": n % 2 == 0}
                    asked.append(asyncio.create_task(client.post("/v1/critique", json=body)))
                while "genprm_in_flight 16.0" not in (await client.get("/metrics")).text:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
                running.terminate()
                return await asyncio.gather(*asked)

        began = time.monotonic()
        answers = asyncio.run(load())
        assert running.wait(30) == 0
        assert time.monotonic() - began < 30
    last = [events(a.text)[-1][0] for a in answers[::2]]
    plain = [a.status_code for a in answers[1::2]]
    quick = delay_s < 5
    assert (set(last), set(plain)) == (({"critique"}, {200}) if quick else ({"error"}, {503}))
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert lines[-1]["event"] == "stopped"
    assert not [line for line in lines if line["level"] == "error"]


def test_what_breaks_inside_is_a_sentence_and_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        async with in_process(script(tmp_path), Options()) as (client, service):
            service.metrics.text = lambda: 1 / 0  # type: ignore[assignment, method-assign, return-value]
            answer = await client.get("/metrics")
            assert (answer.status_code, answer.json()["error"]["code"]) == (500, "broken")
            assert "ZeroDivision" not in answer.text

    asyncio.run(check())
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == ["broken"]


# --- what a client does to the rest ----------------------------------------------------------------------------------


def test_a_stream_whose_client_left_is_no_200(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        engine = script(tmp_path, {"when": "slow", "delay_s": 30, **YES}, YES)
        async with on_socket(engine) as (url, service), httpx.AsyncClient(base_url=url) as client:
            body = {"problem": "p", "solution": ["fine", "slow"], "stream": True}
            async with client.stream("POST", "/v1/critique", json=body) as answer:
                assert answer.status_code == 200
                async for text in answer.aiter_text():
                    if "event: step" in text:
                        break
            await _until_idle(service)
            text = (await client.get("/metrics")).text
            assert 'genprm_requests_total{route="/v1/critique",status="499"} 1.0' in text
            assert 'route="/v1/critique",status="200"' not in text

    with caplog.at_level("INFO", "genprm.serving"):
        asyncio.run(check())
    (line,) = [r.fields for r in caplog.records if getattr(r, "fields", {}).get("route") == "/v1/critique"]  # type: ignore[attr-defined]
    assert line["status"] == 499


def test_an_idle_connection_is_kept_for_the_next_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an answer, and after one that came before the end of its body: past the time for reading a request, until
    the time for idleness is over."""
    monkeypatch.setattr("genprm.serving.server.IDLE_S", 2.0)
    head = b"POST /v1/critique HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\n"
    probe = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

    async def check() -> None:
        async with on_socket(script(tmp_path), Options(port=0, read_s=0.2, grace_s=0.5)) as (url, _):
            host, port = url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))

            async def asked(text: bytes) -> bytes:
                writer.write(text)
                return await asyncio.wait_for(reader.readuntil(b"}" if text == probe else b"}}"), 20)

            assert b" 200 " in await asked(probe)
            await asyncio.sleep(0.5)
            assert b" 415 " in await asked(head)
            writer.write(b"late")
            await asyncio.sleep(0.5)
            assert b" 200 " in await asked(probe)
            assert b" 415 " in await asked(head)
            writer.write(b"late")
            assert await asyncio.wait_for(reader.read(), 20) == b""
            writer.close()

    asyncio.run(check())
