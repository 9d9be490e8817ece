"""What a stranger's request bodies may take: time while they arrive, memory while they are held."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from spanhouse.exporter.status import UnavailableError

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

_TOO_SLOW: Final = b"the request did not arrive in time\n"
LATE: Final = {"type": "http.disconnect", "late": True}
"""What an application receives instead of a body that does not come. One that knows nothing of it takes the client for gone."""
_CLOSE: Final = (b"connection", b"close")


class TimedBodies:
    """An ASGI application around another: a request whose body has not arrived in time is answered 408, if the other has no answer to it.

    Args:
        app: the other; it receives ``LATE``.
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
        late = complete = answered = False

        async def timed_receive() -> dict[str, Any]:
            nonlocal late, complete
            if complete:
                return await receive()
            deadline = asyncio.timeout_at(ends)
            try:
                async with deadline:
                    self._arriving.add(deadline)
                    message = await receive()
            except TimeoutError:
                late = True
                return LATE
            finally:
                self._arriving.discard(deadline)
            complete = not message.get("more_body", False)
            return message

        async def closing_send(message: dict[str, Any]) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                if late:
                    message = {**message, "headers": [*message.get("headers", ()), _CLOSE]}
            await send(message)

        await self._app(scope, timed_receive, closing_send)
        if late and not answered:
            headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(_TOO_SLOW))]
            await closing_send({"type": "http.response.start", "status": 408, "headers": headers})
            await closing_send({"type": "http.response.body", "body": _TOO_SLOW})


@dataclass(slots=True)
class Budget:
    """Bytes that all requests together may hold in memory.

    Attributes:
        limit_bytes: the most.
        used_bytes: what is held now.
    """

    limit_bytes: int
    used_bytes: int = 0

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
