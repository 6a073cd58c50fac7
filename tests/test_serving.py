"""The service: every route, on a real socket and without one, the clients, the cache and the adapters."""

import asyncio
import hashlib
import json
import re
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

from genprm.cli import main
from genprm.client import AsyncClient, Client, ServiceError
from genprm.errors import ConfigError
from genprm.records import from_json, to_json
from genprm.serving.adapters import compute_score, trl_reward
from genprm.serving.adapters.text import problem_of, response_of, solution_of
from genprm.serving.cache import Cache
from genprm.serving.errors import Refusal
from genprm.serving.keys import Keys
from genprm.serving.limits import Clients, Gate
from genprm.serving.metrics import Metrics
from genprm.serving.options import Options
from genprm.serving.scores import scored
from genprm.types import Critique, Method, Problem, Rationale, Solution, StepCritique, Votes
from tests.service import NO, ROOT, YES, events, in_process, on_socket, process, refiner, script

BODY = {"problem": "p", "solution": "Step 1: fine\n\nStep 2: odd"}


# --- routes ----------------------------------------------------------------------------------------------------------


def test_a_critique_and_scores_and_a_rank(tmp_path: Path) -> None:
    async def check() -> None:
        async with in_process(script(tmp_path)) as (client, _):
            critique = (await client.post("/v1/critique", json={**BODY, "id": "mine"})).json()
            assert (critique["outcome"], critique["first_error"], critique["solution"]["id"]) == ("ok", 1, "mine")
            items = [BODY, {"problem": "p", "solution": ["fine", "fine"], "id": "b"}]
            answer = (await client.post("/v1/score", json={"items": items, "by": "product"})).json()
            assert [score["id"] for score in answer["scores"]] == ["", "b"]
            assert answer["scores"][0]["reward"] == pytest.approx(0.09)
            assert answer["scores"][1]["rewards"] == pytest.approx([0.9, 0.9])
            rank = (await client.post("/v1/rank", json={"problem": "p", "candidates": ["odd", ["fine"], "odd"]})).json()
            assert (rank["best"], rank["order"]) == (1, [1, 0, 2])

    asyncio.run(check())


def test_a_choice_by_votes_of_equal_answers(tmp_path: Path) -> None:
    """0.50 and .5 are one answer, 7 is another; without an answer there is no vote."""

    async def check() -> None:
        engine = script(tmp_path, {"when": "sure", "text": YES["text"], "p_yes": 0.99}, {"when": "odd", **NO}, YES)
        async with in_process(engine) as (client, service):
            texts = ["sure \\boxed{7}", "fine\n\n#### 0.50", "fine \\boxed{.5}", "no answer, odd"]

            async def ranked(**how: Any) -> Any:
                return (await client.post("/v1/rank", json={"problem": "p", "candidates": texts, **how})).json()

            best, weighted = await ranked(), await ranked(way="weighted")
            assert (best["best"], best["answers"], best["order"]) == (0, [0, 1, 1, -1], [0, 1, 2, 3])
            assert (weighted["best"], weighted["tied"], weighted["order"]) == (1, 1, [1, 0, 2, 3])
            calls = service.critic.engine.calls  # type: ignore[attr-defined]
            majority = await ranked(way="majority", n=2)
            assert (majority["best"], majority["scores"]) == (1, [])
            assert service.critic.engine.calls == calls  # type: ignore[attr-defined]
            texts[1:3] = ["fine", "fine"]
            assert (await ranked(way="majority"))["best"] == 0
            texts[0] = "sure"
            nothing = await ranked(way="majority")
            assert (nothing["best"], nothing["answers"], nothing["order"]) == (None, [-1] * 4, [0, 1, 2, 3])

    asyncio.run(check())


