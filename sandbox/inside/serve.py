"""The loop of a process that serves one session: takes orders from a channel, one at a time, and replies."""

import os
from collections.abc import Callable

from genprm.sandbox.frames import LAST, REQUEST_BYTES, Reply, Request, decode_request_header, encode_reply
from genprm.sandbox.inside import policy
from genprm.sandbox.inside.runner import Runner
from genprm.sandbox.limits import Limits

_NO_MEMORY = Reply("memory", error=b"MemoryError", flags=LAST)


class Server:
    """Reads from one descriptor and writes to another, or to the same. ``fork`` carries out that order."""

    def __init__(self, source: int, sink: int, limits: Limits, fork: Callable[[], Reply | None] | None = None) -> None:
        self._source = source
        self._sink = sink
        self._fork = fork
        self._runner = Runner(limits, self._send)

    def serve(self) -> None:
        """Until the host hangs up."""
        self._runner.rehearse()
        while (request := self._receive()) is not None:
            reply = self._obey(request)
            if reply is not None:
                self._send(request, reply)
                if reply.flags & LAST:
                    os._exit(0)
            self._runner.prepare()

    def _obey(self, request: Request) -> Reply | None:
        if request.order == "review":
            return Reply("ok", stdout="\n".join(policy.review(request.code)).encode())
        if request.order == "fork":
            return self._fork() if self._fork else Reply("error", error=b"not here")
        try:
            return self._runner.run(request)
        except MemoryError:  # the namespace left no room even for the answer
            return _NO_MEMORY

    def _receive(self) -> Request | None:
        header = self._read(REQUEST_BYTES)
        if header is None:
            return None
        order, step, nonce, length = decode_request_header(header)
        code = self._read(length)
        return None if code is None else Request(step, nonce, code.decode(), order)

    def _read(self, length: int) -> bytes | None:
        data = b""
        while len(data) < length:
            part = os.read(self._source, length - len(data))
            if not part:
                return None
            data += part
        return data

    def _send(self, request: Request, reply: Reply) -> None:
        rest = memoryview(encode_reply(request.step, request.nonce, reply))
        while rest:
            rest = rest[os.write(self._sink, rest) :]
