"""An OpenAI-compatible server without a model: answers at the pace of a 7B on one H100, as ``docs/throughput.md`` says.

    python -m genprm.eval.bench.simulated --port 8000

``/v1/models``, ``/v1/completions``, ``/v1/chat/completions`` and ``/metrics``, the latter with vLLM's names where vLLM
has the counter, and with what only a simulation can tell: seconds in which no request was there.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import signal
import sys
from typing import Any

import msgspec

from genprm.eval.bench.batching import Batcher
from genprm.eval.bench.latency import Latency
from genprm.eval.bench.prefixes import tokens_of
from genprm.eval.bench.replies import TOKENS_A_STEP, Author, Written, logprobs_of

MODEL = "simulated-genprm-7b"
_LARGEST = 64 * 2**20


class Ask(msgspec.Struct):
    """What is read of the body of a request; the rest is left be."""

    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    max_tokens: int = 16
    stop: list[str] | str | None = None
    seed: int | None = None
    logprobs: int | bool | None = None
    top_logprobs: int | None = None
    include_stop_str_in_output: bool = False


Answer = tuple[int, bytes, str]
"""Status, body, content type."""


class Server:
    """One model's server: HTTP around a batcher and an author."""

    def __init__(self, batcher: Batcher, author: Author, *, window: int = 32768, every_logprob: bool = True) -> None:
        self.batcher = batcher
        self._author = author
        self._window = window
        self._every = every_logprob

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, call after call."""
        try:
            while (call := await _read(reader)) is not None:
                answer = await self._unless_left(reader, *call)
                if answer is None:
                    break
                writer.write(_http(*answer))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass  # what is no HTTP, or ends in the middle of it, gets no answer
        finally:
            writer.close()

    async def _unless_left(self, reader: asyncio.StreamReader, method: str, path: str, body: bytes) -> Answer | None:
        """The answer, or None where the client went away while it was made: then its place is free at once."""
        work = asyncio.create_task(self._answer(method, path, body))
        left = asyncio.create_task(reader.read(1))
        try:
            await asyncio.wait({work, left}, return_when=asyncio.FIRST_COMPLETED)
            return await work if not left.done() else None
        finally:
            for task in (work, left):
                task.cancel()
            await asyncio.gather(work, left, return_exceptions=True)

    async def _answer(self, method: str, path: str, body: bytes) -> Answer:
        match method, path:
            case "GET", "/v1/models":
                return _json({"object": "list", "data": [{"id": MODEL, "object": "model"}]})
            case "GET", "/metrics":
                return 200, metrics(self.batcher).encode(), "text/plain; version=0.0.4"
            case "POST", "/v1/completions" | "/v1/chat/completions":
                return await self._completed(body, chat="chat" in path)
        return _json({"error": {"message": f"no {method} {path} here", "code": 404}}, 404)

    async def _completed(self, body: bytes, chat: bool) -> Answer:
        try:
            ask = msgspec.json.decode(body, type=Ask)
        except msgspec.MsgspecError as error:
            return _json({"error": {"message": str(error), "code": 400}}, 400)
        prompt = _chat_text(ask.messages or []) if chat else ask.prompt
        if not prompt:
            return _json({"error": {"message": "a prompt is needed", "code": 400}}, 400)
        if (size := tokens_of(prompt) + ask.max_tokens) > self._window:
            message = f"This model's maximum context length is {self._window} tokens, and {size} were asked for."
            return _json({"error": {"message": message, "code": 400}}, 400)
        stops = [ask.stop] if isinstance(ask.stop, str) else ask.stop or []
        written = self._author.write(prompt, stops, ask.max_tokens, ask.seed)
        done = await self.batcher.complete(prompt, written.text)
        usage = {
            "prompt_tokens": done.prompt_tokens,
            "completion_tokens": done.written,
            "prompt_tokens_details": {"cached_tokens": done.cached_tokens},
        }
        choice = self._chat_choice(ask, written) if chat else self._choice(ask, written)
        return _json({"object": "text_completion", "model": MODEL, "choices": [choice], "usage": usage})

    def _choice(self, ask: Ask, written: Written) -> dict[str, Any]:
        top = int(ask.logprobs or 0)
        text = written.text
        if written.stop and not ask.include_stop_str_in_output:
            text = text.removesuffix(written.stop)
        return {
            "index": 0,
            "text": text,
            "finish_reason": written.finish,
            "stop_reason": written.stop,
            "logprobs": logprobs_of(written, top, self._every) if top else None,
        }

    def _chat_choice(self, ask: Ask, written: Written) -> dict[str, Any]:
        choice = self._choice(msgspec.structs.replace(ask, logprobs=ask.top_logprobs), written)
        message = {"role": "assistant", "content": choice.pop("text")}
        flat = choice.pop("logprobs")
        content = flat and [
            {"token": token, "logprob": logprob, "top_logprobs": [{"token": token, "logprob": logprob}]}
            for token, logprob in zip(flat["tokens"], flat["token_logprobs"], strict=True)
        ]
        return choice | {"message": message, "logprobs": content and {"content": content}}


def metrics(batcher: Batcher) -> str:
    """Prometheus text."""
    batcher.settle()
    counters, cache = batcher.counters, batcher.cache
    own = {f.name for f in dataclasses.fields(counters)} - {"prompt_tokens", "generation_tokens"}
    values = {
        "vllm:prefix_cache_queries_total": cache.queries,
        "vllm:prefix_cache_hits_total": cache.hits,
        "vllm:prompt_tokens_total": counters.prompt_tokens,
        "vllm:generation_tokens_total": counters.generation_tokens,
        "vllm:num_requests_running": len(batcher.running),
        "vllm:num_requests_waiting": len(batcher.waiting),
        **{f"simulated:{name}": getattr(counters, name) for name in sorted(own)},
    }
    return "".join(f'{name}{{model_name="{MODEL}"}} {float(value)!r}\n' for name, value in values.items())


def _chat_text(messages: list[dict[str, Any]]) -> str:
    """A chat as one text, so that a longer one goes on from a shorter one."""
    return "".join(f"<|im_start|>{m.get('role')}\n{m.get('content')}<|im_end|>\n" for m in messages)


async def _read(reader: asyncio.StreamReader) -> tuple[str, str, bytes] | None:
    """Method, path and body of the next call; None where there is none."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", 0))
    if not 0 <= length <= _LARGEST:
        raise ValueError("length")
    return method, path, await reader.readexactly(length)