def test_an_analysis_where_it_is_asked_for(tmp_path: Path) -> None:
    """Kind, severity and suggestion, in the whole answer and in the stream; without asking there is none."""

    async def check() -> None:
        body = {"problem": "What are 37 loaves at 4 dollars?", "solution": ["Odd: 37 * 4 = 138 dollars."], "n": 2}
        async with in_process(script(tmp_path, NO)) as (client, _):
            assert "analysis" not in (await client.post("/v1/critique", json=body)).json()
            whole = (await client.post("/v1/critique", json={**body, "analysis": True})).json()
            (fault,) = whole["analysis"]["faults"]
            assert (fault["kind"], fault["claimed"], fault["step"]) == ("calculation", "138", 0)
            assert 0 < fault["severity"] <= 1
            streamed = await client.post("/v1/critique", json={**body, "analysis": True, "stream": True})
            assert events(streamed.text)[-1][1]["analysis"] == whole["analysis"]
            assert from_json(json.dumps(whole), Critique).first_error == 0

    asyncio.run(check())


def test_what_was_not_judged_has_no_reward(tmp_path: Path) -> None:
    """After the first error, and where the engine gave no verdict: null, and never a number."""

    async def check() -> None:
        engine = script(tmp_path, {"when": "odd", **NO}, {"when": "dumb", "text": "</output>\n"}, YES)
        async with in_process(engine) as (client, _):
            body = {"items": [{"problem": "p", "solution": ["odd", "fine"]}], "stop_at_first_error": True}
            (score,) = (await client.post("/v1/score", json=body)).json()["scores"]
            assert (score["rewards"][1], score["first_error"]) == (None, 0)
            body = {"items": [{"problem": "p", "solution": ["fine", "dumb"]}]}
            (score,) = (await client.post("/v1/score", json=body)).json()["scores"]
            assert (score["outcome"], score["reward"], score["rewards"][1]) == ("no_verdict", None, None)

    asyncio.run(check())


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/v1/critique", {"problem": "p"}, "missing required field `solution`"),
        ("/v1/critique", {**BODY, "n": "8"}, "field n: Expected `int | null`"),
        ("/v1/critique", {**BODY, "n": 33}, "at most 32 rationales"),
        ("/v1/critique", {**BODY, "m": 1}, "unknown field `m`"),
        ("/v1/critique", {**BODY, "threshold": 2}, "field threshold"),
        ("/v1/critique", {"problem": " ", "solution": "x"}, "field problem: it is empty"),
        ("/v1/critique", {"problem": "p", "solution": ["x", " "]}, "a step of it is"),
        ("/v1/score", {"items": []}, "field items"),
        ("/v1/score", {"items": [{"problem": "p", "solution": ""}]}, "items[0].solution"),
        ("/v1/rank", {"problem": "p", "candidates": ["x"], "by": "luck"}, "field by"),
        ("/v1/rank", {"problem": "p", "candidates": ["x"], "way": "luck"}, "field way"),
        ("/get_reward", {"query": ["a b"], "prompts": ["c"]}, "query[0]: its prompt is not in it"),
        ("/get_reward", {"query": ["a b"], "prompts": ["a", "b"]}, "2 prompts for 1 queries"),
        ("/v1/critique", [1], "Expected `object`"),
    ],
)
def test_a_wrong_body_gets_one_sentence(tmp_path: Path, path: str, body: Any, said: str) -> None:
    async def check() -> None:
        async with in_process(script(tmp_path)) as (client, _):
            answer = await client.post(path, json=body)
            assert answer.status_code == 400
            assert said in answer.json()["error"]["message"]

    asyncio.run(check())


