"""How many heaps glibc keeps for the threads that check requests."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import Final

_M_ARENA_MAX: Final = -8
_HEAPS: Final = 2


def share_heaps() -> None:
    """Let all threads share two heaps; to be called before they are started.

    By itself glibc makes one for each thread, up to eight for each core, and what a request took stays in the heap of the thread that checked
    it: some 50 to 100 MB more at the peak of a load. Other C libraries than glibc have no such thing, and nothing is done there.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _HEAPS)
