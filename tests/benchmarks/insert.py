"""CPU of inserts of the standard load into the real tables, merges included, and what each view, index and setting of them costs.

Variants take turns in one process, each on a database of its own, so that they meet the same neighbours; what counts is the least of
each. CPU time is that of the process with all threads of the engine.

Usage: python -m tests.benchmarks.insert [--spans N] [--inserts N] [--rounds N]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from tests.support.standard_load import standard_request

from spanhouse.schema import migrations

_REQUEST_SPANS: Final = 512
_INTERVAL_NS: Final = 20_000_000
"""Between the starts of two requests: 25,600 spans a second."""

VARIANTS: Final[Mapping[str, tuple[str, ...]]] = {
    "as it is": (),
    "parsing alone": ("DROP VIEW otlp_requests_to_otel_traces",),
    "without trace_carriers": ("DROP VIEW otel_traces_to_trace_carriers",),
    "without idx_trace_id": ("ALTER TABLE otel_traces DROP INDEX idx_trace_id",),
    "without idx_duration": ("ALTER TABLE otel_traces DROP INDEX idx_duration",),
    "without idx_trace_id of trace_carriers": ("ALTER TABLE trace_carriers DROP INDEX idx_trace_id",),
    "without columns of hot keys": tuple(
        f"ALTER TABLE trace_carriers DROP COLUMN {column}"
        for column in ("SourceType", "AppVersion", "GitCommit", "GitBranch", "ModelId", "SessionId", "UserId", "Own")
    ),
    "without fsync": (
        "ALTER TABLE otel_traces MODIFY SETTING fsync_after_insert = 0, fsync_part_directory = 0",
        "ALTER TABLE trace_carriers MODIFY SETTING fsync_after_insert = 0, fsync_part_directory = 0",
    ),
    "wide parts": (
        "ALTER TABLE otel_traces MODIFY SETTING min_bytes_for_wide_part = 0",
        "ALTER TABLE trace_carriers MODIFY SETTING min_bytes_for_wide_part = 0",
    ),
}


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@dataclass
class Measured:
    """CPU of single inserts and of one merge of all of a round's parts, µs a span; of an insert of one span, ms; bytes on disk."""

    inserts: list[float] = field(default_factory=list)
    merges: list[float] = field(default_factory=list)
    fixed: list[float] = field(default_factory=list)
    span_bytes: float = 0
    trace_bytes: float = 0


class Tables:
    """The tables in a database of their own, changed by some statements."""

    def __init__(self, store: Path, name: str, changes: tuple[str, ...]) -> None:
        admin = clickhouse_connect.get_client(dsn=f"chdb://{store}")
        admin.command(f"CREATE DATABASE {name}")
        admin.close()
        self.name = name
        self.client: Client = clickhouse_connect.get_client(dsn=f"chdb://{store}?database={name}")
        migrations.apply(lambda sql, parameters=None, /: self.client.query(sql, parameters=dict(parameters or {})).result_rows)
        for change in changes:
            self.client.command(change)

    def insert(self, body: bytes) -> float:
        """Insert requests and return the CPU seconds."""
        settings = {**migrations.otlp_insert_settings(), "insert_deduplication_token": hashlib.sha256(body).hexdigest()}
        before = cpu()
        self.client.raw_insert("otlp_requests", insert_block=body, fmt="ProtobufSingle", settings=settings)
        return cpu() - before

    def merge(self) -> float:
        """Merge all parts of each table into one and return the CPU seconds."""
        before = cpu()
        for table in ("otel_traces", "trace_carriers"):
            self.client.command(f"OPTIMIZE TABLE {table} FINAL")
        return cpu() - before

    def bytes_a_row_of(self, table: str, counted: str) -> float:
        sql = f"SELECT (SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = '{self.name}' AND table = '{table}')"
        return float(self.client.query(f"{sql} / greatest(1, (SELECT {counted} FROM otel_traces))").result_rows[0][0])

    def drop(self) -> None:
        self.client.command(f"DROP DATABASE {self.name} SYNC")
        self.client.close()


def measure(store: Path, bodies: list[bytes], tiny: list[bytes], spans: int, rounds: int) -> dict[str, Measured]:
    found = {name: Measured() for name in VARIANTS}
    for number in range(rounds):
        for place, (name, changes) in enumerate(VARIANTS.items()):
            tables, measured = Tables(store, f"r{number}_{place}", changes), found[name]
            tables.client.command("SYSTEM STOP MERGES")
            tables.insert(tiny[0])
            measured.fixed += [tables.insert(body) * 1e3 for body in tiny[1:]]
            measured.inserts += [tables.insert(body) / spans * 1e6 for body in bodies]
            measured.trace_bytes = tables.bytes_a_row_of("trace_carriers", "uniqExact(TraceId)")
            measured.span_bytes = tables.bytes_a_row_of("otel_traces", "count()")
            tables.client.command("SYSTEM START MERGES")
            measured.merges.append(tables.merge() / spans / len(bodies) * 1e6)
            tables.drop()
    return found


def running(store: Path, bodies: list[bytes], spans: int) -> float:
    """CPU µs a span of inserts with merges as they come, until they are done."""
    tables = Tables(store, "running", ())
    tables.insert(standard_request(1, 10**8))
    before = cpu()
    for body in bodies:
        tables.insert(body)
    last = cpu()
    while True:
        time.sleep(0.5)
        merging = int(tables.client.command("SELECT count() FROM system.merges"))  # type: ignore[arg-type]
        if not merging and cpu() - last < 0.05:
            break
        last = cpu()
    tables.drop()
    return (last - before) / spans / len(bodies) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=20_480, help="spans of an insert")
    parser.add_argument("--inserts", type=int, default=5, help="inserts of a variant in a round")
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    requests = wanted.spans // _REQUEST_SPANS
    now_ns = time.time_ns()
    every = [standard_request(_REQUEST_SPANS, seed, now_ns=now_ns + seed * _INTERVAL_NS) for seed in range(requests * wanted.inserts)]
    bodies = [b"".join(every[begin : begin + requests]) for begin in range(0, len(every), requests)]
    tiny = [standard_request(1, 10**6 + number) for number in range(4)]
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        store = Path(directory) / "store"
        spans = requests * _REQUEST_SPANS
        total = running(store, bodies, spans)
        print(f"{spans} spans an insert, {len(bodies)} inserts, least of {wanted.rounds} rounds; with merges as they come: {total:.1f} µs a span")
        print("| tables | insert, µs/span | one merge, µs/span | insert of 1 span, ms | bytes/span | bytes/trace |")
        print("| --- | --- | --- | --- | --- | --- |")
        for name, it in measure(store, bodies, tiny, spans, wanted.rounds).items():
            print(
                f"| {name} | {min(it.inserts):.1f} | {min(it.merges):.1f} | {min(it.fixed):.0f} | {it.span_bytes:.0f} | {it.trace_bytes:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
