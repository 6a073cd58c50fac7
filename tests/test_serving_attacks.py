"""Those who mean ill: keys, bodies, pages of others, text that is script, code that wants out, clients that dawdle."""

import asyncio
import gc
import json
import re
import socket
import subprocess
import sys
import time
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest

from genprm.answers import final_answer
from genprm.errors import InputError
from genprm.serving.adapters.text import solution_of
from genprm.serving.events import event
from genprm.serving.headers import POLICY
from genprm.serving.keys import Keys, new_key
from genprm.serving.options import Options
from genprm.serving.server import PatientProtocol
from tests.service import JSON, YES, events, in_process, on_socket, process, script

BODY = {"problem": "p", "solution": "s"}
TAG = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"


# --- keys ------------------------------------------------------------------------------------------------------------


def test_without_a_right_key_nothing_is_said(tmp_path: Path) -> None:
    path = str(tmp_path / "keys")
    key = new_key(path, "anna")

    async def check() -> None:
        async with in_process(script(tmp_path), keys=Keys.read(path)) as (client, service):

            async def status(authorization: str | None, where: str = "/v1/critique") -> int:
                headers = {} if authorization is None else {"Authorization": authorization}
                return (await client.post(where, json=BODY, headers=headers)).status_code

            wrong = [None, "", "Bearer", "Bearer ", f"Bearer {key}x", f"Bearer {key[:-1]}", f"Basic {key}", key]
            assert [await status(one) for one in wrong] == [401] * len(wrong)
            assert (await client.post("/v1/critique", json=BODY, headers=[(b"authorization", b"Bearer \xff")])
                    ).status_code == 401  # fmt: skip
            assert service.critic.engine.calls == 0  # type: ignore[attr-defined]
            assert await status(f"Bearer {key}") == await status(f"bearer  {key}") == 200
            assert (await client.get("/metrics")).status_code == 401
            assert (await client.get("/healthz")).status_code == (await client.get("/")).status_code == 200
            for where in ("/", "/healthz", "/page/app.js"):  # a megabyte of anybody's would be read and kept
                assert (await client.post(where, json=BODY)).status_code == 401
            refused = 'genprm_requests_total{route="/v1/critique",status="401"}'
            assert refused in service.metrics.text().decode()

    asyncio.run(check())


def test_the_time_of_a_refusal_does_not_tell_how_much_of_a_key_was_right(tmp_path: Path) -> None:
    path = str(tmp_path / "keys")
    key = [new_key(path, f"key{n}") for n in range(20)][10]
    keys = Keys.read(path)

    guesses = (key[:-1] + "~", "x" * len(key), key)
    least_s = dict.fromkeys(guesses, 1.0)  # the least of many, side by side: what a busy machine adds is left out
    for guess in guesses * 3000:
        began = time.perf_counter()
        keys.name_of(guess)
        least_s[guess] = min(least_s[guess], time.perf_counter() - began)
    assert max(least_s.values()) < 1.5 * min(least_s.values())


def test_a_file_of_keys_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("anna secret\n")
    with pytest.raises(InputError, match="keys:1: a line is NAME sha256 HEX"):
        Keys.read(str(path))
    path.write_text("# none yet\n")
    with pytest.raises(InputError, match="no keys in it"):
        Keys.read(str(path))
    with pytest.raises(InputError, match="letters, digits"):
        new_key(str(path), "a b")
    new_key(str(path), "anna")
    with pytest.raises(InputError, match="anna in it already"):
        new_key(str(path), "anna")
    path.write_bytes(path.read_bytes().rstrip())  # as some editors leave it
    key = new_key(str(path), "bert")
    assert Keys.read(str(path)).name_of(key) == "bert"
    path.write_text(path.read_text() + f"anna sha256 {'0' * 64}\n")
    with pytest.raises(InputError, match="keys:4: there are two keys of the name anna"):
        Keys.read(str(path))
    new_key(str(tmp_path / "open"), "anna")
    (tmp_path / "open").chmod(0o602)
    with pytest.raises(InputError, match="everybody may write"):
        Keys.read(str(tmp_path / "open"))


def test_a_key_has_its_own_rate_and_its_own_places(tmp_path: Path) -> None:
    path = str(tmp_path / "keys")
    first, second = new_key(path, "first"), new_key(path, "second")

    async def check() -> None:
        options = Options(key_rate=0.01, key_burst=3, key_in_flight=2)
        async with in_process(script(tmp_path, {"delay_s": 0.1, **YES}), options, Keys.read(path)) as (client, _):

            async def status(key: str, n: int) -> int:
                headers = {"Authorization": f"Bearer {key}"}
                return (
                    await client.post("/v1/critique", json={**BODY, "problem": f"{n}"}, headers=headers)
                ).status_code

            assert sorted(await asyncio.gather(*(status(first, n) for n in range(5)))) == [200, 200, 429, 429, 429]
            assert [await status(first, 6), await status(first, 7), await status(second, 8)] == [200, 429, 200]

    asyncio.run(check())


