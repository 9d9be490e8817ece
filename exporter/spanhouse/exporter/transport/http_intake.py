"""Limits on request bodies of strangers: time while they arrive, memory while they are held."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from spanhouse.exporter.errors import UnavailableError
from spanhouse.exporter.transport.malloc import MallocTrim

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

_TOO_SLOW: Final = (408, b"the request did not arrive in time\n")
_CUT_SHORT: Final = (400, b"the body is shorter than its content-length says\n")
LATE: Final = {"type": "http.disconnect", "late": True}
"""What an application receives instead of a body that does not come. One that knows nothing of it takes the client for gone."""
_CLOSE: Final = (b"connection", b"close")
_LARGE_BYTES: Final = 2**20
"""The heap is trimmed after a request that held so much."""


class TimedBodies:
    """An ASGI application around another that gets whole bodies alone.

    A request whose body has not arrived in time is answered 408, if the other application has no answer to it. One whose body is shorter than
    announced is answered 400: an empty body means something to some applications, and must not come from a fault of the transport.

    Args:
        app: the other application. It receives ``LATE`` for a body that is late, and that the client is gone for one that is cut short.
        seconds: how long a body may take.
    """

    def __init__(self, app: App, *, seconds: float) -> None:
        self._app = app
        self._seconds = seconds
        self._arriving: set[asyncio.Timeout] = set()

    def stop(self) -> None:
        """Wait for no body any longer that is still on its way."""
        now = asyncio.get_running_loop().time()
        for deadline in self._arriving:
            deadline.reschedule(now)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        ends = asyncio.get_running_loop().time() + self._seconds
        missing = int(next((value for name, value in scope["headers"] if name == b"content-length"), b"0"))
        complete = answered = False
        failure: tuple[int, bytes] | None = None

        async def timed_receive() -> dict[str, Any]:
            nonlocal complete, failure, missing
            if complete:
                return await receive()
            deadline = asyncio.timeout_at(ends)
            try:
                async with deadline:
                    self._arriving.add(deadline)
                    message = await receive()
            except TimeoutError:
                failure = _TOO_SLOW
                return LATE
            finally:
                self._arriving.discard(deadline)
            complete = not message.get("more_body", False)
            missing -= len(message.get("body", b""))
            if complete and missing > 0 and message["type"] == "http.request":
                failure = _CUT_SHORT
                return {"type": "http.disconnect"}
            return message

        async def closing_send(message: dict[str, Any]) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                if failure is not None:
                    message = {**message, "headers": [*message.get("headers", ()), _CLOSE]}
            await send(message)

        await self._app(scope, timed_receive, closing_send)
        if failure is not None and not answered:
            status, text = failure
            headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(text))]
            await closing_send({"type": "http.response.start", "status": status, "headers": headers})
            await closing_send({"type": "http.response.body", "body": text})


@dataclass(slots=True)
class Budget:
    """Bytes that all requests together may hold in memory; after large ones the heap gives memory back to the system.

    Attributes:
        limit_bytes: the most.
        used_bytes: what is held now.
    """

    limit_bytes: int
    used_bytes: int = 0
    _trim: MallocTrim = field(default_factory=MallocTrim, init=False)

    @contextmanager
    def request(self) -> Iterator[Callable[[int], None]]:
        """For one request: a function that takes so many bytes more, given back at the end.

        The function raises UnavailableError when the budget is used up.
        """
        held = 0

        def take(size: int) -> None:
            nonlocal held
            if self.used_bytes + size > self.limit_bytes:
                raise UnavailableError("more requests are under way than fit in memory; try again", 1.0)
            held += size
            self.used_bytes += size

        try:
            yield take
        finally:
            self.used_bytes -= held
            if held >= _LARGE_BYTES:
                self._trim.soon()
