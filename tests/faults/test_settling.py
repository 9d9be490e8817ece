"""The settling thread goes on after what would end it, and nothing that fails keeps the rest of its work from being done."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import OperationalError
from tests.support.otlp import request, span, trace
from tests.support.store import TestStore, connect

from spanhouse.exporter.store import settle_thread
from spanhouse.schema.address.dsn import parse_store
from spanhouse.schema.settle.settle import Settled, Settler


class LateStore:
    """A store that can't be reached at the first try."""

    def __init__(self, database: str) -> None:
        self.store = parse_store("chdb:///an/embedded/store")
        self.settling = threading.Lock()
        self.tries = 0
        self._database = database

    @contextmanager
    def another_client(self) -> Iterator[Client]:
        self.tries += 1
        if self.tries == 1:
            raise OperationalError("connection refused")
        client = connect(self._database)
        yield client
        client.close()


class Poisoned:
    """A settler with one trace that can't be made anew."""

    def __init__(self) -> None:
        self.due, self.large, self.culprits = {"poison"}, set[str](), list[str]()
        self.done: list[str] = []

    def settle(self, *, everything: bool) -> Settled:
        self.done.append("everything" if everything else "recent")
        return Settled(arrivals=1)

    def feed(self) -> None:
        self.done.append("feed")

    def sweep(self) -> None:
        self.done.append("sweep")

    def remake_due(self, **_: bool) -> int:
        raise RuntimeError("it can't be made anew")


def test_a_store_that_is_away_at_the_start_is_settled_when_it_is_back(store: TestStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle_thread, "_BACK_OFF_SECONDS", 0.01)
    store.insert(trace(name="waits"))
    late: Any = LateStore(store.database)
    with settle_thread.settling(late):
        deadline = time.monotonic() + 60
        while not store.rows("SELECT Name FROM traces"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert late.tries == 2
    assert [row["Name"] for row in store.rows("SELECT Name FROM traces")] == ["waits"]


def test_a_trace_that_cannot_be_made_anew_keeps_no_other_work_from_being_done() -> None:
    poisoned: Any = Poisoned()
    settle_thread._Rounds(poisoned, threading.Lock()).run()
    assert poisoned.done == ["everything", "feed", "sweep"]


def test_a_tombstone_becomes_visible_before_the_row_that_replaces_it(store: TestStore) -> None:
    root = span()
    store.ingest(request([span("child", trace_id=root.trace_id, parent=root.span_id)]))
    # The others have no tombstone, and most of them stand before the one in an order that nobody chose.
    store.ingest(request([root, *(span() for _ in range(200))]))
    found = store.rows(
        "SELECT partition_id AS day, max(max_block_number) AS block FROM system.parts "
        "WHERE database = currentDatabase() AND table = 'spanhouse_trace_rows' AND active GROUP BY day ORDER BY day"
    )
    assert len(found) == 2
    assert found[0]["day"] == "0"
    assert found[0]["block"] < found[1]["block"]


def test_a_trace_whose_row_was_lost_between_two_places_gets_it_again(store: TestStore) -> None:
    root = span()
    store.ingest(request([span("child", trace_id=root.trace_id, parent=root.span_id)]))
    store.execute(
        "INSERT INTO spanhouse_trace_rows (Sorted, TraceId, Version, Gone, TraceHash, Settled) "
        "SELECT Sorted, TraceId, Version + 1, 1, TraceHash, now() FROM spanhouse_trace_rows"
    )
    assert store.rows("SELECT TraceId FROM traces") == []
    Settler(store.execute).sweep()
    assert store.rows("SELECT TraceId, SpanCount FROM traces") == [{"TraceId": root.trace_id.hex(), "SpanCount": 1}]