# --- bodies ----------------------------------------------------------------------------------------------------------


def test_a_hundred_megabytes_are_refused_before_they_are_read(tmp_path: Path) -> None:
    async def check() -> None:
        async with on_socket(script(tmp_path)) as (url, _):
            for head in ("Content-Length: 100000000", "Transfer-Encoding: chunked"):
                sent, said = await asyncio.to_thread(pour, url, head)
                assert said.startswith(b"HTTP/1.1 413 ")
                assert sent < 20 << 20  # what fits the buffers of the system, and no more

    def pour(url: str, head: str) -> tuple[int, bytes]:
        """Send until the other end has had enough."""
        host, port = url.removeprefix("http://").split(":")
        block = b"10000\r\n" + b"x" * 65536 + b"\r\n" if "chunked" in head else b"x" * 65536
        sent = 0
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(f"POST /v1/critique HTTP/1.1\r\nHost: {host}\r\n{head}\r\n".encode())
            connection.sendall(b"Content-Type: application/json\r\n\r\n")
            with suppress(ConnectionError):
                while sent < 100 << 20:
                    connection.sendall(block)
                    sent += len(block)
            return sent, connection.recv(4096)

    asyncio.run(check())


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 500_000,
        b'{"problem":' * 50_000,
        b'{"problem":"p","solution":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"problem":"p","solution":"s","n":1e400}',
        b'{"problem":"p","solution":"s","n":' + b"9" * 5000 + b"}",
        b'{"problem":"p","solution":"s","threshold":NaN}',
        b'{"problem":"\\ud800","solution":"s"}',
        b'{"problem":"p","solution":"\xff\xfe"}',
        b'{"problem":"p","problem":[],"solution":"s"}',
        b"",
        b"null",
        b"\x00",
    ],
)
def test_hostile_json_is_a_bad_request(tmp_path: Path, content: bytes) -> None:
    async def check() -> None:
        async with in_process(script(tmp_path)) as (client, _):
            answer = await client.post("/v1/critique", content=content, headers=JSON)
            assert answer.status_code == 400
            assert len(answer.json()["error"]["message"]) < 300

    asyncio.run(check())


def test_signs_that_are_no_letters_do_no_harm(tmp_path: Path) -> None:
    async def check() -> None:
        async with in_process(script(tmp_path)) as (client, _):
            body = {"problem": "\x00\x1b[2J\u202e\U0010ffff", "solution": "\x07 s", "id": "\r\nX-Evil: 1"}
            answer = await client.post("/v1/critique", json=body)
            assert answer.status_code == 200
            assert answer.json()["solution"]["id"] == body["id"]
            assert "x-evil" not in answer.headers

    asyncio.run(check())


@pytest.mark.parametrize("text", [" " * 100_000, "\n" * 100_000, "<think>" * 15_000])
def test_a_text_of_nothing_does_not_stop_the_server(text: str) -> None:
    """Of a megabyte, as a reward request may have it: in a time that grows with its length."""
    began = time.process_time()
    assert solution_of(f"{text}x") in ("x", f"{text}x")
    assert time.process_time() - began < 1


@pytest.mark.parametrize("said", ["the answer is", "answer to the answer to", "#### x", "the answer is x. "])
def test_an_answer_behind_many_blanks_is_read_in_linear_time(said: str) -> None:
    """As /v1/rank reads it of every candidate, on the event loop."""
    began = time.process_time()
    assert final_answer(f"{said}{' ' * 20_000}y") in ("y", "x", f"x{' ' * 20_000}y", None)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"problem": "p", "solution": "\n" * 500_000}, marks=pytest.mark.slow, id="lines"),
        pytest.param(
            {
                "problem": "p",
                "solution": ["1/" * 9_000, "-" * 18_000, "(" * 9_000 + ")" * 9_000 + "=3", "5" + "!" * 17_000],
            },
            id="signs",
        ),
    ],
)
def test_a_long_text_does_not_hold_up_the_others(tmp_path: Path, body: Any) -> None:
    """While it is read the loop turns: no turn of it takes more than a small part of the work.

    In seconds of processor time, which other work on the machine leaves as it is."""
    content = json.dumps(body)

    async def check() -> None:
        async with in_process("symbolic", direct=False) as (client, _):
            began, last, longest = time.process_time(), time.thread_time(), 0.0
            asked = asyncio.create_task(client.post("/v1/critique", content=content, headers=JSON))
            while not asked.done():
                await asyncio.sleep(0.002)
                longest, last = max(longest, time.thread_time() - last), time.thread_time()
            assert asked.result().status_code in (200, 400)
            assert longest < max(0.015, 0.2 * (time.process_time() - began))

    gc.disable()  # of all that other tests left, at any turn
    try:
        asyncio.run(check())
    finally:
        gc.enable()


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x0b", "\x1e"])
def test_an_event_is_one_line_to_every_reader(sign: str) -> None:
    """Some readers of lines, among them Python's and httpx's, end one at more than a newline."""
    written = event("step", {"text": f"a{sign}event: evil\ndata: evil"}).decode()
    assert len(written.splitlines()) == 3
    assert events(written) == [("step", {"text": f"a{sign}event: evil\ndata: evil"})]


