"""Batching: requests that arrive together share one fsync of the spool, or one insert."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from spanhouse.exporter.errors import ExportError, UnavailableError
from spanhouse.exporter.ingest.admission import RETRY_SECONDS
from spanhouse.exporter.otlp.check import CheckedRequest

_log = logging.getLogger(__name__)

Write = Callable[[Sequence[CheckedRequest]], Sequence[ExportError | None]]
"""Function that writes requests together and blocks. Returns for each its error, None if it is safe."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    request: CheckedRequest
    since: float
    written: asyncio.Future[None]


class Batcher:
    """Queue of requests that are written together, one write at a time; each waits for the write that holds it.

    Requests that arrive during a write go into the next one.

    Args:
        write: called in a thread.
        linger_seconds: age of the oldest request at which a write begins,
        max_spans, max_bytes: or size of the queue at which it begins; a single larger request makes a batch of its own.

    Attributes:
        waiting_bytes: bytes of the requests that are queued or being written.
        closing: True once no request is taken any more.
    """

    def __init__(self, write: Write, *, linger_seconds: float, max_spans: int, max_bytes: int) -> None:
        self.waiting_bytes = 0
        self.closing = False
        self._write = write
        self._linger_seconds = linger_seconds
        self._max_spans = max_spans
        self._max_bytes = max_bytes
        self._queue: deque[_Waiting] = deque()
        self._spans = 0
        self._changed = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write, in the event loop that runs."""
        self._worker = asyncio.create_task(self._run(), name="spanhouse-batcher")

    async def add(self, request: CheckedRequest) -> None:
        """Wait until the request is safe.

        Raises:
            ExportError: the request is not safe.
        """
        if self.closing:  # since it was admitted
            raise UnavailableError("the server is stopping", RETRY_SECONDS)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(request, loop.time(), loop.create_future())
        self._queue.append(waiting)
        self._spans += request.spans
        self.waiting_bytes += len(request.body)
        if len(self._queue) == 1 or self._is_enough():
            self._changed.set()
        # A client that hangs up cancels this future and takes nothing out of a write that others share.
        await waiting.written

    async def close(self) -> None:
        """Refuse later requests, write those that wait, then end."""
        self.closing = True
        self._changed.set()
        if self._worker is not None:
            await self._worker

    async def _run(self) -> None:
        while self._queue or not self.closing:
            if not self._queue:
                self._changed.clear()
                await self._changed.wait()
                continue
            await self._linger()
            await self._finish(self._take())

    async def _linger(self) -> None:
        """Wait for more requests until the oldest one has waited its time."""
        left = self._queue[0].since + self._linger_seconds - asyncio.get_running_loop().time()
        if left <= 0 or self.closing or self._is_enough():
            return
        self._changed.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), left)

    def _is_enough(self) -> bool:
        return self._spans >= self._max_spans or self.waiting_bytes >= self._max_bytes

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
        except Exception:  # noqa: BLE001 our fault, whatever it is: logged whole, and all other requests are still answered
            _log.exception("a write of %d requests failed", len(batch))
            outcomes = [UnavailableError("the server failed; its log says why", RETRY_SECONDS)] * len(batch)
        self.waiting_bytes -= sum(len(waiting.request.body) for waiting in batch)
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if waiting.written.cancelled():
                continue
            if outcome is None:
                waiting.written.set_result(None)
            else:
                waiting.written.set_exception(type(outcome)(outcome.message, outcome.retry_seconds))
                # The client may be gone. Read here, so that asyncio does not warn of an exception that nobody read.
                waiting.written.exception()
