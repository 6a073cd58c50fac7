"""The client for OpenAI-compatible servers, against a real one on loopback."""

import asyncio
import math
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from genprm.engines.openai import OpenAIEngine
from genprm.engines.templates import chatml, deepseek_r1, template_for
from genprm.errors import ConfigError, EngineError, EngineRefused, EngineUnavailable
from genprm.types import Completion, Message, Prompt, Sampling, Token, Usage
from tests.server import Answer, completion, models, serving

T = TypeVar("T")
MODEL = "GenPRM/GenPRM-7B"
PROMPT = Prompt((Message("system", "S"), Message("user", "2 + 2 = 5")), "<analyze>\n")
STOPS = Sampling(stop=("\n```\n", "</output>\n"), logprobs=20, seed=3)


def asked(answer: Answer, prompt: Prompt = PROMPT, sampling: Sampling = STOPS, **options: Any) -> Completion:
    """One completion from a server that answers so."""

    async def ask(engine: OpenAIEngine) -> Completion:
        return await engine.complete(prompt, sampling)

    return with_engine(answer, ask, **options)


def with_engine(answer: Answer, work: Callable[[OpenAIEngine], Awaitable[T]], **options: Any) -> T:
    async def run(url: str) -> T:
        engine = await OpenAIEngine.connect(url, **options)
        try:
            return await work(engine)
        finally:
            await engine.close()

    with serving(answer) as url:
        return asyncio.run(run(url))


