"""What gRPC messages may take while they arrive. gRPC collects each whole before it hands it over, so they are bounded by number."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from spanhouse.exporter.status import UnavailableError

_T = TypeVar("_T")

AT_ONCE: Final = 16
"""Messages on their way at once; the others stay with their senders, held back by HTTP/2's flow control."""
_SECONDS: Final = 30.0
_SECONDS_WHEN_OTHERS_WAIT: Final = 1.0


class Reception:
    """Takes so many messages at once. One that has taken its time goes when others wait, so those that stall can't keep the others out.

    Args:
        at_once: how many; each has the size of a request at the most.
        seconds: how long a message may take.
        seconds_when_others_wait: how long it may if others wait for its place.
    """

    def __init__(self, at_once: int = AT_ONCE, *, seconds: float = _SECONDS, seconds_when_others_wait: float = _SECONDS_WHEN_OTHERS_WAIT) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._seconds = seconds
        self._seconds_when_others_wait = seconds_when_others_wait
        self._arriving: dict[asyncio.Timeout, float] = {}
        """When each began, the oldest first; without those that are hurried."""
        self._hurried: set[asyncio.Timeout] = set()
        self._waiting = 0

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
                return await read()
        except TimeoutError:
            raise UnavailableError("the request did not arrive in time; try again", 1.0) from None
        finally:
            self._arriving.pop(deadline, None)
            self._hurried.discard(deadline)
            self._places.release()

    def _hurry(self) -> None:
        """For each that waits, give one message its last moment, those first that take longest."""
        while self._arriving and len(self._hurried) < self._waiting:
            oldest = next(iter(self._arriving))
            now = asyncio.get_running_loop().time()
            oldest.reschedule(max(now, self._arriving.pop(oldest) + self._seconds_when_others_wait))
            self._hurried.add(oldest)
