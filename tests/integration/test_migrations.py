"""The baseline and forward steps on the real engine."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import clickhouse_connect
import pytest
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.otlp import trace
from tests.support.store import TestStore

from spanhouse.schema.tables import migrations
from spanhouse.schema.tables.driver import MigrationError
from spanhouse.schema.tables.migrations import Tables
from spanhouse.schema.tables.verify import differences

SQL = Path(migrations.__file__).parent / "sql"


def test_migrating_twice_changes_nothing(store: TestStore) -> None:
    store.ingest(trace())
    assert migrations.apply(store.execute) == ()
    assert migrations.plan(store.execute) == ()
    assert store.rows("SELECT count() AS n FROM traces") == [{"n": 1}]


STEPS = (
    """ALTER TABLE spanhouse_trace_rows ADD COLUMN IF NOT EXISTS Region LowCardinality(String) COMMENT 'Made up' CODEC(LZ4) AFTER Name;
ALTER TABLE spanhouse_trace_rows ADD INDEX IF NOT EXISTS idx_region Region TYPE minmax GRANULARITY 1;
CREATE OR REPLACE VIEW traces
(
    TraceId String COMMENT '32 hex digits',
    Region LowCardinality(String) COMMENT 'Made up'
)
AS SELECT
    TraceId,
    Region
FROM spanhouse_trace_rows FINAL
COMMENT 'One row per trace';
""",
    """-- A step may hold comments, and be of one statement.
CREATE TABLE IF NOT EXISTS made_up
(
    n UInt8 COMMENT 'A number'
)
ENGINE = MergeTree
ORDER BY n
COMMENT 'Made up';
""",
)
ROWS = (
    ("    ServiceName LowC", "    Region LowCardinality(String) COMMENT 'Made up' CODEC(LZ4),\n    ServiceName LowC"),
    (" TYPE minmax GRANULARITY 1\n)", " TYPE minmax GRANULARITY 1,\n    INDEX idx_region Region TYPE minmax GRANULARITY 1\n)"),
)
"""The same in the file of the present that states the table of rows: text that is there, and what stands in its place."""


def _later(directory: Path) -> Tables:
    """The tables of a made-up later version: today's with two steps more, and with the present that these lead to."""
    shutil.copytree(SQL, directory)
    for number, text in enumerate(STEPS, start=1):
        (directory / "migrations" / f"{number:04}_made_up.sql").write_text(text)
    rows = directory / "06_spanhouse_trace_rows.sql"
    for old, new in ROWS:
        assert rows.read_text().count(old) == 1
        rows.write_text(rows.read_text().replace(old, new))
    (directory / "07_traces.sql").write_text(STEPS[0].split(";\n")[2].replace("CREATE OR REPLACE VIEW", "CREATE VIEW IF NOT EXISTS") + ";\n")
    (directory / f"{len(list(directory.glob('*.sql'))) + 1:02}_made_up.sql").write_text(STEPS[1])
    return Tables.read(directory)


def test_an_older_store_is_brought_by_steps_to_the_very_tables_of_the_present_with_its_data(store: TestStore, tmp_path: Path) -> None:
    later = _later(tmp_path / "sql")
    store.ingest(trace())
    assert migrations.plan(store.execute, later) == later.steps
    assert migrations.apply(store.execute, tables=later) == later.steps
    anew = TestStore(later)
    assert list(differences(store.execute, anew.execute)) == list(differences(anew.execute, store.execute)) == []
    assert migrations.plan(anew.execute, later) == ()
    assert store.rows("SELECT count() AS n, any(Region) AS region FROM traces") == [{"n": 1, "region": ""}]
    store.execute("ALTER TABLE made_up MODIFY COLUMN n UInt8 COMMENT 'Another'")
    assert list(differences(store.execute, anew.execute)) == ["column made_up.n has another comment: 'Another' instead of 'A number'"]
    anew.close()


def test_steps_that_were_cut_off_anywhere_are_resumed(store: TestStore, tmp_path: Path) -> None:
    later = _later(tmp_path / "sql")
    store.ingest(trace())
    for cut in range(4):
        left = cut

        def until_cut(sql: str, parameters: Mapping[str, object] | None = None, /) -> Sequence[Sequence[object]]:
            nonlocal left
            if any(sql in step.statements for step in later.steps):
                left -= 1
            if left < 0:
                raise InterruptedError
            return store.execute(sql, parameters)

        with contextlib.suppress(InterruptedError):
            migrations.apply(until_cut, resume=True, tables=later)
    with pytest.raises(MigrationError, match="begun and not finished"):
        migrations.plan(store.execute, later)
    assert migrations.apply(store.execute, resume=True, tables=later)
    assert migrations.plan(store.execute, later) == ()
    assert store.rows("SELECT count() AS n FROM traces") == [{"n": 1}]


def test_the_baseline_can_be_repeated_with_data_in_place(store: TestStore) -> None:
    store.ingest(trace())
    store.client.command("ALTER TABLE spanhouse_migrations DELETE WHERE state = 'done' SETTINGS mutations_sync = 1")
    assert migrations.apply(store.execute, resume=True) == (migrations.load().baseline,)
    store.ingest(trace())
    assert store.rows("SELECT sum(SpanCount) AS n FROM traces") == store.rows("SELECT count() AS n FROM otel_traces") == [{"n": 6}]


def test_a_batch_that_is_sent_again_is_stored_once(store: TestStore) -> None:
    body = trace()
    for _ in range(3):
        store.ingest(body)
    assert store.rows("SELECT count() AS n FROM otel_traces") == [{"n": 3}]
    assert store.rows("SELECT sum(length(Spans.id)) AS n FROM spanhouse_trace_parts") == [{"n": 3}]


def test_a_server_is_migrated_over_its_http_interface(tmp_path_factory: pytest.TempPathFactory) -> None:
    with ClickHouseServer(tmp_path_factory.mktemp("server") / "store") as server:
        admin = clickhouse_connect.get_client(dsn=f"http://127.0.0.1:{server.port}")
        admin.command("CREATE DATABASE spanhouse")
        admin.close()
        client = clickhouse_connect.get_client(dsn=server.dsn)

        def execute(sql: str, parameters: object = None) -> list[tuple[object, ...]]:
            return list(client.query(sql, parameters=parameters).result_rows)  # type: ignore[arg-type]

        assert migrations.apply(execute) == (migrations.load().baseline,)
        assert migrations.plan(execute) == ()
        client.close()
