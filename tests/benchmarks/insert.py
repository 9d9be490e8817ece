"""CPU of inserts of the standard load into the real tables, and what each view, index, column and setting of them costs.

Variants take turns with the same bodies in one process, each on a database of its own, so that they meet the same neighbours. What counts
is the median of the differences to the tables as they are; of these there are two, whose difference is the noise. CPU time is that of the
process with all threads of the engine; merges are stopped meanwhile, and then all parts of a table are merged into one.

Usage: python -m tests.benchmarks.insert [--spans N] [--inserts N]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from tests.support.standard_load import standard_request

from spanhouse.schema.settle.settle import Settler
from spanhouse.schema.tables import migrations
from spanhouse.schema.tables.driver import execute_of

_REQUEST_SPANS: Final = 512
_INTERVAL_NS: Final = 20_000_000
"""Between the starts of two requests: 25,600 spans a second."""

AS_IT_IS: Final = "as it is"


def _without(table: str, *columns: str) -> tuple[str, ...]:
    return tuple(f"ALTER TABLE {table} DROP COLUMN {column}" for column in columns)


_SETTLE: Final = "settle"
"""Stands among the changes of a variant whose inserts are settled as well."""
_PARTS_VIEW: Final = "DROP VIEW spanhouse_spans_to_parts"

VARIANTS: Final[Mapping[str, tuple[str, ...]]] = {
    AS_IT_IS: (),
    "the same again": (),
    "and settled": (_SETTLE,),
    "parsing alone": ("DROP VIEW otlp_requests_to_otel_traces",),
    "without parts": (_PARTS_VIEW,),
    "otel_traces without idx_trace_id": ("ALTER TABLE otel_traces DROP INDEX idx_trace_id",),
    "otel_traces without idx_duration": ("ALTER TABLE otel_traces DROP INDEX idx_duration",),
    "otel_traces without dropped counts, schema URLs, scope attributes": _without(
        "otel_traces",
        *("DroppedAttributesCount", "DroppedEventsCount", "DroppedLinksCount"),
        *("ScopeAttributes", "ResourceSchemaUrl", "ScopeSchemaUrl"),
    ),
    "without fsync": tuple(
        f"ALTER TABLE {table} MODIFY SETTING fsync_after_insert = 0, fsync_part_directory = 0" for table in ("otel_traces", "spanhouse_trace_parts")
    ),
}


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@dataclass
class Measured:
    """CPU of single inserts, µs a span, and of one of one span after each, ms; of one merge of all parts, µs a span; bytes on disk."""

    inserts: list[float] = field(default_factory=list)
    fixed: list[float] = field(default_factory=list)
    merge: float = 0
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
        execute = execute_of(self.client)
        migrations.apply(execute)
        self._settler = Settler(execute) if _SETTLE in changes else None
        for change in changes:
            if change != _SETTLE:
                self.client.command(change)

    def insert(self, body: bytes) -> float:
        """Insert requests, settle them if the variant does, and return the CPU seconds."""
        settings = {**migrations.otlp_insert_settings(), "insert_deduplication_token": hashlib.sha256(body).hexdigest()}
        before = cpu()
        self.client.raw_insert("otlp_requests", insert_block=body, fmt="ProtobufSingle", settings=settings)
        if self._settler is not None:
            self._settler.settle()
        return cpu() - before

    def merge(self) -> float:
        """Merge all parts of each table into one and return the CPU seconds."""
        before = cpu()
        for table in ("otel_traces", "spanhouse_trace_parts"):
            self.client.command(f"OPTIMIZE TABLE {table} FINAL")
        return cpu() - before

    def bytes_a_row_of(self, table: str, counted: str) -> float:
        sql = f"SELECT (SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = '{self.name}' AND table = '{table}')"
        return float(self.client.query(f"{sql} / greatest(1, (SELECT {counted} FROM otel_traces))").result_rows[0][0])

    def drop(self) -> None:
        self.client.command(f"DROP DATABASE {self.name} SYNC")
        self.client.close()


def measure(store: Path, bodies: list[bytes], tiny: list[bytes], spans: int) -> dict[str, Measured]:
    every = {name: Tables(store, f"variant_{place}", changes) for place, (name, changes) in enumerate(VARIANTS.items())}
    found = {name: Measured() for name in VARIANTS}
    for tables in every.values():
        tables.client.command("SYSTEM STOP MERGES")
        tables.insert(tiny[0])
    for number, (body, one) in enumerate(zip(bodies, tiny[1:], strict=True)):
        turn = list(every)[:: 1 if number % 2 else -1]
        for name in turn:
            found[name].inserts.append(every[name].insert(body) / spans * 1e6)
        for name in turn:
            found[name].fixed.append(every[name].insert(one) * 1e3)
    for name, tables in every.items():
        tables.client.command("SYSTEM START MERGES")
        found[name].merge = tables.merge() / spans / len(bodies) * 1e6
        found[name].trace_bytes = tables.bytes_a_row_of("spanhouse_trace_rows", "uniqExact(TraceId)")
        found[name].span_bytes = tables.bytes_a_row_of("otel_traces", "count()")
        tables.drop()
    return found


def paired(values: Sequence[float], others: Sequence[float]) -> float:
    return statistics.median(one - other for one, other in zip(values, others, strict=True))


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
    parser.add_argument("--inserts", type=int, default=9, help="inserts of a variant")
    wanted = parser.parse_args()
    requests = wanted.spans // _REQUEST_SPANS
    now_ns = time.time_ns()
    every = [standard_request(_REQUEST_SPANS, seed, now_ns=now_ns + seed * _INTERVAL_NS) for seed in range(requests * wanted.inserts)]
    bodies = [b"".join(every[begin : begin + requests]) for begin in range(0, len(every), requests)]
    tiny = [standard_request(1, 10**6 + number) for number in range(wanted.inserts + 1)]
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        store = Path(directory) / "store"
        spans = requests * _REQUEST_SPANS
        total = running(store, bodies, spans)
        print(f"{spans} spans an insert, {len(bodies)} inserts; with merges as they come: {total:.1f} µs a span")
        print("| tables | insert, least, µs/span | paired | insert of 1 span, least, ms | paired | one merge, µs/span | bytes/span | bytes/trace |")
        print("| --- " * 8 + "|")
        found = measure(store, bodies, tiny, spans)
        base = found[AS_IT_IS]
        for name, it in found.items():
            print(
                f"| {name} | {min(it.inserts):.1f} | {paired(it.inserts, base.inserts):+.2f} | {min(it.fixed):.0f} |"
                f" {paired(it.fixed, base.fixed):+.1f} | {it.merge:.1f} | {it.span_bytes:.1f} | {it.trace_bytes:.1f} |"
            )


if __name__ == "__main__":
    main()
