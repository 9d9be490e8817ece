"""Requests that arrive together share what each would have to pay for alone: an fsync of the spool, or an insert."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from spanhouse.exporter.errors import ExportError, UnavailableError
from spanhouse.exporter.otlp.check import CheckedRequest

_log = logging.getLogger(__name__)

Write = Callable[[Sequence[CheckedRequest]], Sequence[ExportError | None]]
"""Writes requests together; blocks. Gives for each its error, None if it is safe."""

RETRY_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    request: CheckedRequest
    since: float
    written: asyncio.Future[None]


class Batcher:
    """Collects requests and writes them together, one write at a time; each waits for the write that holds it.

    What arrives while one runs goes into the next.

    Args:
        write: called in a thread.
        linger_seconds: a write is begun when a request has waited this long,
        max_spans, max_bytes: or when this much waits; a single larger request makes a batch of its own.
        waiting_bytes: beyond this, requests are refused; what is being written counts.
        admit: raises ExportError if ``write`` would refuse so many bytes, those that wait included; told whether the request was refused before.
    """

    def __init__(
        self,
        write: Write,
        *,
        linger_seconds: float,
        max_spans: int,
        max_bytes: int,
        waiting_bytes: int,
        admit: Callable[[int, bool], None] = lambda *_: None,
    ) -> None:
        self._write = write
        self._admit = admit
        self._linger_seconds = linger_seconds
        self._max_spans = max_spans
        self._max_bytes = max_bytes
        self._waiting_limit = waiting_bytes
        self._queue: deque[_Waiting] = deque()
        self._spans = 0
        self._bytes = 0
        self._changed = asyncio.Event()
        self._closing = False
        self._worker = asyncio.create_task(self._run(), name="spanhouse-batcher")

    def admit(self, size: int, *, is_retry: bool = False) -> None:
        """Say whether a request of so many bytes would be taken now.

        Args:
            size: its bytes.
            is_retry: it was refused before.

        Raises:
            ExportError: it would not.
        """
        if self._closing:
            raise UnavailableError("the server is stopping", RETRY_SECONDS)
        if self._bytes and self._bytes + size > self._waiting_limit:
            raise UnavailableError("more waits to be written than fits in memory; try again", RETRY_SECONDS)
        self._admit(self._bytes + size, is_retry)

    async def add(self, request: CheckedRequest, *, is_retry: bool = False) -> None:
        """Wait until the request is safe.

        Args:
            request: what to write.
            is_retry: it was refused before.

        Raises:
            ExportError: it was not.
        """
        self.admit(len(request.body), is_retry=is_retry)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(request, loop.time(), loop.create_future())
        self._queue.append(waiting)
        self._spans += request.spans
        self._bytes += len(request.body)
        if len(self._queue) == 1 or self._is_enough():
            self._changed.set()
        # A client that hangs up cancels this future and takes nothing out of a write that others share.
        await waiting.written

    async def close(self) -> None:
        """Write what waits, then end. Later requests are refused."""
        self._closing = True
        self._changed.set()
        await self._worker

    async def _run(self) -> None:
        while self._queue or not self._closing:
            if not self._queue:
                self._changed.clear()
                await self._changed.wait()
                continue
            await self._linger()
            await self._finish(self._take())

    async def _linger(self) -> None:
        """Wait for more, as long as the oldest request may."""
        left = self._queue[0].since + self._linger_seconds - asyncio.get_running_loop().time()
        if left <= 0 or self._closing or self._is_enough():
            return
        self._changed.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), left)

    def _is_enough(self) -> bool:
        return self._spans >= self._max_spans or self._bytes >= self._max_bytes

    def _take(self) -> list[_Waiting]:
        batch = [self._queue.popleft()]
        spans, size = batch[0].request.spans, len(batch[0].request.body)
        while self._queue:
            following = self._queue[0].request
            if spans + following.spans > self._max_spans or size + len(following.body) > self._max_bytes:
                break
            spans, size = spans + following.spans, size + len(following.body)
            batch.append(self._queue.popleft())
        self._spans -= spans
        return batch

    async def _finish(self, batch: list[_Waiting]) -> None:
        outcomes: Sequence[ExportError | None]
        try:
            outcomes = await asyncio.to_thread(self._write, [waiting.request for waiting in batch])
        except ExportError as error:
            outcomes = [error] * len(batch)
        except Exception:  # noqa: BLE001 our fault, whatever it is: logged whole, and what waits and what comes is still answered
            _log.exception("a write of %d requests failed", len(batch))
            outcomes = [UnavailableError("the server failed; its log says why", RETRY_SECONDS)] * len(batch)
        self._bytes -= sum(len(waiting.request.body) for waiting in batch)
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if waiting.written.cancelled():
                continue
            if outcome is None:
                waiting.written.set_result(None)
            else:
                waiting.written.set_exception(type(outcome)(outcome.message, outcome.retry_seconds))
                # The client may be gone; then nobody asks for the exception, which is no reason for a warning.
                waiting.written.exception()
