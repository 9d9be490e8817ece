"""Responses to late and truncated bodies."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from spanhouse.exporter.transport.body_deadline import BodyDeadline


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

    asyncio.run(BodyDeadline(answer, seconds=0)({"headers": []}, receive, send))
    assert [message["headers"] for message in sent] == [[(b"connection", b"close")], [(b"a", b"b"), (b"connection", b"close")]]


def test_a_body_that_is_late_is_answered_408_where_the_application_takes_the_client_for_gone() -> None:
    sent: list[dict[str, Any]] = []

    async def answer_whole_bodies(_: dict[str, Any], receive: Any, __: Any) -> None:
        assert (await receive())["type"] == "http.disconnect"

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError("the body never comes")

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(BodyDeadline(answer_whole_bodies, seconds=0)({"headers": [(b"content-length", b"8")]}, receive, send))
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


@pytest.mark.parametrize("came", [b"", b"half"])
def test_a_body_shorter_than_announced_is_no_body_to_the_application_and_answered_400(came: bytes) -> None:
    sent: list[dict[str, Any]] = []
    received: list[dict[str, Any]] = []

    async def answer_whole_bodies(_: dict[str, Any], receive: Any, __: Any) -> None:
        received.append(await receive())

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": came, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(BodyDeadline(answer_whole_bodies, seconds=60)({"headers": [(b"content-length", b"8")]}, receive, send))
    assert [message["type"] for message in received] == ["http.disconnect"]
    assert sent[0]["status"] == 400
    assert (b"connection", b"close") in sent[0]["headers"]
