"""Who gets a place for a query, and when."""

from __future__ import annotations

import threading

from spanhouse.exporter.clickhouse_http.places import Places, Turn

LONG = 3600.0
NOW = 0.0
"""Seconds to wait: what is not decided yet is given up."""


def placed(*turns: Turn) -> list[int]:
    """How many places each has that does not wait."""
    return [turn.places for turn in turns]


def test_places_are_given_in_the_order_of_arrival() -> None:
    places = Places(2, keep_seconds=LONG)
    first, second, third, fourth = (places.arrive() for _ in range(4))
    assert placed(first, second, third, fourth) == [1, 1, 0, 0]
    with second:
        pass
    assert placed(first, third, fourth) == [1, 1, 0]
    with first:
        pass
    assert placed(third, fourth) == [1, 1]


def test_one_that_comes_later_does_not_pass_one_that_wants_all_places() -> None:
    places = Places(2, keep_seconds=LONG)
    large, small = places.arrive(), places.arrive()
    large.want_all()
    later = places.arrive()
    assert placed(large, small, later) == [0, 1, 0]
    with small:
        pass
    assert placed(large, later) == [2, 0]
    with large:
        pass
    assert placed(later) == [1]


def test_one_that_wants_all_places_comes_before_those_that_arrived_after_it() -> None:
    places = Places(1, keep_seconds=LONG)
    large, waiting = places.arrive(), places.arrive()
    assert placed(large, waiting) == [1, 0]
    large.want_all()
    assert placed(large, waiting) == [1, 0]


def test_two_that_want_all_places_have_them_one_after_the_other() -> None:
    places = Places(2, keep_seconds=LONG)
    first, second = places.arrive(), places.arrive()
    second.want_all()
    first.want_all()
    assert placed(first, second) == [2, 0]
    with first:
        pass
    assert placed(second) == [2]


def test_one_that_waited_its_time_leaves_the_queue_and_lets_others_through() -> None:
    places = Places(2, keep_seconds=LONG)
    large, small = places.arrive(), places.arrive()
    large.want_all()
    later = places.arrive()
    assert not large.wait(NOW)
    assert later.wait(NOW)
    with small, later:
        pass
    assert places.arrive().wait(NOW)
    assert placed(large) == [0]


def test_one_that_gives_up_stops_waiting_at_once_but_keeps_a_place_that_it_has() -> None:
    places = Places(1, keep_seconds=LONG)
    has, waits = places.arrive(), places.arrive()
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(waits.wait()))
    thread.start()
    waits.give_up()
    has.give_up()
    thread.join()
    assert (answers, placed(has)) == ([False], [1])


def test_whoever_waits_is_told_when_its_places_are_there() -> None:
    places = Places(1, keep_seconds=LONG)
    has, waits = places.arrive(), places.arrive()
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(waits.wait()))
    thread.start()
    with has:
        pass
    thread.join()
    assert answers == [True]


def test_one_that_had_its_places_for_too_long_loses_them_to_those_that_wait() -> None:
    places = Places(2, keep_seconds=NOW)
    large, waits = places.arrive(), places.arrive()
    with waits:
        pass
    large.want_all()
    waits = places.arrive()
    assert placed(large, waits) == [2, 0]
    assert waits.wait()
    assert placed(large, waits) == [0, 1]
    with large, waits:
        pass
    later = places.arrive()
    later.want_all()
    assert placed(later) == [2]


def test_no_more_lose_their_places_than_there_are_as_long_as_they_run_on() -> None:
    places = Places(1, keep_seconds=NOW)
    first, second, third = (places.arrive() for _ in range(3))
    assert second.wait()
    assert not third.wait(NOW)
    with first:
        pass
    fourth = places.arrive()
    assert fourth.wait()
    assert placed(first, second, third, fourth) == [0, 0, 0, 1]


def test_the_asker_with_fewer_places_goes_first() -> None:
    places = Places(2, keep_seconds=LONG)
    many = [places.arrive("many") for _ in range(4)]
    one, other = places.arrive("one"), places.arrive("other")
    with many[0]:
        pass
    assert placed(*many, one, other) == [0, 1, 0, 0, 1, 0]
    with many[1]:
        pass
    assert placed(*many, one, other) == [0, 0, 1, 0, 1, 0]


def test_those_of_askers_with_as_many_places_go_in_the_order_of_arrival() -> None:
    places = Places(1, keep_seconds=LONG)
    runs = places.arrive("first")
    waiting = [places.arrive(asker) for asker in ("second", "first", "third")]
    got = []
    for turn in (runs, *waiting):
        with turn:
            pass
        got.append(placed(*waiting))
    assert got == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]


def test_one_that_wants_all_places_gets_them_though_others_go_on_asking() -> None:
    places = Places(2, keep_seconds=LONG)
    large, small = places.arrive("large"), places.arrive("small")
    large.want_all()
    later = [places.arrive("small"), places.arrive("another")]
    with small:
        pass
    assert placed(large, *later) == [2, 0, 0]


def test_places_that_an_asker_lost_count_as_its_own_until_its_query_ends() -> None:
    places = Places(2, keep_seconds=LONG)
    endless, ends = places.arrive("many"), places.arrive("many")
    endless.since = -LONG
    places.recall()
    second, third = places.arrive("many"), places.arrive("many")
    assert placed(endless, ends, second, third) == [0, 1, 0, 0]
    other = places.arrive("other")
    assert placed(second, third, other) == [0, 0, 1]
    with ends, other:
        pass
    assert placed(second, third) == [1, 0]
    with endless:
        pass
    assert placed(second, third) == [1, 1]


def test_an_asker_whose_queries_all_run_on_leaves_all_places_to_others() -> None:
    places = Places(2, keep_seconds=NOW)
    endless = [places.arrive("many") for _ in range(6)]
    large = places.arrive("other")
    large.want_all()
    assert large.wait()
    assert placed(*endless, large) == [0, 0, 0, 0, 0, 0, 2]
