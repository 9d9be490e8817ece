"""What `serve` is told: where the spans go and which addresses it listens on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from spanhouse.exporter.address import OFF, Address, ConfigError
from spanhouse.exporter.clickhouse_http.query_log import Logged
from spanhouse.exporter.clickhouse_http.query_settings import DEFAULT_MEMORY_BYTES
from spanhouse.exporter.logs import LogFormat
from spanhouse.exporter.otlp.request_limits import DEFAULT_LIMITS, Limits
from spanhouse.exporter.spool.appender import SpoolLimits
from spanhouse.schema.address.dsn import Store, default_spool
from spanhouse.schema.address.embedded import DEFAULT_BOUNDS, Bounds

_MOST_PROCESSES: Final = 64
_LEAST_ENGINE_BYTES: Final = 2**30
"""The engine counts all of its process; the largest insert and the merges beside it take half of this."""
_LEAST_QUERY_BYTES: Final = 2**26
"""Two queries at once, each with what a search over many traces takes."""


class Ack(StrEnum):
    """When a request is acknowledged."""

    SPOOL = "spool"
    """When it is on the disk of the spool, fsync included."""
    STORE = "store"
    """When the store has it: for receivers without a disk of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeConfig:
    """Options of `serve`. Addresses are ``HOST:PORT``, port 0 for any free one, or ``off``.

    Attributes:
        store: where spans are kept.
        grpc: OTLP over gRPC.
        http: OTLP over HTTP.
        clickhouse_http: the ClickHouse-compatible endpoint; for an embedded store only.
        query_memory_bytes: of the engine's memory, what all queries there take together.
        query_log: what ``STORE-queries.jsonl``, beside an embedded store, says of the statements that were asked there.
        console: web console and JSON API.
        token_file: who may do what; without it every listener keeps to loopback addresses, OTLP's unless ``tls_client_ca`` is set.
        tls_cert, tls_key: PEM files for TLS: always for OTLP, for the console and the ClickHouse-compatible endpoint beyond loopback addresses.
        tls_client_ca: PEM file of the CAs whose client certificates OTLP asks for.
        cors_origins: web pages that may send OTLP over HTTP, as origins separated by commas; ``*`` for all.
        max_request_bytes: largest OTLP request, before and after decompression. The OTLP specification recommends 64 MiB.
        limits: on what a request may hold.
        ack: when a request is acknowledged.
        spool: directory of the spool; by default ``STORE-spool`` beside an embedded store, else ``spool`` in the data directory.
        spool_bytes: requests are refused as retryable when so much waits to be stored,
        spool_free_bytes: or when the spool's disk has no more than this left.
        batch_spans, batch_bytes: an insert is begun when this much waits.
        batch_linger_seconds: or when a request has waited this long.
        waiting_bytes: requests that wait for an insert beyond this are refused as retryable, and so are HTTP bodies that arrive.
        processes: how many processes receive. More than one share the ports, and a further one owns the store and empties the spool.
        log_format, log_level: how problems are written to standard error, and from which level on (error, warning, info, debug).
        engine: memory and caches of an embedded engine.
        stop_seconds: how long a stop waits for calls under way; containers are given 10 seconds before they are killed.
    """

    store: Store
    grpc: str = "127.0.0.1:4317"
    http: str = "127.0.0.1:4318"
    clickhouse_http: str = "127.0.0.1:8123"
    query_memory_bytes: int = DEFAULT_MEMORY_BYTES
    query_log: Logged = Logged.SHAPE
    console: str = "127.0.0.1:8080"
    token_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    cors_origins: str = ""
    max_request_bytes: int = 64 * 2**20
    limits: Limits = DEFAULT_LIMITS
    ack: Ack = Ack.SPOOL
    spool: Path | None = None
    spool_bytes: int = 16 * 2**30
    spool_free_bytes: int = 2**30
    batch_spans: int = 30_000
    batch_bytes: int = 32 * 2**20
    batch_linger_seconds: float = 0.2
    waiting_bytes: int = 128 * 2**20
    processes: int = 1
    log_format: LogFormat = LogFormat.TEXT
    log_level: str = "warning"
    engine: Bounds = DEFAULT_BOUNDS
    stop_seconds: float = 8.0

    def validate(self) -> None:
        """Check the options against each other.

        Raises:
            ConfigError: names the option.
        """
        for option, text in self._listeners().items():
            address = Address.parse(text, f"--{option}")
            known_by_certificate = option in {"grpc", "http"} and self.tls_client_ca is not None
            if address is not None and not address.loopback and self.token_file is None and not known_by_certificate:
                needed = "--token-file or --tls-client-ca" if option in {"grpc", "http"} else "--token-file"
                raise ConfigError(f"--{option} {text}: listening beyond this machine needs {needed}; without it use 127.0.0.1:{address.port}")
        if (self.tls_cert is None) is not (self.tls_key is None):
            raise ConfigError("--tls-cert and --tls-key: a certificate and its private key go together; give both")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise ConfigError("--tls-client-ca: client certificates need TLS; give --tls-cert and --tls-key, too")
        if self.grpc == self.http == OFF:
            raise ConfigError("--grpc and --http are both off: nothing could be received")
        if not 1 <= self.processes <= _MOST_PROCESSES:
            raise ConfigError(f"--processes {self.processes}: from 1 to {_MOST_PROCESSES}")
        if self.processes > 1 and self.ack is Ack.STORE and self.store.embedded:
            raise ConfigError("--ack store: an embedded store takes one process; leave --processes out, or acknowledge from the spool")
        if self.engine.memory_bytes < _LEAST_ENGINE_BYTES:
            raise ConfigError(f"--engine-memory-bytes {self.engine.memory_bytes}: at least {_LEAST_ENGINE_BYTES}, or inserts fail")
        if not 0 < self.engine.cache_bytes <= self.engine.memory_bytes // 2:
            raise ConfigError(f"--engine-cache-bytes {self.engine.cache_bytes}: above 0 and at most half of --engine-memory-bytes")
        if not _LEAST_QUERY_BYTES <= self.query_memory_bytes <= self.engine.memory_bytes // 2:
            raise ConfigError(f"--query-memory-bytes {self.query_memory_bytes}: from {_LEAST_QUERY_BYTES} to half of --engine-memory-bytes")

    def over_tls(self, option: str) -> bool:
        """Whether ``console`` or ``clickhouse-http`` speaks TLS. On this machine they do not, so that clients reach them without a certificate."""
        address = Address.parse(self._listeners()[option], f"--{option}")
        return self.tls_cert is not None and address is not None and not address.loopback

    @property
    def spool_directory(self) -> Path:
        """Where the spool is."""
        return default_spool(self.store) if self.spool is None else self.spool.absolute()

    @property
    def spool_limits(self) -> SpoolLimits:
        """Bounds of the spool."""
        return SpoolLimits(
            spool_bytes=self.spool_bytes,
            free_bytes=self.spool_free_bytes,
            segment_spans=self.batch_spans,
            segment_bytes=self.batch_bytes,
            linger_seconds=self.batch_linger_seconds,
        )

    def _listeners(self) -> dict[str, str]:
        return {"grpc": self.grpc, "http": self.http, "clickhouse-http": self.clickhouse_http, "console": self.console}
