"""The process of one session: takes orders from its channel, one at a time, and replies."""

import gc
import os
import random
import socket

from genprm.sandbox.frames import BORN, LAST, REQUEST_BYTES, Reply, Request, decode_request_header, encode_reply
from genprm.sandbox.inside import policy
from genprm.sandbox.inside.confine import CHANNEL, Kit, confine, die_with_zygote
from genprm.sandbox.inside.runner import Runner
from genprm.sandbox.kernel import calls, seccomp

_NO_MEMORY = Reply("memory", error=b"MemoryError", flags=LAST)


def live(kit: Kit, channel: int) -> None:
    """Serve until the host hangs up."""
    confine(kit, channel)
    os.environ.clear()
    gc.enable()
    runner = Runner(kit.limits, kit.seed, _send)
    runner.rehearse()
    while (request := _receive()) is not None:
        if request.order == "fork":
            _fork(request, kit)
        elif request.order == "review":
            _send(request, Reply("ok", stdout="\n".join(policy.review(request.code)).encode()))
        else:
            _run(request, runner)


def _run(request: Request, runner: Runner) -> None:
    try:
        reply = runner.run(request)
    except MemoryError:  # the namespace left no room even for the answer
        _send(request, _NO_MEMORY)
        os._exit(0)
    _send(request, reply)
    runner.prepare()


def _fork(request: Request, kit: Kit) -> None:
    """A second process from here on, which serves the channel that the host sends along."""
    channel = _descriptor()
    state = random.getstate()  # Python gives a fork fresh randomness; a fork of a session goes on as its origin would
    try:
        pid = calls.fork(seccomp.FORK_FLAGS)
    except OSError as error:
        os.close(channel)
        _send(request, Reply("error", error=str(error).encode()))
        return
    if pid:
        os.close(channel)
        _send(request, Reply("ok"))
        return
    os.dup2(channel, CHANNEL)
    os.close(channel)
    random.setstate(state)
    die_with_zygote(kit)
    os.write(CHANNEL, BORN)


def _descriptor() -> int:
    """The one that comes with the next byte."""
    # Its kind is said, because finding it out would need a call that is not allowed.
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=CHANNEL)
    try:
        _, descriptors, _, _ = socket.recv_fds(line, 1, 1)
    finally:
        line.detach()
    return descriptors[0]


def _receive() -> Request | None:
    header = _read(REQUEST_BYTES)
    if header is None:
        return None
    order, step, nonce, length = decode_request_header(header)
    code = _read(length)
    return None if code is None else Request(step, nonce, code.decode(), order)


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
