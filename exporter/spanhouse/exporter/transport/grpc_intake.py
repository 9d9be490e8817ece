"""Bounds the memory of incoming gRPC messages. gRPC buffers each message whole and does not report how much has arrived."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import chain, repeat
from typing import Final, TypeVar

from spanhouse.exporter.errors import UnavailableError
from spanhouse.exporter.transport.malloc import heap_meter

_T = TypeVar("_T")

_AT_ONCE: Final = 16
"""Messages that arrive at once; HTTP/2 flow control holds the others back at their senders."""
_AT_ONCE_UNMEASURED: Final = 4
"""Messages that arrive at once where the heap can't be measured."""
_CHECK_SECONDS: Final = 0.02
_SECONDS: Final = 30.0
_SECONDS_WHEN_OTHERS_WAIT: Final = 1.0


class GrpcIntake:
    """Semaphore for arriving messages, with deadlines and a memory limit.

    A message past its deadline is ended; the deadline is shorter while others wait, so stalled senders can't keep others out.

    Args:
        memory_bytes: while the heap has grown by more than this since the start, the oldest messages are ended, until one is left.
        held: measures the bytes held now; by default those of the process's heap.
        at_once: number of messages; each has at most the size of a request.
        seconds: time for a message to arrive.
        seconds_when_others_wait: the same while others wait for its slot.
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
        self._held = held or heap_meter()
        self._limit_bytes = memory_bytes + (self._held() if self._held else 0)
        self._slots = asyncio.Semaphore(at_once if self._held else _AT_ONCE_UNMEASURED)
        self._seconds = seconds
        self._seconds_when_others_wait = seconds_when_others_wait
        self._arriving: dict[asyncio.Timeout, float] = {}
        """Start time of each, the oldest first."""
        self._waiting = 0
        self._check_timer: asyncio.TimerHandle | None = None

    async def __call__(self, read: Callable[[], Awaitable[_T]]) -> _T:
        """Wait for a slot, then for the message.

        Raises:
            UnavailableError: the message did not arrive in time.
        """
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        # The periodic check ends it, so that a message that arrives at once costs no timer.
        message = asyncio.timeout(None)
        try:
            async with message:
                self._arriving[message] = asyncio.get_running_loop().time()
                if self._check_timer is None:
                    self._schedule_check()
                return await read()
        except TimeoutError:
            raise UnavailableError("the request did not arrive in time; try again", 1.0) from None
        finally:
            self._arriving.pop(message, None)
            self._slots.release()

    def stop(self) -> None:
        """End the wait for all messages that are still arriving."""
        self._seconds = self._seconds_when_others_wait = 0

    def _schedule_check(self) -> None:
        self._check_timer = asyncio.get_running_loop().call_later(_CHECK_SECONDS, self._check)

    def _check(self) -> None:
        """End the messages past their deadline and, while memory is over the limit, the older half; the next check sees the effect."""
        self._check_timer = None
        now = asyncio.get_running_loop().time()
        # For each that waits, one message gets the shorter deadline, the oldest first.
        deadlines = chain(repeat(self._seconds_when_others_wait, self._waiting), repeat(self._seconds))
        ended = [message for (message, begun), seconds in zip(self._arriving.items(), deadlines, strict=False) if now - begun >= seconds]
        if len(self._arriving) > 1 and self._held and self._held() > self._limit_bytes:
            ended = list(self._arriving)[: max(len(ended), len(self._arriving) // 2)]
        for message in ended:
            del self._arriving[message]
            message.reschedule(now)
        if self._arriving:
            self._schedule_check()
