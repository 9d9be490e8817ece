"""Nothing that was stored while nobody settled stays out of `traces`, however long that was."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from tests.support.arrivals import Arrivals, put_back
from tests.support.store import TestStore, connect

from spanhouse.schema.settle import remake, settle

HOUR = 3600


@pytest.fixture
def arrivals(store: TestStore) -> Iterator[Arrivals]:
    """Untidy traces that come in four inserts."""
    chance = random.Random(4)
    yield Arrivals(store, [chance.randrange(2**32) for _ in range(24)], chance, pieces=4)
    store.execute("SYSTEM START MERGES spanhouse_trace_parts")


def rest(store: TestStore) -> None:
    """Do the first round of a server that starts, then what it does when nothing comes any more."""
    settler = settle.Settler(store.execute)
    settler.settle(everything=True)
    settler.remake_due()
    remake.age(store.execute, quiet_seconds=0)
    settler.sweep()


def waiting(store: TestStore) -> int:
    (row,) = store.rows("SELECT uniqExact(Arrival) AS n FROM spanhouse_trace_parts WHERE Arrival NOT IN (SELECT Arrival FROM spanhouse_arrivals)")
    return int(row["n"])


def test_a_stop_of_three_hours_between_the_pieces_of_traces(arrivals: Arrivals) -> None:
    store = arrivals.store
    for settled in (True, False, True, False):
        arrivals.insert()
        if settled:
            settle.settle_all(store.execute)
        put_back(store, 3 * HOUR)
        remake.drop_old_parts(store.execute)
    rest(store)
    assert waiting(store) == 0
    assert not list(arrivals.differences())


def test_a_night_in_which_a_collector_writes_and_nobody_settles(arrivals: Arrivals) -> None:
    """Its rows come by INSERT into otel_traces; each trace's pieces lie hours apart."""
    store = arrivals.store
    twin = TestStore()
    arrivals.store = twin
    for written in range(1, 5):
        arrivals.insert()
        store.execute(f"INSERT INTO otel_traces SELECT * FROM {twin.database}.otel_traces")
        twin.execute("TRUNCATE TABLE otel_traces")
        put_back(store, 3 * HOUR)
        assert remake.drop_old_parts(store.execute) == 0
        assert waiting(store) == written
    twin.close()
    arrivals.store = store
    rest(store)
    assert waiting(store) == 0
    assert not list(arrivals.differences())


def test_an_old_backup_whose_settled_inserts_are_forgotten(arrivals: Arrivals) -> None:
    """It holds inserts that were not settled, and the rest of their traces comes after it was read, days later."""
    store = arrivals.store
    arrivals.insert()
    settle.settle_all(store.execute)
    arrivals.insert()
    store.execute(f"BACKUP DATABASE {store.database} TO Memory('old')")
    store.execute(f"RESTORE DATABASE {store.database} AS {store.database}_again FROM Memory('old') SETTINGS allow_different_database_def = 1")
    written, store.client = store.client, connect(f"{store.database}_again")
    try:
        store.execute("SYSTEM STOP MERGES spanhouse_trace_parts")
        put_back(store, 5 * 24 * HOUR)
        store.execute("TRUNCATE TABLE spanhouse_arrivals")
        settle.settle_all(store.execute)
        arrivals.insert()
        arrivals.insert()
        rest(store)
        assert waiting(store) == 0
        assert not list(arrivals.differences())
    finally:
        store.execute(f"DROP DATABASE {store.database}_again")
        store.client = written
