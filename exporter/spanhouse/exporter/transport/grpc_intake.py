"""What gRPC messages may take while they arrive. gRPC collects each whole before it hands it over, and tells nobody how much it has of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import chain, repeat
from typing import Final, TypeVar

from spanhouse.exporter.errors import UnavailableError
from spanhouse.exporter.transport.malloc import heap_measure

_T = TypeVar("_T")

_AT_ONCE: Final = 16
"""Messages on their way at once; the others stay with their senders, held back by HTTP/2's flow control."""
_UNMEASURED: Final = 4
"""So many may where it is not known what is held."""
_LOOK_SECONDS: Final = 0.02
_SECONDS: Final = 30.0
_SECONDS_WHEN_OTHERS_WAIT: Final = 1.0


class GrpcIntake:
    """Takes so many messages at once, fewer while memory is short.

    One that has taken its time goes when others wait, so those that stall can't keep the others out.

    Args:
        memory_bytes: while so much more is held than at the start, the messages that take longest end, until one is left.
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
        self._held = held or heap_measure()
        self._most_held = memory_bytes + (self._held() if self._held else 0)
        self._places = asyncio.Semaphore(at_once if self._held else _UNMEASURED)
        self._seconds = seconds
        self._seconds_when_others_wait = seconds_when_others_wait
        self._arriving: dict[asyncio.Timeout, float] = {}
        """When each began, the oldest first."""
        self._waiting = 0
        self._looking: asyncio.TimerHandle | None = None

    async def __call__(self, read: Callable[[], Awaitable[_T]]) -> _T:
        """Wait for a place, then for the message.

        Raises:
            UnavailableError: it did not arrive in time.
        """
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        # Ended by a look, so that a message that comes at once costs no timer.
        message = asyncio.timeout(None)
        try:
            async with message:
                self._arriving[message] = asyncio.get_running_loop().time()
                if self._looking is None:
                    self._look_soon()
                return await read()
        except TimeoutError:
            raise UnavailableError("the request did not arrive in time; try again", 1.0) from None
        finally:
            self._arriving.pop(message, None)
            self._places.release()

    def stop(self) -> None:
        """Wait for no message any longer that is still on its way."""
        self._seconds = self._seconds_when_others_wait = 0

    def _look_soon(self) -> None:
        self._looking = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)

    def _look(self) -> None:
        """End what has taken its time; and if too much is held the half that takes longest: the next look sees what that gave."""
        self._looking = None
        now = asyncio.get_running_loop().time()
        # For each that waits one has less time, those first that take longest.
        patience = chain(repeat(self._seconds_when_others_wait, self._waiting), repeat(self._seconds))
        ended = [message for (message, begun), seconds in zip(self._arriving.items(), patience, strict=False) if now - begun >= seconds]
        if len(self._arriving) > 1 and self._held and self._held() > self._most_held:
            ended = list(self._arriving)[: max(len(ended), len(self._arriving) // 2)]
        for message in ended:
            del self._arriving[message]
            message.reschedule(now)
        if self._arriving:
            self._look_soon()
