"""What the Collector's exporter, Grafana and HyperDX send works on our tables, unchanged. Each file names where its text is from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.support.otlp import key_values, request, span
from tests.support.store import TestStore

from spanhouse.schema.settle import settle

FILES = Path(__file__).parent / "readers"
START = 1_700_000_000
TRACE_ID = bytes(range(1, 17))
OTHER_ID = bytes(range(2, 18))


def a_trace() -> list[Span]:
    """A root, a failed child 90 seconds later with an event and a link, both of one trace."""
    root = span(
        "GET /chat", trace_id=TRACE_ID, span_id=b"\1" * 8, start_ns=START * 10**9 + 5, duration_ns=2_000_000, attributes={"http.route": "/chat"}
    )
    child = span("llm", trace_id=TRACE_ID, span_id=b"\2" * 8, parent=root.span_id, start_ns=(START + 90) * 10**9 + 999_999_999, error=True, kind=3)
    child.events.add(name="retry", time_unix_nano=(START + 91) * 10**9, attributes=key_values({"n": 2}))
    child.links.add(trace_id=OTHER_ID, span_id=b"\3" * 8, attributes=key_values({"why": "batch"}))
    return [root, child]


@pytest.fixture(scope="module")
def filled(module_store: TestStore) -> TestStore:
    module_store.ingest(request(a_trace(), resource={"service.name": "chat", "service.version": "1.0"}, scope="lib"))
    later = span("job", trace_id=OTHER_ID, start_ns=(START + 60) * 10**9, duration_ns=3_000_000)
    module_store.ingest(request([later], resource={"service.name": "worker"}))
    return module_store


def ask(store: TestStore, name: str) -> list[dict[str, Any]]:
    text = (FILES / f"{name}.sql").read_text()
    values = {"database": store.database, "trace_id": TRACE_ID.hex(), "from": str(START - 60), "to": str(START + 600)}
    for key, value in values.items():
        text = text.replace(f"<{key}>", value)
    return store.rows(text)


def test_grafana_opens_a_trace_by_its_id(filled: TestStore) -> None:
    root, child = sorted(ask(filled, "grafana_trace_by_id"), key=lambda row: str(row["operationName"]))
    assert (root["traceID"], root["spanID"], root["parentSpanID"], root["serviceName"]) == (TRACE_ID.hex(), "01" * 8, "", "chat")
    assert (root["startTime"], root["duration"], root["kind"], root["statusCode"]) == (START * 1000.0, 2.0, "Server", 0)
    assert root["tags"] == [{"key": "http.route", "value": "/chat"}]
    assert {"key": "service.version", "value": "1.0"} in root["serviceTags"]
    assert (child["parentSpanID"], child["statusCode"], child["kind"], child["instrumentationLibraryName"]) == ("01" * 8, 2, "Client", "lib")
    (log,) = child["logs"]
    assert (log["name"], log["timestamp"], log["fields"]) == ("retry", f"{START + 91}000", [{"key": "n", "value": "2"}])
    (reference,) = child["references"]
    assert (reference["traceID"], reference["spanID"], reference["tags"]) == (OTHER_ID.hex(), "03" * 8, [{"key": "why", "value": "batch"}])


def test_grafana_lists_spans_services_and_a_histogram(filled: TestStore) -> None:
    assert [(row["operationName"], row["duration"]) for row in ask(filled, "grafana_span_table")] == [("job", 3.0), ("GET /chat", 2.0)]
    assert [row["ServiceName"] for row in ask(filled, "grafana_service_list")] == ["chat", "worker"]
    buckets = [(row["time"].timestamp(), row["ServiceName"], row["spans"]) for row in ask(filled, "grafana_histogram")]
    minute = START // 60 * 60
    assert sorted(buckets) == [(minute, "chat", 1), (minute + 60, "chat", 1), (minute + 60, "worker", 1)]


def test_hyperdx_opens_a_trace_by_its_id(filled: TestStore) -> None:
    rows = {row["SpanId"]: row for row in ask(filled, "hyperdx_trace_by_id")}
    assert {key: (row["Body"], row["ParentSpanId"], row["StatusCode"]) for key, row in rows.items()} == {
        "01" * 8: ("GET /chat", "", "Unset"),
        "02" * 8: ("llm", "01" * 8, "Error"),
    }
    assert rows["01" * 8]["Duration"] == 0.002
    assert [event["Name"] for event in rows["02" * 8]["SpanEvents"]] == ["retry"]


def test_hyperdx_lists_spans_facets_and_a_histogram(filled: TestStore) -> None:
    listed = [(row["SpanName"], row["service"], row["level"], row["duration"]) for row in ask(filled, "hyperdx_span_table")]
    assert listed == [("llm", "chat", "Error", 1.0), ("job", "worker", "Unset", 3.0), ("GET /chat", "chat", "Unset", 2.0)]
    (facets,) = ask(filled, "hyperdx_service_list")
    assert (sorted(facets["param0"]), sorted(facets["param1"])) == (["chat", "worker"], ["", "1.0"])
    buckets = {(row["StatusCode"], row["__hdx_time_bucket"].timestamp()): row["count()"] for row in ask(filled, "hyperdx_histogram")}
    minute = START // 60 * 60
    assert buckets == {("Unset", minute): 1, ("Unset", minute + 60): 1, ("Error", minute + 60): 1}


def test_the_times_of_a_trace_are_found_though_its_spans_come_apart(store: TestStore) -> None:
    for one in reversed(a_trace()):
        store.ingest(request([one]))
    times = "SELECT toUnixTimestamp(min(Start)) AS first, toUnixTimestamp(max(End)) AS last FROM otel_traces_trace_id_ts"
    assert store.rows(f"{times} WHERE TraceId = '{TRACE_ID.hex()}'") == [{"first": START, "last": START + 90}]
    assert len(ask(store, "grafana_trace_by_id")) == 2


def test_the_collectors_insert_fills_all_that_is_kept_of_a_trace(store: TestStore) -> None:
    head = (FILES / "collector_insert.sql").read_text().replace("<database>", store.database)
    store.client.command(
        f"{head} VALUES (fromUnixTimestamp64Nano({START}000000005), '{TRACE_ID.hex()}', '{'01' * 8}', '', '', 'collected', 'Server', 'svc',"
        " map('service.name', 'svc', 'service.version', '2.0', 'mlflow.modelId', 'm-1'), 'lib', '1', map('session.id', 's1'), 5, 'Ok', '',"
        " [now64(9)], ['e'], [map('a', 'b')], ['ef'], ['01'], [''], [map('c', 'd')])"
    )
    settle.settle_all(store.execute)
    (row,) = store.rows("SELECT Name, ServiceName, State, SpanCount, SessionId FROM traces")
    assert row == {"Name": "collected", "ServiceName": "svc", "State": "OK", "SpanCount": 1, "SessionId": "s1"}
    assert len(ask(store, "grafana_trace_by_id")) == 1
    assert store.rows("SELECT ModelId FROM logged_models") == [{"ModelId": "m-1"}]
    assert store.rows("SELECT Value FROM metadata_values WHERE Key = 'app_version'") == [{"Value": "2.0"}]


def test_a_collector_that_makes_its_tables_finds_them_all_and_writes_on(store: TestStore) -> None:
    times = "TraceId String, Start DateTime, End DateTime"
    store.client.command(f"CREATE TABLE IF NOT EXISTS otel_traces_trace_id_ts ({times}) ENGINE = MergeTree ORDER BY TraceId")
    select = "SELECT TraceId, min(Timestamp) AS Start, max(Timestamp) AS End FROM otel_traces WHERE TraceId != '' GROUP BY TraceId"
    store.client.command(f"CREATE MATERIALIZED VIEW IF NOT EXISTS otel_traces_trace_id_ts_mv TO otel_traces_trace_id_ts AS {select}")
    store.ingest(request(a_trace()))
    assert len(ask(store, "grafana_trace_by_id")) == 2