def _json(body: dict[str, Any], status: int = 200) -> Answer:
    return status, msgspec.json.encode(body), "application/json"


def _http(status: int, body: bytes, kind: str) -> bytes:
    head = f"HTTP/1.1 {status} {'OK' if status == 200 else 'Error'}\r\n"
    return f"{head}Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def run(args: argparse.Namespace) -> None:
    """Serve until SIGTERM or Ctrl-C, or until standard input ends where ``--until-eof`` says so."""
    batcher = Batcher(Latency(), args.max_sequences, args.max_batched_tokens)
    author = Author(args.agreement, (args.tokens[0], args.tokens[1]))
    server = Server(batcher, author, window=args.window, every_logprob=not args.verdict_logprobs)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if args.until_eof:
        await loop.connect_read_pipe(lambda: _UntilEnd(ended), sys.stdin)
    listening = await asyncio.start_server(server.serve, args.host, args.port, limit=2**20)
    port = listening.sockets[0].getsockname()[1]
    print(f"http://{args.host}:{port}/v1", flush=True)
    iterating = asyncio.create_task(batcher.run())
    await asyncio.wait({iterating, asyncio.ensure_future(ended.wait())}, return_when=asyncio.FIRST_COMPLETED)
    listening.close()
    iterating.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await iterating


class _UntilEnd(asyncio.Protocol):
    """Says when the other side of standard input is gone, so that nobody's server is left behind."""

    def __init__(self, ended: asyncio.Event) -> None:
        self._ended = ended

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.set()


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m genprm.eval.bench.simulated", description=__doc__.split("\n")[0])
    made.add_argument("--host", default="127.0.0.1")
    made.add_argument("--port", type=int, default=0, help="0: any that is free; the address is printed")
    made.add_argument("--agreement", type=float, default=0.9, help="of a sample with the truth (default: 0.9)")
    made.add_argument(
        "--tokens", type=int, nargs=2, default=TOKENS_A_STEP, metavar=("LEAST", "MOST"), help="of a rationale"
    )
    made.add_argument("--window", type=int, default=32768, metavar="TOKENS")
    made.add_argument("--max-sequences", type=int, default=256, metavar="N", help="in one iteration (default: 256)")
    made.add_argument("--max-batched-tokens", type=int, default=8192, metavar="N", help="of one iteration (8192)")
    made.add_argument(
        "--verdict-logprobs", action="store_true", help="log-probabilities of the verdict only, not of every token"
    )
    made.add_argument("--until-eof", action="store_true", help="end when standard input does")
    return made


if __name__ == "__main__":
    asyncio.run(run(parser().parse_args()))
