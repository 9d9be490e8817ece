"""However the server ends, what it acknowledged is there when it is started again, once."""

from __future__ import annotations

import http.client
import signal
import threading
import time
from contextlib import closing
from pathlib import Path

import clickhouse_connect
import grpc
import pytest
from tests.benchmarks.processes import cpu_seconds
from tests.support.otlp import request, span
from tests.support.receiver import EXPORT
from tests.support.serve import Serve

CLIENTS = 8
ENOUGH = 60
"""Acknowledged requests after which the server is ended, so that it is in the midst of inserts."""


class Load:
    """Clients that send numbered spans until the server is gone, and remember which were acknowledged."""

    def __init__(self, address: str) -> None:
        self.acknowledged: set[str] = set()
        self.enough = threading.Event()
        self._lock = threading.Lock()
        self._address = address
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def _send(self, client: int) -> None:
        with grpc.insecure_channel(self._address) as channel:
            call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(EXPORT)
            number = 0
            while True:
                names = [f"{client}-{number}-{index}" for index in range(5)]
                try:
                    call(request([span(name) for name in names]).SerializeToString(), timeout=60)
                except grpc.RpcError:
                    return
                with self._lock:
                    self.acknowledged.update(names)
                    if len(self.acknowledged) >= ENOUGH * len(names):
                        self.enough.set()
                number += 1

    def join(self) -> None:
        for thread in self._threads:
            thread.join(60)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 0)])
def test_what_was_acknowledged_is_stored_once(number: signal.Signals, code: int, tmp_path: Path) -> None:
    for attempt in range(2):
        with Serve(tmp_path / str(attempt)) as serve:
            load = Load(serve.grpc)
            assert load.enough.wait(60)
            assert serve.stop(number) == code, serve.log.read_text()
            load.join()
        with Serve(tmp_path / str(attempt)) as serve:
            serve.drained()
            client = clickhouse_connect.get_client(dsn=serve.dsn)
            counts = {
                str(name): int(times) for name, times in client.query("SELECT SpanName, count() FROM otel_traces GROUP BY SpanName").result_rows
            }
            in_traces = client.command("SELECT sum(SpanCount) FROM traces")
            client.close()
        assert load.acknowledged - counts.keys() == set()
        assert set(counts.values()) == {1}
        assert in_traces == len(counts)


def test_a_query_that_runs_when_the_server_stops_is_ended(tmp_path: Path) -> None:
    with Serve(tmp_path / "data") as serve:
        host, _, port = serve.clickhouse_http.rpartition(":")
        with closing(http.client.HTTPConnection(host, int(port), timeout=60)) as connection:
            before = cpu_seconds(serve.process.pid)
            connection.request("POST", "/", b"SELECT count() FROM numbers(1000000000000) WHERE cityHash64(number) = 1")
            while cpu_seconds(serve.process.pid) < before + 2:
                assert serve.process.poll() is None
                time.sleep(0.05)
            assert serve.stop(signal.SIGTERM) == 0
    assert "a query does not end" not in serve.log.read_text()
    assert "Traceback" not in serve.log.read_text()


def test_a_query_inside_a_call_that_nothing_interrupts_does_not_keep_the_server_from_ending(tmp_path: Path) -> None:
    with Serve(tmp_path / "data") as serve:
        host, _, port = serve.clickhouse_http.rpartition(":")
        with closing(http.client.HTTPConnection(host, int(port), timeout=60)) as connection:
            before = cpu_seconds(serve.process.pid)
            connection.request("POST", "/", b"SELECT hasAll(range(3000000), arrayReverse(range(3000000)))")
            while cpu_seconds(serve.process.pid) < before + 2:
                assert serve.process.poll() is None
                time.sleep(0.05)
            assert serve.stop(signal.SIGTERM) == 0
        assert "a query does not end" in serve.log.read_text()
    with Serve(tmp_path / "data") as again:
        assert again.process.poll() is None
