"""Refinement over HTTP: on scripted engines, whole and as a stream, within the limits of everything else."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from genprm.client import AsyncClient, Client, ServiceError
from genprm.engines.scripted import Rule
from genprm.records import to_json
from genprm.refining import Refinement, Version
from genprm.serving.cache import Drafted, Judged
from genprm.serving.options import Options
from tests.service import NO, ROOT, YES, events, in_process, on_socket, process, refiner, script

BODY = {"problem": "p", "solution": ["fine", "odd \\boxed{1}"]}
WRONG, RIGHT = Rule("odd \\boxed{2}", when="fine"), Rule("fine\n\ngood \\boxed{3}")
"""What the policy writes: wrong behind a step that is fine and stays, right otherwise."""


def test_a_refinement_has_its_versions_and_the_chosen_one(tmp_path: Path) -> None:
    async def check() -> None:
        async with in_process(script(tmp_path), refiner=refiner(RIGHT)) as (client, service):
            found = (await client.post("/v1/refine", json={**BODY, "id": "mine", "turns": 2, "from": "error"})).json()
            assert (found["id"], found["outcome"], found["plan"]["turns"]) == ("mine", "accepted", 2)
            assert found["plan"]["scope"] == "error"
            first, second = found["versions"]
            assert (first["review"]["first_error"], second["review"]["accepted"], second["leader"]) == (1, True, 1)
            assert second["solution"]["steps"][0] == "fine"  # it stays: the error comes behind it
            text = (await client.get("/metrics")).text
            for line in ('refinements_total{outcome="accepted"} 1.0', 'versions_total{state="ok"} 2.0'):
                assert f"genprm_{line}" in text
            assert service.gate.admitted == 0
            info = (await client.get("/v1/info")).json()
            assert info["refine"] == {"policy": "policy", "turns": 3, "from": "whole"}

    asyncio.run(check())


def test_without_a_policy_it_is_said_in_a_sentence(tmp_path: Path) -> None:
    async def check() -> None:
        async with in_process(script(tmp_path)) as (client, _):
            answer = await client.post("/v1/refine", json=BODY)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_policy")
            assert "--policy SPEC" in answer.json()["error"]["message"]
            assert (await client.get("/v1/info")).json()["refine"] is None

    asyncio.run(check())


def test_without_a_solution_the_policy_writes_the_first(tmp_path: Path) -> None:
    async def check() -> None:
        async with in_process(script(tmp_path), refiner=refiner(RIGHT)) as (client, _):
            found = (await client.post("/v1/refine", json={"problem": "p"})).json()
            assert (found["outcome"], len(found["versions"])) == ("accepted", 1)
            assert found["versions"][0]["solution"]["generator"] == "policy"
        async with in_process(script(tmp_path), refiner=refiner(Rule(""))) as (client, _):
            found = (await client.post("/v1/refine", json={"problem": "p"})).json()
            assert (found["outcome"], found["versions"][0]["leader"]) == ("unreadable", None)

    asyncio.run(check())


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"problem": "p", "solution": ""}, "field solution: it is empty"),
        ({"problem": " "}, "field problem: it is empty"),
        ({**BODY, "turns": 0}, "field turns"),
        ({**BODY, "turns": 9}, "field turns: at most 8 revisions"),
        ({**BODY, "from": "nowhere"}, "field from"),
        ({**BODY, "scope": "error"}, "unknown field `scope`"),
        ({**BODY, "n": 33}, "at most 32 rationales"),
    ],
)
def test_a_wrong_body_gets_one_sentence(tmp_path: Path, body: Any, said: str) -> None:
    async def check() -> None:
        async with in_process(script(tmp_path), refiner=refiner()) as (client, _):
            answer = await client.post("/v1/refine", json=body)
            assert answer.status_code == 400
            assert said in answer.json()["error"]["message"]

    asyncio.run(check())


def test_a_stream_tells_drafts_steps_and_versions_as_they_come(tmp_path: Path) -> None:
    async def check() -> None:
        policy = refiner(Rule(RIGHT.text, delay_s=1.0))
        async with on_socket(script(tmp_path), refiner=policy) as (url, _), httpx.AsyncClient(base_url=url) as client:
            loop = asyncio.get_running_loop()
            text = ""
            came: dict[int, float] = {}
            async with client.stream("POST", "/v1/refine", json={**BODY, "stream": True}) as answer:
                assert answer.headers["content-type"].startswith("text/event-stream")
                async for chunk in answer.aiter_text():
                    text += chunk
                    for n, _ in enumerate(events(text)):
                        came.setdefault(n, loop.time())
            turn = ["draft", "step", "step", "version"]
            assert [name for name, _ in events(text)] == ["start", *turn * 2, "refinement"]
            assert came[5] - came[4] > 0.5  # the first version is there while the second is being written
            whole = events(text)[-1][1]
            assert [data for name, data in events(text) if name == "version"] == whole["versions"]
            again = await client.post("/v1/refine", json={**BODY, "stream": True})
            assert events(again.text)[-1] == events(text)[-1]  # kept
            assert [name for name, _ in events(again.text)] == ["start", "version", "version", "refinement"]

    asyncio.run(check())


def test_the_same_is_refined_once_and_the_seed_is_the_policys_too(tmp_path: Path) -> None:
    async def check() -> None:
        policy = refiner(Rule(RIGHT.text, delay_s=0.1))
        async with in_process(script(tmp_path), refiner=policy) as (client, _):
            bodies = [{**BODY, "id": str(n)} for n in range(5)]
            answers = await asyncio.gather(*(client.post("/v1/refine", json=body) for body in bodies))
            assert [answer.json()["id"] for answer in answers] == [str(n) for n in range(5)]
            engine: Any = policy.policy.engine
            assert engine.calls == 1
            await client.post("/v1/refine", json={**BODY, "turns": 1})
            assert engine.calls == 2
            await client.post("/v1/refine", json={**BODY, "seed": 7})
            assert engine.calls == 3
            assert policy.policy.sampling.seed == 0

    asyncio.run(check())


def test_it_is_paid_for_by_turns_and_has_one_place_in_the_queue(tmp_path: Path) -> None:
    async def check() -> None:
        policy = refiner(Rule(RIGHT.text, delay_s=0.2))
        options = Options(in_flight=1, queue=1, max_solutions=2, key_rate=0.01, key_burst=10)
        async with in_process(script(tmp_path), options, refiner=policy) as (client, service):
            bodies = [{**BODY, "problem": f"{n}", "turns": 2} for n in range(4)]
            answers = await asyncio.gather(*(client.post("/v1/refine", json=body) for body in bodies))
            assert sorted(answer.status_code for answer in answers) == [200, 200, 429, 429]  # two places
            last = await client.post("/v1/refine", json={**BODY, "problem": "x", "turns": 4})
            assert (last.status_code, "solutions a second" in last.text) == (429, True)  # 2 * 3 of 10 are spent
            assert (await client.post("/v1/refine", json={**BODY, "problem": "x", "turns": 3})).status_code == 200
            assert service.gate.admitted == service.gate.running == 0

    asyncio.run(check())


def test_a_deadline_and_a_client_that_leaves_end_the_policys_work(tmp_path: Path) -> None:
    async def check() -> None:
        policy = refiner(Rule(RIGHT.text, delay_s=30))
        async with in_process(script(tmp_path), Options(deadline_s=1.0), refiner=policy) as (client, service):
            answer = await client.post("/v1/refine", json=BODY)
            assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline")
            streamed = await client.post("/v1/refine", json={**BODY, "stream": True})
            assert [name for name, _ in events(streamed.text)][-2:] == ["version", "error"]
            assert (service.gate.admitted, len(service._flights)) == (0, 0)
        async with on_socket(script(tmp_path), refiner=policy) as (url, service):
            async with (
                httpx.AsyncClient(base_url=url) as client,
                client.stream("POST", "/v1/refine", json={**BODY, "stream": True}) as answer,
            ):
                async for chunk in answer.aiter_text():
                    if "event: version" in chunk:
                        break
            async with asyncio.timeout(10):
                while service.gate.admitted or service._flights:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

    asyncio.run(check())


def test_engines_that_fail_are_a_502(tmp_path: Path) -> None:
    async def check() -> None:
        async with in_process(script(tmp_path), refiner=refiner(Rule(error="out of paper"))) as (client, service):
            answer = await client.post("/v1/refine", json=BODY)
            assert (answer.status_code, "out of paper" in answer.text) == (502, True)
            streamed = await client.post("/v1/refine", json={**BODY, "stream": True})
            name, data = events(streamed.text)[-1]
            assert (name, data["error"]["code"]) == ("error", "engine_error")
            assert not service._flights
        broken = script(tmp_path, {"error": "no ink"})
        async with in_process(broken, refiner=refiner()) as (client, _):
            answer = await client.post("/v1/refine", json=BODY)
            assert (answer.status_code, "no ink" in answer.text) == (502, True)

    asyncio.run(check())


def test_clients_get_a_typed_refinement(tmp_path: Path) -> None:
    async def check() -> None:
        async with on_socket(script(tmp_path), refiner=refiner(WRONG, RIGHT)) as (url, _), AsyncClient(url) as client:
            found = await client.refine("p", ["fine", "odd \\boxed{1}"], turns=1, scope="error", n=2)
            assert (found.outcome, found.plan.scope, [v.answer for v in found.versions]) == (
                "turns",
                "error",
                ["1", "2"],
            )
            whole = await client.refine("p")
            assert whole.chosen is not None
            assert whole.chosen.answer == "3"
            parts = [part async for part in client.stream_refine("q", ["fine", "odd \\boxed{1}"], turns=1)]
            kinds = [type(part) for part in parts]
            assert (kinds[0], kinds[1], kinds[-1]) == (Drafted, Judged, Refinement)
            assert [part for part in parts if isinstance(part, Version)] == list(parts[-1].versions)  # type: ignore[union-attr]
            await asyncio.to_thread(synchronous, url, to_json(whole))

    def synchronous(url: str, whole: bytes) -> None:
        with Client(url) as client:
            assert to_json(client.refine("p")) == whole
            assert to_json(list(client.stream_refine("p"))[-1]) == whole
            with pytest.raises(ServiceError, match="at most 8"):
                list(client.stream_refine("p", turns=9))
            with pytest.raises(ServiceError, match="at most 8") as caught:
                client.refine("p", turns=9)
            assert caught.value.status == 400

    asyncio.run(check())


@pytest.mark.slow
def test_the_command_opens_the_policy(tmp_path: Path) -> None:
    policy = tmp_path / "policy.jsonl"
    policy.write_text("\n".join(json.dumps({"text": rule.text, "when": rule.when}) for rule in (WRONG, RIGHT)))
    direct = ("--option", "analyze=false", "--option", "verify=false")
    options = ("--policy", f"scripted:{policy}", "--turns", "1", *direct)
    engine = script(tmp_path, {"when": "odd", **NO}, YES)
    with process("--engine", engine, *options, log=tmp_path / "log") as (url, _), Client(url) as client:
        assert client.refine("p", ["fine", "odd"], scope="error").outcome == "turns"
        assert client.refine("p", ["fine", "odd"]).outcome == "accepted"
    wrong = [sys.executable, "-m", "genprm", "serve", "--policy", "nano:policy", "--turns", "0"]
    done = subprocess.run(wrong, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert (done.returncode, "at least one turn" in done.stderr) == (2, True)
