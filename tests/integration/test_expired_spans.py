"""A row outlives its spans: edits, late spans and repair change what they say and take nothing away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.support.otlp import new_trace_id, request, span
from tests.support.store import TestStore

from spanhouse.schema.maintenance.rebuild import remake_all
from spanhouse.schema.settle import remake, settle

START = 1_700_000_000_000_000_000
RESOURCE = {"service.name": "chat", "service.version": "1", "mlflow.source.git.commit": "abc"}
LATER = {"service.name": "chat", "service.version": "2"}


def stored_trace(store: TestStore) -> Sequence[Span]:
    """Store and settle a trace of three spans, a root and what it calls, and forget its parts."""
    attributes = {"session.id": "s", "mlflow.traceTag.team": "a", "gen_ai.usage.input_tokens": 7}
    root = span("root", start_ns=START, attributes=attributes)
    inner = [span("inner", trace_id=root.trace_id, parent=root.span_id, start_ns=START + number, error=True) for number in (1, 2)]
    store.ingest(request([root, *inner], resource=RESOURCE))
    store.execute("TRUNCATE TABLE spanhouse_trace_parts")
    return [root, *inner]


def expire(store: TestStore, spans: Sequence[Span]) -> None:
    ids = [one.span_id.hex() for one in spans]
    store.execute("ALTER TABLE otel_traces DELETE WHERE SpanId IN {ids:Array(String)} SETTINGS mutations_sync = 2", {"ids": ids})


def set_tag(store: TestStore, trace_id: str, value: str) -> None:
    store.execute(
        "INSERT INTO trace_tags (TraceId, Key, Value) SELECT {trace_id:String}, 'verdict', {value:String}", {"trace_id": trace_id, "value": value}
    )


def only(store: TestStore) -> dict[str, Any]:
    (row,) = store.rows("SELECT * FROM traces")
    return row


@pytest.mark.parametrize("gone", [[0], [1, 2], [0, 1, 2]])
def test_a_row_keeps_all_that_it_said_when_spans_expire(store: TestStore, gone: Sequence[int]) -> None:
    spans = stored_trace(store)
    trace_id = spans[0].trace_id.hex()
    before = only(store)
    expire(store, [spans[place] for place in gone])
    remake.remake_traces(store.execute, [trace_id])
    assert only(store) == before
    set_tag(store, trace_id, "good")
    remake.remake_traces(store.execute, [trace_id])
    assert only(store) == before | {"Tags": {**before["Tags"], "verdict": "good"}}
    late = [span("late", trace_id=spans[0].trace_id, parent=spans[0].span_id, start_ns=START + number) for number in range(3, 4 + len(gone))]
    store.ingest(request(late, resource=LATER))
    set_tag(store, trace_id, "better")
    settle.Settler(store.execute).sweep()
    remake.age(store.execute, quiet_seconds=0)
    settle.settle_all(store.execute)
    assert [step.done for step in remake_all(store.execute)] == [1]
    after = only(store)
    assert after.pop("SpanCount") >= before.pop("SpanCount")
    assert after == before | {"Tags": {**before["Tags"], "verdict": "better"}}


def test_spans_that_come_after_the_root_has_expired_do_not_stand_for_the_trace_however_many_they_are(store: TestStore) -> None:
    spans = stored_trace(store)
    before = only(store)
    expire(store, spans)
    late = [span("late", trace_id=spans[0].trace_id, parent=spans[0].span_id, start_ns=START + number, error=True) for number in range(5)]
    store.ingest(request(late, resource=LATER))
    assert only(store) == before | {"SpanCount": 5, "ErrorCount": 5}


def test_an_open_row_whose_spans_have_expired_is_given_its_place(store: TestStore) -> None:
    orphan = span("orphan", trace_id=new_trace_id(), parent=b"missing!", start_ns=START)
    store.ingest(request([orphan], resource=RESOURCE))
    expire(store, [orphan])
    remake.remake_traces(store.execute, [orphan.trace_id.hex()])
    remake.age(store.execute, quiet_seconds=0)
    assert only(store)["Metadata"]["app_version"] == "1"
    assert store.rows("SELECT toUnixTimestamp64Nano(Sorted) AS at FROM spanhouse_trace_rows FINAL") == [{"at": START}]


def test_a_trace_that_begins_at_no_time_at_all_has_a_row(store: TestStore) -> None:
    root = span("root", start_ns=0)
    store.ingest(request([span("inner", trace_id=root.trace_id, parent=root.span_id, start_ns=0)]))
    store.ingest(request([root]))
    remake.age(store.execute, quiet_seconds=0)
    remake.age(store.execute, quiet_seconds=0)
    assert (only(store)["Name"], only(store)["SpanCount"]) == ("root", 2)


def test_a_deleted_trace_stays_away_when_a_slow_process_writes_its_row_after_all(store: TestStore) -> None:
    root = span("root", start_ns=START)
    store.ingest(request([root], resource=RESOURCE))
    trace_id = root.trace_id.hex()
    store.execute("INSERT INTO spanhouse_deleted_traces (TraceId) SELECT {trace_id:String}", {"trace_id": trace_id})
    remake.remake_traces(store.execute, [trace_id])
    written = "SELECT * REPLACE (Version + 10 AS Version, {gone} AS Gone) FROM spanhouse_trace_rows WHERE Gone = 0"
    store.execute(f"INSERT INTO spanhouse_trace_rows {written.format(gone=0)}")
    assert store.rows("SELECT TraceId FROM traces") == []
    elsewhere = "SELECT * REPLACE (Sorted + 1 AS Sorted) FROM spanhouse_trace_rows WHERE Gone = 0 LIMIT 1"
    store.execute(f"INSERT INTO spanhouse_trace_rows {elsewhere}")
    assert len(store.rows("SELECT TraceId FROM traces")) == 1
    settle.Settler(store.execute).sweep()
    assert store.rows("SELECT TraceId FROM traces") == []