def test_limits_of_bodies(tmp_path: Path) -> None:
    async def check() -> None:
        options = Options(max_steps=2, max_solutions=2, max_chars=50, max_body=2000, settable=("n",))
        async with in_process(script(tmp_path), options) as (client, _):

            async def status(body: Any, path: str = "/v1/critique") -> int:
                return (await client.post(path, json=body)).status_code

            assert await status({"problem": "p", "solution": ["a"] * 3}) == 413
            assert await status({"problem": "p" * 51, "solution": "a"}) == 413
            assert await status({"problem": "p", "solution": "a" * 3000}) == 413
            assert await status({"items": [BODY] * 3}, "/v1/score") == 413
            assert await status({**BODY, "seed": 3}) == 400  # is not for requests to choose here
            assert await status({**BODY, "n": 2}) == 200
            assert (await client.post("/v1/critique", content=json.dumps(BODY))).status_code == 415
            assert (await client.get("/v1/critique")).status_code == 405
            assert (await client.get("/nothing")).json()["error"]["code"] == "no_route"

    asyncio.run(check())


def test_probes_metrics_and_openapi(tmp_path: Path) -> None:
    async def check() -> None:
        async with in_process(script(tmp_path)) as (client, service):
            for _ in range(2):
                await client.post("/v1/critique", json=BODY)
            text = (await client.get("/metrics")).text
            for line in (
                'genprm_requests_total{route="/v1/critique",status="200"} 2.0',
                'genprm_cache_lookups_total{result="hit"} 1.0',
                'genprm_steps_total{verdict="wrong"} 1.0',
                'genprm_votes_total{vote="yes"} 1.0',
                "genprm_queue_depth 0.0",
            ):
                assert line in text
            assert (await client.get("/healthz")).status_code == (await client.get("/readyz")).status_code == 200
            service.stopping = True
            assert (await client.get("/readyz")).status_code == 503
            assert (await client.post("/v1/critique", json=BODY)).status_code == 503
            document = (await client.get("/openapi.json")).json()
            route = document["paths"]["/v1/critique"]["post"]
            assert route["requestBody"]["content"]["application/json"]["example"]["problem"]
            assert "Critique" in document["components"]["schemas"]

    asyncio.run(check())


def test_head_is_get_without_a_body(tmp_path: Path) -> None:
    keys = Keys({"name": hashlib.sha256(b"k").hexdigest()})

    async def check() -> None:
        async with on_socket(script(tmp_path)) as (url, service), httpx.AsyncClient(base_url=url) as client:
            for path in ("/", "/healthz", "/readyz", "/openapi.json", "/v1/info", "/page/app.js"):
                head, get = await client.head(path), await client.get(path)
                assert (head.status_code, head.content) == (200, b"")
                assert head.headers["content-length"] == str(len(get.content))
            assert (await client.head("/v1/critique")).status_code == 405
            service.stopping = True
            assert (await client.head("/readyz")).status_code == 503
        async with in_process(script(tmp_path), keys=keys) as (client, _):
            assert (await client.head("/healthz")).status_code == 200
            refused = await client.head("/metrics")
            assert (refused.status_code, refused.content) == (401, b"")

    asyncio.run(check())


@pytest.mark.slow
def test_every_example_of_the_openapi_document_works(tmp_path: Path) -> None:
    async def check() -> None:
        async with in_process("symbolic", direct=False, refiner=refiner()) as (client, _):
            paths = (await client.get("/openapi.json")).json()["paths"]
            for path, route in paths.items():
                if "post" in route:
                    example = route["post"]["requestBody"]["content"]["application/json"]["example"]
                    assert (await client.post(path, json=example)).status_code == 200, path

    asyncio.run(check())


# --- streams, on a socket --------------------------------------------------------------------------------------------


def test_a_stream_tells_each_step_as_soon_as_it_is_judged(tmp_path: Path) -> None:
    async def check() -> None:
        engine = script(tmp_path, {"when": "slow", "delay_s": 1.0, **NO}, YES)
        async with on_socket(engine) as (url, _), httpx.AsyncClient(base_url=url) as client:
            loop = asyncio.get_running_loop()
            came: dict[int, float] = {}
            body = {"problem": "p", "solution": ["fine", "slow"], "stream": True}
            text = ""
            async with client.stream("POST", "/v1/critique", json=body) as answer:
                assert answer.headers["content-type"].startswith("text/event-stream")
                async for chunk in answer.aiter_text():
                    text += chunk
                    for n, _ in enumerate(events(text)):
                        came.setdefault(n, loop.time())
            assert [name for name, _ in events(text)] == ["start", "step", "step", "critique"]
            assert came[2] - came[1] > 0.5  # of the second that the other step takes
            assert events(text)[3][1]["first_error"] == 1

    asyncio.run(check())


