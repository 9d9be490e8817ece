"""Admission is asked once for each request, knows retries, and lets them in before first-time requests."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.otlp import request, span

from spanhouse.exporter.errors import UnavailableError
from spanhouse.exporter.ingest.admission import Admission, RecentlyRefused
from spanhouse.exporter.spool.capacity import SpoolCapacity


class Queue:
    def __init__(self, waiting_bytes: int = 0, *, closing: bool = False) -> None:
        self.waiting_bytes = waiting_bytes
        self.closing = closing


def admitted(admission: Admission, body: bytes) -> str:
    """The refusal of a request, which is remembered; '' if it is admitted, and then it is taken."""
    try:
        admission.check(body)
    except UnavailableError as refusal:
        admission.refused(body)
        return refusal.message if refusal.retry_seconds else f"{refusal.message}, not retryable"
    admission.taken(body)
    return ""


def test_a_server_that_stops_refuses() -> None:
    queue = Queue()
    admission = Admission(queue, waiting_bytes=100)
    assert admitted(admission, b"x") == ""
    queue.closing = True
    assert admitted(admission, b"x") == "the server is stopping"


@pytest.mark.parametrize(
    ("waiting", "size", "message"), [(60, 40, ""), (60, 41, "more waits to be written than fits in memory; try again"), (0, 101, "")]
)
def test_more_than_fits_in_memory_is_refused_but_for_a_request_that_waits_alone(waiting: int, size: int, message: str) -> None:
    assert admitted(Admission(Queue(waiting), waiting_bytes=100), b"x" * size) == message


def test_bytes_that_a_thread_checks_wait_too() -> None:
    admission = Admission(Queue(30), waiting_bytes=100)
    with admission.holding(40):
        assert admitted(admission, b"x" * 31) != ""
        assert admitted(admission, b"x" * 30) == ""
    assert admitted(admission, b"x" * 70) == ""


def test_the_last_eighth_of_the_spool_is_for_retries(tmp_path: Path) -> None:
    admission = Admission(Queue(), waiting_bytes=10**6, capacity=SpoolCapacity(tmp_path, 800, 0))
    assert admitted(admission, b"x" * 700) == ""
    assert [admitted(admission, b"x" * 701) for _ in range(2)] == ["the spool is full (it may hold 800 bytes); try again", ""]
    assert admitted(admission, b"x" * 701) != "", "a request that was taken is no retry any more"


def test_requests_that_wait_take_room_in_the_spool(tmp_path: Path) -> None:
    admission = Admission(Queue(650), waiting_bytes=10**6, capacity=SpoolCapacity(tmp_path, 800, 0))
    assert admitted(admission, b"x" * 50) == ""
    assert "the spool is full" in admitted(admission, b"x" * 51)


def test_the_oldest_refusals_are_forgotten_and_a_repeated_one_is_young() -> None:
    refused = RecentlyRefused(2)
    for name in (b"a", b"b", b"a", b"c"):
        refused.add(name)
    assert [name in refused for name in (b"a", b"b", b"c")] == [True, False, True]


def test_requests_that_begin_alike_are_told_apart_by_their_ends() -> None:
    refused = RecentlyRefused()
    refused.add(b"x" * 10_000 + b"1")
    assert b"x" * 10_000 + b"2" not in refused
    assert b"x" * 10_001 + b"1" not in refused


def test_requests_that_all_end_alike_are_told_apart_by_what_comes_before() -> None:
    refused = RecentlyRefused()
    end = span("e" * 10_000)
    bodies = [request([span(name), end]).SerializeToString() for name in ("first", "other")]
    refused.add(bodies[0])
    assert [body in refused for body in bodies] == [True, False]
