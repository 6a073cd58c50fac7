"""The client for OpenAI-compatible servers, against a real one on loopback."""

import asyncio
import math
import resource
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from genprm.engines.connections import most_connections
from genprm.engines.dialect import Dialect
from genprm.engines.openai import OpenAIEngine
from genprm.engines.templates import chatml, deepseek_r1, template_for
from genprm.errors import ConfigError, EngineError, EngineLost, EngineRefused, EngineUnavailable, PromptTooLong
from genprm.types import Completion, Message, Prompt, Sampling, Token, Usage
from tests.server import Answer, chat, completion, models, serving

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
        ({"finish_reason": None}, ("</analyze>\n",), "x"),
        ({"finish_reason": "content_filter"}, ("</analyze>\n",), "x"),
        ({"finish_reason": None, "stop_reason": "</analyze>\n"}, ("</analyze>\n",), "x</analyze>\n"),
    ],
)
def test_stop_strings_that_the_server_cut_off_are_put_back(
    choice: dict[str, Any], stop: tuple[str, ...], text: str
) -> None:
    answer, _ = answering({"choices": [{"text": "x", "finish_reason": "stop", **choice}]})
    assert asked(answer, sampling=Sampling(stop=stop)).text == text


@pytest.fixture
def quick_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("openai", "outages"):
        monkeypatch.setattr(f"genprm.engines.{module}.back_off", lambda attempt, most_s=0.0: 0.01)


@pytest.mark.usefixtures("quick_waits")
@pytest.mark.parametrize("status", [429, 500, 503, None])
def test_failures_that_may_pass_are_tried_again(status: int | None) -> None:
    trouble = None if status is None else (status, {"error": {"message": "busy"}})
    answer, bodies = answering(trouble, trouble, completion("fine"))
    assert asked(answer).text == "fine"
    assert [body["max_tokens"] for body in bodies] == [2048, 1, 1, 2048]  # the call, two probes, the call


@pytest.mark.usefixtures("quick_waits")
@pytest.mark.parametrize("ended", ["abort", "error"])
def test_a_completion_that_the_server_broke_off_is_tried_again(ended: str) -> None:
    answer, bodies = answering(completion("I was just", ended), completion("fine"))
    assert asked(answer).text == "fine"
    assert len(bodies) == 3  # a probe between them


@pytest.mark.usefixtures("quick_waits")
def test_in_the_end_it_gives_up_and_says_why() -> None:
    answer, bodies = answering((503, {"error": {"message": "over\nloaded"}}))
    with pytest.raises(EngineLost, match=r"v1 for \d s: HTTP 503: over loaded"):
        asked(answer, patience_s=0.6)
    assert len(bodies) > 3


@pytest.mark.parametrize(
    ("status", "said"), [(400, "bad field"), (401, "GENPRM_API_KEY"), (404, "HTTP 404"), (422, "HTTP 422")]
)
def test_a_final_no_is_not_asked_again(status: int, said: str) -> None:
    answer, bodies = answering((status, {"object": "error", "message": "a bad field"}))
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
        {"choices": [{"text": "a", "logprobs": {"tokens": [None], "token_logprobs": [-1.0]}}]},
        {"choices": [{"text": "a", "logprobs": {"content": [{"token": 5, "logprob": -1.0}]}}]},
        {
            "choices": [
                {
                    "text": "a",
                    "logprobs": {
                        "content": [
                            {"token": "a", "logprob": -1.0, "top_logprobs": [{"token": None, "logprob": -1.0}]},
                        ]
                    },
                }
            ]
        },
        {"choices": [{"text": "a", "logprobs": {"tokens": ["a"], "token_logprobs": [-(10**400)]}}]},
        {"choices": "x"},
        [],
    ],
)
def test_garbage_is_an_engine_error_and_never_a_crash(reply: Any) -> None:
    answer, _ = answering(reply if isinstance(reply, bytes | dict) else b"[]")
    with pytest.raises(EngineError):
        asked(answer, patience_s=0.0)


