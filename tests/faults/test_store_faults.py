"""Whatever the store does to inserts, every acknowledged span ends in it once, and the view of traces agrees."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.faulty_store import Fault, FaultyStore
from tests.support.otlp import trace
from tests.support.spool import limits

from spanhouse.exporter.ingest import drain as drain_module
from spanhouse.exporter.ingest.drain import Drain
from spanhouse.exporter.otlp.check import CheckedRequest
from spanhouse.exporter.spool.appender import SpoolAppender
from spanhouse.exporter.spool.directory import SpoolDirectory
from spanhouse.exporter.spool.replay import replay
from spanhouse.exporter.spool.seen_requests import SeenRequests
from spanhouse.exporter.store.writer import Batch, Writer
from spanhouse.schema.settle.settle import settle_all
from spanhouse.schema.tables import migrations
from spanhouse.schema.tables.driver import execute_of

_numbers = itertools.count(1)


class Store:
    """A database of a server, reached by the test directly and by the spool through the proxy."""

    client: Client

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.start("default")
        self.client.command("CREATE DATABASE spanhouse")
        self.client.close()
        self.client = self.connect(self.server.dsn)
        migrations.apply(lambda sql, parameters=None: self.client.query(sql, parameters=dict(parameters or {})).result_rows)

    def kill(self) -> None:
        self.client.close()
        self.server.process.kill()
        self.server.__exit__()

    def start(self, database: str = "spanhouse") -> None:
        self.server = ClickHouseServer(self._directory)
        self.client = self.connect(f"http://127.0.0.1:{self.server.port}/{database}")

    @staticmethod
    def connect(dsn: str) -> Client:
        return clickhouse_connect.get_client(dsn=dsn, autogenerate_session_id=False)

    def counts(self, names: Sequence[str]) -> dict[str, int]:
        """How often spans of these names are stored."""
        found = self.client.query(
            "SELECT SpanName, count() FROM otel_traces WHERE SpanName IN {names:Array(String)} GROUP BY SpanName", {"names": names}
        )
        return {str(name): int(times) for name, times in found.result_rows}

    def disagreeing_traces(self) -> list[object]:
        """Traces whose row says another number of spans than are stored, or no root."""
        settle_all(execute_of(self.client))
        return list(
            self.client.query(
                "SELECT * FROM (SELECT TraceId, count() AS Stored FROM otel_traces GROUP BY TraceId) AS s "
                "FULL JOIN (SELECT TraceId, SpanCount, State FROM traces) AS t USING TraceId WHERE Stored != SpanCount OR State != 'OK'"
            ).result_rows
        )


class Spool:
    """The spool before a proxy before the store: what `serve` has behind its transports."""

    def __init__(self, directory: Path, dsn: str) -> None:
        self.directory = directory
        self.acknowledged: list[str] = []
        self._dsn = dsn
        self.start()

    def start(self) -> None:
        self.root = SpoolDirectory.open(self.directory, "store")
        self.client = Store.connect(self._dsn)
        self.drain = Drain(self.root, Writer(self.client, SeenRequests.load(self.directory), self.root.identity), batch_bytes=2**20)
        self.drain.start()
        self.log = SpoolAppender.open(self.directory, 0, limits())

    def stop(self) -> None:
        self.log.close()
        self.drain.stop(0)
        self.drain._thread.join(60)
        self.client.close()
        self.root.close()

    def send(self, requests: int = 3) -> None:
        made = []
        for _ in range(requests):
            name = f"root {next(_numbers)}"
            body = trace(name=name)
            for index, span in enumerate(body.resource_spans[0].scope_spans[0].spans):
                span.name = f"{name}/{index}"
                self.acknowledged.append(span.name)
            made.append(CheckedRequest(body.SerializeToString(), 3))
        assert not any(self.log.append(made))
        self.log.seal(now=True)

    def wait(self, reached: Callable[[], bool], seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < deadline, self.drain.trouble
            time.sleep(0.01)

    def drained(self) -> None:
        self.wait(lambda: not self.root.sealed())


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    made = Store(tmp_path_factory.mktemp("server"))
    yield made
    made.client.close()
    made.server.__exit__()


@pytest.fixture
def proxy(store: Store) -> Iterator[FaultyStore]:
    with FaultyStore(store.server.port, "spanhouse") as proxy:
        yield proxy


@pytest.fixture
def spool(proxy: FaultyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Spool]:
    monkeypatch.setattr(drain_module, "_BACK_OFF_SECONDS", (0.02,))
    made = Spool(tmp_path / "spool", proxy.dsn)
    yield made
    made.stop()


def check(store: Store, spool: Spool) -> None:
    spool.drained()
    counts = store.counts(spool.acknowledged)
    assert set(spool.acknowledged) - counts.keys() == set()
    assert counts == dict.fromkeys(spool.acknowledged, 1)
    assert store.disagreeing_traces() == []
    assert not (spool.directory / "dead-letters").exists()


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.NONE])
def test_a_fault_of_some_inserts_loses_and_doubles_nothing(fault: Fault, store: Store, proxy: FaultyStore, spool: Spool) -> None:
    proxy.fault = lambda number: fault if number < 5 else Fault.NONE
    for _ in range(3):
        spool.send()
    spool.wait(lambda: proxy.inserts >= 3)
    spool.send()
    check(store, spool)
    assert proxy.inserts > 5


@pytest.mark.parametrize("seed", range(2))
def test_any_mixture_of_faults_and_restarts_loses_and_doubles_nothing(seed: int, store: Store, proxy: FaultyStore, spool: Spool) -> None:
    rng = random.Random(seed)
    # An insert that runs on while a new process asks what is stored is another test's.
    proxy.fault = lambda _: rng.choice([Fault.NONE, *(fault for fault in Fault if fault is not Fault.STILL_RUNS)])
    for _ in range(8):
        spool.send(rng.randint(1, 4))
        begun = proxy.inserts
        spool.wait(lambda begun=begun: proxy.inserts >= begun + 2 or not spool.root.sealed())  # type: ignore[misc]
        if rng.random() < 0.4:
            spool.stop()
            spool.start()
    proxy.fault = lambda _: Fault.NONE
    check(store, spool)


def test_an_insert_that_outlives_its_sender_is_waited_for(store: Store, proxy: FaultyStore, spool: Spool) -> None:
    # Looked at before a span is stored; the test's nine take 2.7 seconds.
    store.client.command("ALTER TABLE otel_traces ADD CONSTRAINT slow CHECK sleepEachRow(0.3) = 0")
    proxy.fault = lambda number: Fault.STILL_RUNS if number == 0 else Fault.CUT
    spool.send()
    running = "SELECT count() FROM system.processes WHERE startsWith(Settings['log_comment'], 'spanhouse ')"
    spool.wait(lambda: store.client.command(running) == 1)
    spool.stop()
    assert store.counts(spool.acknowledged) == {}
    proxy.fault = lambda _: Fault.NONE
    spool.start()
    spool.wait(lambda: "still runs" in spool.drain.trouble)
    store.client.command("ALTER TABLE otel_traces DROP CONSTRAINT slow")
    check(store, spool)


def test_while_the_store_is_slow_requests_are_acknowledged(store: Store, proxy: FaultyStore, spool: Spool) -> None:
    proxy.open.clear()
    for _ in range(10):
        spool.send()
    assert len(spool.root.sealed()) == 10
    assert store.counts(spool.acknowledged) == {}
    proxy.open.set()
    check(store, spool)


@pytest.mark.parametrize("table", ["otel_traces", "spanhouse_trace_parts", "otlp_requests"])
def test_a_table_that_is_gone_for_a_while_costs_nothing(table: str, store: Store, proxy: FaultyStore, spool: Spool) -> None:
    spool.send()
    spool.drained()
    store.client.command(f"RENAME TABLE {table} TO elsewhere")
    spool.send()
    spool.wait(lambda: proxy.inserts >= 3)
    assert "its error code is 60" in spool.drain.trouble
    store.client.command(f"RENAME TABLE elsewhere TO {table}")
    check(store, spool)


def test_a_view_that_fails_after_the_spans_were_stored_doubles_nothing(store: Store, proxy: FaultyStore, spool: Spool) -> None:
    store.client.command("CREATE TABLE others (Name String) ENGINE = MergeTree ORDER BY Name")
    store.client.command(
        "CREATE MATERIALIZED VIEW of_an_operator TO others AS SELECT toString(throwIf(endsWith(SpanName, '/1'))) AS Name FROM otel_traces"
    )
    for _ in range(2):
        spool.send()
    check(store, spool)


def test_a_request_that_the_store_cannot_take_becomes_a_dead_letter_and_costs_no_neighbour(store: Store, spool: Spool) -> None:
    store.client.command("ALTER TABLE otel_traces ADD CONSTRAINT strict CHECK SpanName != 'poison'")
    body = trace(name="poison").SerializeToString()
    names = [f"neighbour {number}" for number in range(6)]
    neighbours = [CheckedRequest(trace(name=name).SerializeToString(), 3) for name in names]
    assert not any(spool.log.append([*neighbours[:3], CheckedRequest(body, 3), *neighbours[3:]]))
    spool.log.seal(now=True)
    spool.drained()
    store.client.command("ALTER TABLE otel_traces DROP CONSTRAINT strict")
    assert store.counts([*names, "poison"]) == dict.fromkeys(names, 1)
    (letter,) = (spool.directory / "dead-letters").glob("*.otlp")
    assert letter.read_bytes() == body
    assert "its error code is 469" in letter.with_suffix(".json").read_text()
    assert replay(spool.directory) == 1
    spool.drained()
    assert store.counts([*names, "poison"]) == dict.fromkeys([*names, "poison"], 1)
    assert store.disagreeing_traces() == []


def test_a_server_that_dies_and_comes_back_has_everything_once(store: Store, proxy: FaultyStore, spool: Spool) -> None:
    for attempt in range(2):
        begun = proxy.inserts
        for _ in range(3):
            spool.send()
        spool.wait(lambda begun=begun: proxy.inserts > begun)  # type: ignore[misc]
        store.kill()
        spool.send()
        spool.wait(lambda: bool(spool.drain.trouble))
        store.start()
        proxy.upstream = store.server.port
        if attempt:
            spool.stop()
            spool.start()
    check(store, spool)


def test_answers_that_are_lost_double_nothing_without_a_spool_either(store: Store, proxy: FaultyStore) -> None:
    """The clients send again, and their requests meet others in the next insert."""
    names = [f"without spool {number}" for number in range(4)]
    requests = [CheckedRequest(trace(name=name).SerializeToString(), 3) for name in names]
    with ExitStack() as stack:
        client = Store.connect(proxy.dsn)
        stack.callback(client.close)
        writer = Writer(client, SeenRequests())
        proxy.fault = lambda _: Fault.ANSWER_LOST
        assert all(error and error.retry_seconds for error in writer.insert(Batch.of(requests[:2])))
        assert all(error and error.retry_seconds for error in writer.insert(Batch.of(requests[2:3])))
        proxy.fault = lambda _: Fault.NONE
        assert writer.insert(Batch.of([requests[1], requests[3]])) == [None, None]
        assert writer.insert(Batch.of([requests[2], requests[0]])) == [None, None]
    assert store.counts(names) == dict.fromkeys(names, 1)
    assert store.disagreeing_traces() == []
