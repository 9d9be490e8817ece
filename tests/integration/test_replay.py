"""What the store could not read is kept, and stored by a version that can read it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.otlp import request, span
from tests.support.store import TestStore

from spanhouse.exporter.errors import ExportError, InvalidRequestError
from spanhouse.exporter.ingest.drain import Drain
from spanhouse.exporter.otlp.check import CheckedRequest
from spanhouse.exporter.spool.appender import SpoolAppender, SpoolLimits
from spanhouse.exporter.spool.directory import SpoolDirectory
from spanhouse.exporter.spool.replay import replay
from spanhouse.exporter.spool.seen_requests import SeenRequests
from spanhouse.exporter.store.writer import Batch, Writer

LIMITS = SpoolLimits(spool_bytes=2**30, free_bytes=0, segment_spans=100, segment_bytes=2**20, linger_seconds=0, pause_seconds=0)


class OldWriter(Writer):
    """Stands for a version whose engine can't read one kind of request."""

    def insert(self, batch: Batch) -> list[ExportError | None]:
        outcomes = super().insert(batch.only([index for index, body in enumerate(batch.bodies) if b"newer" not in bytes(body)]))
        return [
            InvalidRequestError("the engine can't read this request") if b"newer" in bytes(body) else next(iter(outcomes)) for body in batch.bodies
        ]


def drain(directory: Path, store: TestStore, writer: type[Writer], *requests: bytes) -> None:
    root = SpoolDirectory.open(directory, "test")
    log = SpoolAppender.open(directory, 0, LIMITS)
    if requests:
        assert not any(log.append([CheckedRequest(body, 1) for body in requests]))
    log.close()
    drained = Drain(root, writer(store.client, SeenRequests.load(directory)), batch_bytes=2**20)
    drained.start()
    drained.stop(60)
    root.close()


def names(store: TestStore) -> list[str]:
    return sorted(row["SpanName"] for row in store.rows("SELECT SpanName FROM otel_traces"))


def test_a_dead_letter_is_stored_once_when_it_is_replayed(store: TestStore, tmp_path: Path) -> None:
    bodies = [request([span(name)]).SerializeToString() for name in ("old", "newer")]
    drain(tmp_path, store, OldWriter, *bodies)
    (letter,) = (tmp_path / "dead-letters").glob("*.otlp")
    assert letter.read_bytes() == bodies[1]
    assert "can't read" in letter.with_suffix(".json").read_text()
    assert names(store) == ["old"]

    said = subprocess.run(
        [sys.executable, "-m", "spanhouse.cli", "store", "replay", "--spool", str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert f"{tmp_path}: 1;" in said.stdout, said.stderr
    assert list((tmp_path / "dead-letters").iterdir()) == []
    for _ in range(2):
        drain(tmp_path, store, Writer)
    assert names(store) == ["newer", "old"]


def test_a_letter_that_still_cannot_be_stored_returns(store: TestStore, tmp_path: Path) -> None:
    body = request([span("newer")]).SerializeToString()
    drain(tmp_path, store, OldWriter, body)
    assert replay(tmp_path) == 1
    drain(tmp_path, store, OldWriter)
    (letter,) = (tmp_path / "dead-letters").glob("*.otlp")
    assert letter.read_bytes() == body


def test_a_request_over_hundreds_of_days_is_set_aside_and_costs_its_neighbours_nothing(store: TestStore, tmp_path: Path) -> None:
    day_ns = 86_400 * 10**9
    many = request([span(f"day {day}", start_ns=day * day_ns) for day in range(401)]).SerializeToString()
    neighbour = request([span("neighbour")]).SerializeToString()
    drain(tmp_path, store, Writer, many, neighbour)
    assert names(store) == ["neighbour"]
    (letter,) = (tmp_path / "dead-letters").glob("*.otlp")
    assert letter.read_bytes() == many
    assert "more than 400 different days" in letter.with_suffix(".json").read_text()
