"""The service for tests: in this event loop on a real socket, or as a process of its own."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx

from genprm.api import open_critic
from genprm.engines.scripted import Rule, ScriptedEngine
from genprm.policy import Policy
from genprm.refining import RefinePlan
from genprm.serving.app import make_app
from genprm.serving.keys import Keys
from genprm.serving.options import Options
from genprm.serving.refining import Refiner
from genprm.serving.server import serve
from genprm.serving.service import Service
from genprm.types import Sampling

ROOT = Path(__file__).parents[1]
DIRECT = {"analyze": False, "verify": False}
YES = {"text": "{Yes}$\n</output>\n", "p_yes": 0.9}
NO = {"text": "{No}$\n</output>\n", "p_yes": 0.1}
JSON = {"Content-Type": "application/json"}


def script(folder: Path, *rules: dict[str, Any]) -> str:
    """An engine that follows the rules; by default one that finds fault with "odd"."""
    path = folder / "script.jsonl"
    path.write_text("\n".join(map(json.dumps, rules or ({"when": "odd", **NO}, YES))))
    return f"scripted:{path}"


def refiner(*rules: Rule, turns: int = 3) -> Refiner:
    """A policy that follows the rules; by default one that gives the right price at once."""
    default = Rule("37 * 4 = 148 dollars.\n\n25% off leaves 148 * 0.75 = 111 dollars: \\boxed{111}.")
    engine = ScriptedEngine(list(rules) or [default], "policy")
    sampling = Sampling(max_tokens=200, seed=0)
    return Refiner(Policy(engine, sampling, wording="quote"), RefinePlan(turns=turns))


@asynccontextmanager
async def in_process(
    engine: str,
    options: Options | None = None,
    keys: Keys | None = None,
    *,
    direct: bool = True,
    refiner: Refiner | None = None,
) -> AsyncIterator[tuple[httpx.AsyncClient, Service]]:
    """The application without a socket. Answers come whole, so streams are for :func:`on_socket`.

    ``direct``: the engine gives verdicts at once, without analysis and code."""
    async with open_critic(engine, options=DIRECT if direct else {}) as opened:
        service = Service(opened, options or Options(), refiner=refiner)
        transport = httpx.ASGITransport(make_app(service, keys))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            yield client, service
        await service.close()


@asynccontextmanager
async def on_socket(
    engine: str,
    options: Options | None = None,
    keys: Keys | None = None,
    *,
    direct: bool = True,
    refiner: Refiner | None = None,
) -> AsyncIterator[tuple[str, Service]]:
    """The server on a free port, in this loop; stopped as it is meant to be, by SIGTERM."""
    where: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with open_critic(engine, options=DIRECT if direct else {}) as opened:
        service = Service(opened, options or Options(port=0, grace_s=1.0), refiner=refiner)
        task = asyncio.create_task(serve(make_app(service, keys), service, say_where=where.set_result))
        both: set[asyncio.Future[Any]] = {task, where}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        try:
            yield where.result(), service
        finally:
            if not task.done():
                os.kill(os.getpid(), signal.SIGTERM)
            await task


@contextmanager
def process(*args: str, log: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """``genprm serve`` on a free port, and its process, which is ended."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "genprm", "serve", "--port", "0", *args]
    with log.open("w") as err:
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, text=True, env=environment, cwd=ROOT)
    assert running.stdout is not None
    try:
        said = running.stdout.readline()
        found = re.search(r"http://\S+", said)
        assert found, log.read_text()
        yield found[0], running
    finally:
        if running.poll() is None:
            running.terminate()
        running.wait(30)
        running.stdout.close()


def events(text: str) -> list[tuple[str, Any]]:
    """Server-sent events."""
    found = re.findall(r"event: (\S+)\ndata: (.*)\n\n", text)
    return [(name, json.loads(data)) for name, data in found]
