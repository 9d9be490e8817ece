"""What gRPC messages may take while they arrive. gRPC collects each whole before it hands it over, and tells nobody how much it has of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from spanhouse.exporter.heaps import heap_measure
from spanhouse.exporter.status import UnavailableError

_T = TypeVar("_T")

_AT_ONCE: Final = 16
"""Messages on their way at once; the others stay with their senders, held back by HTTP/2's flow control."""
_ALWAYS: Final = 2
"""So many may arrive whatever is held."""
_UNMEASURED: Final = 4
"""So many may where it is not known what is held."""
_LOOK_SECONDS: Final = 0.02
_SECONDS: Final = 30.0
_SECONDS_WHEN_OTHERS_WAIT: Final = 1.0


class Reception:
    """Takes so many messages at once, fewer while memory is short.

    One that has taken its time goes when others wait, so those that stall can't keep the others out.

    Args:
        memory_bytes: while more than this is held, the messages that take longest end, until two are left.
        held: gives the bytes that are held now; by default those of the process's heap.
        at_once: how many messages; each has the size of a request at the most.
        seconds: how long a message may take.
        seconds_when_others_wait: how long it may if others wait for its place.
    """

    def __init__(
        self,
        memory_bytes: int,
        *,
        held: Callable[[], int] | None = None,
        at_once: int = _AT_ONCE,
        seconds: float = _SECONDS,
        seconds_when_others_wait: float = _SECONDS_WHEN_OTHERS_WAIT,
    ) -> None:
        self._memory_bytes = memory_bytes
        self._held = held or heap_measure()
        self._places = asyncio.Semaphore(at_once if self._held else _UNMEASURED)
        self._seconds = seconds
        self._seconds_when_others_wait = seconds_when_others_wait
        self._arriving: dict[asyncio.Timeout, float] = {}
        """When each began, the oldest first; without those that are hurried."""
        self._hurried: dict[asyncio.Timeout, None] = {}
        self._waiting = 0
        self._looking: asyncio.TimerHandle | None = None

    async def __call__(self, read: Callable[[], Awaitable[_T]]) -> _T:
        """Wait for a place, then for the message.

        Raises:
            UnavailableError: it did not arrive in time.
        """
        self._waiting += 1
        try:
            if self._places.locked():
                self._hurry()
            await self._places.acquire()
        finally:
            self._waiting -= 1
        begun = asyncio.get_running_loop().time()
        deadline = asyncio.timeout_at(begun + self._seconds)
        try:
            async with deadline:
                self._arriving[deadline] = begun
                self._hurry()
                self._watch()
                return await read()
        except TimeoutError:
            raise UnavailableError("the request did not arrive in time; try again", 1.0) from None
        finally:
            self._arriving.pop(deadline, None)
            self._hurried.pop(deadline, None)
            self._places.release()

    def _hurry(self) -> None:
        """For each that waits, give one message its last moment, those first that take longest."""
        while self._arriving and len(self._hurried) < self._waiting:
            oldest = next(iter(self._arriving))
            begun = self._arriving.pop(oldest)
            self._hurried[oldest] = None
            _end(oldest, begun + self._seconds_when_others_wait)

    def _watch(self) -> None:
        """Have a look at memory soon, if there are so many messages that it matters."""
        if self._looking is None and self._held and len(self._arriving) + len(self._hurried) > _ALWAYS:
            self._looking = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look, self._held)

    def _look(self, held: Callable[[], int]) -> None:
        """End the half of the messages that takes longest if too much is held; the next look sees what that gave."""
        self._looking = None
        arriving = [*self._hurried, *self._arriving]
        if len(arriving) > _ALWAYS and held() > self._memory_bytes:
            for oldest in arriving[: min(len(arriving) // 2, len(arriving) - _ALWAYS)]:
                self._arriving.pop(oldest, None)
                self._hurried.pop(oldest, None)
                _end(oldest, 0)
        self._watch()


def _end(message: asyncio.Timeout, at: float) -> None:
    """Have a message end at a time of the loop's, or now if that is past."""
    if not message.expired():
        message.reschedule(max(at, asyncio.get_running_loop().time()))
