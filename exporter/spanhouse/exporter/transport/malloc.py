"""glibc's heaps: their number, their content, and the return of their free memory to the system."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar, Final

_M_ARENA_MAX: Final = -8
_HEAPS: Final = 2
_CALM_SECONDS: Final = 1.0
"""A trim takes up to 35 ms of a heap's lock, so it waits for the end of a load."""


class _Mallinfo2(ctypes.Structure):
    """``struct mallinfo2`` of malloc.h."""

    uordblks: int
    hblkhd: int
    _fields_: ClassVar[list[tuple[str, Any]]] = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    ]


def limit_arenas() -> None:
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


class MallocTrim:
    """A trim of the heaps, once the requests that ask for it have ceased for a second.

    glibc keeps what was freed in the middle of a heap, so the memory of a few large requests would stay for good. Other C libraries than glibc
    have no such function, and nothing is done there.
    """

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self._trim: Callable[[int], int] | None
        try:
            self._trim = ctypes.CDLL(None).malloc_trim
        except (AttributeError, OSError):
            self._trim = None

    def soon(self) -> None:
        """Trim in a second, in a thread; asked again before that, a second later."""
        if self._timer is not None:
            self._timer.cancel()
        if self._trim is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_CALM_SECONDS, loop.run_in_executor, None, self._trim, 0)