def test_a_server_that_hangs_is_left_at_the_time_out() -> None:
    def answer(path: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
        if path == "/models":
            return models(MODEL)
        time.sleep(1.5)
        return completion("late")

    with pytest.raises(EngineLost, match=r"no answer within 0\.3 s"):
        asked(answer, timeout_s=0.3, patience_s=0.0)


def test_an_unreachable_server_is_said_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.perf_counter()
    with pytest.raises(EngineUnavailable, match=f"no answer from http://127.0.0.1:{port}/v1"):
        asyncio.run(OpenAIEngine.connect(f"http://127.0.0.1:{port}/v1"))
    assert time.perf_counter() - began < 20


def test_connections_leave_files_for_others() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert most_connections(soft) == soft // 2
    assert most_connections(3) == 3


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


def test_no_limits_are_asked_for_too() -> None:
    """What is left out is filled in from the model's own generation_config.json."""
    answer, bodies = answering(completion("fine"))
    asked(answer, sampling=Sampling(top_k=0, repetition_penalty=1.0))
    assert (bodies[0]["top_k"], bodies[0]["repetition_penalty"]) == (-1, 1.0)


def test_calls_refused_together_teach_one_thing() -> None:
    """Those that come second are refused for what has been learnt already, whatever else their refusal names."""
    said: list[str] = []
    dialect = Dialect(said.append)
    body = dialect.body("m", Prompt((Message("user", "?"),)), None, Sampling(logprobs=20, schema={"type": "object"}))
    for _ in range(2):
        dialect.learn("unknown top_k; known are logprobs, response_format", body)
    other = dialect.body("m", Prompt((Message("user", "?"),)), None, Sampling(logprobs=20, schema={"type": "object"}))
    assert set(body) - set(other) == {"top_k", "repetition_penalty"}
    assert said == []


def test_an_error_in_a_good_answer_is_said() -> None:
    answer, _ = answering({"error": {"message": "quota exceeded"}})
    with pytest.raises(EngineLost, match=r"127\.0\.0\.1:\d+/v1 .*answers with an error: quota exceeded"):
        asked(answer, patience_s=0.0)


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
        time.sleep(0.5)
        return completion(body["prompt"][-3:])

    async def many(engine: OpenAIEngine) -> list[str]:
        prompts = [Prompt(PROMPT.messages, f"{n:03}") for n in range(40)]
        return [done.text for done in await asyncio.gather(*(engine.complete(p, Sampling()) for p in prompts))]

    began = time.perf_counter()
    assert with_engine(answer, many) == [f"{n:03}" for n in range(40)]
    assert time.perf_counter() - began < 15  # one after another: 20 s


# --- chat -----------------------------------------------------------------------------------------------------------

TURN = Prompt((Message("user", "right?"),))
VERDICT = Sampling(logprobs=20, schema={"type": "object"})


@pytest.mark.parametrize(
    ("message", "text", "reasoning"),
    [
        ({"content": "So.", "reasoning_content": "hm"}, "So.", "hm"),
        ({"content": "So.", "reasoning": "hm"}, "So.", "hm"),
        ({"content": "So.", "reasoning": None, "reasoning_content": ""}, "So.", ""),
        ({"content": None, "reasoning": "hm"}, "", "hm"),
    ],
)
def test_reasoning_that_a_server_gives_apart(message: dict[str, Any], text: str, reasoning: str) -> None:
    answer, _ = answering(chat(None, **message))
    done = asked(answer, TURN, VERDICT)
    assert (done.text, done.reasoning) == (text, reasoning)


def test_log_probabilities_of_reasoning_are_left_out() -> None:
    def written(*parts: str) -> dict[str, Any]:
        reply = chat("So.", reasoning="hm")
        reply["choices"][0]["logprobs"] = {"content": [{"token": part, "logprob": -1.0} for part in parts]}
        return reply

    answer, _ = answering(written("<think>", "hm", "</think>", "\n", "So", "."))
    assert [token.text for token in asked(answer, TURN, VERDICT).tokens] == ["So", "."]
    answer, _ = answering(written("<think>", "hm", "</think>So", "."))
    assert asked(answer, TURN, VERDICT).tokens == ()


def test_what_a_server_refuses_by_name_it_is_not_asked_again() -> None:
    seen: list[dict[str, Any]] = []
    said: list[str] = []

    def answer(path: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
        if path == "/models":
            return models(MODEL)
        seen.append(body)
        if "response_format" in body:
            return 422, {"error": {"message": "response_format: extra fields not permitted"}}
        if body.get("top_logprobs", 0) > 5:
            return 400, {"error": {"message": "top_logprobs must be at most 5"}}
        if "logprobs" in body:
            return 400, {"error": {"message": "this model does not give logprobs"}}
        if "max_tokens" in body:
            return 400, {"error": {"message": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens'."}}
        if body["max_completion_tokens"] > 100:
            return 400, {
                "error": {"message": "max_tokens is too large: 2048. It supports at most 100 completion tokens"}
            }
        return chat("fine")

    async def twice(engine: OpenAIEngine) -> str:
        await asyncio.gather(*(engine.complete(TURN, VERDICT) for _ in range(5)))
        seen.clear()
        return (await engine.complete(TURN, VERDICT)).text

    assert with_engine(answer, twice, on_trouble=said.append) == "fine"
    assert len(seen) == 1
    assert seen[0]["max_completion_tokens"] == 100
    assert sorted(line.partition("/v1: ")[2] for line in said) == [
        "no log-probabilities there; going on without them",
        "no structured output there; going on without it",
    ]


def test_the_schema_is_asked_for() -> None:
    answer, bodies = answering(chat("{}"))
    asked(answer, TURN, VERDICT)
    assert bodies[0]["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert (bodies[0]["logprobs"], bodies[0]["top_logprobs"]) == (True, 20)


# --- prompts that do not fit ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "message"),
    [
        # vLLM, today's and older
        (
            400,
            "This model's maximum context length is 64 tokens. However, your prompt contains at least 65 input tokens",
        ),
        (
            400,
            "This model's maximum context length is 8192 tokens. However, you requested 8204 tokens",
        ),
        (400, "The decoder prompt (length 70) is longer than the maximum model length of 64. Make sure that"),
        (400, "max_tokens=2048 cannot be greater than max_model_len=max_total_tokens=64."),
        (
            400,
            "'max_tokens' is too large: 9. This model's maximum context length is 8 tokens and your request has 3",
        ),
        (400, "Input length (70) exceeds model's maximum context length (64)."),
        # SGLang
        (400, "The input (61709 tokens) is longer than the model's context length (40960 tokens)."),
        (
            400,
            "Requested token count exceeds the model's maximum context length of 131072 tokens. You requested a total",
        ),
        (400, "Input length (160062 tokens) exceeds the maximum allowed length (59862 tokens)."),
        # llama.cpp
        (400, "the request exceeds the available context size. try increasing the context size"),
        (400, "request (4390 tokens) exceeds the available context size (4096 tokens), try increasing it"),
        (400, "Requested tokens (2285) exceed context window of 2048"),
        # TGI
        (
            422,
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 1244 `inputs` tokens",
        ),
        (422, "Input validation error: `inputs` must have less than 1024 tokens. Given: 1168."),
        # OpenAI
        (400, "This model's maximum context length is 8192 tokens. However, your messages resulted in 8227 tokens."),
        (400, "Your input exceeds the context window of this model. Please adjust your input and try again."),
        (413, "Request Entity Too Large"),
    ],
)
def test_refusals_of_long_prompts(status: int, message: str) -> None:
    answer, bodies = answering((status, {"error": {"message": message}}))
    with pytest.raises(PromptTooLong, match=f"HTTP {status}"):
        asked(answer)
    assert len(bodies) == 1


@pytest.mark.parametrize("status", [400, 500])
def test_refusals_of_long_prompts_by_code(status: int) -> None:
    code = "context_length_exceeded" if status == 400 else "exceed_context_size_error"
    answer, _ = answering((status, {"error": {"message": "no", "type": code}}))
    with pytest.raises(PromptTooLong):
        asked(answer)


def used(prompt: int, completion_: int, finish: str = "length") -> dict[str, Any]:
    return completion("x", finish) | {"usage": {"prompt_tokens": prompt, "completion_tokens": completion_}}


@pytest.mark.parametrize(
    ("reply", "window", "fits"),
    [
        (used(900, 100), 1000, False),  # it wrote up to the window's end, not to the budget's
        (used(900, 99), 1000, False),
        (used(500, 100), 1000, True),  # a server with a limit of its own
        (used(900, 100), None, True),
        (used(900, 100, "stop"), 1000, True),
        (used(0, 0), 1000, True),
    ],
)
def test_a_budget_cut_in_silence_is_noticed(reply: dict[str, Any], window: int | None, fits: bool) -> None:
    known = {} if window is None else {"max_model_len": window}

    def answer(path: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
        return models(MODEL, **known) if path == "/models" else reply

    if fits:
        assert asked(answer).text == "x"
    else:
        with pytest.raises(PromptTooLong, match="cut what did not fit"):
            asked(answer)


def test_many_characters_a_token_are_no_cut_prompt() -> None:
    """Spaces, or another language: the same server reads 1.5 characters into a token, and 8 into others."""
    answer, _ = answering(*[used(600, 5, "stop")] * 10)

    async def denser(engine: OpenAIEngine) -> None:
        for size in [900] * 10 + [4800]:
            await engine.complete(Prompt((Message("user", "x" * size),), "y"), Sampling())

    with_engine(answer, denser)


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
