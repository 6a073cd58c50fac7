"""The frame parser, which reads what hostile code may have written."""

import asyncio
import contextlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genprm.sandbox import Limits, Sandbox
from genprm.sandbox.frames import (
    MAX_ERROR,
    MAX_TRACEBACK,
    STATUSES,
    FrameError,
    Reply,
    Request,
    decode_reply,
    decode_request_header,
    encode_reply,
    encode_request,
)
from tests.texts import TEXT

OUTPUT_BYTES = 1000
NONCE = b"\x07" * 8
replies = st.builds(
    Reply,
    status=st.sampled_from(STATUSES),
    stdout=st.binary(max_size=OUTPUT_BYTES),
    error=st.binary(max_size=MAX_ERROR),
    traceback=st.binary(max_size=MAX_TRACEBACK),
    flags=st.integers(0, 255),
)


@given(replies, st.integers(0, 2**32 - 1), st.binary(min_size=8, max_size=8))
def test_replies_come_back_whole(reply: Reply, step: int, nonce: bytes) -> None:
    assert decode_reply(encode_reply(step, nonce, reply), Request(step, nonce), OUTPUT_BYTES) == reply


@given(replies, st.data())
def test_a_part_is_waited_for_and_more_is_refused(reply: Reply, data: st.DataObject) -> None:
    frame = encode_reply(3, NONCE, reply)
    part = frame[: data.draw(st.integers(0, len(frame) - 1))]
    assert decode_reply(part, Request(3, NONCE), OUTPUT_BYTES) is None
    with pytest.raises(FrameError, match="more than one"):
        decode_reply(frame + data.draw(st.binary(min_size=1)), Request(3, NONCE), OUTPUT_BYTES)


@given(st.binary(max_size=5000))
def test_any_bytes_are_a_reply_or_none_or_refused(data: bytes) -> None:
    with contextlib.suppress(FrameError):
        reply = decode_reply(data, Request(0, b"\0" * 8), OUTPUT_BYTES)
        assert reply is None or len(reply.stdout) <= OUTPUT_BYTES


@given(replies, st.integers(0, 29), st.integers(0, 7))
def test_one_wrong_bit_never_gives_another_answer_of_more_than_the_limits(reply: Reply, byte: int, bit: int) -> None:
    frame = bytearray(encode_reply(3, NONCE, reply))
    frame[byte % len(frame)] ^= 1 << bit
    try:
        read = decode_reply(frame, Request(3, NONCE), OUTPUT_BYTES)
    except FrameError:
        return
    assert byte >= 12  # step and nonce must be right
    if read is not None:
        assert len(read.stdout) <= OUTPUT_BYTES
        assert len(read.error) <= MAX_ERROR
        assert len(read.traceback) <= MAX_TRACEBACK


@pytest.mark.parametrize(("step", "nonce"), [(4, NONCE), (3, b"\x08" * 8)])
def test_an_answer_to_something_else_is_refused(step: int, nonce: bytes) -> None:
    with pytest.raises(FrameError, match="not asked"):
        decode_reply(encode_reply(step, nonce, Reply("ok")), Request(3, NONCE), OUTPUT_BYTES)


def test_too_long_an_output_is_refused_before_it_has_come() -> None:
    frame = encode_reply(3, NONCE, Reply("ok", stdout=b"x" * (OUTPUT_BYTES + 1)))
    with pytest.raises(FrameError, match="malformed"):
        decode_reply(frame[:40], Request(3, NONCE), OUTPUT_BYTES)


@given(TEXT)
def test_requests_come_back_whole(code: str) -> None:
    data = encode_request(Request(5, NONCE, code, "review"))
    order, step, nonce, length = decode_request_header(data[: len(data) - len(code.encode())])
    assert (order, step, nonce, data[len(data) - length :].decode()) == ("review", 5, NONCE, code)


@pytest.mark.slow
def test_noise_on_a_real_channel_harms_nobody() -> None:
    chance = random.Random(0)

    async def main() -> None:
        async with Sandbox(Limits(cpu_s=0.3, wall_s=2)) as sandbox, sandbox.session() as sister:
            await sister.run("x = 1")
            for _ in range(40):
                noise = chance.randbytes(chance.choice([1, 8, 29, 30, 64, 70_000]))
                async with sandbox.session() as session:
                    result = await session.run(f"import os\nos.write(3, {noise!r})")
                    assert result.status in {"crashed", "refused", "timeout"}
                    assert (await session.run("print(2)")).stdout == "2\n"
            assert (await sister.run("print(x)")).stdout == "1\n"

    asyncio.run(main())
