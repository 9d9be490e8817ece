"""What the limit on a body's time does to the answer."""

from __future__ import annotations

import asyncio
from typing import Any

from spanhouse.exporter.bodies import TimedBodies


def test_the_answer_to_a_body_that_is_late_closes_the_connection_whether_it_has_headers_or_not() -> None:
    sent: list[dict[str, Any]] = []

    async def answer(_: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 503})
        await send({"type": "http.response.start", "status": 503, "headers": [(b"a", b"b")]})

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError("the body never comes")

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(TimedBodies(answer, seconds=0)({}, receive, send))
    assert [message["headers"] for message in sent] == [[(b"connection", b"close")], [(b"a", b"b"), (b"connection", b"close")]]
