"""Deadline for the arrival of HTTP request bodies, and refusal of truncated ones."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from spanhouse.exporter.transport.asgi import App, Message, Receive, Send, first_header, respond

_TOO_SLOW: Final = (408, b"the request body did not arrive in time\n")
_TRUNCATED: Final = (400, b"the body is shorter than its content-length says\n")
LATE: Final = {"type": "http.disconnect", "late": True}
"""Message that an application receives for a body past its deadline. An application that ignores ``late`` sees a disconnected client."""
_CLOSE: Final = (b"connection", b"close")


class BodyDeadline:
    """ASGI middleware that hands on whole bodies only.

    A body past its deadline gets 408 unless the application responds itself. A body shorter than its Content-Length gets 400: an empty body
    means something to some applications, and must not come from a transport fault.

    Args:
        app: the wrapped application. It receives ``LATE`` for a late body, and a disconnect for a truncated one.
        seconds: time for a body to arrive.
    """

    def __init__(self, app: App, *, seconds: float) -> None:
        self._app = app
        self._seconds = seconds
        self._arriving: set[asyncio.Timeout] = set()

    def stop(self) -> None:
        """End the wait for all bodies that are still arriving."""
        now = asyncio.get_running_loop().time()
        for deadline in self._arriving:
            deadline.reschedule(now)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        ends = asyncio.get_running_loop().time() + self._seconds
        missing = int(first_header(scope, b"content-length") or 0)
        complete = answered = False
        failure: tuple[int, bytes] | None = None

        async def timed_receive() -> Message:
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
                failure = _TRUNCATED
                return {"type": "http.disconnect"}
            return message

        async def closing_send(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                if failure is not None:
                    message = {**message, "headers": [*message.get("headers", ()), _CLOSE]}
            await send(message)

        await self._app(scope, timed_receive, closing_send)
        if failure is not None and not answered:
            status, text = failure
            await respond(closing_send, status, [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(text))], text)