# --- pages -----------------------------------------------------------------------------------------------------------


def test_pages_of_others_are_not_let_in(tmp_path: Path) -> None:
    """No CORS, no form can post, and a name of theirs that resolves to this machine is not ours."""

    async def check() -> None:
        async with in_process(script(tmp_path)) as (client, _):
            origin = {"Origin": "https://evil.example"}
            answer = await client.post("/v1/critique", json=BODY, headers=origin)
            assert "access-control-allow-origin" not in answer.headers
            asked = {**origin, "Access-Control-Request-Method": "POST"}
            assert (await client.options("/v1/critique", headers=asked)).status_code == 405
            text = {"Content-Type": "text/plain"}
            assert (await client.post("/v1/critique", content=json.dumps(BODY), headers=text)).status_code == 415
            assert (await client.get("/healthz", headers={"Host": "evil.example"})).status_code == 421
            assert (await client.get("/healthz", headers={"Host": "localhost:8000"})).status_code == 200
        async with in_process(script(tmp_path), Options(host="0.0.0.0", keys="given")) as (client, _):
            told = await client.get("/healthz/", headers={"Host": "evil.example"})  # no redirection to there
            assert (told.status_code, "location" in told.headers) == (404, False)
        options = Options(cors=("https://good.example",), hosts=("good.example",))
        async with in_process(script(tmp_path), options) as (client, _):
            allowed = await client.post("/v1/critique", json=BODY, headers={"Origin": "https://good.example"})
            assert allowed.headers["access-control-allow-origin"] == "https://good.example"
            assert "access-control-allow-origin" not in (await client.get("/healthz", headers=origin)).headers
            assert (await client.get("/healthz", headers={"Host": "good.example"})).status_code == 200

    asyncio.run(check())


def test_script_in_every_field_stays_text(tmp_path: Path) -> None:
    """No answer with text of others is a page, and no page may run a script that is not its own."""

    async def check() -> None:
        async with in_process(script(tmp_path, {"text": f"{TAG}{YES['text']}"})) as (client, _):
            answers = [
                await client.post("/v1/critique", json={"problem": TAG, "solution": TAG, "id": TAG}),
                await client.post("/v1/critique", json={"problem": TAG, "solution": TAG, TAG: 1}),
                await client.post("/v1/score", json={"items": [{"problem": TAG, "solution": [TAG], "id": TAG}]}),
                await client.get(f"/{TAG}"),
                await client.get("/page/../app.py"),
                await client.get("/page/%2e%2e%2fapp.py"),
            ]
            for answer in answers:
                assert answer.headers["content-type"].startswith("application/json")
                assert answer.headers["x-content-type-options"] == "nosniff"
            page = await client.get("/")
            assert page.headers["content-security-policy"] == POLICY
            assert "unsafe" not in POLICY
            assert "script-src 'self'" in POLICY

    asyncio.run(check())


def test_the_page_names_nothing_outside_and_has_no_script_or_style_within() -> None:
    for file in files("genprm.serving").joinpath("page").iterdir():
        text = file.read_text("utf-8")
        named = set(re.findall(r"https?://[^\"'\s)]+", text))
        assert named <= {"http://www.w3.org/1998/Math/MathML", "http://www.w3.org/2000/svg"}, file.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|\son\w+=|style=", text)


