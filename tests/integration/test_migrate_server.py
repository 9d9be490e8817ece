"""`migrate` and `backfill` as processes on a server: several at once, killed in the middle, on what earlier versions left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from google.protobuf.message import Message
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.otlp import new_trace_id, request, span, trace
from tests.support.store import TestStore

from spanhouse.exporter.engine import OpenStore
from spanhouse.schema import migrations
from spanhouse.schema.backfill import backfill
from spanhouse.schema.execute import MigrationError
from spanhouse.schema.store import StoreError, parse_store

COMMAND = [sys.executable, "-m", "spanhouse.cli"]
DERIVED = ("traces", "metadata_keys", "metadata_values", "logged_models")
LAST_OF_A_VERSION = (3, 4, 7)
"""Migrations after which a version came to users; what follows one up to the next works only together."""
STORAGE = ("trace_carriers", "metadata_parts", "logged_models_parts")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    with ClickHouseServer(tmp_path_factory.mktemp("server") / "store") as running:
        yield running


class Database:
    """A database of the server."""

    def __init__(self, server: ClickHouseServer, name: str) -> None:
        self.dsn = f"http://127.0.0.1:{server.port}/{name}"
        admin = clickhouse_connect.get_client(dsn=f"http://127.0.0.1:{server.port}")
        admin.command(f"CREATE DATABASE {name}")
        admin.close()
        self.client: Client = clickhouse_connect.get_client(dsn=self.dsn, autogenerate_session_id=False)

    def execute(self, sql: str, parameters: Any = None) -> Sequence[Sequence[Any]]:
        return self.client.query(sql, parameters=dict(parameters or {})).result_rows

    def run(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen([*COMMAND, *words, "--store", self.dsn], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_migrates_at_once_make_the_tables_once_and_both_end_well(server: ClickHouseServer) -> None:
    database = Database(server, "twice")
    both = [database.run("migrate") for _ in range(2)]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    states = database.execute("SELECT id, state, count() FROM spanhouse_migrations GROUP BY ALL ORDER BY id, state")
    assert [tuple(row) for row in states] == [(migration.id, state, 1) for migration in migrations.load() for state in ("done", "started")]
    assert sum("applying" in out for out, _ in said) == 1
    verified = database.run("migrate", "--verify")
    out, err = verified.communicate(timeout=120)
    assert (verified.returncode, err) == (0, "")
    assert out.endswith(f"is what its ledger says: {migrations.load()[-1]}\n")
    database.execute("DROP VIEW logged_models")
    database.execute("ALTER TABLE otel_traces DROP INDEX idx_duration")
    verified = database.run("migrate", "--verify")
    out, err = verified.communicate(timeout=120)
    assert verified.returncode == 3
    assert out.splitlines() == ["table logged_models is missing", "index otel_traces.idx_duration is missing"]
    assert err.endswith("2 differences\n")
    assert database.execute("SELECT count() FROM system.databases WHERE name LIKE '%verify'")[0][0] == 0
    database.client.close()


def test_a_migrate_that_was_killed_is_told_and_another_goes_on_where_it_ended(server: ClickHouseServer) -> None:
    database = Database(server, "killed")
    killed = 0

    def dying(sql: str, parameters: Any = None) -> Any:
        nonlocal killed
        if "CREATE VIEW IF NOT EXISTS traces" in sql or killed:
            killed += 1
            raise SystemExit  # and nothing that follows reaches the server, as after kill -9
        return database.execute(sql, parameters)

    with pytest.raises(SystemExit):
        migrations.apply(dying)
    with pytest.raises(MigrationError, match=rf"process {os.getpid()} on .* migrates this store; if it does not run any more, .*--resume"):
        migrations.apply(database.execute, wait_seconds=0)
    with pytest.raises(StoreError, match="begun and not finished"):
        OpenStore(parse_store(database.dsn))
    resumed = database.run("migrate", "--resume")
    out, err = resumed.communicate(timeout=120)
    assert (resumed.returncode, err) == (0, ""), err
    assert out.splitlines()[0] == f"applying {migrations.load()[2]}"
    assert migrations.plan(database.execute) == ()
    database.client.close()


def test_a_store_of_a_newer_version_is_neither_served_nor_migrated(server: ClickHouseServer) -> None:
    database = Database(server, "newer")
    migrations.apply(database.execute)
    database.execute("INSERT INTO spanhouse_migrations (id, name, sha256, state) VALUES (99, 'future', 'x', 'started'), (99, 'future', 'x', 'done')")
    with pytest.raises(StoreError, match="newer than this version"):
        OpenStore(parse_store(database.dsn))
    migrate = database.run("migrate")
    _, err = migrate.communicate(timeout=120)
    assert migrate.returncode == 3
    assert "newer than this version of spanhouse: upgrade spanhouse" in err
    database.client.close()


def batches() -> list[Message]:
    """Requests over four hours: whole traces, a late span without its root, a trace over the hour."""
    resource = {"service.name": "s", "service.version": "2", "mlflow.modelId": "m-1", "vcs.ref.head.revision": "abc"}
    made: list[Message] = []
    for hour in range(3):
        start = (1_700_000_000 + hour * 3600) * 10**9
        late = span("late", trace_id=new_trace_id(), parent=b"missing!", flags=0, start_ns=start)
        over = span("over the hour", start_ns=start)
        after = span("after it", trace_id=over.trace_id, parent=over.span_id, start_ns=start + 3600 * 10**9, error=True)
        made.append(trace(resource=resource, start_ns=start, attributes={"session.id": f"s{hour}"}))
        made.append(request([late, over, after]))
    return made


def derived(store: TestStore) -> list[list[dict[str, Any]]]:
    return [store.rows(f"SELECT * FROM {name} ORDER BY ALL") for name in DERIVED]


@pytest.mark.parametrize("version", LAST_OF_A_VERSION)
def test_a_store_of_each_earlier_version_is_upgraded_with_what_it_holds(store: TestStore, version: int) -> None:
    every, spans = migrations.load(), batches()
    with pytest.MonkeyPatch.context() as earlier:
        earlier.setattr(migrations, "load", lambda: every[:version])
        earlier.setattr("tests.support.store._idle", [])
        old = TestStore()
    for both in (old, store):
        for batch in spans:
            both.ingest(batch)
    assert migrations.apply(old.execute) == every[version:]
    backfill(old.execute)
    assert derived(old) == derived(store)
    times = "(SELECT TraceId, min(Start) AS first, max(End) AS last FROM otel_traces_trace_id_ts GROUP BY TraceId) AS times"
    inside = f"SELECT count() AS n FROM otel_traces INNER JOIN {times} USING TraceId WHERE Timestamp >= first AND Timestamp < last + 1"
    assert old.rows(inside) == old.rows("SELECT count() AS n FROM otel_traces")
    old.ingest(trace())
    assert old.rows("SELECT count() AS n FROM traces") == [{"n": 10}]
    old.close()


def test_a_backfill_makes_all_that_is_derived_again_and_twice_is_the_same(store: TestStore) -> None:
    for batch in batches():
        store.ingest(batch)
    wanted = derived(store)
    for name in STORAGE:
        store.execute(f"TRUNCATE TABLE {name}")
    steps: list[tuple[int, int]] = []
    assert backfill(store.execute, report=lambda step: steps.append((step.done, step.windows))) == 4
    assert steps == [(number, 4) for number in range(1, 5)]
    assert derived(store) == wanted
    carriers = store.rows("SELECT count() AS n FROM trace_carriers")
    backfill(store.execute)
    assert derived(store) == wanted
    assert store.rows("SELECT count() AS n FROM trace_carriers") == carriers


def test_a_backfill_that_was_killed_goes_on_where_it_ended(server: ClickHouseServer) -> None:
    database = Database(server, "backfilled")
    migrations.apply(database.execute)
    columns = "Timestamp, TraceId, SpanId, SpanName, ServiceName, ResourceAttributes"
    database.execute(
        f"INSERT INTO otel_traces ({columns}) SELECT toDateTime64('2025-03-01 00:00:00', 9, 'UTC') + number * 60, lower(hex(sipHash128(number))), "
        "lower(hex(sipHash64(number))), 'op', 's', map('service.name', 's') FROM numbers(600) SETTINGS max_partitions_per_insert_block = 0"
    )
    wanted = database.execute("SELECT count(), sum(cityHash64(*)) FROM traces")
    database.execute("TRUNCATE TABLE trace_carriers")
    first = database.run("backfill")
    assert first.stdout is not None
    assert first.stderr is not None
    assert first.stdout.readline().startswith("1/10  2025-03-01 09:00 UTC  60 spans")
    first.send_signal(signal.SIGKILL)
    first.wait()
    first.stdout.close()
    first.stderr.close()
    begun = int(database.execute("SELECT count() FROM spanhouse_progress WHERE window != 'begun'")[0][0])
    assert 1 <= begun < 10
    second = database.run("backfill")
    out, err = second.communicate(timeout=170)
    assert (second.returncode, err) == (0, ""), err
    assert [line.split("/")[0] for line in out.splitlines()[:-1]] == [str(number) for number in range(1, 11)]
    assert database.execute("SELECT count(), sum(cityHash64(*)) FROM traces") == wanted
    assert database.execute("SELECT count() FROM spanhouse_progress")[0][0] == 0
    database.client.close()
