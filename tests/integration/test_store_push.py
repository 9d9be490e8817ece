"""A store is copied into another one: everything is there once, with the same values, whenever the copy was interrupted."""

from __future__ import annotations

import http.client
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

from spanhouse.schema.execute import MigrationError
from spanhouse.schema.push import Pushed, push

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
    # As if the target had ended between spans and what views make of them.
    other.client.command("TRUNCATE TABLE trace_carriers")
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
