"""CPU per span of the whole write path: a real `serve` process, its engine included, fed over real sockets.

Usage: python -m tests.benchmarks.write_path [--spans N]
"""

from __future__ import annotations

import argparse
import http.client
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import clickhouse_connect
import grpc
from tests.support.serve import Serve
from tests.support.standard_load import standard_request

_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_CLIENTS = 64
_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")

Send = Callable[[bytes], None]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_SECONDS


def anonymous_megabytes(pid: int) -> float:
    """RssAnon of a process."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return int(lines["RssAnon"].split()[0]) / 1024


def over_grpc(serve: Serve) -> Send:
    channel = grpc.insecure_channel(serve.grpc)
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_EXPORT)

    def send(body: bytes) -> None:
        assert call(body) == b""

    return send


def over_http(serve: Serve) -> Send:
    def send(body: bytes) -> None:
        connection = http.client.HTTPConnection(serve.http)
        connection.request("POST", "/v1/traces", body, {"content-type": "application/x-protobuf"})
        response = connection.getresponse()
        assert response.status == 200, response.read()
        connection.close()

    return send


def wait_until_quiet(pid: int) -> None:
    """Wait until background merges have come to rest: less than a tenth of a core over a second."""
    before = cpu_seconds(pid)
    while True:
        time.sleep(1)
        now = cpu_seconds(pid)
        if now - before < 0.1:
            return
        before = now


def stored(serve: Serve) -> int:
    client = clickhouse_connect.get_client(dsn=serve.dsn)
    count = int(client.command("SELECT count() FROM otel_traces"))  # type: ignore[arg-type]
    client.close()
    return count


def measure(name: str, connect: Callable[[Serve], Send], spans: int, bodies: Sequence[bytes]) -> None:
    with tempfile.TemporaryDirectory() as directory, Serve(Path(directory)) as serve:
        send = connect(serve)
        send(standard_request(8, seed=10**9))
        before, begun = cpu_seconds(serve.process.pid), time.monotonic()
        with ThreadPoolExecutor(_CLIENTS) as clients:
            list(clients.map(send, bodies))
        acknowledged = time.monotonic() - begun
        serve.drained()
        wait_until_quiet(serve.process.pid)
        used = cpu_seconds(serve.process.pid) - before
        assert stored(serve) == spans * len(bodies) + 8
        total = spans * len(bodies)
        print(
            f"| {name} | {total} | {used / total * 1e6:.1f} | {total / acknowledged:,.0f} | {anonymous_megabytes(serve.process.pid):.0f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=400_000, help="spans per row of the table; an eighth of it for small requests")
    wanted = parser.parse_args().spans
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; {_CLIENTS} clients on the same cores")
    print("| requests | spans | CPU µs/span | acknowledged spans/s | RssAnon MB |\n| --- | --- | --- | --- | --- |")
    for size, total in ((512, wanted), (8, wanted // 8)):
        bodies = [standard_request(size, seed) for seed in range(total // size)]
        for transport, connect in (("gRPC", over_grpc), ("HTTP", over_http)):
            measure(f"{size} spans, {transport}", connect, size, bodies)


if __name__ == "__main__":
    main()
