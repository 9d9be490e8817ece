"""Prometheus metrics of the write path. Every metric that an operator can see is declared here and nowhere else."""

from __future__ import annotations

import os
import platform
import re
from functools import cache
from importlib.metadata import version
from typing import Final, Literal

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

Transport = Literal["grpc", "http"]

REQUESTS: Final = Counter("spanhouse_requests", "Requests acknowledged in full or in part.", ["transport"])
SPANS: Final = Counter("spanhouse_spans", "Spans acknowledged.", ["transport"])
REFUSED_REQUESTS: Final = Counter("spanhouse_refused_requests", "Requests answered with an error.", ["transport", "reason"])
REJECTED_SPANS: Final = Counter("spanhouse_rejected_spans", "Spans left out of an acknowledged request, named in partial_success.", ["reason"])
CUT_VALUES: Final = Counter(
    "spanhouse_cut_values", "Attribute keys and values cut to a limit; texts that were not UTF-8 have the limit utf8.", ["limit"]
)

SPOOL_BYTES: Final = Gauge("spanhouse_spool_bytes", "Bytes in the spool: acknowledged and not yet stored, or put aside.", multiprocess_mode="livemax")
SPOOL_AGE_SECONDS: Final = Gauge(
    "spanhouse_spool_age_seconds", "Age of the oldest request acknowledged and not yet stored.", multiprocess_mode="livemax"
)
SYNC_SECONDS: Final = Histogram(
    "spanhouse_spool_sync_seconds", "Time of one write and fsync of the spool.", buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2)
)
CORRUPT_RECORDS: Final = Counter("spanhouse_spool_corrupt_records", "Records of the spool that were damaged on disk and put aside.")

BATCH_SPANS: Final = Histogram("spanhouse_batch_spans", "Spans in an insert.", buckets=(10, 100, 1_000, 5_000, 10_000, 20_000, 50_000, 100_000))
INSERT_SECONDS: Final = Histogram("spanhouse_insert_seconds", "Time of one insert.", buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30))
FAILED_INSERTS: Final = Counter("spanhouse_failed_inserts", "Inserts that the store refused; they are tried again.", ["reason"])
LAG_SECONDS: Final = Histogram(
    "spanhouse_lag_seconds", "Time from a batch's first acknowledgement until it can be searched.", buckets=(0.1, 0.2, 0.5, 1, 2, 5, 10, 60, 600)
)
SETTLE_SECONDS: Final = Histogram(
    "spanhouse_settle_seconds", "Time of one round of merging into rows of traces.", buckets=(0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
)
FAILED_SETTLES: Final = Counter("spanhouse_failed_settles", "Rounds of merging that the store refused; they are tried again.")
REMADE_TRACES: Final = Counter("spanhouse_remade_traces", "Traces that were made anew from their spans: late, long, large or edited ones.")
UNSETTLED_TRACES: Final = Counter("spanhouse_unsettled_traces", "Traces that can't be merged; their spans are stored.")
RESENT_REQUESTS: Final = Counter("spanhouse_resent_requests", "Requests that had been acknowledged before and were not stored again.")
DEAD_LETTERS: Final = Counter("spanhouse_dead_letters", "Acknowledged requests that the store can't read, kept as dead letters.", ["reason"])

HTTP_CONNECTIONS: Final = Gauge("spanhouse_http_connections", "Open connections of an HTTP listener.", ["listener"], multiprocess_mode="livesum")
REFUSED_CONNECTIONS: Final = Counter("spanhouse_refused_connections", "Connections closed at once, since as many as allowed were open.", ["listener"])
BUILD: Final = Gauge("spanhouse_build_info", "Always 1; its labels say what runs.", ["version", "python"], multiprocess_mode="max")


def acknowledged(transport: Transport, spans: int) -> None:
    """Count an acknowledged request and its spans."""
    requests, stored = _acknowledged(transport)
    requests.inc()
    stored.inc(spans)


def refused(transport: Transport, error: Exception) -> None:
    """Count a request answered with an error. The reason is the name of the error's class: ``too_large`` for TooLargeError."""
    _refused(transport, type(error).__name__).inc()


def exposition(accept: str) -> tuple[bytes, str]:
    """Return all metrics for a scrape.

    Args:
        accept: the scraper's Accept header.

    Returns:
        The text and its content type.
    """
    encode, content_type = choose_encoder(accept)
    BUILD.labels(version("spanhouse"), platform.python_version()).set(1)
    return encode(registry()), content_type


def registry() -> CollectorRegistry:
    """Return the metrics of all processes of this server."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    every = CollectorRegistry()
    MultiProcessCollector(every)  # type: ignore[no-untyped-call]
    return every


@cache  # looking a metric up by its labels costs more than counting
def _acknowledged(transport: Transport) -> tuple[Counter, Counter]:
    return REQUESTS.labels(transport), SPANS.labels(transport)


@cache
def _refused(transport: Transport, kind: str) -> Counter:
    return REFUSED_REQUESTS.labels(transport, re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.removesuffix("Error")).lower())
