"""The process of one session: reads checks from its channel, runs them, replies."""

import gc
import os

from genprm.sandbox.confine import CHANNEL, Kit, confine
from genprm.sandbox.frames import REQUEST_BYTES, Reply, Request, decode_request_header, encode_reply
from genprm.sandbox.runner import Runner

_NO_MEMORY = Reply("memory", error=b"MemoryError")


def live(kit: Kit, scratch: str, channel: int) -> None:
    """Serve until the host hangs up."""
    confine(kit, scratch, channel)
    os.environ.clear()
    gc.enable()
    runner = Runner(kit.limits, _send)
    while (request := _receive()) is not None:
        try:
            reply = runner.run(request)
        except MemoryError:  # the namespace left no room even for the answer
            _send(request, _NO_MEMORY)
            return
        _send(request, reply)


def _receive() -> Request | None:
    header = _read(REQUEST_BYTES)
    if header is None:
        return None
    step, nonce, length = decode_request_header(header)
    code = _read(length)
    return None if code is None else Request(step, nonce, code.decode())


def _read(length: int) -> bytes | None:
    data = b""
    while len(data) < length:
        part = os.read(CHANNEL, length - len(data))
        if not part:
            return None
        data += part
    return data


def _send(request: Request, reply: Reply) -> None:
    rest = memoryview(encode_reply(request.step, request.nonce, reply))
    while rest:
        rest = rest[os.write(CHANNEL, rest) :]
