"""Configuration of `serve`: the one definition of each of its options, and the checks of one option against another.

The command line, the environment, the TOML file, completion and docs/options.md are derived from the fields. This module needs the standard
library alone, so that help loads no server.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Final

from spanhouse.exporter.address import OFF, Address, ConfigError
from spanhouse.exporter.clickhouse_http.query_log import Logged
from spanhouse.exporter.clickhouse_http.query_settings import DEFAULT_MEMORY_BYTES
from spanhouse.exporter.logs import LogFormat
from spanhouse.schema.address.dsn import Store, default_spool
from spanhouse.schema.address.embedded import DEFAULT_BOUNDS, Bounds

BATCH_SPANS: Final = 30_000
"""Spans that begin an insert, and seal a segment of the spool."""
BATCH_BYTES: Final = 32 * 2**20
"""Bytes of requests that begin an insert, and seal a segment of the spool."""
LINGER_SECONDS: Final = 0.2
"""Wait of a request before an insert begins, however small."""
WAITING_BYTES: Final = 128 * 2**20
"""Requests that wait for an insert beyond this are refused as retryable, and so are HTTP bodies that arrive."""
MAX_REQUEST_BYTES: Final = 64 * 2**20
"""Largest OTLP request, before and after decompression; the OTLP specification recommends 64 MiB."""
STOP_SECONDS: Final = 8.0
"""Wait of a stop for calls under way. Containers are given 10 seconds before they are killed."""

DESCRIPTION: Final = "description"
"""Key of a field's metadata: its ``Description``. A field without one is no option."""
_ADDRESS: Final = "HOST:PORT"
_LEAST_ENGINE_BYTES: Final = 2**30
"""The engine counts all of its process; the largest insert and the merges beside it take half of this."""
_LEAST_QUERY_BYTES: Final = 2**26
"""Two queries at once, each with the memory of a search over many traces."""


class Ack(StrEnum):
    """Moment at which a request is acknowledged."""

    SPOOL = "spool"
    """When it is on the disk of the spool, fsync included."""
    STORE = "store"
    """When the store has it: for receivers without a disk of their own."""


