"""A store is copied into another one: everything is there once, with the same values, whenever the copy was interrupted."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.otlp import request, span, trace
from tests.support.serve import Serve
from tests.support.standard_load import standard_request
from tests.support.store import TestStore

from spanhouse.cli.errors import CommandError
from spanhouse.cli.second_engine import second_engine
from spanhouse.schema.address.dsn import parse_store
from spanhouse.schema.maintenance.integrity import problems
from spanhouse.schema.maintenance.push import Pushed, push
from spanhouse.schema.prices import price_store
from spanhouse.schema.prices.price import Price
from spanhouse.schema.tables.driver import MigrationError

HOUR_NS = 3600 * 10**9
NOW = 1_790_000_000 * 10**9 // HOUR_NS * HOUR_NS
SPANS = "SELECT count() AS n, sum(cityHash64(*)) AS hash FROM otel_traces"
TRACES = (
    "SELECT count() AS n, sum(SpanCount) AS spans, sum(cityHash64(TraceId, Timestamp, Name, State, Metadata, Duration, Tags)) AS hash FROM traces"
)


@pytest.fixture
def other() -> Iterator[TestStore]:
    """The store that is copied into."""
    made = TestStore()
    yield made
    made.close()


def fill(store: TestStore) -> None:
    """Three hours, with ten traces in each."""
    for hour in range(3):
        store.ingest(*[trace(name=f"t{hour}-{index}", start_ns=NOW - hour * HOUR_NS + index) for index in range(10)])


class Copy:
    """A push between two databases of the engine in this process; ``writes`` counts what was written."""

    def __init__(self, source: TestStore, target: TestStore, *, ends_after: int = 1000, lose: bool = False) -> None:
        self._source, self._target = source, target
        self._ends_after, self._lose = ends_after, lose
        self.writes = 0

    def read(self, sql: str, parameters: Mapping[str, object]) -> bytes:
        return self._source.client.raw_query(sql, parameters=dict(parameters), fmt="Native")

    def write(self, table: str, columns: Sequence[str], rows: bytes, settings: Mapping[str, object]) -> None:
        self.writes += 1
        if not self._lose:
            self._target.client.raw_insert(table, column_names=list(columns), insert_block=rows, fmt="Native", settings=dict(settings))
        if self.writes == self._ends_after:
            raise InterruptedError

    def __call__(self) -> Pushed:
        return push(self._source.execute, self.read, self._target.execute, self.write)


def assert_equal(source: TestStore, target: TestStore) -> None:
    for query in (SPANS, TRACES):
        assert target.rows(query) == source.rows(query)


def test_a_copy_has_all_spans_and_what_follows_from_them_and_a_second_one_changes_nothing(store: TestStore, other: TestStore) -> None:
    fill(store)
    spans = store.rows(SPANS)[0]["n"]
    assert Copy(store, other)() == Pushed(spans=spans, copied=spans, equal=spans)
    assert_equal(store, other)
    again = Copy(store, other)
    assert again() == Pushed(spans=spans, copied=0, equal=spans)
    assert again.writes == 0


def test_a_copy_that_ended_in_the_middle_goes_on_with_what_is_left(store: TestStore, other: TestStore) -> None:
    fill(store)
    with pytest.raises(InterruptedError):
        Copy(store, other, ends_after=1)()
    # What comes into an hour that was finished is not missed either.
    store.ingest(trace(name="late", start_ns=NOW))
    # As if the target had ended between spans and their parts.
    for table in ("spanhouse_trace_parts", "spanhouse_trace_rows"):
        other.client.command(f"TRUNCATE TABLE {table}")
    assert Copy(store, other)() == Pushed(spans=93, copied=63, equal=93)
    assert_equal(store, other)


def test_spans_that_are_there_already_are_not_doubled_and_keep_their_values(store: TestStore, other: TestStore) -> None:
    body = request([span("mine", start_ns=NOW), span("theirs", start_ns=NOW), span("new", start_ns=NOW)])
    store.ingest(body)
    body.resource_spans[0].scope_spans[0].spans[1].name = "changed"
    del body.resource_spans[0].scope_spans[0].spans[2]
    other.ingest(body)
    assert Copy(store, other)() == Pushed(spans=3, copied=1, equal=2)
    assert other.rows("SELECT SpanName AS name FROM otel_traces ORDER BY name") == [{"name": "changed"}, {"name": "mine"}, {"name": "new"}]


def test_what_was_deleted_there_since_is_copied_again(store: TestStore, other: TestStore) -> None:
    fill(store)
    Copy(store, other)()
    other.client.command("TRUNCATE TABLE otel_traces")
    Copy(store, other)()
    assert other.rows(SPANS) == store.rows(SPANS)


def test_spans_that_do_not_arrive_are_an_error(store: TestStore, other: TestStore) -> None:
    fill(store)
    with pytest.raises(MigrationError, match="30 of 30 spans are not in the target"):
        Copy(store, other, lose=True)()


def test_edits_of_tags_are_copied_deletions_too_and_a_later_edit_there_stays(store: TestStore, other: TestStore) -> None:
    store.ingest(trace(start_ns=NOW))
    columns = "(TraceId, Key, Value, EditedAt, Deleted)"
    store.client.command(f"INSERT INTO trace_tags {columns} VALUES ('a', 'k', 'v', 10, 0), ('b', 'k', '', 20, 1), ('c', 'k', 'old', 10, 0)")
    other.client.command(f"INSERT INTO trace_tags {columns} VALUES ('b', 'k', 'w', 10, 0), ('c', 'k', 'later', 20, 0)")
    assert Copy(store, other)().tags == 3
    shown = "SELECT TraceId AS trace, Value AS value FROM trace_tags FINAL ORDER BY trace"
    assert other.rows(shown) == [{"trace": "a", "value": "v"}, {"trace": "c", "value": "later"}]


def test_prices_are_copied_unless_the_target_has_others(store: TestStore, other: TestStore) -> None:
    price_store.write(store.execute, [Price(model="m", input=1, output=2)])
    assert Copy(store, other)().prices == 1
    assert price_store.read(other.execute) == price_store.read(store.execute)
    price_store.write(other.execute, [Price(model="own", input=1, output=2)])
    assert Copy(store, other)().prices == -1
    assert price_store.newest(other.execute) == 2


def test_rows_in_the_target_say_what_copied_edits_do_and_deleted_traces_stay_away(store: TestStore, other: TestStore) -> None:
    deleted = trace(name="deleted here", start_ns=NOW)
    for both in (store, other):
        both.ingest(deleted)
    store.ingest(trace(name="edited", start_ns=NOW))
    store.client.command("INSERT INTO spanhouse_deleted_traces (TraceId) SELECT TraceId FROM traces WHERE Name = 'deleted here'")
    store.client.command("INSERT INTO trace_tags (TraceId, Key, Value) SELECT TraceId, 'k', 'v' FROM traces WHERE Name = 'edited'")
    assert Copy(store, other)().tags == 1
    assert other.rows("SELECT Name AS name, Tags['k'] AS tag FROM traces") == [{"name": "edited", "tag": "v"}]
    assert list(problems(other.execute)) == []


PRE_RELEASE = (
    """CREATE TABLE otel_traces (
    Timestamp DateTime64(9), TraceId String, SpanId String, ParentSpanId String, TraceState String, SpanName LowCardinality(String),
    SpanKind LowCardinality(String), ServiceName LowCardinality(String), ResourceAttributes Map(LowCardinality(String), String), ScopeName String,
    ScopeVersion String, SpanAttributes Map(LowCardinality(String), String), Duration UInt64, StatusCode LowCardinality(String), StatusMessage String,
    Events Nested (Timestamp DateTime64(9), Name LowCardinality(String), Attributes Map(LowCardinality(String), String)),
    Links Nested (TraceId String, SpanId String, TraceState String, Attributes Map(LowCardinality(String), String)),
    Flags UInt32 DEFAULT 0, DroppedAttributesCount UInt32 DEFAULT 0, DroppedEventsCount UInt32 DEFAULT 0, DroppedLinksCount UInt32 DEFAULT 0,
    ScopeAttributes Map(LowCardinality(String), String) DEFAULT map(), ResourceSchemaUrl LowCardinality(String) DEFAULT '',
    ScopeSchemaUrl LowCardinality(String) DEFAULT '')
    ENGINE = MergeTree PARTITION BY toDate32(Timestamp) ORDER BY Timestamp""",
    """CREATE TABLE trace_tags (TraceId String, Key String, Value String, EditedAt DateTime64(9) DEFAULT now64(9), Deleted UInt8 DEFAULT 0)
    ENGINE = ReplacingMergeTree(EditedAt, Deleted) ORDER BY (TraceId, Key)""",
    """CREATE TABLE spanhouse_migrations (
    id UInt32, name String, sha256 String, state LowCardinality(String), at DateTime64(3) DEFAULT now64(3)) ENGINE = MergeTree ORDER BY (id, at)""",
    "INSERT INTO spanhouse_migrations (id, name, sha256, state) SELECT number + 1, 'step', 'x', arrayJoin(['started', 'done']) FROM numbers(13)",
    """INSERT INTO otel_traces (Timestamp, TraceId, SpanId, ParentSpanId, SpanName, ServiceName, ResourceAttributes, Duration, StatusCode, Flags,
        Events.Timestamp, Events.Name, Events.Attributes)
    SELECT toDateTime64('2026-09-21 12:00:00', 9, 'UTC') + intDiv(number, 3) * 60 + number % 3, lower(hex(sipHash128(intDiv(number, 3)))),
        lower(hex(sipHash64(number))), if(number % 3 = 0, '', lower(hex(sipHash64(intDiv(number, 3) * 3)))), concat('op ', toString(number % 3)),
        'shop', map('service.name', 'shop', 'service.version', '1'), 1000, 'Unset', 256, [now64(9)], ['event'], [map('a', 'b')]
    FROM numbers(300)""",
    "INSERT INTO trace_tags (TraceId, Key, Value) SELECT lower(hex(sipHash128(toUInt64(0)))), 'reviewed', 'yes'",
)
"""The tables that a pre-release left, as far as they are carried over."""


@pytest.fixture(scope="module")
def pre_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of an embedded store that a pre-release made."""
    directory = tmp_path_factory.mktemp("pre-release") / "store"
    with ClickHouseServer(directory) as server:
        client = clickhouse_connect.get_client(dsn=f"http://127.0.0.1:{server.port}", autogenerate_session_id=False)
        for statement in PRE_RELEASE:
            client.command(statement)
        client.close()
    return directory