def test_clients_critique_stream_score_and_rank(tmp_path: Path) -> None:
    async def check() -> None:
        async with on_socket(script(tmp_path)) as (url, _), AsyncClient(url) as client:
            critique = await client.critique("p", ["fine", "odd"], n=2)
            assert (critique.first_error, critique.method.n) == (1, 2)
            parts = [part async for part in client.stream("p", ["fine", "odd"])]
            assert [type(part) for part in parts] == [StepCritique, StepCritique, Critique]
            assert (await client.rank("p", ["odd", "fine"])).best == 1
            analysed = await client.critique("p", "odd", analysis=True)
            assert analysed.analysis is not None
            assert [fault.step for fault in analysed.analysis.faults] == [0]
            assert [part async for part in client.stream("p", "odd", analysis=True)][-1] == analysed
            await asyncio.to_thread(synchronous, url)

    def synchronous(url: str) -> None:
        with Client(url) as client:
            assert [score.first_error for score in client.score([BODY, {**BODY, "solution": "fine"}])] == [1, -1]
            assert [type(part) for part in client.stream("p", "odd")] == [StepCritique, Critique]
            assert client.critique("p", "odd").first_error == 0
            analysed = client.critique("p", "odd", analysis=True)
            assert analysed.analysis is not None
            assert list(client.stream("p", "odd", analysis=True))[-1] == analysed
            with pytest.raises(ServiceError, match="at most 32") as caught:
                client.critique("p", "odd", n=99)
            assert (caught.value.status, caught.value.code) == (400, "bad_request")
        with Client("http://127.0.0.1:1") as client, pytest.raises(ServiceError, match="cannot be reached"):
            client.critique("p", "s")

    asyncio.run(check())


# --- queue, deadline, cache ------------------------------------------------------------------------------------------


def test_what_does_not_fit_the_queue_is_refused_at_once(tmp_path: Path) -> None:
    async def check() -> None:
        options = Options(in_flight=1, queue=2, max_solutions=3)
        async with in_process(script(tmp_path, {"delay_s": 0.2, **YES}), options) as (client, service):
            bodies = [{"problem": f"p{n}", "solution": "s"} for n in range(8)]
            answers = await asyncio.gather(*(client.post("/v1/critique", json=body) for body in bodies))
            assert sorted(a.status_code for a in answers) == [200] * 3 + [429] * 5
            assert all(int(a.headers["retry-after"]) >= 1 for a in answers if a.status_code == 429)
            assert service.gate.admitted == service.gate.running == 0

    asyncio.run(check())


def test_a_stream_has_its_place_before_it_begins(tmp_path: Path) -> None:
    """Many at the same moment: those that do not fit are refused with 429, not in the midst of a 200."""

    async def check() -> None:
        options = Options(port=0, in_flight=1, queue=1, max_solutions=1, grace_s=1.0)
        engine = script(tmp_path, {"delay_s": 0.5, **YES})
        async with on_socket(engine, options) as (url, service), httpx.AsyncClient(base_url=url) as client:
            bodies = [{"problem": f"p{n}", "solution": "s", "stream": True} for n in range(12)]
            answers = await asyncio.gather(*(client.post("/v1/critique", json=body) for body in bodies))
            assert sorted(a.status_code for a in answers) == [200] * 2 + [429] * 10
            assert all(events(a.text)[-1][0] == "critique" for a in answers if a.status_code == 200)
            assert service.gate.admitted == 0

    asyncio.run(check())


