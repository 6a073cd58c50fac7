"""The gate for forks: the kernel asks here before a child of the sandbox may become two.

The filter of the warm process (``kernel.seccomp.gate``) holds a ``clone`` until the host has answered. It is let
through where this host has just asked that very process to fork, once; a check that tries on its own gets an error.
"""

import asyncio
import contextlib
import errno
import fcntl
import os
import struct

_RECEIVE, _SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV, SECCOMP_IOCTL_NOTIF_SEND
_QUESTION = struct.Struct("=QII64x")
_ANSWER = struct.Struct("=QqiI")
_CONTINUE = 1


class Gate:
    """Answers on one listener, which it owns."""

    def __init__(self, listener: int) -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._expected: set[int] = set()
        os.set_blocking(listener, False)
        self._loop.add_reader(listener, self._on_question)

    def expect(self, pid: int) -> None:
        """Let one fork of this process through."""
        self._expected.add(pid)

    def used(self, pid: int) -> bool:
        """Whether it has been through, and that it may not any more."""
        used = pid not in self._expected
        self._expected.discard(pid)
        return used

    def _on_question(self) -> None:
        question = bytearray(_QUESTION.size)
        try:
            fcntl.ioctl(self._listener, _RECEIVE, question)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EAGAIN, errno.EINTR):  # it died while it waited
                self.close()
            return
        number, pid, _ = _QUESTION.unpack(question)
        if pid in self._expected:
            self._expected.discard(pid)
            answer = _ANSWER.pack(number, 0, 0, _CONTINUE)
        else:
            answer = _ANSWER.pack(number, 0, -errno.EPERM, 0)
        with contextlib.suppress(OSError):  # it died meanwhile
            fcntl.ioctl(self._listener, _SEND, answer)

    def close(self) -> None:
        if self._listener >= 0:
            self._loop.remove_reader(self._listener)
            os.close(self._listener)
            self._listener = -1
