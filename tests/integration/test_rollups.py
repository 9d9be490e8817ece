"""What the views over otel_traces keep can be made again from the spans themselves."""

from __future__ import annotations

from tests.support.otlp import REMOTE, new_trace_id, request, span, trace
from tests.support.store import TestStore

from spanhouse.schema.rollups import rebuild_statements

TRACES = "SELECT * FROM traces ORDER BY TraceId"


def ids(store: TestStore) -> list[str]:
    return [row["TraceId"] for row in store.rows("SELECT DISTINCT TraceId FROM otel_traces")]


def fill(store: TestStore) -> None:
    old = span("entry", parent=b"missing!", flags=0, attributes={"mlflow.traceTag.t": "old", "gen_ai.usage.input_tokens": 3})
    child = span("child", trace_id=old.trace_id, parent=old.span_id, flags=0)
    store.ingest(request([child]))
    store.ingest(request([old], resource={"service.name": "a", "service.version": "2"}))
    store.ingest(trace(attributes={"session.id": "s", "mlflow.traceMetadata.k": "v"}, error=True))
    store.ingest(request([span("behind", trace_id=new_trace_id(), parent=b"gateway!", flags=REMOTE)]))
    store.ingest(request([span("inner", parent=b"not here")]))


def test_traces_are_made_again_from_their_spans(store: TestStore) -> None:
    fill(store)
    before = store.rows(TRACES)
    assert len(before) == 4
    store.client.command("TRUNCATE TABLE trace_carriers")
    assert store.rows(TRACES) == []
    for statement in rebuild_statements():
        store.execute(statement, {"trace_ids": ids(store)})
    assert store.rows(TRACES) == before


def test_making_traces_again_that_are_there_changes_nothing(store: TestStore) -> None:
    fill(store)
    before = store.rows(TRACES)
    for _ in range(2):
        for statement in rebuild_statements():
            store.execute(statement, {"trace_ids": ids(store)[:2]})
    assert store.rows(TRACES) == before


def test_only_the_traces_that_are_named_are_made_again(store: TestStore) -> None:
    fill(store)
    store.client.command("TRUNCATE TABLE trace_carriers")
    wanted = ids(store)[1:3]
    for statement in rebuild_statements():
        store.execute(statement, {"trace_ids": wanted})
    assert sorted(row["TraceId"] for row in store.rows(TRACES)) == sorted(wanted)