def test_a_deadline_ends_the_work_too(tmp_path: Path) -> None:
    async def check() -> None:
        options = Options(deadline_s=0.05)
        async with in_process(script(tmp_path, {"delay_s": 30, **YES}), options) as (client, service):
            answer = await client.post("/v1/critique", json={**BODY, "timeout_s": 5})
            assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline")
            await asyncio.sleep(0.05)
            assert (service.gate.admitted, service.gate.running, len(service.cache)) == (0, 0, 0)

    asyncio.run(check())


def test_the_same_is_judged_once_and_each_gets_its_own_name_back(tmp_path: Path) -> None:
    async def check() -> None:
        async with in_process(script(tmp_path, {"delay_s": 0.1, **YES})) as (client, service):
            bodies = [{"problem": "p", "solution": "s", "id": str(n)} for n in range(20)]
            answers = await asyncio.gather(*(client.post("/v1/critique", json=body) for body in bodies))
            assert [a.json()["solution"]["id"] for a in answers] == [str(n) for n in range(20)]
            assert service.critic.engine.calls == 1  # type: ignore[attr-defined]
            await client.post("/v1/critique", json={**bodies[0], "threshold": 0.3})
            assert service.critic.engine.calls == 2  # type: ignore[attr-defined]

    asyncio.run(check())


def test_one_who_leaves_does_not_take_the_answer_from_the_others(tmp_path: Path) -> None:
    async def check() -> None:
        async with in_process(script(tmp_path, {"delay_s": 0.3, **YES})) as (client, service):
            first = asyncio.create_task(client.post("/v1/critique", json=BODY))
            second = asyncio.create_task(client.post("/v1/critique", json=BODY))
            await asyncio.sleep(0.1)
            first.cancel()
            assert (await second).status_code == 200
            assert service.critic.engine.calls == 2  # type: ignore[attr-defined]

    asyncio.run(check())


def test_a_cache_forgets_by_age_number_and_size() -> None:
    now = [0.0]
    critique = Critique(Solution(Problem("p" * 1000), ("s",)), Method("e", "p"), "ok")
    cache = Cache(3, 10_000, 60.0, clock=lambda: now[0])
    for n in range(5):
        cache.put(bytes([n]), critique)
    assert (cache.get(b"\0"), cache.get(b"\4"), len(cache)) == (None, critique, 3)
    now[0] = 61.0
    assert cache.get(b"\4") is None
    size = len(to_json(critique))
    small = Cache(100, 2 * size + 1, 60.0)
    for n in range(5):
        small.put(bytes([n]), critique)
    assert (len(small), small.size) == (2, 2 * size)


def test_a_bucket_fills_and_has_a_bottom() -> None:
    now = [0.0]
    clients = Clients(2.0, 4, 1, clock=lambda: now[0])
    clients.pay("a", 4)
    with pytest.raises(Refusal, match="more than 2 solutions") as caught:
        clients.pay("a", 2)
    assert caught.value.headers == {"Retry-After": "2"}
    clients.pay("b", 1)  # has one of its own
    now[0] = 1.0
    clients.pay("a", 2)
    with clients.one_more("a"), pytest.raises(Refusal), clients.one_more("a"):
        pass


def test_clients_are_forgotten_though_the_oldest_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genprm.serving.limits._MOST_CLIENTS", 8)
    clients = Clients(1.0, 2, 1, clock=lambda: 0.0)
    with clients.one_more("old"):
        for n in range(50):
            clients.pay(f"client {n}", 1)
        assert len(clients._clients) == 8
        with pytest.raises(Refusal, match="requests of yours"), clients.one_more("old"):
            pass
    clients.pay("client 49", 1)
    with pytest.raises(Refusal, match="more than 1"):
        clients.pay("client 49", 1)  # is known still


