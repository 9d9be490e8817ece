"""The endpoint that only reads answers every statement that the client has, as the store itself does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.support import otlp
from tests.support.clickhouse_http import listening
from tests.support.store import TestStore

from spanhouse.query import Page, TraceClient

FILTERS = (
    *(None, "metadata.app_version = '1'", "metadata.region = 'eu' AND name LIKE 'ch%'", "span.name = 'child 0' AND metadata.region = 'eu'"),
    *("resource.app_version IS NULL OR status = 'ERROR'", "tokens.total > 5", "timestamp_ms > now() - 20000d AND NOT name RLIKE '^x'"),
)
ORDERS = (["execution_time DESC"], ["metadata.region", "cost DESC"])


@pytest.fixture(scope="module")
def clients() -> Iterator[tuple[TraceClient, TraceClient]]:
    """The store's own client, and one of the endpoint."""
    store = TestStore()
    requests = [
        otlp.trace(
            name="chat",
            start_ns=1_760_000_000_000_000_000 + number * 1_000_000,
            duration_ns=number * 1_000_000,
            error=number % 5 == 0,
            resource={"service.name": "svc", "service.version": str(number % 2), "region": "eu" if number % 3 else "us"},
            attributes={"gen_ai.usage.input_tokens": number},
        )
        for number in range(40)
    ]
    store.ingest(*requests, otlp.request([otlp.span(parent=b"elsewher", flags=otlp.LOCAL)]))
    with (
        listening(store.database) as endpoint,
        TraceClient(store.dsn) as own,
        TraceClient(f"http://127.0.0.1:{endpoint.port}/{store.database}") as far,
    ):
        yield own, far
    store.close()


def _pages(client: TraceClient, text: str | None, order: list[str] | None) -> list[str]:
    found: list[str] = []
    token = None
    while token is not None or not found:
        page = client.search_traces(filter_string=text, order_by=order, max_results=15, page_token=token, include_spans=True)
        assert isinstance(page, Page)
        found += [f"{trace.info} {trace.data.spans}" for trace in page]
        token = page.token
        if not page:
            break
    return found


@pytest.mark.parametrize(("text", "order"), [*((text, None) for text in FILTERS), *((FILTERS[3], order) for order in ORDERS)])
def test_searches_are_answered(clients: tuple[TraceClient, TraceClient], text: str | None, order: list[str] | None) -> None:
    own, far = clients
    found = _pages(own, text, order)
    assert found
    assert _pages(far, text, order) == found
    assert [str(trace.info) for trace in far.search_traces(filter_string=text, order_by=order)] == [
        str(trace.info) for trace in own.search_traces(filter_string=text, order_by=order)
    ]
    assert far.count(text) == own.count(text) == len(found)


def test_all_else_is_answered(clients: tuple[TraceClient, TraceClient]) -> None:
    own, far = clients
    (trace,) = own.search_traces(filter_string="tokens.total = 7", max_results=5)
    for client in clients:
        found = client.get_trace(trace.info.trace_id)
        assert found is not None
        assert [part.name for part in found.info.services] == ["svc"]
        assert (replace(found.info, services=()), found.data.spans) == (trace.info, trace.data.spans)
    assert far.keys() == own.keys() != []
    assert far.values("region") == own.values("region") == {"eu": None, "us": None}
    assert far.values("app_version") == own.values("app_version") == {"0": 20, "1": 20}
    assert far.group_by("metadata.region") == own.group_by("metadata.region")
    assert far.compare("version", "0", "1", metrics=["span.attributes.n"]) == own.compare("version", "0", "1", metrics=["span.attributes.n"])
    assert far.compare("region", per="name") == own.compare("region", per="name")