def spanhouse(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "spanhouse.cli", *words], capture_output=True, text=True, timeout=120)


CARRIED = "SELECT count() AS n, sum(SpanCount) AS spans, countIf(AppVersion = '1') AS versions, countIf(Tags['reviewed'] = 'yes') AS tags FROM traces"


def test_an_embedded_store_of_a_pre_release_is_carried_over_into_a_new_embedded_store(pre_release: Path, tmp_path: Path) -> None:
    old, new = f"chdb://{pre_release}", f"chdb://{tmp_path / 'new'}"
    refused = spanhouse("migrate", "--store", old)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (3, "", 1)
    assert "made by a pre-release: make a new one, and carry its spans over by `spanhouse store push NEW --store THIS`" in refused.stderr
    for copied in (300, 0):
        done = spanhouse("store", "push", new, "--store", old)
        assert (done.returncode, done.stderr) == (0, "")
        assert (
            f"all 300 spans of {old} are in {new}, 300 of them with the same values; {copied} were copied now; so are its 1 edited tags"
            in done.stdout
        )
    found = spanhouse("sql", CARRIED, "--format", "json", "--store", new)
    assert json.loads(found.stdout) == [{"n": 100, "spans": 300, "versions": 100, "tags": 1}]
    checked = spanhouse("store", "check", "--store", new)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_store_of_a_pre_release_is_carried_over_into_a_server(pre_release: Path, tmp_path: Path) -> None:
    with ClickHouseServer(tmp_path / "server") as server:
        assert spanhouse("migrate", "--store", server.dsn).returncode == 0
        done = spanhouse("store", "push", server.dsn, "--store", f"chdb://{pre_release}")
        assert (done.returncode, done.stderr) == (0, "")
        target = clickhouse_connect.get_client(dsn=server.dsn, autogenerate_session_id=False)
        assert list(target.query(CARRIED).named_results()) == [{"n": 100, "spans": 300, "versions": 100, "tags": 1}]
        target.close()


