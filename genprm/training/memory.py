"""Memory for training on a CPU."""

import ctypes

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""Names of ``malloc.h``."""
_MOST = 2**31 - 1
_MOST_BEFORE = 2**25
"""What older versions of glibc take for a threshold of mmap."""


def keep_freed_memory() -> None:
    """Let this process keep what it frees: every update asks for the same large tensors again, and memory that the
    system gave back comes page by page, zeroed. Nothing happens where the C library is not glibc."""
    try:
        libc = ctypes.CDLL(None)
    except (OSError, TypeError):
        return
    if hasattr(libc, "gnu_get_libc_version"):
        _ = libc.mallopt(_MMAP_THRESHOLD, _MOST) or libc.mallopt(_MMAP_THRESHOLD, _MOST_BEFORE)
        libc.mallopt(_TRIM_THRESHOLD, _MOST)
        libc.mallopt(_TOP_PAD, 200_000_000)
