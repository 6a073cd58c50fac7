"""Frames between the host and a child: fixed headers, bounded lengths, plain bytes.

The host trusts nothing in a reply. A check shares its process with the runner, so it can forge a reply, but only its
own: the step number and the nonce keep a stray frame from passing for the answer to a later check.
"""

import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from genprm.sandbox.result import Status

_REQUEST = struct.Struct("!BI8sI")
_REPLY = struct.Struct("!I8sBBIII")

REQUEST_BYTES = _REQUEST.size
STATUSES: tuple[Status, ...] = ("ok", "error", "timeout", "memory", "output_limit")
"""What a child may claim; ``refused`` and ``crashed`` are for the host to say."""
READ_STDIN, CUT, LAST = 1, 2, 4
"""Flags of a reply: the check asked for input; its output was cut; the process ends with this reply."""
MAX_ERROR, MAX_TRACEBACK = 2_000, 2_000
RECORD_BYTES = 64 * 1024
"""Longest record between host and zygote."""
BORN = b"\x01"
"""First byte on the channel of a session's fork, from the new process."""

Order = Literal["run", "review", "fork"]
"""What a child is asked to do: run a check; hold it against the policy; fork, with a channel that follows."""
_ORDERS: tuple[Order, ...] = ("run", "review", "fork")


class FrameError(Exception):
    """Bytes that are no valid reply."""


@dataclass(frozen=True, slots=True)
class Request:
    """One order to a child."""

    step: int
    nonce: bytes
    code: str = ""
    order: Order = "run"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a child says of one order."""

    status: Status
    stdout: bytes = b""
    error: bytes = b""
    traceback: bytes = b""
    flags: int = 0


def encode_request(request: Request) -> bytes:
    code = request.code.encode()
    return _REQUEST.pack(_ORDERS.index(request.order), request.step, request.nonce, len(code)) + code


def decode_request_header(header: bytes) -> tuple[Order, int, bytes, int]:
    """Order, step, nonce, and length of the code that follows."""
    order, step, nonce, length = _REQUEST.unpack(header)
    return _ORDERS[order], step, nonce, length


def encode_reply(step: int, nonce: bytes, reply: Reply) -> bytes:
    error, traceback = reply.error[:MAX_ERROR], reply.traceback[:MAX_TRACEBACK]
    lengths = len(reply.stdout), len(error), len(traceback)
    header = _REPLY.pack(step, nonce, STATUSES.index(reply.status), reply.flags, *lengths)
    return header + reply.stdout + error + traceback


def decode_reply(data: bytes | bytearray, request: Request, output_bytes: int) -> Reply | None:
    """The reply to ``request``, or None while it is still incomplete."""
    if len(data) < _REPLY.size:
        return None
    step, nonce, status, flags, *lengths = _REPLY.unpack_from(data)
    if step != request.step or nonce != request.nonce:
        raise FrameError("a reply to something that was not asked")
    if status >= len(STATUSES) or any(n > most for n, most in zip(lengths, _most(output_bytes), strict=True)):
        raise FrameError("a malformed reply")
    ends = [_REPLY.size]
    for length in lengths:
        ends.append(ends[-1] + length)
    if len(data) > ends[-1]:
        raise FrameError("more than one reply")
    if len(data) < ends[-1]:
        return None
    out, error, traceback = (bytes(data[a:b]) for a, b in pairwise(ends))
    return Reply(STATUSES[status], out, error, traceback, flags)


def _most(output_bytes: int) -> tuple[int, int, int]:
    return output_bytes, MAX_ERROR, MAX_TRACEBACK
