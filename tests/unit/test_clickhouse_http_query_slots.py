"""Order in which queries get their slots."""

from __future__ import annotations

import threading

from spanhouse.exporter.clickhouse_http.query_slots import QuerySlots, SlotRequest

LONG = 3600.0
NOW = 0.0
"""Seconds to wait: a request that is still queued is cancelled."""


def placed(*requests: SlotRequest) -> list[int]:
    """Number of slots that each request holds."""
    return [request.slots for request in requests]


def test_slots_are_given_in_the_order_of_arrival() -> None:
    slots = QuerySlots(2, keep_seconds=LONG)
    first, second, third, fourth = (slots.enqueue() for _ in range(4))
    assert placed(first, second, third, fourth) == [1, 1, 0, 0]
    with second:
        pass
    assert placed(first, third, fourth) == [1, 1, 0]
    with first:
        pass
    assert placed(third, fourth) == [1, 1]


def test_one_that_comes_later_does_not_pass_one_that_wants_all_slots() -> None:
    slots = QuerySlots(2, keep_seconds=LONG)
    large, small = slots.enqueue(), slots.enqueue()
    large.request_all()
    later = slots.enqueue()
    assert placed(large, small, later) == [0, 1, 0]
    with small:
        pass
    assert placed(large, later) == [2, 0]
    with large:
        pass
    assert placed(later) == [1]


def test_one_that_wants_all_slots_comes_before_those_that_arrived_after_it() -> None:
    slots = QuerySlots(1, keep_seconds=LONG)
    large, waiting = slots.enqueue(), slots.enqueue()
    assert placed(large, waiting) == [1, 0]
    large.request_all()
    assert placed(large, waiting) == [1, 0]


def test_two_that_want_all_slots_have_them_one_after_the_other() -> None:
    slots = QuerySlots(2, keep_seconds=LONG)
    first, second = slots.enqueue(), slots.enqueue()
    second.request_all()
    first.request_all()
    assert placed(first, second) == [2, 0]
    with first:
        pass
    assert placed(second) == [2]


def test_one_that_waited_its_time_leaves_the_queue_and_lets_others_through() -> None:
    slots = QuerySlots(2, keep_seconds=LONG)
    large, small = slots.enqueue(), slots.enqueue()
    large.request_all()
    later = slots.enqueue()
    assert not large.wait(NOW)
    assert later.wait(NOW)
    with small, later:
        pass
    assert slots.enqueue().wait(NOW)
    assert placed(large) == [0]


def test_one_that_gives_up_stops_waiting_at_once_but_keeps_a_slot_that_it_has() -> None:
    slots = QuerySlots(1, keep_seconds=LONG)
    has, waits = slots.enqueue(), slots.enqueue()
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(waits.wait()))
    thread.start()
    waits.cancel()
    has.cancel()
    thread.join()
    assert (answers, placed(has)) == ([False], [1])


def test_whoever_waits_is_told_when_its_slots_are_there() -> None:
    slots = QuerySlots(1, keep_seconds=LONG)
    has, waits = slots.enqueue(), slots.enqueue()
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(waits.wait()))
    thread.start()
    with has:
        pass
    thread.join()
    assert answers == [True]


def test_one_that_had_its_slots_for_too_long_loses_them_to_those_that_wait() -> None:
    slots = QuerySlots(2, keep_seconds=NOW)
    large, waits = slots.enqueue(), slots.enqueue()
    with waits:
        pass
    large.request_all()
    waits = slots.enqueue()
    assert placed(large, waits) == [2, 0]
    assert waits.wait()
    assert placed(large, waits) == [0, 1]
    with large, waits:
        pass
    later = slots.enqueue()
    later.request_all()
    assert placed(later) == [2]


def test_no_more_lose_their_slots_than_there_are_as_long_as_they_run_on() -> None:
    slots = QuerySlots(1, keep_seconds=NOW)
    first, second, third = (slots.enqueue() for _ in range(3))
    assert second.wait()
    assert not third.wait(NOW)
    with first:
        pass
    fourth = slots.enqueue()
    assert fourth.wait()
    assert placed(first, second, third, fourth) == [0, 0, 0, 1]


def test_the_token_with_fewer_slots_goes_first() -> None:
    slots = QuerySlots(2, keep_seconds=LONG)
    many = [slots.enqueue("many") for _ in range(4)]
    one, other = slots.enqueue("one"), slots.enqueue("other")
    with many[0]:
        pass
    assert placed(*many, one, other) == [0, 1, 0, 0, 1, 0]
    with many[1]:
        pass
    assert placed(*many, one, other) == [0, 0, 1, 0, 1, 0]


def test_those_of_tokens_with_as_many_slots_go_in_the_order_of_arrival() -> None:
    slots = QuerySlots(1, keep_seconds=LONG)
    runs = slots.enqueue("first")
    waiting = [slots.enqueue(token) for token in ("second", "first", "third")]
    got = []
    for request in (runs, *waiting):
        with request:
            pass
        got.append(placed(*waiting))
    assert got == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]


def test_one_that_wants_all_slots_gets_them_though_others_go_on_asking() -> None:
    slots = QuerySlots(2, keep_seconds=LONG)
    large, small = slots.enqueue("large"), slots.enqueue("small")
    large.request_all()
    later = [slots.enqueue("small"), slots.enqueue("another")]
    with small:
        pass
    assert placed(large, *later) == [2, 0, 0]


def test_slots_that_a_token_lost_count_as_its_own_until_its_query_ends() -> None:
    slots = QuerySlots(2, keep_seconds=LONG)
    endless, ends = slots.enqueue("many"), slots.enqueue("many")
    endless.since = -LONG
    slots.recall()
    second, third = slots.enqueue("many"), slots.enqueue("many")
    assert placed(endless, ends, second, third) == [0, 1, 0, 0]
    other = slots.enqueue("other")
    assert placed(second, third, other) == [0, 0, 1]
    with ends, other:
        pass
    assert placed(second, third) == [1, 0]
    with endless:
        pass
    assert placed(second, third) == [1, 1]


def test_a_token_whose_queries_all_run_on_leaves_all_slots_to_others() -> None:
    slots = QuerySlots(2, keep_seconds=NOW)
    endless = [slots.enqueue("many") for _ in range(6)]
    large = slots.enqueue("other")
    large.request_all()
    assert large.wait()
    assert placed(*endless, large) == [0, 0, 0, 0, 0, 0, 2]