def answering(*replies: Any) -> tuple[Answer, list[dict[str, Any]]]:
    """A server of one model that gives these replies in turn, the last one for ever; and what it was asked."""
    bodies: list[dict[str, Any]] = []

    def answer(path: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
        if path == "/models":
            return models(MODEL)
        bodies.append({"path": path, "headers": headers, **body})
        return replies[min(len(bodies), len(replies)) - 1]

    return answer, bodies


def test_an_opening_goes_to_completions_as_raw_text() -> None:
    logprobs = {
        "tokens": ["Yes", "}"],
        "token_logprobs": [-0.1, None],
        "top_logprobs": [{"Yes": -0.1, "No": -2.0}, None],
        "text_offset": [0, 3],
    }
    answer, bodies = answering(completion("Yes}</output>\n", stop_reason="</output>\n", logprobs=logprobs))
    done = asked(answer)
    sent = bodies[0]
    assert sent["path"] == "/completions"
    assert sent["prompt"] == "<｜begin▁of▁sentence｜>S<｜User｜>2 + 2 = 5<analyze>\n"
    assert sent["stop"] == ["\n```\n", "</output>\n"]
    assert sent["include_stop_str_in_output"] is True
    assert (sent["logprobs"], sent["top_k"], sent["seed"], sent["temperature"]) == (20, 20, 3, 0.6)
    assert done.text == "Yes}</output>\n"
    assert done.tokens == (Token("Yes", -0.1, {"Yes": -0.1, "No": -2.0}), Token("}", -math.inf, {}))
    assert done.usage == Usage(7, 4, 3, 1)


def test_no_opening_goes_to_chat() -> None:
    reply = {
        "choices": [
            {
                "message": {"role": "assistant", "content": "\\boxed{1}"},
                "finish_reason": "stop",
                "logprobs": {"content": [{"token": "1", "logprob": -0.5, "top_logprobs": []}]},
            }
        ]
    }
    answer, bodies = answering(reply)
    done = asked(answer, Prompt((Message("user", "which?"),)))
    assert bodies[0]["path"] == "/chat/completions"
    assert bodies[0]["messages"] == [{"role": "user", "content": "which?"}]
    assert (done.text, done.tokens[0].logprob, done.usage.calls) == ("\\boxed{1}", -0.5, 1)


@pytest.mark.parametrize(
    ("choice", "stop", "text"),
    [
        ({"stop_reason": "\n```\n"}, STOPS.stop, "x\n```\n"),
        ({"matched_stop": "</output>\n"}, STOPS.stop, "x</output>\n"),
        ({"stop_reason": None}, STOPS.stop, "x"),  # end of text
        ({"matched_stop": 151643}, STOPS.stop, "x"),
        ({}, STOPS.stop, "x"),  # cannot tell which
        ({}, ("</analyze>\n",), "x</analyze>\n"),
        ({"stop_reason": None}, ("</analyze>\n",), "x"),
        ({"finish_reason": "length"}, ("</analyze>\n",), "x"),
    ],
)
def test_stop_strings_that_the_server_cut_off_are_put_back(
    choice: dict[str, Any], stop: tuple[str, ...], text: str
) -> None:
    answer, _ = answering({"choices": [{"text": "x", "finish_reason": "stop", **choice}]})
    assert asked(answer, sampling=Sampling(stop=stop)).text == text


@pytest.fixture
def quick_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genprm.engines.openai._back_off", lambda attempt: 0.01)


@pytest.mark.usefixtures("quick_waits")
@pytest.mark.parametrize("status", [429, 500, 503, None])
def test_failures_that_may_pass_are_tried_again(status: int | None) -> None:
    trouble = None if status is None else (status, {"error": {"message": "busy"}})
    answer, bodies = answering(trouble, trouble, completion("fine"))
    assert asked(answer).text == "fine"
    assert len(bodies) == 3


@pytest.mark.usefixtures("quick_waits")
def test_in_the_end_it_gives_up_and_says_why() -> None:
    answer, bodies = answering((503, {"error": {"message": "over\nloaded"}}))
    with pytest.raises(EngineUnavailable, match=r"after 3 tries: HTTP 503: over loaded"):
        asked(answer, retries=2)
    assert len(bodies) == 3


def test_it_waits_as_long_as_the_server_asks() -> None:
    answer, _ = answering((429, {}, {"Retry-After": "0.3"}), completion("fine"))
    began = time.perf_counter()
    assert asked(answer).text == "fine"
    assert time.perf_counter() - began >= 0.3


@pytest.mark.parametrize(
    ("status", "said"), [(400, "this model's maximum"), (401, "GENPRM_API_KEY"), (404, "HTTP 404"), (422, "HTTP 422")]
)
def test_a_final_no_is_not_asked_again(status: int, said: str) -> None:
    answer, bodies = answering((status, {"object": "error", "message": "this model's maximum context length is 8"}))
    with pytest.raises(EngineRefused, match=said):
        asked(answer)
    assert len(bodies) == 1


@pytest.mark.parametrize(
    "reply",
    [
        b"<html>hello</html>",
        b'{"choices": [',
        b"",
        b"[" * 100_000,
        {"choices": []},
        {},
        {"choices": [{"text": 5}]},
        {"choices": [{"text": "a", "logprobs": {"tokens": ["a"]}}]},
        {"choices": [{"text": "a", "logprobs": {"tokens": ["a"], "token_logprobs": []}}]},
        {"choices": "x"},
        [],
    ],
)
def test_garbage_is_an_engine_error_and_never_a_crash(reply: Any) -> None:
    answer, _ = answering(reply if isinstance(reply, bytes | dict) else b"[]")
    with pytest.raises(EngineError):
        asked(answer, retries=0)


def test_a_server_that_hangs_is_left_at_the_time_out() -> None:
    def answer(path: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
        if path == "/models":
            return models(MODEL)
        time.sleep(1.5)
        return completion("late")

    with pytest.raises(EngineUnavailable, match="ReadTimeout"):
        asked(answer, timeout_s=0.3, retries=0)


def test_an_unreachable_server_is_said_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.perf_counter()
    with pytest.raises(EngineUnavailable, match=f"no answer from http://127.0.0.1:{port}/v1"):
        asyncio.run(OpenAIEngine.connect(f"http://127.0.0.1:{port}/v1"))
    assert time.perf_counter() - began < 5


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "second")
    monkeypatch.setenv("GENPRM_API_KEY", "first")
    answer, bodies = answering(completion("fine"))
    asked(answer)
    assert bodies[0]["headers"]["authorization"] == "Bearer first"


def test_a_key_is_never_part_of_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    answer, bodies = answering(completion("fine"))
    monkeypatch.setenv("GENPRM_API_KEY", "sk-secret\n")
    asked(answer)
    assert bodies[0]["headers"]["authorization"] == "Bearer sk-secret"
    for key in ("sk-sécret", "sk-\nsecret"):
        monkeypatch.setenv("GENPRM_API_KEY", key)
        with pytest.raises(ConfigError, match="no key has") as caught:
            asked(answer)
        assert "secret" not in str(caught.value)


def test_a_strict_server_is_asked_without_extensions() -> None:
    """As OpenAI itself answers fields that it does not know."""
    seen: list[set[str]] = []

    def answer(path: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
        if path == "/models":
            return models(MODEL)
        seen.append(set(body))
        if "top_k" in body:
            return 400, {"error": {"message": "Unrecognized request argument supplied: top_k"}}
        return completion("fine")

    async def twice(engine: OpenAIEngine) -> str:
        await engine.complete(PROMPT, STOPS)
        return (await engine.complete(PROMPT, STOPS)).text

    assert with_engine(answer, twice) == "fine"
    assert len(seen) == 3  # refused once, and not asked that way again
    assert seen[1] == seen[2] == {"model", "prompt", "temperature", "top_p", "max_tokens", "stop", "seed", "logprobs"}


def test_an_error_in_a_good_answer_is_said() -> None:
    answer, _ = answering({"error": {"message": "quota exceeded"}})
    with pytest.raises(EngineUnavailable, match=r"127\.0\.0\.1:\d+/v1 answers with an error: quota exceeded"):
        asked(answer)


def test_log_probabilities_with_holes() -> None:
    logprobs = {"tokens": ["No"], "token_logprobs": [-0.1], "top_logprobs": [{"No": -0.1, "Yes": None}]}
    answer, _ = answering(completion("No", logprobs=logprobs))
    assert asked(answer).tokens == (Token("No", -0.1, {"No": -0.1}),)


@pytest.mark.parametrize("url", ["http://localhost:99999/v1", "http://", "http://[bad/v1"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises((ConfigError, EngineUnavailable)):
        asyncio.run(OpenAIEngine.connect(url))


def test_a_wrong_key_is_said_before_anything_runs() -> None:
    with pytest.raises(EngineRefused, match="401: no such key"):
        asked(lambda path, body, headers: (401, {"error": {"message": "no such key"}}))


def test_the_model_is_settled_at_once() -> None:
    two: Answer = lambda path, body, headers: models("a", "b")  # noqa: E731
    with pytest.raises(ConfigError, match="serves a, b; name one with --model"):
        asked(two)
    with pytest.raises(EngineRefused, match="does not serve 'c', but a, b"):
        asked(two, model="c")

    async def name(engine: OpenAIEngine) -> str:
        return engine.name

    assert with_engine(two, name, model="b").endswith("/v1#b")
    assert with_engine(lambda *_: (404, {}), name, model="b").endswith("/v1#b")  # a server that keeps no list


def test_many_calls_are_in_flight_at_once() -> None:
    def answer(path: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
        if path == "/models":
            return models(MODEL)
        time.sleep(0.2)
        return completion(body["prompt"][-3:])

    async def many(engine: OpenAIEngine) -> list[str]:
        prompts = [Prompt(PROMPT.messages, f"{n:03}") for n in range(40)]
        return [done.text for done in await asyncio.gather(*(engine.complete(p, Sampling()) for p in prompts))]

    began = time.perf_counter()
    assert with_engine(answer, many) == [f"{n:03}" for n in range(40)]
    assert time.perf_counter() - began < 4  # one after another: 8 s


CONVERSATION = Prompt(
    (
        Message("system", "sys"),
        Message("user", "problem\nstep 1"),
        Message("assistant", "<think>draft</think>first"),
        Message("user", "step 2"),
    ),
    "<analyze>\n",
)


def test_template_deepseek_r1() -> None:
    assert deepseek_r1(CONVERSATION) == (
        "<｜begin▁of▁sentence｜>sys<｜User｜>problem\nstep 1<｜Assistant｜>first<｜end▁of▁sentence｜>"
        "<｜User｜>step 2<analyze>\n"
    )


def test_template_chatml() -> None:
    assert chatml(CONVERSATION) == (
        "<|im_start|>system\nsys<|im_end|>\n<|im_start|>user\nproblem\nstep 1<|im_end|>\n"
        "<|im_start|>assistant\n<think>draft</think>first<|im_end|>\n<|im_start|>user\nstep 2<analyze>\n"
    )


def test_a_template_is_told_by_the_name_or_asked_for() -> None:
    assert template_for(None, "GenPRM/GenPRM-7B") is deepseek_r1
    assert template_for(None, "Qwen/Qwen2.5-7B-Instruct") is chatml
    assert template_for("chatml", "anything") is chatml
    with pytest.raises(ConfigError, match="--template"):
        template_for(None, "my-model")
    with pytest.raises(ConfigError, match="unknown chat template 'x'"):
        template_for("x", "my-model")
