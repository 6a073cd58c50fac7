"""The simulated server as users meet it: its own process, real sockets, the real client. Slow: it keeps real time."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from genprm.api import open_critic
from genprm.eval.bench.prose import solutions
from genprm.eval.bench.versus import scraped
from genprm.types import NO_ERROR, Critique

pytestmark = pytest.mark.slow
ANALYZE = "<｜User｜>Step 1: 2 + 2 = 4.<analyze>\nLet's analyze the Paragraph 1 step by step: "


@contextmanager
def server(*options: str) -> Iterator[str]:
    """Its address, ``http://127.0.0.1:PORT/v1``."""
    command = [sys.executable, "-m", "genprm.eval.bench.simulated", "--until-eof", *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            assert process.wait(10) == 0  # nobody's server is left behind


def metrics(url: str) -> dict[str, float]:
    return scraped(url.removesuffix("/v1") + "/metrics")


def ask(url: str, **fields: Any) -> httpx.Response:
    body = {"model": "m", "prompt": ANALYZE, "max_tokens": 40, "seed": 1, "logprobs": 20} | fields
    return httpx.post(f"{url}/completions", json=body, timeout=30)


def test_critiques_through_the_http_engine_find_the_marked_step() -> None:
    made = solutions(6, 3, seed=2)
    assert {s.first_error == NO_ERROR for s in made} == {True, False}

    async def main(url: str) -> list[Critique]:
        async with open_critic(url, n=3, stopping="none") as critic:
            return [critique async for critique in critic.critique_many(made)]

    with server("--agreement", "0.97", "--tokens", "150", "180") as url:
        began = time.perf_counter()
        found = asyncio.run(main(url))
        took = time.perf_counter() - began
        counted = metrics(url)
    rationales = [r for critique in found for step in critique.steps for r in step.rationales]
    assert {r.outcome for r in rationales} == {"ok"}
    assert {check.result.status for r in rationales for check in r.checks} == {"ok"}
    assert sum(c.first_error == c.solution.first_error for c in found) >= 5
    assert counted["requests"] == 3 * len(rationales) == 162
    assert counted["prompt_tokens"] == sum(r.usage.prompt_tokens for r in rationales)
    assert counted["prefix_cache_hits"] == sum(r.usage.cached_tokens for r in rationales)
    assert counted["generation_tokens"] == sum(r.usage.completion_tokens for r in rationales)
    assert counted["busy_s"] < took
    # The 54 rationales of about 180 tokens, at 6.7 ms a token, would take 65 s one after another.
    assert counted["busy_s"] < 20


def test_one_request_takes_as_long_as_the_model_says() -> None:
    with server() as url:
        ask(url)  # the first one also opens connections
        before, began = metrics(url)["busy_s"], time.perf_counter()
        reply = ask(url, max_tokens=200)
        took = time.perf_counter() - began
        busy_s = metrics(url)["busy_s"] - before
    assert reply.json()["usage"]["completion_tokens"] == 200
    assert 200 * 6.6e-3 < busy_s < 200 * 6.9e-3
    assert busy_s < took < busy_s + 20  # it keeps real time


def test_replies_have_the_form_of_vllm() -> None:
    with server() as url:
        reply = ask(url, max_tokens=2000, stop=["</analyze>\n"]).json()
        inside = ask(url, max_tokens=2000, stop=["</analyze>\n"], include_stop_str_in_output=True).json()
        cut = ask(url, max_tokens=5).json()
        names = httpx.get(f"{url}/models").json()["data"]
        body = {
            "messages": [{"role": "user", "content": "hello"}],
            "max_tokens": 9,
            "logprobs": True,
            "top_logprobs": 2,
        }
        chat = httpx.post(f"{url}/chat/completions", json=body).json()
    choice = reply["choices"][0]
    assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", "</analyze>\n")
    assert not choice["text"].endswith("</analyze>\n")
    assert inside["choices"][0]["text"] == choice["text"] + "</analyze>\n"
    assert cut["choices"][0]["finish_reason"] == "length"
    assert len(choice["logprobs"]["tokens"]) == pytest.approx(reply["usage"]["completion_tokens"], abs=4)
    assert all(len(top) == 20 for top in choice["logprobs"]["top_logprobs"])
    assert [item["id"] for item in names] == ["simulated-genprm-7b"]
    assert chat["choices"][0]["message"]["role"] == "assistant"
    assert (
        "".join(item["token"] for item in chat["choices"][0]["logprobs"]["content"])
        == (chat["choices"][0]["message"]["content"])
    )


def test_what_cannot_be_answered_is_refused_in_words() -> None:
    with server("--window", "100") as url:
        assert httpx.get(f"{url}/nothing").status_code == 404
        assert httpx.post(f"{url}/completions", content=b"{]").status_code == 400
        assert ask(url, prompt="").status_code == 400
        assert ask(url, max_tokens="many").status_code == 400
        long = ask(url, max_tokens=100)
        assert long.status_code == 400
        assert "maximum context length is 100 tokens" in long.json()["error"]["message"]
        assert ask(url).status_code == 200  # and it goes on
        assert metrics(url)["requests"] == 1


@pytest.mark.parametrize("hostile", [b"\x00" * 100, b"GET\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"])
def test_what_is_no_http_is_hung_up_on(hostile: bytes) -> None:
    with server() as url:
        with socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0), timeout=5) as connection:
            connection.sendall(hostile)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100) == b""
        assert ask(url, max_tokens=2).status_code == 200


def test_a_client_that_leaves_frees_its_place() -> None:
    with server("--max-sequences", "1", "--tokens", "1800", "1900") as url:  # more than ten seconds each
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(
                f"{url}/completions", json={"prompt": ANALYZE, "max_tokens": 2000}, timeout=httpx.Timeout(30, read=0.5)
            )
        began = time.perf_counter()
        assert ask(url, max_tokens=2).status_code == 200
        assert time.perf_counter() - began < 5
        counted = metrics(url)
    assert (counted["aborted"], counted["num_requests_running"]) == (1, 0)
