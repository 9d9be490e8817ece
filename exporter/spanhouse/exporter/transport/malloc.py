"""glibc malloc: number of arenas, bytes in use, return of free memory to the system."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar, Final

_M_ARENA_MAX: Final = -8
_ARENAS: Final = 2
_CALM_SECONDS: Final = 1.0
"""A trim holds a heap's lock for up to 35 ms, so it waits for a pause in the load."""


class _Mallinfo2(ctypes.Structure):
    """``struct mallinfo2`` of malloc.h."""

    uordblks: int
    hblkhd: int
    _fields_: ClassVar[list[tuple[str, Any]]] = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    ]


def limit_arenas() -> None:
    """Make all threads share two arenas; call it before they start.

    By default glibc makes one arena for each thread, up to eight for each core. A request's memory stays in the arena of the thread that
    checked it: 50 to 100 MB more at peak load. Does nothing with other C libraries.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


def heap_meter() -> Callable[[], int] | None:
    """Return a function that measures, in a few µs, the bytes that Python and gRPC hold; None without support (glibc before 2.33, other libraries).

    The embedded engine has its own allocator and is not included.
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
    """Delayed ``malloc_trim``: runs after a second without a further request for it.

    glibc keeps memory that was freed in the middle of a heap, so the memory of a few large requests would stay for good. Does nothing with
    other C libraries.
    """

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self._trim: Callable[[int], int] | None
        try:
            self._trim = ctypes.CDLL(None).malloc_trim
        except (AttributeError, OSError):
            self._trim = None

    def soon(self) -> None:
        """Trim in a second, in a thread; a further call within that second starts it anew."""
        if self._timer is not None:
            self._timer.cancel()
        if self._trim is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_CALM_SECONDS, loop.run_in_executor, None, self._trim, 0)
