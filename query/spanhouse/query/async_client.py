"""Search client for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial, update_wrapper
from itertools import islice
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

from spanhouse.query.client import TraceClient
from spanhouse.query.models import Trace
from spanhouse.query.search.results import Matches, Page

_P = ParamSpec("_P")
_R = TypeVar("_R")
_LOOK_AGAIN_SECONDS: Final = 0.01
_AT_ONCE: Final = 100
"""Traces that are passed on from the thread at a time."""


def _in_thread(method: Callable[Concatenate[TraceClient, _P], _R]) -> Callable[Concatenate[AsyncTraceClient, _P], Coroutine[Any, Any, _R]]:
    """Wrap a method as a coroutine function that runs it in the client's thread."""

    async def call(self: AsyncTraceClient, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        return await self._run(partial(method, self._client, *args, **kwargs))

    update_wrapper(call, method)
    return call


class AsyncMatches:
    """All traces that match, as ``Matches``: read by ``async for``, counted by ``await matches.count()``."""

    def __init__(self, client: AsyncTraceClient, matches: Matches) -> None:
        self._client = client
        self._matches = matches

    async def count(self) -> int:
        """Count the matches in the engine."""
        return await self._client._run(partial(len, self._matches))  # noqa: SLF001  one module, one thing

    async def __aiter__(self) -> AsyncIterator[Trace]:
        traces = iter(self._matches)
        while block := await self._client._run(lambda: list(islice(traces, _AT_ONCE))):  # noqa: SLF001
            for trace in block:
                yield trace


class AsyncTraceClient:
    """``TraceClient`` with coroutines: the same methods, arguments, results and errors. Use it in an ``async with`` block.

    A thread of its own runs the statements, one after another, since the driver of the embedded engine is blocking. Cancelling a task cancels its
    statement. Spans that a search did not read (``include_spans``) are read by a blocking access to ``data.spans``.

    Args:
        dsn: arguments as of ``TraceClient``; the client connects on entry of the block, with the same errors.
    """

    def __init__(self, dsn: str | None = None, *, timeout_seconds: int | None = None, memory_bytes: int | None = None) -> None:
        self._connect = partial(TraceClient, dsn, timeout_seconds=timeout_seconds, memory_bytes=memory_bytes)
        self._thread = ThreadPoolExecutor(1, "spanhouse-query")

    async def __aenter__(self) -> Self:
        self._client = await asyncio.get_running_loop().run_in_executor(self._thread, self._connect)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._run(self._client.close)
        self._thread.shutdown()

    async def search_traces(self, *args: Any, **kwargs: Any) -> Page | AsyncMatches:
        """Search traces; arguments as of ``TraceClient.search_traces``. Without ``max_results`` return all matches, for ``async for``."""
        found = await self._run(partial(self._client.search_traces, *args, **kwargs))
        return found if isinstance(found, Page) else AsyncMatches(self, found)

    count = _in_thread(TraceClient.count)
    group_by = _in_thread(TraceClient.group_by)
    analyze = _in_thread(TraceClient.analyze)
    get_trace = _in_thread(TraceClient.get_trace)
    get_span_tree = _in_thread(TraceClient.get_span_tree)
    keys = _in_thread(TraceClient.keys)
    values = _in_thread(TraceClient.values)
    set_trace_tag = _in_thread(TraceClient.set_trace_tag)
    delete_trace_tag = _in_thread(TraceClient.delete_trace_tag)
    search_frame = _in_thread(TraceClient.search_frame)
    compare = _in_thread(TraceClient.compare)
    bisect = _in_thread(TraceClient.bisect)
    diff = _in_thread(TraceClient.diff)

    async def _run(self, work: Callable[[], _R]) -> _R:
        running = self._thread.submit(work)
        try:
            return await asyncio.wrap_future(running)
        except asyncio.CancelledError:
            # Waiting work will not begin; a running statement is cancelled, so that the thread is free again.
            if not running.cancel():
                await asyncio.shield(self._end(running))
            raise

    async def _end(self, running: Future[Any]) -> None:
        """Cancel running work; repeated, since the work may be between two statements."""
        while not running.done():
            await asyncio.to_thread(self._client.cancel)
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
