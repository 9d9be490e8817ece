"""The power goes: what was not synced is gone or half there, what was removed is there again, the engine's memory of inserts is lost."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import clickhouse_connect
from tests.faults.test_serve_ends import Load
from tests.support.serve import Serve
from tests.support.store import TestStore

from spanhouse.exporter.spool.record import header


def keep_segments(serve: Serve, load: Load, kept: Path) -> None:
    """Link every segment that appears, until some are removed: their removal is what a power loss may undo."""
    kept.mkdir()
    while not (load.enough.is_set() and len(list(kept.iterdir())) > 3):
        for segment in (serve.spool / "0").glob("*.sealed"):
            link = kept / segment.name
            if not link.exists():
                try:
                    os.link(segment, link)
                except FileNotFoundError:  # stored and removed just now
                    continue
        time.sleep(0.002)


def files_of_table(store: Path, table: str) -> list[Path]:
    """The directories of a table's parts."""
    return [part for part in (store / "data/default" / table).resolve().iterdir() if part.is_dir() and part.name != "detached"]


def test_what_is_acknowledged_outlives_the_power(tmp_path: Path) -> None:
    with Serve(tmp_path) as serve:
        load = Load(serve.grpc)
        keep_segments(serve, load, tmp_path / "kept")
        assert serve.stop(signal.SIGKILL) == -signal.SIGKILL
        load.join()
    store, spool = tmp_path / "store", tmp_path / "store-spool"
    # The open segment ends in a write that was under way: a part of it, and zeros.
    for segment in (spool / "0").glob("*.open"):
        with segment.open("ab") as file:
            file.write(header(b"never acknowledged", 1, 0, file.tell()) + b"never" + bytes(4096))
    # Segments whose removal was not synced are back, and nothing that says they are stored.
    restored = 0
    for link in (tmp_path / "kept").iterdir():
        if not (spool / "0" / link.name).exists():
            shutil.copy(link, spool / "0" / link.name)
            restored += 1
    assert restored
    (spool / "stored-requests").unlink()
    for log in store.rglob("deduplication_logs"):
        shutil.rmtree(log)
    # The rows that follow from the spans were not written.
    for table in ("spanhouse_trace_parts", "spanhouse_trace_rows", "spanhouse_arrivals"):
        for part in files_of_table(store, table):
            shutil.rmtree(part)
    with Serve(tmp_path) as serve:
        serve.drained()
        client = clickhouse_connect.get_client(dsn=serve.dsn)
        found = client.query("SELECT SpanName, count() FROM otel_traces GROUP BY SpanName").result_rows
        counts = {str(name): int(times) for name, times in found}
        in_traces = client.command("SELECT sum(SpanCount) FROM traces")
        client.close()
    assert load.acknowledged - counts.keys() == set()
    assert set(counts.values()) == {1}
    assert in_traces == len(counts)
    assert "not acknowledged" not in serve.log.read_text()


def test_an_insert_returns_when_the_disk_has_its_rows(store: TestStore) -> None:
    targets = store.rows("SELECT name, engine_full FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'")
    durable = {row["name"] for row in targets if "fsync_after_insert = 1" in row["engine_full"] and "fsync_part_directory = 1" in row["engine_full"]}
    windows = {row["name"] for row in targets if "deduplication_window = 1000" in row["engine_full"]}
    fed_by_views = {
        row["target"]
        for row in store.rows(
            "SELECT extract(create_table_query, ' TO (?:\\w+\\.)?(\\w+)') AS target FROM system.tables "
            "WHERE database = currentDatabase() AND engine = 'MaterializedView'"
        )
    }
    assert "otel_traces" in fed_by_views
    assert fed_by_views <= durable
    assert fed_by_views <= windows
