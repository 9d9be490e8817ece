"""Migrations on the real engine."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

import clickhouse_connect
import pytest
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.otlp import REMOTE, request, span, trace
from tests.support.store import TestStore

from spanhouse.schema import migrations
from spanhouse.schema.execute import MigrationError

TRACES_COLUMNS = (
    "TraceId, Timestamp, Duration, Name, ServiceName, State, SpanCount, ErrorCount, SessionId, UserId, ModelId, ClientRequestId, RequestPreview, "
    "ResponsePreview, InputTokens, OutputTokens, Cost, arraySort(Metadata::Array(Tuple(String, String))) AS Metadata, "
    "arraySort(Tags::Array(Tuple(String, String))) AS Tags, RootSpanId"
)


def test_migrating_twice_changes_nothing(store: TestStore) -> None:
    store.ingest(trace())
    assert migrations.apply(store.execute) == ()
    assert migrations.plan(store.execute) == ()
    assert store.rows("SELECT count() AS n FROM traces") == [{"n": 1}]


def _as_of(store: TestStore, newest: int) -> None:
    """Make the store's tables anew, as they were after the migration of that number."""
    for (table,) in store.execute("SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY engine NOT LIKE '%View'"):
        store.client.command(f"DROP TABLE {table} SYNC")
    with pytest.MonkeyPatch.context() as patch:
        upto = migrations.load()[:newest]
        patch.setattr(migrations, "load", lambda: upto)
        migrations.apply(store.execute)


def test_every_migration_can_be_repeated_with_data_in_place(store: TestStore) -> None:
    _as_of(store, 10)
    store.ingest(trace())
    for first, newest in ((2, 10), (11, 11)):
        with pytest.MonkeyPatch.context() as patch:
            upto = migrations.load()[:newest]
            patch.setattr(migrations, "load", lambda upto=upto: upto)
            migrations.apply(store.execute)
            store.client.command(
                f"ALTER TABLE spanhouse_migrations DELETE WHERE id > {first} OR id = {first} AND state = 'done' SETTINGS mutations_sync = 1"
            )
            assert migrations.apply(store.execute, resume=True) == upto[first - 1 :]
    store.ingest(trace())
    assert store.rows("SELECT count() AS n FROM otel_traces") == [{"n": 6}]
    assert store.rows("SELECT sum(SpanCount) AS n FROM traces") == [{"n": 6}]


def _fill(store: TestStore) -> None:
    """Whole, failed, scattered, root-less, repeated and old traces, with and without trace metadata, tokens and costs."""
    usage = {"gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 3, "gen_ai.usage.cost": 0.5}
    resource = {"service.name": "s", "service.version": "2", "deployment.environment": "staging"}
    store.ingest(trace(resource=resource, attributes={**usage, "mlflow.traceMetadata.k": "v", "mlflow.traceTag.t": "x", "session.id": "1"}))
    store.ingest(trace(error=True), trace(start_ns=4_000_000_000_000_000_000))
    root = span("root", attributes=usage)
    children = [span("child", trace_id=root.trace_id, parent=root.span_id, attributes={**usage, "mlflow.traceTag.t": "late"}) for _ in range(3)]
    for part in ([children[0], children[1]], [root], [children[1], children[2]]):
        store.ingest(request(part, resource=resource))
    store.ingest(request([span("behind a gateway", parent=b"gateway!", flags=REMOTE)]), request([span("inner", parent=b"not here")]))
    entry = span("entry", parent=b"missing!", flags=0)
    store.ingest(request([span("leaf", trace_id=entry.trace_id, parent=entry.span_id, flags=0)]))
    store.ingest(request([entry]))


@pytest.mark.parametrize("merged", [False, True])
def test_an_older_store_is_upgraded_with_its_data(store: TestStore, merged: bool) -> None:
    _as_of(store, 4)
    _fill(store)
    if merged:
        store.client.command("OPTIMIZE TABLE traces_parts FINAL")
    questions = [
        f"SELECT {columns} FROM {table} ORDER BY ALL"
        for table, columns in (("otel_traces", "* EXCEPT (ResourceAttributes, SpanAttributes), toString(SpanAttributes)"), ("traces", TRACES_COLUMNS))
    ]
    before = [store.rows(question) for question in questions]
    assert [len(rows) for rows in before] == [18, 7]
    assert migrations.apply(store.execute) == migrations.load()[4:]
    assert [store.rows(question) for question in questions] == before
    _fill(store)
    assert store.rows("SELECT count() AS n FROM traces") == [{"n": 14}]


def test_an_upgrade_that_was_cut_off_anywhere_is_resumed(store: TestStore) -> None:
    _as_of(store, 4)
    _fill(store)
    question = f"SELECT {TRACES_COLUMNS} FROM traces ORDER BY ALL"
    before = store.rows(question)
    upgrade = migrations.load()[4:]
    steps = sum(len(migration.statements) for migration in upgrade)
    for cut in range(0, steps, 5):
        left = cut

        def until_cut(sql: str, parameters: Mapping[str, object] | None = None, /) -> Sequence[Sequence[object]]:
            nonlocal left
            if not sql.startswith(("SELECT", "EXISTS", "INSERT INTO spanhouse_migrations", "CREATE TABLE IF NOT EXISTS spanhouse_migrations")):
                left -= 1
            if left < 0:
                raise InterruptedError
            return store.execute(sql, parameters)

        with contextlib.suppress(InterruptedError):
            migrations.apply(until_cut, resume=True)
    migrations.apply(store.execute, resume=True)
    assert migrations.plan(store.execute) == ()
    assert store.rows(question) == before
    assert store.rows("SELECT count() AS n FROM otel_traces") == [{"n": 18}]


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


def test_a_batch_that_is_sent_again_is_stored_once(store: TestStore) -> None:
    body = trace()
    for _ in range(3):
        store.ingest(body)
    assert store.rows("SELECT count() AS n FROM otel_traces") == [{"n": 3}]
    assert store.rows("SELECT sum(length(Spans.id)) AS n FROM trace_carriers") == [{"n": 3}]


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