def test_a_source_that_is_no_store_or_in_use_is_one_line(pre_release: Path, tmp_path: Path) -> None:
    new = f"chdb://{tmp_path / 'new'}"
    for nothing in (tmp_path / "nothing", tmp_path):
        done = spanhouse("store", "push", new, "--store", f"chdb://{nothing}")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
        assert "there is no store" in done.stderr
    with ClickHouseServer(pre_release):
        done = spanhouse("store", "push", new, "--store", f"chdb://{pre_release}")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert f"store chdb://{pre_release}: owned by process" in done.stderr


def test_a_process_that_reads_a_second_store_and_is_killed_is_one_line(pre_release: Path) -> None:
    with second_engine(parse_store(f"chdb://{pre_release}")) as engine:
        assert engine.execute("SELECT count() FROM otel_traces") == [(300,)]
        with pytest.raises(CommandError, match="nope"):
            engine.read("SELECT nope FROM otel_traces", {})
        (child,) = multiprocessing.active_children()
        child.kill()
        with pytest.raises(CommandError, match=rf"\Astore chdb://{pre_release}: the process that read it ended: run it again\Z"):
            engine.execute("SELECT 1")
    assert multiprocessing.active_children() == []


def hashes(client: Client) -> list[Any]:
    return [client.query(query).first_row for query in (SPANS, TRACES)]


