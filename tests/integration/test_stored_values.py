"""Values in otel_traces are what the Collector's exporter would write, through the checks, the rewriting and the engine."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from tests.support.otlp import any_value, key_values, request, span
from tests.support.store import TestStore

from spanhouse.exporter.errors import ExportError
from spanhouse.exporter.otlp.any_value import to_json
from spanhouse.exporter.otlp.check import check
from spanhouse.exporter.spool.seen_requests import SeenRequests
from spanhouse.exporter.store.writer import Batch, Writer
from spanhouse.schema.settle import settle

GOLDEN: list[tuple[Any, str]] = [
    (None, ""),
    ("", ""),
    ("text", "text"),
    ('qu"ote\\ \n é \x00', 'qu"ote\\ \n é \x00'),
    (True, "true"),
    (False, "false"),
    (0, "0"),
    (-1, "-1"),
    (2**63 - 1, "9223372036854775807"),
    (-(2**63), "-9223372036854775808"),
    (0.0, "0"),
    (-0.0, "-0"),
    (1.0, "1"),
    (0.1, "0.1"),
    (1e-6, "0.000001"),
    (1e-7, "1e-7"),
    (1.25e-10, "1.25e-10"),
    (5e-324, "5e-324"),
    (1e20, "100000000000000000000"),
    (1e21, "1e+21"),
    (-1.5e300, "-1.5e+300"),
    (math.nan, "NaN"),
    (math.inf, "Infinity"),
    (-math.inf, "-Infinity"),
    (b"", ""),
    (b"\x00\xff\x10", "AP8Q"),
    ([], "[]"),
    (["a", "b/c", '"', "<&>", "\u2028"], '["a","b/c","\\"","<&>","\\u2028"]'),
    ([1, -2, 0.5, 1e21, 1e-7, True, False, None, b"\x00\xff"], '[1,-2,0.5,1e+21,1e-7,true,false,null,"AP8="]'),
    ([math.nan, math.inf, -math.inf], '["NaN","Infinity","-Infinity"]'),
    ([[]], "[[]]"),
    ([["a", [1, {"k": b"x"}]], {}], '[["a",[1,{"k":"eA=="}]],{}]'),
    ({}, "{}"),
    ({"b": 1, "a": [True, None], "c": {"d": 1e21}}, '{"a":[true,null],"b":1,"c":{"d":1e+21}}'),
    ({"n": math.nan}, '{"n":"NaN"}'),
]


def insert(store: TestStore, bodies: Sequence[bytes]) -> Sequence[ExportError | None]:
    return Writer(store.client, SeenRequests()).insert(Batch.of([check(body) for body in bodies]))


def store_all(store: TestStore, *requests: Any) -> None:
    assert set(insert(store, [one.SerializeToString() for one in requests])) == {None}


def test_every_kind_of_value_has_the_collectors_text_wherever_attributes_stand(store: TestStore) -> None:
    values = {f"k{number:02}": value for number, (value, _) in enumerate(GOLDEN)}
    expected = {f"k{number:02}": text for number, (_, text) in enumerate(GOLDEN)}
    made = span(attributes=values)
    made.events.add(name="event", time_unix_nano=1, attributes=key_values(values))
    made.links.add(trace_id=b"\x01" * 16, span_id=b"\x02" * 8, trace_state="a=b", attributes=key_values(values))
    whole = request([made], resource={"service.name": "values", **values})
    whole.resource_spans[0].scope_spans[0].scope.attributes.extend(key_values(values))
    store_all(store, whole)
    (row,) = store.rows("SELECT *, ScopeAttributes FROM otel_traces")
    assert row["SpanAttributes"] == expected
    assert row["ResourceAttributes"] == {"service.name": "values", **expected}
    assert row["ScopeAttributes"] == expected
    assert row["Events.Attributes"] == [expected]
    assert row["Links.Attributes"] == [expected]


def test_ids_kinds_status_and_times_have_the_collectors_spelling(store: TestStore) -> None:
    root = span("root", trace_id=b"\xab" * 16, span_id=b"\xcd" * 8, kind=0, start_ns=1_700_000_000_123_456_789, duration_ns=42)
    spans = [root, *(span(f"kind {kind}", kind=kind, parent=root.span_id) for kind in range(1, 6))]
    unknown = span("unknown", kind=17, parent=bytes(8))
    unknown.status.code = 9  # type: ignore[assignment]
    failed = span("failed", error=True)
    ended = span("ok")
    ended.status.code = 1  # type: ignore[assignment]
    ended.trace_state = "vendor=1"
    store_all(store, request([*spans, unknown, failed, ended], resource={"service.name": "spelling"}, scope="lib"))
    rows = {row["SpanName"]: row for row in store.rows("SELECT *, toUnixTimestamp64Nano(Timestamp) AS ns FROM otel_traces")}
    assert [rows[name]["SpanKind"] for name in ("root", *(f"kind {kind}" for kind in range(1, 6)), "unknown")] == [
        "Unspecified",
        "Internal",
        "Server",
        "Client",
        "Producer",
        "Consumer",
        "",
    ]
    assert (rows["root"]["TraceId"], rows["root"]["SpanId"], rows["root"]["ParentSpanId"]) == ("ab" * 16, "cd" * 8, "")
    assert rows["kind 1"]["ParentSpanId"] == "cd" * 8
    assert rows["unknown"]["ParentSpanId"] == ""
    assert (rows["root"]["ns"], rows["root"]["Duration"]) == (1_700_000_000_123_456_789, 42)
    assert (rows["root"]["ServiceName"], rows["root"]["ScopeName"], rows["ok"]["TraceState"]) == ("spelling", "lib", "vendor=1")
    assert [(rows[name]["StatusCode"], rows[name]["StatusMessage"]) for name in ("root", "ok", "failed", "unknown")] == [
        ("Unset", ""),
        ("Ok", ""),
        ("Error", "boom"),
        ("", ""),
    ]


def test_odd_times_are_clamped_and_never_wrapped(store: TestStore) -> None:
    backwards = span("backwards", start_ns=2_000_000_000, duration_ns=-1_000_000_000)
    far = span("far", start_ns=2**64 - 2, duration_ns=1)
    zero = span("zero", start_ns=0, duration_ns=0)
    zero.start_time_unix_nano = zero.end_time_unix_nano = 0
    store_all(store, request([backwards, far, zero]))
    rows = {row["SpanName"]: row for row in store.rows("SELECT SpanName, Duration, toString(Timestamp) AS at FROM otel_traces")}
    assert rows["backwards"]["Duration"] == 0
    assert rows["far"]["at"].startswith("2262-04-11")
    assert dt.datetime.fromisoformat(rows["zero"]["at"][:19]).year in {1969, 1970}


@pytest.mark.parametrize("year", [1971, 2026, 2107, 2150, 2261])
def test_a_span_of_any_time_is_found_by_its_time(store: TestStore, year: int) -> None:
    begin = int(dt.datetime(year, 6, 1, tzinfo=dt.UTC).timestamp()) * 10**9
    store_all(store, request([span("then", start_ns=begin), span("before", start_ns=begin - 10**16)]))
    settle.settle_all(store.execute)
    found = f"FROM otel_traces WHERE Timestamp >= '{year}-05-31 12:00:00' AND Timestamp < '{year}-06-02 12:00:00'"
    assert store.rows(f"SELECT SpanName {found}") == [{"SpanName": "then"}]
    assert store.rows(f"SELECT Name {found.replace('otel_traces', 'traces')}") == [{"Name": "then"}]


def test_what_the_collector_drops_is_kept_in_columns_of_our_own(store: TestStore) -> None:
    made = span("kept", flags=0x301)
    made.dropped_attributes_count, made.dropped_events_count, made.dropped_links_count = 1, 2, 3
    whole = request([made])
    whole.resource_spans[0].schema_url = "https://resource"
    whole.resource_spans[0].scope_spans[0].schema_url = "https://scope"
    store_all(store, whole)
    (row,) = store.rows(
        "SELECT Flags, DroppedAttributesCount, DroppedEventsCount, DroppedLinksCount, ResourceSchemaUrl, ScopeSchemaUrl FROM otel_traces"
    )
    assert list(row.values()) == [0x301, 1, 2, 3, "https://resource", "https://scope"]


def test_of_duplicate_keys_all_are_kept_and_the_first_is_found(store: TestStore) -> None:
    made = span()
    made.attributes.extend([*key_values({"k": "first"}), *key_values({"k": "second"})])
    store_all(store, request([made]))
    (row,) = store.rows("SELECT SpanAttributes['k'] AS found, mapValues(SpanAttributes) AS everything FROM otel_traces")
    assert row == {"found": "first", "everything": ["first", "second"]}


def test_a_service_without_a_name_and_a_span_without_attributes_are_stored(store: TestStore) -> None:
    store_all(store, request([span("bare")], resource={}))
    (row,) = store.rows("SELECT ServiceName, ResourceAttributes, SpanAttributes FROM otel_traces")
    assert row == {"ServiceName": "", "ResourceAttributes": {}, "SpanAttributes": {}}


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.lists(
            st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=15) | st.binary(max_size=9), max_size=5
        ),
        min_size=1,
        max_size=30,
    )
)
@example([[chr(code) for code in range(32)], ["\\u001F\x1f", "\\\x1b"], ["\x0b", 2], ["stop"]])
def test_the_engine_prints_arrays_of_scalars_as_the_rewriting_prints_nested_ones(module_store: TestStore, arrays: list[list[Any]]) -> None:
    values = [any_value(array) for array in arrays]
    store_all(module_store, request([span("arrays", attributes={f"k{number:02}": value for number, value in enumerate(values)})]))
    (row,) = module_store.rows("SELECT SpanAttributes FROM otel_traces ORDER BY Timestamp DESC LIMIT 1")
    assert list(row["SpanAttributes"].values()) == [to_json(value) for value in values]


def test_a_request_with_two_values_in_one_oneof_is_stored_in_its_canonical_form(store: TestStore) -> None:
    both = any_value("first").SerializeToString() + any_value(7).SerializeToString()
    made = span("two", attributes={"k": AnyValue()})
    body = request([made]).SerializeToString()
    parsed = check(body)
    assert parsed.rejected == 0
    # protobuf cannot write this, so the bytes are put together by hand around an attribute of the same length
    placeholder = span(
        "two", trace_id=made.trace_id, span_id=made.span_id, attributes={"k": "x" * (len(both) - 2)}, start_ns=made.start_time_unix_nano
    )
    body = request([placeholder]).SerializeToString().replace(any_value("x" * (len(both) - 2)).SerializeToString(), both)
    outcomes = insert(store, [request([span("neighbour")]).SerializeToString(), body])
    assert outcomes == [None, None]
    rows = {row["SpanName"]: row["SpanAttributes"] for row in store.rows("SELECT SpanName, SpanAttributes FROM otel_traces")}
    assert rows == {"neighbour": {}, "two": {"k": "7"}}
