"""Of several that would write rows of traces one at a time does, and one that was killed keeps the others waiting for a while only."""

from __future__ import annotations

import threading

import pytest
from tests.support.store import TestStore, connect

from spanhouse.schema.settle import turns
from spanhouse.schema.settle.turns import TurnLostError, Turns


def test_one_has_the_turn_until_it_gives_it_back(store: TestStore) -> None:
    one, other = Turns(store.execute), Turns(store.execute)
    with one.taken() as mine:
        assert mine
        with other.taken() as others:
            assert not others
    with other.taken() as others:
        assert others
        with one.taken() as mine:
            assert not mine


def test_who_waits_gets_the_turn_when_it_is_given_back(store: TestStore) -> None:
    one = Turns(store.execute)
    waited: list[bool] = []

    def wait() -> None:
        client = connect(store.database)
        with Turns(lambda sql, parameters=None: client.query(sql, parameters=dict(parameters or {})).result_rows).taken(60) as mine:
            waited.append(mine)
        client.close()

    with one.taken():
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert one.execute("SELECT 1")
        assert not waited
    waiting.join()
    assert waited == [True]


def test_a_turn_that_is_not_given_back_ends(store: TestStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "LEASE_SECONDS", 1)
    killed = Turns(store.execute)
    assert killed._take()
    with Turns(store.execute).taken(60) as mine:
        assert mine


def test_who_stood_still_goes_on_unless_another_took_the_turn(store: TestStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "LEASE_SECONDS", 0)
    one, other = Turns(store.execute), Turns(store.execute)
    with one.taken():
        assert one.execute("SELECT 1")
        with other.taken() as mine:
            assert mine
            with pytest.raises(TurnLostError):
                one.execute("SELECT 1")


def test_of_those_that_take_the_same_turn_at_once_one_gets_it(store: TestStore) -> None:
    inside, most, taken = [0], [0], [0]
    counting = threading.Lock()

    def take() -> None:
        client = connect(store.database)
        turn = Turns(lambda sql, parameters=None: client.query(sql, parameters=dict(parameters or {})).result_rows)
        for _ in range(10):
            with turn.taken() as mine:
                if mine:
                    with counting:
                        inside[0] += 1
                        taken[0] += 1
                        most[0] = max(most[0], inside[0])
                    turn.execute("SELECT 1")
                    with counting:
                        inside[0] -= 1
        client.close()

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken[0] > 0
    assert most[0] == 1
