"""The drain hands segments on in their order, keeps each until it is stored, and outlives whatever fails."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.support.spool import append, checked, limits

from spanhouse.exporter.errors import ExportError, InvalidRequestError, UnavailableError
from spanhouse.exporter.ingest import drain as drain_module
from spanhouse.exporter.ingest.drain import Drain
from spanhouse.exporter.spool.appender import SpoolAppender
from spanhouse.exporter.spool.directory import SpoolDirectory
from spanhouse.exporter.store.writer import Batch


class FakeWriter:
    """Records batches and answers what it is told; the gate holds an insert back."""

    def __init__(self, outcome: Callable[[bytes], ExportError | None] = lambda _: None) -> None:
        self.batches: list[list[bytes]] = []
        self.doubtful: list[bool] = []
        self.outcome = outcome
        self.gate = threading.Event()
        self.gate.set()

    def insert(self, batch: Batch) -> Sequence[ExportError | None]:
        self.batches.append([bytes(body) for body in batch.bodies])
        self.doubtful.append(batch.doubtful)
        assert self.gate.wait(30)
        if batch.file is not None:
            assert b"".join(self.batches[-1])[-20:] == batch.file.read_bytes()[-20:]
        return [self.outcome(bytes(body)) for body in batch.bodies]


class Running:
    def __init__(self, root: Path, writer: FakeWriter, batch_bytes: int = 2**20) -> None:
        self.root = SpoolDirectory.open(root, "test")
        self.drain = Drain(self.root, writer, batch_bytes=batch_bytes)  # type: ignore[arg-type]
        self.drain.start()

    def until(self, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not reached():
            assert time.monotonic() < deadline, self.drain.trouble
            time.sleep(0.005)

    def empty(self) -> None:
        self.until(lambda: not self.root.sealed())

    def stop(self) -> None:
        self.drain.stop(30)
        self.root.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain_module, "_BACK_OFF_SECONDS", (0.01,))


def segments(root: Path, *names: str) -> list[bytes]:
    """A segment for each name, with one request."""
    made = [checked(name) for name in names]
    for request in made:
        append(root, request)
    return [request.body for request in made]


def test_a_backlog_goes_out_in_its_order_before_what_comes_meanwhile(tmp_path: Path) -> None:
    backlog = segments(tmp_path, *(f"{number:03}" for number in range(50)))
    writer = FakeWriter()
    writer.gate.clear()
    running = Running(tmp_path, writer, batch_bytes=1000)
    (later,) = segments(tmp_path, "later")
    writer.gate.set()
    running.empty()
    running.stop()
    assert [body for batch in writer.batches for body in batch] == [*backlog, later]
    assert all(sum(map(len, batch)) <= 1000 for batch in writer.batches)
    assert 1 < len(writer.batches) < 40
    # Only what was there at the start may be stored already, and it shares no insert with what was not.
    assert writer.doubtful == [True] * (len(writer.batches) - 1) + [False]


def test_a_segment_stays_until_it_is_stored_and_is_tried_again_in_the_same_batch(tmp_path: Path) -> None:
    first, second = segments(tmp_path, "first", "second")
    writer = FakeWriter(lambda _: UnavailableError("down", 1))
    running = Running(tmp_path, writer)
    running.until(lambda: len(writer.batches) > 3)
    (third,) = segments(tmp_path, "third")
    assert running.drain.trouble == "down"
    assert len(running.root.sealed()) == 3
    writer.outcome = lambda _: None
    running.empty()
    running.until(lambda: running.drain.trouble == "")
    running.stop()
    assert all(batch == [first, second] for batch in writer.batches[:-1])
    assert writer.batches[-1] == [third]


def test_what_cannot_be_stored_is_put_aside_and_holds_nothing_up(tmp_path: Path) -> None:
    bad, good = checked("bad"), checked("good")
    append(tmp_path, bad, good)
    writer = FakeWriter(lambda body: InvalidRequestError("can't be read") if body == bad.body else None)
    running = Running(tmp_path, writer)
    running.empty()
    running.stop()
    (letter,) = (tmp_path / "dead-letters").glob("*.otlp")
    assert letter.read_bytes() == bad.body
    assert "can't be read" in letter.with_suffix(".json").read_text()


def test_no_room_for_a_dead_letter_keeps_the_segment_until_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bad,) = segments(tmp_path, "bad")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("spanhouse.exporter.spool.dead_letters._write", full)
        writer = FakeWriter(lambda _: InvalidRequestError("can't be read"))
        running = Running(tmp_path, writer)
        running.until(lambda: len(writer.batches) > 2)
        assert len(running.root.sealed()) == 1
    running.empty()
    running.stop()
    (letter,) = (tmp_path / "dead-letters").glob("*.otlp")
    assert letter.read_bytes() == bad


def test_a_damaged_record_costs_its_neighbours_nothing(tmp_path: Path) -> None:
    requests = [checked(name) for name in "abc"]
    append(tmp_path, *requests)
    (segment,) = (tmp_path / "0").glob("*.sealed")
    data = segment.read_bytes()
    at = data.index(requests[1].body) + 5
    segment.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    writer = FakeWriter()
    running = Running(tmp_path, writer)
    running.empty()
    running.stop()
    assert writer.batches == [[requests[0].body, requests[2].body]]
    (kept,) = (tmp_path / "quarantine").glob("*.bin")
    assert requests[1].body[6:] in kept.read_bytes()


def test_a_directory_that_cannot_be_read_for_a_while_stops_nothing_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = Running(tmp_path, FakeWriter())
    failed = threading.Event()

    def fails(_: SpoolDirectory) -> list[Path]:
        failed.set()
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(SpoolDirectory, "sealed", fails)
        assert failed.wait(30)
        running.until(lambda: "Too many open files" in running.drain.trouble)
    segments(tmp_path, "after")
    running.empty()
    running.stop()


def test_a_stop_stores_what_is_there_unless_the_store_is_in_trouble(tmp_path: Path) -> None:
    segments(tmp_path, *"abcdef")
    writer = FakeWriter()
    running = Running(tmp_path, writer, batch_bytes=100)
    running.stop()
    assert len(writer.batches) == 6
    (waiting,) = segments(tmp_path, "waiting")
    writer.outcome = lambda _: UnavailableError("down", 1)
    running = Running(tmp_path, writer)
    running.until(lambda: bool(running.drain.trouble))
    running.stop()
    writer.outcome = lambda _: None
    running = Running(tmp_path, writer)
    running.stop()
    assert writer.batches[-1] == [waiting]


def test_jumps_of_the_clock_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    writer = FakeWriter()
    running = Running(tmp_path, writer)
    log = SpoolAppender.open(tmp_path, 0, limits())
    sent = []
    for jump in (0, -86_400 * 365, 86_400 * 365 * 40, -86_400, 0):
        monkeypatch.setattr(time, "time_ns", lambda jump=jump: now + jump * 10**9)
        monkeypatch.setattr(time, "time", lambda jump=jump: now / 1e9 + jump)
        request = checked(f"jump {jump}")
        assert log.append([request]) == [None]
        log.seal()
        running.empty()
        sent.append(request.body)
    log.close()
    running.stop()
    assert [body for batch in writer.batches for body in batch] == sent
