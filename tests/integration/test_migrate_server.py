"""`migrate` and `store settle --all` as processes on a server: several at once, killed in the middle, on stores of other versions."""

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

from spanhouse.exporter.store.open_store import OpenStore
from spanhouse.schema.address.dsn import StoreError, parse_store
from spanhouse.schema.maintenance.rebuild import remake_all
from spanhouse.schema.settle import settle
from spanhouse.schema.tables import migrations
from spanhouse.schema.tables.driver import MigrationError

COMMAND = [sys.executable, "-m", "spanhouse.cli"]
TRACES = "SELECT count(), sum(cityHash64(tuple(*))) FROM traces"
DERIVED = ("traces", "metadata_keys", "metadata_values", "logged_models")
STORAGE = ("spanhouse_trace_rows", "spanhouse_trace_parts", "spanhouse_metadata", "spanhouse_models")


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
    assert [tuple(row) for row in states] == [(0, "done", 1), (0, "started", 1)]
    assert sum("applying" in out for out, _ in said) == 1
    verified = database.run("store", "verify")
    out, err = verified.communicate(timeout=120)
    assert (verified.returncode, err) == (0, "")
    assert out.endswith(f"is as its ledger says: {migrations.load().newest}\n")
    database.execute("DROP VIEW logged_models")
    database.execute("ALTER TABLE otel_traces DROP INDEX idx_duration")
    verified = database.run("store", "verify")
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
        OpenStore.open(parse_store(database.dsn))
    resumed = database.run("migrate", "--resume")
    out, err = resumed.communicate(timeout=120)
    assert (resumed.returncode, err) == (0, ""), err
    assert out.splitlines()[0] == "applying 0000_baseline"
    assert migrations.plan(database.execute) == ()
    database.client.close()


@pytest.mark.parametrize(
    ("before", "id_", "said"),
    [
        ("newer", 99, "newer than this version of spanhouse: upgrade spanhouse"),
        ("pre_release", 1, "made by a pre-release: make a new one, and carry"),
    ],
)
def test_a_store_of_a_version_that_is_not_known_is_neither_served_nor_migrated(server: ClickHouseServer, before: str, id_: int, said: str) -> None:
    database = Database(server, before)
    migrations.apply(database.execute)
    if id_ == 1:
        database.execute("TRUNCATE TABLE spanhouse_migrations")
    database.execute(
        f"INSERT INTO spanhouse_migrations (id, name, sha256, state) VALUES ({id_}, 'other', 'x', 'started'), ({id_}, 'other', 'x', 'done')"
    )
    with pytest.raises(StoreError, match=said):
        OpenStore.open(parse_store(database.dsn))
    for words in (["migrate"], ["migrate", "--resume"], ["migrate", "--plan"]):
        migrate = database.run(*words)
        out, err = migrate.communicate(timeout=120)
        assert (migrate.returncode, out, err.count("\n")) == (3, "", 1)
        assert said in err
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


def test_all_rows_are_made_anew_from_their_spans_and_twice_is_the_same(store: TestStore) -> None:
    for batch in batches():
        store.ingest(batch)
    wanted = derived(store)
    for name in STORAGE:
        store.execute(f"TRUNCATE TABLE {name}")
    assert store.rows("SELECT count() AS n FROM traces") == [{"n": 0}]
    for _ in range(2):
        assert [(step.done, step.windows) for step in remake_all(store.execute)] == [(number, 4) for number in range(1, 5)]
        settle.settle_all(store.execute)
        assert derived(store) == wanted


def test_a_settle_of_all_that_was_killed_goes_on_where_it_ended(server: ClickHouseServer) -> None:
    database = Database(server, "remade")
    migrations.apply(database.execute)
    columns = "Timestamp, TraceId, SpanId, SpanName, ServiceName, ResourceAttributes"
    database.execute(
        f"INSERT INTO otel_traces ({columns}) SELECT toDateTime64('2025-03-01 00:00:00', 9, 'UTC') + number * 60, lower(hex(sipHash128(number))), "
        "lower(hex(sipHash64(number))), 'op', 's', map('service.name', 's') FROM numbers(600) SETTINGS max_partitions_per_insert_block = 0"
    )
    settle.settle_all(database.execute)
    wanted = database.execute(TRACES)
    assert wanted[0][0] == 600
    database.execute("TRUNCATE TABLE spanhouse_trace_rows")
    first = database.run("store", "settle", "--all")
    assert first.stdout is not None
    assert first.stderr is not None
    assert first.stdout.readline().startswith("1/10  2025-03-01 09:00 UTC  60 spans")
    first.send_signal(signal.SIGKILL)
    first.wait()
    first.stdout.close()
    first.stderr.close()
    begun = int(database.execute("SELECT count() FROM spanhouse_progress WHERE window != 'begun'")[0][0])
    assert 1 <= begun < 10
    second = database.run("store", "settle", "--all")
    out, err = second.communicate(timeout=170)
    assert (second.returncode, err) == (0, ""), err
    assert [line.split("/")[0] for line in out.splitlines()[:-1]] == [str(number) for number in range(1, 11)]
    assert database.execute(TRACES) == wanted
    assert database.execute("SELECT count() FROM spanhouse_progress")[0][0] == 0
    database.client.close()
