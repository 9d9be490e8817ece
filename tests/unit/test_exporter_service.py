"""A request that was refused is known when it comes again, and let in before others."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.otlp import request, span

from spanhouse.exporter.errors import UnavailableError
from spanhouse.exporter.ingest.service import ExportService, RecentlyRefused
from spanhouse.exporter.otlp.check import CheckedRequest


class Sink:
    """Full until it is told otherwise; notes which requests it was told come again."""

    def __init__(self) -> None:
        self.full = True
        self.asked: list[bool] = []
        self.added: list[bool] = []

    def admit(self, _: int, *, is_retry: bool) -> None:
        self.asked.append(is_retry)
        if self.full:
            raise UnavailableError("full", 2)

    async def add(self, _: CheckedRequest, *, is_retry: bool) -> None:
        self.added.append(is_retry)


def body(name: str) -> bytes:
    return request([span(name)]).SerializeToString()


def test_a_refused_request_comes_again_until_it_is_taken() -> None:
    sink = Sink()
    service = ExportService(sink, 10**6)

    bodies = {name: body(name) for name in ("first", "other")}

    async def send(name: str) -> None:
        await service.export(bodies[name])

    for _ in range(2):
        with pytest.raises(UnavailableError):
            asyncio.run(send("first"))
    sink.full = False
    asyncio.run(send("first"))
    asyncio.run(send("other"))
    asyncio.run(send("first"))
    assert sink.asked == [False, True, True, False, False]
    assert sink.added == [True, False, False]


def test_the_oldest_refusals_are_forgotten_and_a_repeated_one_is_young() -> None:
    refused = RecentlyRefused(2)
    for name in (b"a", b"b", b"a", b"c"):
        refused.add(name)
    assert [name in refused for name in (b"a", b"b", b"c")] == [True, False, True]


def test_requests_that_begin_alike_are_told_apart_by_their_ends() -> None:
    refused = RecentlyRefused()
    refused.add(b"x" * 10_000 + b"1")
    assert b"x" * 10_000 + b"2" not in refused
    assert b"x" * 10_001 + b"1" not in refused


def test_requests_that_all_end_alike_are_told_apart_by_what_comes_before() -> None:
    refused = RecentlyRefused()
    end = span("e" * 10_000)
    bodies = [request([span(name), end]).SerializeToString() for name in ("first", "other")]
    refused.add(bodies[0])
    assert [body in refused for body in bodies] == [True, False]
