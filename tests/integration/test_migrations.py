"""Migrations on the real engine."""

from __future__ import annotations

import clickhouse_connect
import pytest
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.otlp import trace
from tests.support.store import TestStore

from spanhouse.schema import migrations
from spanhouse.schema.migrations import MigrationError

COLLECTORS_INSERT = """INSERT INTO otel_traces (
    Timestamp, TraceId, SpanId, ParentSpanId, TraceState, SpanName, SpanKind, ServiceName, ResourceAttributes, ScopeName, ScopeVersion,
    SpanAttributes, Duration, StatusCode, StatusMessage, Events.Timestamp, Events.Name, Events.Attributes,
    Links.TraceId, Links.SpanId, Links.TraceState, Links.Attributes
) VALUES (
    now64(9), 'ab', 'cd', '', '', 'collected', 'Server', 'svc', map('service.name', 'svc'), 'lib', '1', map('k', 'v'), 5, 'Ok', '',
    [now64(9)], ['e'], [map('a', 'b')], ['ef'], ['01'], [''], [map('c', 'd')])"""


def test_migrating_twice_changes_nothing(store: TestStore) -> None:
    store.ingest(trace())
    assert migrations.apply(store.execute) == ()
    assert migrations.plan(store.execute) == ()
    assert store.rows("SELECT count() AS n FROM traces") == [{"n": 1}]


def test_every_statement_can_be_repeated_with_data_in_place(store: TestStore) -> None:
    store.ingest(trace())
    for migration in migrations.load():
        for statement in migration.statements:
            store.execute(statement)
    store.ingest(trace())
    assert store.rows("SELECT count() AS n FROM otel_traces") == [{"n": 6}]
    assert store.rows("SELECT sum(SpanCount) AS n FROM traces") == [{"n": 6}]


def test_a_half_applied_migration_is_told_and_resumed(store: TestStore) -> None:
    last = migrations.load()[-1]
    store.client.command("TRUNCATE TABLE spanhouse_migrations")
    for migration in migrations.load():
        states = ["started"] if migration is last else ["started", "done"]
        for state in states:
            store.execute(
                "INSERT INTO spanhouse_migrations (id, name, sha256, state) SELECT {id:UInt32}, {name:String}, {sha:String}, {state:String}",
                {"id": migration.id, "name": migration.name, "sha": migration.sha256, "state": state},
            )
    with pytest.raises(MigrationError, match=f"{last}.*--resume"):
        migrations.plan(store.execute)
    assert migrations.apply(store.execute, resume=True) == (last,)
    assert migrations.plan(store.execute) == ()


def test_the_collectors_own_insert_works_and_feeds_the_traces(store: TestStore) -> None:
    store.client.command(COLLECTORS_INSERT)
    (row,) = store.rows("SELECT Name, ServiceName, State, SpanCount FROM traces")
    assert row == {"Name": "collected", "ServiceName": "svc", "State": "OK", "SpanCount": 1}


def test_a_batch_that_is_sent_again_is_stored_once(store: TestStore) -> None:
    body = trace()
    for _ in range(3):
        store.ingest(body)
    assert store.rows("SELECT count() AS n FROM otel_traces") == [{"n": 3}]
    assert store.rows("SELECT sum(length(Spans)) AS n FROM traces_parts") == [{"n": 3}]


def test_a_server_is_migrated_over_its_http_interface(tmp_path_factory: pytest.TempPathFactory) -> None:
    with ClickHouseServer(tmp_path_factory.mktemp("server") / "store") as server:
        admin = clickhouse_connect.get_client(dsn=f"http://127.0.0.1:{server.port}")
        admin.command("CREATE DATABASE spanhouse")
        admin.close()
        client = clickhouse_connect.get_client(dsn=server.dsn)

        def execute(sql: str, parameters: object = None) -> list[tuple[object, ...]]:
            return list(client.query(sql, parameters=parameters).result_rows)  # type: ignore[arg-type]

        assert migrations.apply(execute) == migrations.load()
        assert migrations.plan(execute) == ()
        client.close()
