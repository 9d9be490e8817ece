"""Retention of rows, and the edit of a tag that counts."""

from __future__ import annotations

import time

import pytest
from tests.support.otlp import request, span, trace
from tests.support.store import TestStore

from spanhouse.cli import main
from spanhouse.schema.maintenance import retention
from spanhouse.schema.maintenance.integrity import problems
from spanhouse.schema.tables.driver import MigrationError

DAY_NS = 24 * 3600 * 10**9


def test_rows_leave_after_their_days_and_all_stay_at_first_and_when_told_so(store: TestStore, capsys: pytest.CaptureFixture[str]) -> None:
    now = time.time_ns()
    for days in (0, 40):
        store.ingest(request([span(f"{days} days old", start_ns=now - days * DAY_NS)]))
    # A broken clock's time is later than DateTime can hold; it must not come out as one long ago.
    store.ingest(request([span("from a broken clock", start_ns=9_000_000_000 * 10**9)]))
    names = "SELECT SpanName FROM otel_traces ORDER BY Timestamp"
    every = [{"SpanName": name} for name in ("40 days old", "0 days old", "from a broken clock")]
    store.client.command("OPTIMIZE TABLE otel_traces FINAL")
    assert store.rows(names) == every
    assert main(["store", "retention", "otel_traces=30, traces=90", "--store", store.dsn]) == 0
    assert capsys.readouterr().out.splitlines() == ["otel_traces keeps 30 days", "traces keeps 90 days"]
    store.client.command("OPTIMIZE TABLE otel_traces FINAL")
    store.client.command("OPTIMIZE TABLE spanhouse_trace_rows FINAL")
    assert store.rows(names) == every[1:]
    assert store.rows("SELECT count() AS n FROM traces") == [{"n": 3}]
    for _ in range(2):
        assert main(["store", "retention", "otel_traces=0", "--store", store.dsn]) == 0
    store.ingest(request([span("another", start_ns=now - 41 * DAY_NS)]))
    store.client.command("OPTIMIZE TABLE otel_traces FINAL")
    assert store.rows(names) == [{"SpanName": "another"}, *every[1:]]


def test_every_table_that_can_be_named_takes_a_time(store: TestStore) -> None:
    short_lived = "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine_full LIKE '% TTL %' ORDER BY name"
    before = store.rows(short_lived)
    for name in retention.NAMES:
        retention.keep(store.execute, name, 7)
        assert len(store.rows(short_lived)) == len(before) + 1
        retention.keep(store.execute, name, 0)
    assert store.rows(short_lived) == before == [{"name": "spanhouse_arrivals"}, {"name": "spanhouse_turns"}]


def test_check_misses_neither_rows_nor_spans_that_expired(store: TestStore) -> None:
    now = time.time_ns()
    for days in (0, 40):
        store.ingest(trace(start_ns=now - days * DAY_NS))
    for name, table in (("traces", "spanhouse_trace_rows"), ("otel_traces", "otel_traces")):
        retention.keep(store.execute, name, 30)
        store.client.command(f"OPTIMIZE TABLE {table} FINAL")
        assert list(problems(store.execute)) == []
    assert store.rows("SELECT count() AS n FROM traces") == [{"n": 1}]


@pytest.mark.parametrize("text", ["spans=3", "otel_traces", "otel_traces=soon", "otel_traces=-1", "otel_traces=99999999", ""])
def test_a_time_that_makes_no_sense_is_one_line(text: str) -> None:
    with pytest.raises(MigrationError, match="write NAME=DAYS"):
        retention.parse(text)


def test_of_several_edits_of_a_tag_the_last_one_counts_in_whatever_order_they_come(store: TestStore) -> None:
    edits = [("a", "1", 1, 0), ("a", "2", 3, 0), ("a", "old", 2, 1), ("b", "x", 1, 0), ("b", "x", 5, 1), ("c", "y", 2, 1), ("c", "z", 4, 0)]
    for key, value, at, deleted in (*edits[::-1], *edits):
        store.client.command(
            f"INSERT INTO trace_tags (TraceId, Key, Value, EditedAt, Deleted) SELECT 'ab', '{key}', '{value}', toDateTime64({at}, 9), {deleted}"
        )
    for _ in range(2):
        assert store.rows("SELECT Key, Value FROM trace_tags FINAL ORDER BY Key") == [{"Key": "a", "Value": "2"}, {"Key": "c", "Value": "z"}]
        store.client.command("OPTIMIZE TABLE trace_tags FINAL")