# --- code and time ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        "import os; print(open('/etc/passwd').read()[:20])",
        "import socket; socket.create_connection(('127.0.0.1', PORT)); print('out')",
        "import os; os.kill(os.getppid(), 9); print('out')",
        "import subprocess; print(subprocess.run(['id'], capture_output=True).stdout)",
        "open('/tmp/genprm-was-here', 'w').write('x'); print('out')",
        "x = []\nwhile True: x.append('x' * 10**7)",
        "print('x' * 10**8)",
        "while True: pass",
    ],
)
def test_code_that_tries_to_leave_is_contained_and_its_failure_is_shown(tmp_path: Path, code: str) -> None:
    """The engine is the attacker: what it writes is run in the sandbox, and nowhere else."""

    async def check() -> None:
        rules: list[dict[str, Any]] = [
            {"when": "[Code Output]", "text": f"Seen.\n</verify>\n<output>\n**Judgement**: $\\boxed{YES['text']}"},
            {"when": "```python", "text": f"{code}\n```\n"},
            {"text": "Look.\n</analyze>\n"},
        ]
        async with (
            on_socket(script(tmp_path, *rules), direct=False) as (url, _),
            httpx.AsyncClient(base_url=url) as client,
        ):
            rules[1]["text"] = rules[1]["text"].replace("PORT", url.rpartition(":")[2])
            answer = await client.post("/v1/critique", json={**BODY, "stream": True}, timeout=60)
            (critique,) = [data for name, data in events(answer.text) if name == "critique"]
            (check,) = critique["steps"][0]["rationales"][0]["checks"]
            assert check["result"]["status"] in ("error", "timeout", "memory", "output_limit", "crashed", "refused")
            assert "root:" not in json.dumps(critique["steps"][0]["rationales"][0]["checks"][0]["result"])
            assert (await client.get("/readyz")).status_code == 200

    asyncio.run(check())
    assert not Path("/tmp/genprm-was-here").exists()


def test_a_client_that_dawdles_holds_no_place(tmp_path: Path) -> None:
    """A header a moment, a body that never ends, and nothing at all: each is cut off in time."""

    async def check() -> None:
        async with on_socket(script(tmp_path), Options(port=0, read_s=0.3, grace_s=0.5)) as (url, _):
            host, port = url.removeprefix("http://").split(":")

            async def cut_off(first: bytes, more: bytes) -> tuple[float, bytes]:
                reader, writer = await asyncio.open_connection(host, int(port))
                began = time.perf_counter()
                writer.write(first)
                reading = asyncio.create_task(heard(reader))
                while not reading.done() and time.perf_counter() - began < 20:
                    await asyncio.wait({reading}, timeout=0.1)
                    writer.write(more)
                writer.close()
                return time.perf_counter() - began, await reading

            head = b"POST /v1/critique HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            slow = await asyncio.gather(
                cut_off(b"", b""),
                cut_off(b"GET /healthz HTTP/1.1\r\n", b"X-A: b\r\n"),
                cut_off(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET", b" "),
                cut_off(head + b"Content-Length: 1000\r\n\r\n", b"x"),
            )
            assert all(seconds < 10 for seconds, _ in slow)  # left alone, each would last 20 s
            assert b" 408 " in slow[3][1]

    async def heard(reader: asyncio.StreamReader) -> bytes:
        """Until the end, or until the other end takes no more: what came before counts."""
        said = b""
        with suppress(ConnectionError):
            while piece := await reader.read(4096):
                said += piece
        return said

    asyncio.run(check())


def test_a_client_that_takes_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks again and again, and never reads: an answer that cannot be written holds no place for ever."""
    monkeypatch.setattr(PatientProtocol, "take_s", 0.3)

    async def check() -> None:
        async with on_socket(script(tmp_path)) as (url, _):
            host, port = url.removeprefix("http://").split(":")
            with socket.socket() as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_connect(connection, (host, int(port)))
                asked = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200

                async def ask_on() -> None:
                    while True:
                        await loop.sock_sendall(connection, asked)
                        await asyncio.sleep(0.05)

                with pytest.raises(ConnectionError):
                    await asyncio.wait_for(ask_on(), 10)

    asyncio.run(check())


# --- everything that the document allows -----------------------------------------------------------------------------


@pytest.mark.slow
def test_nothing_that_the_document_allows_breaks_the_server(tmp_path: Path) -> None:
    """schemathesis: requests made from the schemas, right and wrong ones; none is answered with a 5xx."""
    pytest.importorskip("schemathesis")
    policy = tmp_path / "policy.jsonl"
    policy.write_text(json.dumps({"texts": ["so \\boxed{1}", "or so \\boxed{2}", ""]}))
    options = ["--option", "analyze=false", "--option", "verify=false", "--max-n", "4", "--max-turns", "3"]
    options += ["--policy", f"scripted:{policy}"]
    with process("--engine", script(tmp_path), *options, log=tmp_path / "log") as (url, running):
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--url", url]
        command += ["--checks", "not_a_server_error", "--max-examples", "60", "--seed", "1", "--no-color"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=110, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
        assert running.poll() is None
    assert '"broken"' not in (tmp_path / "log").read_text()
