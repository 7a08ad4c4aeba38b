"""Memory that a process keeps between the steps of a training."""

from __future__ import annotations

import ctypes
import sys

_TRIM, _MMAP = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h
_KEPT = 2**30
_LARGEST_MMAP = 2**25  # glibc takes no more


def keep_heap() -> bool:
    """Let this process keep up to 1 GiB of freed memory for the next step; whether the C library could be told so.

    A training step on a CPU frees its activations and takes as much again. By default glibc gives them back to the
    system in between, and each step pays for the page faults: a quarter of the time where images are 28 x 28. It
    holds for the whole process and cannot be undone, hence it is for processes that do nothing but train, and `fit`
    leaves it alone.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library than glibc
        return False
    return bool(mallopt(_TRIM, _KEPT) == 1 and mallopt(_MMAP, _LARGEST_MMAP) == 1)