def test_a_served_store_of_20000_spans_is_pushed_into_a_server_and_killed_and_resumed_it_arrives_equal(tmp_path: Path) -> None:
    """The command itself: it reads through the server that owns the store, without stopping it."""
    command = [sys.executable, "-m", "spanhouse.cli", "store", "push"]
    with Serve(tmp_path / "data") as serve, ClickHouseServer(tmp_path / "server") as server:
        now = time.time_ns()
        with closing(http.client.HTTPConnection(serve.http, timeout=60)) as connection:
            for number in range(40):
                body = standard_request(512, number, now_ns=now - number % 4 * HOUR_NS)
                connection.request("POST", "/v1/traces", body, {"content-type": "application/x-protobuf"})
                assert connection.getresponse().read() == b""
        serve.drained()
        refused = subprocess.run([*command, server.dsn], capture_output=True, text=True, env=serve.env)
        assert (refused.returncode, refused.stderr.count("\n")) == (3, 1), refused.stderr
        assert "run `spanhouse migrate --store DSN` first" in refused.stderr
        subprocess.run([sys.executable, "-m", "spanhouse.cli", "migrate", "--store", server.dsn], check=True, capture_output=True)
        with subprocess.Popen([*command, server.dsn], stdout=subprocess.PIPE, text=True, env=serve.env) as killed:
            assert killed.stdout is not None
            assert [killed.stdout.readline()[0] for _ in range(2)] == ["1", "2"]
            killed.kill()
        done = subprocess.run([*command, server.dsn], capture_output=True, text=True, check=True, env=serve.env)
        assert f"in {server.dsn}" in done.stdout
        target = clickhouse_connect.get_client(dsn=server.dsn, autogenerate_session_id=False)
        source = clickhouse_connect.get_client(dsn=serve.dsn)
        assert hashes(target) == hashes(source)
        assert hashes(source)[0][0] == 20_480
        source.close()
        target.close()
