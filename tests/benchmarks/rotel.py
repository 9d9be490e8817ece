"""The Rust collector ``rotel`` beside us: it receives the same requests and encodes them for ClickHouse, into a sink that only reads.

All is its default (200 ms or 8192 spans a batch, LZ4, asynchronous inserts), but that its address and its exporter are given. It
acknowledges from memory, before it has sent anything. Afterwards the sink's bytes are unpacked and searched for what every span has once.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import lz4.block
from tests.benchmarks.processes import wait_until_quiet
from tests.support.environment import interpreter

REQUIREMENT = "rotel==0.0.1a15"
"""The newest version there is."""
_BLOCK_HEAD = 25
"""Of a compressed block: checksum 16, method 1, compressed size with this 9 bytes 4, plain size 4."""


@dataclass(frozen=True)
class Rotel:
    """A collector that runs."""

    pid: int
    grpc: str
    http: str
    received: Path

    def spans(self, mark: bytes) -> int:
        """How many spans came out of it: each has the mark once."""
        return sum(unpacked(path.read_bytes()).count(mark) for path in self.received.glob("*.insert"))

    def wait(self) -> None:
        """Wait until it has sent all."""
        wait_until_quiet(self.pid)


@contextmanager
def rotel(directory: Path) -> Iterator[Rotel]:
    """The collector and its sink."""
    (agent,) = Path(interpreter("rotel", REQUIREMENT)).parents[1].glob("lib/python*/site-packages/rotel/rotel-agent")
    ports = [_free_port() for _ in range(3)]
    at = [f"127.0.0.1:{port}" for port in ports]
    sink = [sys.executable, "-m", "tests.benchmarks.sink", str(directory), str(ports[2])]
    command = [str(agent), "start", "--otlp-grpc-endpoint", at[0], "--otlp-http-endpoint", at[1]]
    command += ["--exporter", "clickhouse", "--clickhouse-exporter-endpoint", f"http://{at[2]}"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ROTEL_")}
    with (directory / "rotel.log").open("w") as log, subprocess.Popen(sink) as reader:
        try:
            _wait_until_open(ports[2])
            with subprocess.Popen(command, stdout=log, stderr=log, cwd=directory, env=clean) as collector:
                try:
                    _wait_until_open(ports[0])
                    yield Rotel(collector.pid, at[0], at[1], directory)
                finally:
                    collector.terminate()
        finally:
            reader.terminate()


def unpacked(data: bytes) -> bytes:
    """Return the rows of an insert that came compressed."""
    plain = []
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at + 17 : at + 21], "little")
        length = int.from_bytes(data[at + 21 : at + 25], "little")
        plain.append(lz4.block.decompress(data[at + _BLOCK_HEAD : at + 16 + size], uncompressed_size=length))
        at += 16 + size
    return b"".join(plain)


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


def _wait_until_open(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, f"nothing listens on port {port}"
            time.sleep(0.05)
        else:
            return
