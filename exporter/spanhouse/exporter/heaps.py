"""glibc's heaps: how many it keeps for the threads that check requests, and what is in them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar, Final

_M_ARENA_MAX: Final = -8
_HEAPS: Final = 2


class _Mallinfo2(ctypes.Structure):
    """``struct mallinfo2`` of malloc.h."""

    uordblks: int
    hblkhd: int
    _fields_: ClassVar[list[tuple[str, Any]]] = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    ]


def share_heaps() -> None:
    """Let all threads share two heaps; to be called before they are started.

    By itself glibc makes one for each thread, up to eight for each core, and what a request took stays in the heap of the thread that checked
    it: some 50 to 100 MB more at the peak of a load. Other C libraries than glibc have no such thing, and nothing is done there.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _HEAPS)


def heap_measure() -> Callable[[], int] | None:
    """A function that gives the bytes which Python and gRPC hold now, in a few µs; None with a C library that can't say (glibc before 2.33, others).

    The embedded engine has an allocator of its own and does not count.
    """
    try:
        measure = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError):
        return None
    measure.restype = _Mallinfo2

    def held() -> int:
        found: _Mallinfo2 = measure()
        return found.uordblks + found.hblkhd

    return held