def test_rationales_of_a_whole_solution_are_counted() -> None:
    metrics = Metrics()
    judgements = (Rationale(0, "ok", first_error=1), Rationale(1, "no_verdict"))
    metrics.made(Critique(Solution(Problem("p"), ("s",)), Method("e", "judge", 2), "ok", 1, judgements=judgements))
    text = metrics.text().decode()
    assert 'genprm_rationales_total{outcome="ok"} 1.0' in text
    assert 'genprm_rationales_total{outcome="no_verdict"} 1.0' in text


def test_a_gate_says_how_long_to_wait() -> None:
    async def check() -> None:
        gate = Gate(1, 1)
        with gate.admit(2), pytest.raises(Refusal, match="the queue is full: 2 solutions") as caught:
            gate.require_room(1)
        assert caught.value.status == 429
        assert gate.idle.is_set()

    asyncio.run(check())


# --- options and scores ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"host": "0.0.0.0"}, "needs --keys"),
        ({"host": "example.org"}, "needs --keys"),
        ({"max_n": 0}, "max-n is at least 1"),
        ({"deadline_s": 0.0}, "deadline is more than 0"),
        ({"settable": ("engine",)}, "cannot set engine"),
        ({"queue": 0, "in_flight": 1}, "must fit"),
    ],
)
def test_options_that_do_not_fit(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Options(**wrong)


def test_rewards_of_solutions() -> None:
    solution = Solution(Problem("p"), ("a", "b"))
    steps = (StepCritique(0, Votes(1, 1), 0.5, True), StepCritique(1, Votes(1, 3), 0.25, False))
    whole = Critique(solution, Method("e", "p"), "ok", 1, steps)
    for by, reward in (("min", 0.25), ("last", 0.25), ("mean", 0.375), ("product", 0.125)):
        assert scored(whole, by).reward == reward  # type: ignore[arg-type]
    assert scored(replace(whole, steps=steps[:1]), "min").rewards == [0.5, None]
    assert scored(replace(whole, outcome="no_verdict"), "min").reward is None


# --- adapters --------------------------------------------------------------------------------------------------------

CHATML = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHow much?<|im_end|>\n<|im_start|>assistant\n"
_HEAD = "<|start_header_id|>%s<|end_header_id|>\n\n"
LLAMA = f"<|begin_of_text|>{_HEAD % 'user'}How much?<|eot_id|>{_HEAD % 'assistant'}"
DEEPSEEK = "<｜begin▁of▁sentence｜><｜User｜>How much?<｜Assistant｜>"


@pytest.mark.parametrize("prompt", [CHATML, LLAMA, DEEPSEEK, "How much?", "<s>[INST] How much? [/INST]"])
def test_problems_are_found_in_prompts(prompt: str) -> None:
    assert problem_of(prompt) == "How much?"
    assert problem_of([{"role": "system", "content": "x"}, {"role": "user", "content": "How much?"}]) == "How much?"
    assert solution_of("<think>hm\n</think>\nStep 1: 2<|im_end|>") == "Step 1: 2"
    assert response_of(f"{prompt}Step 1", prompt) == "Step 1"
    assert response_of("Step 1", "else") is None


def test_openrlhf_is_answered_as_it_expects(tmp_path: Path) -> None:
    """Its own body, of ``openrlhf/utils/agent.py``: query, prompts, labels; one number for each in every list."""

    async def check() -> None:
        engine = script(tmp_path, {"when": "dumb", "text": "</output>\n"}, {"when": "odd", **NO}, YES)
        async with in_process(engine) as (client, _):
            queries = [f"{CHATML}Step 1: fine<|im_end|>", f"{CHATML}Step 1: odd<|im_end|>"]
            body = {"query": queries, "prompts": [CHATML] * 2, "labels": ["3", None], "more": 1}
            answer = (await client.post("/get_reward", json=body)).json()
            assert answer["rewards"] == pytest.approx([0.9, 0.1])
            assert answer["scores"] == [1.0, 0.0]
            assert all(len(values) == 2 for values in answer["extra_logs"].values())
            refused = await client.post("/get_reward", json={"query": [f"{CHATML}dumb"], "prompts": [CHATML]})
            assert (refused.status_code, refused.json()["error"]["code"]) == (502, "no_reward")
            bare = await client.post("/get_reward", json={"query": "How much?\n\nodd"})
            assert bare.json()["scores"] == [0.0]

    asyncio.run(check())


def test_reward_functions_of_trl_and_verl(tmp_path: Path) -> None:
    async def check() -> None:
        engine = script(tmp_path, {"when": "dumb", "text": "</output>\n"}, {"when": "odd", **NO}, YES)
        async with on_socket(engine, Options(port=0, max_steps=2, grace_s=1.0)) as (url, _):
            await asyncio.to_thread(functions, url)

    def functions(url: str) -> None:
        reward = trl_reward(url, batch=2)
        texts = ["fine", "odd", "dumb", "", "a\n\nb\n\nc"]
        rewards = reward(prompts=["p"] * 5, completions=texts, answer=["1"] * 5)
        assert rewards[:2] == pytest.approx([0.9, 0.1])
        assert rewards[2:] == [None, 0.0, None]  # no verdict; nothing said; more steps than the server takes
        chats = [[{"role": "assistant", "content": text}] for text in ("odd", "fine")]
        assert reward(prompts=[[{"role": "user", "content": "p"}]] * 2, completions=chats) == pytest.approx([0.1, 0.9])
        extra = {"question": "p", "index": 3}
        assert compute_score("gsm8k", "fine", "3", extra, url=url) == pytest.approx(0.9)
        assert compute_score("gsm8k", " ", "3", extra, url=url) == 0.0
        assert compute_score("gsm8k", "dumb", "3", extra, url=url, missing=0.5) == 0.5
        with pytest.raises(ServiceError, match="no_verdict"):
            compute_score("gsm8k", "dumb", "3", extra, url=url)
        with pytest.raises(ServiceError, match="extra_info"):
            compute_score("gsm8k", "fine", "3", {}, url=url)

    asyncio.run(check())


@pytest.mark.slow
def test_trl_takes_the_reward_function(tmp_path: Path) -> None:
    """A real GRPOTrainer makes a step with it, on a model of two layers from nothing."""
    if find_spec("trl") is None:  # importing it takes its time
        pytest.skip("needs trl")
    code = ROOT / "tests" / "grpo_step.py"
    with process("--engine", script(tmp_path), "--option", "analyze=false", "--option", "verify=false",
                 log=tmp_path / "log") as (url, _):  # fmt: skip
        command = [sys.executable, str(code), url, str(tmp_path / "out")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=110, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert 0 < json.loads(done.stdout.splitlines()[-1])["reward"] < 1


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_serves_what_the_docs_say_to_curl(tmp_path: Path) -> None:
    """Every call of curl in the docs, as it stands there but for the address."""
    calls = re.findall(r"^(curl .*?)\n(?!  )", (ROOT / "docs" / "serving.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(calls) >= 5
    with process("--engine", "symbolic", "--policy", "nano:policy", log=tmp_path / "log") as (url, running):
        for call in calls:
            command = call.replace("http://127.0.0.1:8000", url)
            done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, done.stderr
            assert '"error":{' not in done.stdout, done.stdout
        running.terminate()
        assert running.wait(20) == 0
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    asked = [line for line in lines if line["event"] == "request" and line["route"].startswith("/v1/")]
    assert all(len(line["problem"]) == 16 and "loaf" not in json.dumps(line) for line in asked)


def test_a_public_address_needs_keys_and_a_key_is_shown_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = tmp_path / "keys"
    assert main(["serve", "--host", "0.0.0.0"]) == 2
    assert "needs --keys" in capsys.readouterr().err
    assert main(["serve", "--keys", str(keys), "--new-key", "anna"]) == 0
    shown = capsys.readouterr().out.strip()
    assert shown
    assert shown not in keys.read_text()
    assert keys.stat().st_mode & 0o077 == 0
