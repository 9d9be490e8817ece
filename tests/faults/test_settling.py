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
from tests.support.otlp import trace
from tests.support.store import TestStore, connect

from spanhouse.exporter import settling
from spanhouse.schema.settle import Settled
from spanhouse.schema.store import parse_store


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
    monkeypatch.setattr(settling, "_BACK_OFF_SECONDS", 0.01)
    store.insert(trace(name="waits"))
    late: Any = LateStore(store.database)
    with settling.settling(late):
        deadline = time.monotonic() + 60
        while not store.rows("SELECT Name FROM traces"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert late.tries == 2
    assert [row["Name"] for row in store.rows("SELECT Name FROM traces")] == ["waits"]


def test_a_trace_that_cannot_be_made_anew_keeps_no_other_work_from_being_done() -> None:
    poisoned: Any = Poisoned()
    settling._Rounds(poisoned, threading.Lock()).run()
    assert poisoned.done == ["everything", "feed", "sweep"]