class LogLevel(StrEnum):
    """Least severity of a line of the log."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    DEBUG = "debug"


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """Text and bounds of an option, in the metadata of its field; name, type and default are the field's own.

    Attributes:
        help: purpose in one line, without the default.
        metavar: placeholder of the value in help texts; '' for the list of choices.
        shown_default: words for a default that does not speak for itself.
        least, most: bounds of a number, both allowed.
    """

    help: str
    metavar: str = ""
    shown_default: str = ""
    least: int | None = None
    most: int | None = None


def _described(text: str, metavar: str = "", *, shown_default: str = "", least: int | None = None, most: int | None = None) -> dict[str, Description]:
    return {DESCRIPTION: Description(help=text, metavar=metavar, shown_default=shown_default, least=least, most=most)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeConfig:
    """Options of `serve`: each field but ``store`` is one, described by its metadata.

    Attributes:
        store: place where spans are kept, read from the option ``--store`` that all verbs share.
    """

    store: Store
    grpc: str = field(
        default="127.0.0.1:4317",
        metadata=_described("listen for OTLP over gRPC at this address; port 0 takes a free port, off disables it", _ADDRESS),
    )
    http: str = field(
        default="127.0.0.1:4318",
        metadata=_described("listen for OTLP over HTTP at this address; port 0 takes a free port, off disables it", _ADDRESS),
    )
    clickhouse_http: str = field(
        default="127.0.0.1:8123",
        metadata=_described(
            "answer read-only queries of an embedded store over ClickHouse's HTTP at this address; port 0 takes a free port, off disables it",
            _ADDRESS,
        ),
    )
    query_memory_bytes: int = field(
        default=DEFAULT_MEMORY_BYTES,
        metadata=_described(
            "memory that all queries at --clickhouse-http take together, part of --engine-memory-bytes", "BYTES", least=_LEAST_QUERY_BYTES
        ),
    )
    query_log: Logged = field(
        default=Logged.SHAPE,
        metadata=_described(
            "log of the queries at --clickhouse-http, in STORE-queries.jsonl: none (off), statements without values (shape) or with them (full)"
        ),
    )
    console: str = field(
        default="127.0.0.1:8080",
        metadata=_described("serve the console and the HTTP API at this address; port 0 takes a free port, off disables it", _ADDRESS),
    )
    spool: Path | None = field(
        default=None,
        metadata=_described(
            "directory in which acknowledged requests wait for the store",
            "DIR",
            shown_default="STORE-spool beside an embedded store, else spool in the data directory",
        ),
    )
    spool_bytes: int = field(
        default=16 * 2**30, metadata=_described("refuse requests (retryable) when the spool holds more bytes than this", "BYTES")
    )
    spool_free_bytes: int = field(
        default=2**30,
        metadata=_described("refuse requests (retryable) when the spool's disk has fewer free bytes than this", "BYTES"),
    )
    processes: int = field(
        default=1, metadata=_described("number of processes that receive; they share the ports of --grpc and --http", "N", least=1, most=64)
    )
    ack: Ack = field(
        default=Ack.SPOOL,
        metadata=_described("acknowledge a request when it is on the spool's disk, or when the store has it (for machines without a disk)"),
    )
    engine_memory_bytes: int = field(
        default=DEFAULT_BOUNDS.memory_bytes,
        metadata=_described("most memory that the engine of an embedded store takes", "BYTES", least=_LEAST_ENGINE_BYTES),
    )
    engine_cache_bytes: int = field(
        default=DEFAULT_BOUNDS.cache_bytes,
        metadata=_described("most memory that caches of an embedded store take, part of --engine-memory-bytes", "BYTES", least=1),
    )
    token_file: Path | None = field(
        default=None,
        metadata=_described(
            "file of the tokens that clients need, one name:sha256-of-token[:rights] a line",
            "FILE",
            shown_default="none, which keeps listeners to loopback",
        ),
    )
    tls_cert: Path | None = field(
        default=None, metadata=_described("PEM file of the server's certificate, followed by intermediate ones", "FILE", shown_default="none, no TLS")
    )
    tls_key: Path | None = field(
        default=None, metadata=_described("PEM file of the private key of --tls-cert, not encrypted", "FILE", shown_default="none, no TLS")
    )
    tls_client_ca: Path | None = field(
        default=None,
        metadata=_described("PEM file of the CAs whose client certificates OTLP clients need", "FILE", shown_default="none, no client certificates"),
    )
    cors_origins: str = field(
        default="",
        metadata=_described(
            "origins of web pages that may send OTLP over HTTP: https://app.example.com,... or * for all", "ORIGINS", shown_default="none"
        ),
    )
    log_format: LogFormat = field(default=LogFormat.TEXT, metadata=_described("form of the log's lines on standard error"))
    log_level: LogLevel = field(default=LogLevel.WARNING, metadata=_described("least severity that is logged"))

    def validate(self) -> None:
        """Check the options by themselves and against each other.

        Raises:
            ConfigError: names the option.
        """
        self._check_bounds()
        self._check_listeners()
        self._check_tls()
        if self.processes > 1 and self.ack is Ack.STORE and self.store.embedded:
            raise ConfigError("--ack store: an embedded store takes one process; leave --processes out, or acknowledge from the spool")
        if self.engine_cache_bytes > self.engine_memory_bytes // 2:
            raise ConfigError(f"--engine-cache-bytes {self.engine_cache_bytes}: at most half of --engine-memory-bytes")
        if self.query_memory_bytes > self.engine_memory_bytes // 2:
            raise ConfigError(f"--query-memory-bytes {self.query_memory_bytes}: at most half of --engine-memory-bytes")

    def over_tls(self, option: str) -> bool:
        """Return whether ``console`` or ``clickhouse-http`` speaks TLS: beyond loopback only, so that local clients need no certificate."""
        address = Address.parse(self._listeners()[option], f"--{option}")
        return self.tls_cert is not None and address is not None and not address.loopback

    @property
    def engine(self) -> Bounds:
        """Memory and caches of an embedded engine."""
        return Bounds(memory_bytes=self.engine_memory_bytes, cache_bytes=self.engine_cache_bytes)

    @property
    def spool_directory(self) -> Path:
        """Directory of the spool."""
        return default_spool(self.store) if self.spool is None else self.spool.absolute()

    def _check_bounds(self) -> None:
        for each in fields(self):
            description = each.metadata.get(DESCRIPTION)
            if isinstance(description, Description) and (outside := out_of_bounds(getattr(self, each.name), description.least, description.most)):
                raise ConfigError(f"--{each.name.replace('_', '-')} {getattr(self, each.name)}: {outside}")

    def _check_listeners(self) -> None:
        for option, text in self._listeners().items():
            address = Address.parse(text, f"--{option}")
            known_by_certificate = option in {"grpc", "http"} and self.tls_client_ca is not None
            if address is not None and not address.loopback and self.token_file is None and not known_by_certificate:
                needed = "--token-file or --tls-client-ca" if option in {"grpc", "http"} else "--token-file"
                raise ConfigError(f"--{option} {text}: listening beyond this machine needs {needed}; without it use 127.0.0.1:{address.port}")
        if self.grpc == self.http == OFF:
            raise ConfigError("--grpc and --http are both off: nothing could be received")

    def _check_tls(self) -> None:
        if (self.tls_cert is None) is not (self.tls_key is None):
            raise ConfigError("--tls-cert and --tls-key: a certificate and its private key go together; give both")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise ConfigError("--tls-client-ca: client certificates need TLS; give --tls-cert and --tls-key, too")

    def _listeners(self) -> dict[str, str]:
        return {"grpc": self.grpc, "http": self.http, "clickhouse-http": self.clickhouse_http, "console": self.console}


def out_of_bounds(value: object, least: float | None, most: float | None) -> str:
    """Return the bounds in words if a number lies outside them; '' otherwise, and for values that are no numbers."""
    if not isinstance(value, int | float) or ((least is None or value >= least) and (most is None or value <= most)):
        return ""
    return f"at least {least}" if most is None else f"from {least} to {most}"
