"""`spanhouse store`: a store's size, its integrity, its traces settled, and its parts merged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.arrivals import put_back
from tests.support.otlp import trace
from tests.support.store import TestStore

from spanhouse.cli import main

START = 1_790_000_000_000_000_000
DAY_NS = 86_400 * 10**9

Spanhouse = Callable[..., tuple[int, str, str]]


@pytest.fixture
def spanhouse(store: TestStore, capsys: pytest.CaptureFixture[str]) -> Spanhouse:
    """The command on an empty store: its exit code, output and error line."""

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["store", *words, "--store", store.dsn])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_size_says_what_each_partition_takes_and_compact_merges_its_parts(store: TestStore, spanhouse: Spanhouse) -> None:
    for day in (0, 0, 1):
        store.ingest(trace(start_ns=START + day * DAY_NS))
    code, out, _ = spanhouse("size", "--format", "json")
    assert code == 0
    rows = [row for row in json.loads(out) if row["table"] == "otel_traces"]
    assert [(row["partition"], row["parts"], row["rows"]) for row in rows] == [("2026-09-21", 2, 6), ("2026-09-22", 1, 3)]
    assert {row["oldest"] for row in rows} == {"2026-09-21 14:13:20", "2026-09-22 14:13:20"}
    assert all(row["bytes"] > 0 for row in rows)
    code, out, _ = spanhouse("compact")
    assert code == 0
    assert "otel_traces 2026-09-21: 2 parts" in out
    _, out, _ = spanhouse("size")
    lines = [line.split() for line in out.splitlines()]
    assert [line[2] for line in lines if line[0] == "otel_traces"] == ["1", "1"]
    assert "9 spans of" in out
    assert "; 3 traces of" in out


def test_check_finds_nothing_wrong_with_a_store_that_is_whole(store: TestStore, spanhouse: Spanhouse) -> None:
    store.ingest(trace(start_ns=START))
    code, out, err = spanhouse("check")
    assert (code, err) == (0, "")
    assert "every part is whole" in out


def _one_trace_less(store: TestStore) -> None:
    store.client.command("TRUNCATE TABLE spanhouse_trace_rows")


def _one_span_more_than_counted(store: TestStore) -> None:
    # Its part is lost, as by a crash between both.
    store.client.command(
        "INSERT INTO otel_traces (Timestamp, TraceId, SpanId) SELECT Timestamp, TraceId, 'aaaaaaaaaaaaaaaa' FROM otel_traces LIMIT 1"
    )
    store.client.command("TRUNCATE TABLE spanhouse_trace_parts")


def _one_span_less_than_counted(store: TestStore) -> None:
    store.client.command("DELETE FROM otel_traces WHERE SpanName != 'root'")


def _one_row_too_many(store: TestStore) -> None:
    store.client.command("INSERT INTO spanhouse_trace_rows SELECT * REPLACE (Sorted + 1 AS Sorted) FROM spanhouse_trace_rows")


@pytest.mark.parametrize("damage", [_one_trace_less, _one_span_more_than_counted, _one_span_less_than_counted, _one_row_too_many])
def test_check_names_traces_that_are_not_what_their_spans_say_and_settle_all_mends_them(
    store: TestStore, spanhouse: Spanhouse, damage: Callable[[TestStore], None]
) -> None:
    store.ingest(trace(start_ns=START), trace(start_ns=START + DAY_NS))
    damage(store)
    code, out, err = spanhouse("check")
    assert (code, err.count("\n")) == (3, 1)
    assert "differ from otel_traces; `spanhouse store settle --all` remakes them" in out
    code, out, err = spanhouse("settle", "--all")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].endswith("the rows of all traces are made anew (2 windows)")
    assert spanhouse("check")[0] == 0
    assert store.rows("SELECT count() AS n FROM traces") == [{"n": 2}]


def test_check_leaves_out_deleted_traces_and_those_that_wait_and_settle_settles_these(store: TestStore, spanhouse: Spanhouse) -> None:
    store.ingest(trace(start_ns=START))
    store.client.command("INSERT INTO spanhouse_deleted_traces (TraceId) SELECT TraceId FROM traces")
    store.client.command("TRUNCATE TABLE spanhouse_trace_rows")
    store.client.command("INSERT INTO otel_traces (Timestamp, TraceId, SpanId) SELECT Timestamp + 1, 'waits', 'a' FROM otel_traces LIMIT 1")
    assert spanhouse("check")[0] == 0
    assert store.rows("SELECT count() AS n FROM traces") == [{"n": 0}]
    code, out, err = spanhouse("settle")
    assert (code, err) == (0, "")
    assert "all that waited is settled (1 inserts;" in out
    assert store.rows("SELECT TraceId AS id FROM traces") == [{"id": "waits"}]
    assert spanhouse("check")[0] == 0


def test_check_names_inserts_that_wait_to_be_settled_for_longer_than_any_server_takes(store: TestStore, spanhouse: Spanhouse) -> None:
    store.execute("SYSTEM STOP MERGES spanhouse_trace_parts")
    store.insert(trace(start_ns=START))
    assert spanhouse("check")[0] == 0
    put_back(store, 3600)
    code, out, err = spanhouse("check")
    assert (code, err.count("\n")) == (3, 1)
    assert "traces: 1 inserts, the first of 20" in out
    assert spanhouse("settle")[0] == 0
    assert spanhouse("check")[0] == 0


def test_check_names_a_partition_that_is_damaged(store: TestStore, spanhouse: Spanhouse) -> None:
    store.ingest(trace(start_ns=START))
    (found,) = store.rows("SELECT path FROM system.parts WHERE active AND database = currentDatabase() AND table = 'spanhouse_trace_rows'")
    data = Path(found["path"]) / "data.bin"
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 0xFF
    store.client.command("SYSTEM DROP MARK CACHE")
    store.client.command("SYSTEM STOP MERGES")
    try:
        data.write_bytes(content)
        code, out, err = spanhouse("check")
    finally:
        store.client.command("SYSTEM START MERGES")
    assert code == 3
    assert "spanhouse_trace_rows: partition 2026-09-21 is damaged on disk" in out
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("shrink",), "'shrink' is none of size"),
        (("pusch",), "do you mean push?"),
        (("size", "x"), "'x' is too much"),
        (("push",), "the DSN of a store is missing"),
        (("push", "{itself}"), "would be copied into itself"),
        (("check", "--all"), "--all is for settle alone"),
    ],
)
def test_a_mistake_is_one_line(words: tuple[str, ...], said: str, store: TestStore, spanhouse: Spanhouse) -> None:
    code, out, err = spanhouse(*(word.format(itself=store.dsn) for word in words))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
