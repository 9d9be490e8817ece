"""A large store is pushed into a second engine, killed half-way and resumed, and arrives equal.

Usage: python -m tests.benchmarks.push [--spans N]

`serve` owns the store meanwhile. The second engine stands behind the tests' writable endpoint. Prints how long the two runs took, how many
spans a second that is, and the memory of the command at its peak.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.serve import Serve
from tests.support.standard_load import standard_request

from spanhouse.exporter.store.open_store import OpenStore
from spanhouse.schema.address.dsn import parse_store
from spanhouse.schema.tables import migrations

_COMMAND = (sys.executable, "-m", "spanhouse.cli")
_FIRST = 40_000
_SIZE = 500
_AGAIN = """INSERT INTO otel_traces SELECT * REPLACE (
    Timestamp - INTERVAL {times:UInt32} HOUR AS Timestamp,
    lower(hex(sipHash128(TraceId, {times:UInt32}))) AS TraceId,
    lower(hex(sipHash64(SpanId, {times:UInt32}))) AS SpanId,
    if(ParentSpanId = '', '', lower(hex(sipHash64(ParentSpanId, {times:UInt32})))) AS ParentSpanId)
FROM (SELECT * FROM otel_traces WHERE Timestamp > {after:DateTime64(9)})
SETTINGS insert_deduplicate = 0"""
_COMPARED = (
    "SELECT count(), sum(cityHash64(*)) FROM otel_traces",
    "SELECT count(), sum(SpanCount), sum(cityHash64(TraceId, Timestamp, Name, State, Duration)) FROM traces",
)


def fill(directory: str, spans: int) -> None:
    """Make a store with so many spans, 40,000 an hour; run in a process of its own, which has the engine for itself."""
    now_ns = time.time_ns() // (3600 * 10**9) * 3600 * 10**9
    with OpenStore.open(parse_store(f"chdb://{directory}")) as store:
        body = b"".join(standard_request(_SIZE, seed, now_ns=now_ns) for seed in range(_FIRST // _SIZE))
        store.client.raw_insert("otlp_requests", insert_block=body, fmt="ProtobufSingle", settings=migrations.otlp_insert_settings())
        after = store.client.query("SELECT toString(min(Timestamp) - INTERVAL 1 SECOND) FROM otel_traces").first_row
        for times in range(1, spans // _FIRST):
            store.client.command(_AGAIN, parameters={"times": times, "after": after[0] if after else ""})


def push(dsn: str, env: dict[str, str], *, windows: int | None) -> tuple[float, float, str]:
    """Run the command, and kill it after so many windows; gives seconds, its RSS in MB at the peak, and what it said last."""
    begun = time.monotonic()
    with subprocess.Popen([*_COMMAND, "store", "push", dsn], stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        last = ""
        for number, line in enumerate(process.stdout, start=1):
            last = line.strip()
            if number == windows:
                process.kill()
                break
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == (0 if windows is None else -9), last
    return time.monotonic() - begun, used.ru_maxrss / 1024, last


def compared(client: Client) -> list[object]:
    return [client.query(query).first_row for query in _COMPARED]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=1_000_000, help="spans of the store, a multiple of 40,000")
    parser.add_argument("--fill", metavar="DIR", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fill:
        fill(options.fill, options.spans)
        return
    with tempfile.TemporaryDirectory() as directory:
        data, spans = Path(directory, "data"), str(options.spans)
        subprocess.run([sys.executable, "-m", "tests.benchmarks.push", "--spans", spans, "--fill", str(data / "store")], check=True)
        with Serve(data) as serve, ClickHouseServer(Path(directory, "server")) as server:
            subprocess.run([*_COMMAND, "migrate", "--store", server.dsn], check=True, stdout=subprocess.DEVNULL)
            runs = [push(server.dsn, serve.env, windows=windows) for windows in (options.spans // _FIRST // 2, None)]
            clients = [clickhouse_connect.get_client(dsn=dsn, autogenerate_session_id=False) for dsn in (serve.dsn, server.dsn)]
            here, there = (compared(client) for client in clients)
            for client in clients:
                client.close()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {runs[-1][2]}")
    for name, (seconds, megabytes, _) in zip(("killed half-way", "resumed"), runs, strict=True):
        print(f"{name}: {seconds:.1f} s, {options.spans / 2 / seconds:,.0f} spans/s, RSS at most {megabytes:.0f} MB")
    print(f"here {here}, there {there}")
    assert here == there


if __name__ == "__main__":
    main()
