"""Requests and limits for tests of the spool, and the spool with everything behind it, without transports."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from clickhouse_connect.driver.client import Client
from tests.support.otlp import request, span

from spanhouse.exporter.ingest.drain import Drain
from spanhouse.exporter.otlp.check import CheckedRequest
from spanhouse.exporter.spool.appender import SpoolAppender, SpoolLimits
from spanhouse.exporter.spool.directory import SpoolDirectory
from spanhouse.exporter.spool.seen_requests import SeenRequests
from spanhouse.exporter.spool.segment import Segment
from spanhouse.exporter.store.writer import Writer


def limits(
    *, spool_bytes: int = 2**30, free_bytes: int = 0, segment_spans: int = 1000, segment_bytes: int = 2**20, linger_seconds: float = 0
) -> SpoolLimits:
    return SpoolLimits(
        spool_bytes=spool_bytes,
        free_bytes=free_bytes,
        segment_spans=segment_spans,
        segment_bytes=segment_bytes,
        linger_seconds=linger_seconds,
        pause_seconds=0,
    )


def checked(*names: str) -> CheckedRequest:
    """A request with one span for each name."""
    return CheckedRequest(request([span(name) for name in names]).SerializeToString(), len(names))


def segments(root: Path) -> list[Segment]:
    """All sealed segments, in the order in which they are drained."""
    with closing(SpoolDirectory.open(root, "test")) as opened:
        return [Segment.open(path) for path in opened.sealed()]


def bodies(root: Path) -> list[bytes]:
    """The requests of all sealed segments, in their order."""
    return [bytes(segment.body(record)) for segment in segments(root) for record in segment.records]


def append(root: Path, *requests: CheckedRequest) -> None:
    """Put requests into a segment of their own."""
    log = SpoolAppender.open(root, 0, limits())
    assert not any(log.append(requests))
    log.close()


def drain(root: Path, client: Client, seconds: float = 60) -> Drain:
    """Store what the spool holds, as a server does that is started and stopped."""
    with closing(SpoolDirectory.open(root, "test")) as opened:
        drained = Drain(opened, Writer(client, SeenRequests.load(root)), batch_bytes=2**20)
        drained.start()
        drained.stop(seconds)
    return drained
