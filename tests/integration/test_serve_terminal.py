"""What `serve` shows on a terminal, and what it keeps to itself."""

from __future__ import annotations

import http.client
import os
import pty
import re
import selectors
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest
from tests.support.otlp import request, span
from tests.support.receiver import EXPORT
from tests.support.serve import Serve

BODY = request([span("seen")]).SerializeToString()


class Terminal:
    """`serve` with standard error on a terminal."""

    def __init__(self, directory: Path, term: str) -> None:
        self._master, slave = pty.openpty()
        words = ["serve", "--grpc", "off", "--http", "127.0.0.1:0", "--clickhouse-http", "off", "--console", "off"]
        env = {**os.environ, "SPANHOUSE_DATA_DIR": str(directory), "TERM": term, "COLUMNS": "120"}
        self.process = subprocess.Popen([sys.executable, "-m", "spanhouse.cli", *words], stdout=subprocess.PIPE, stderr=slave, env=env)
        os.close(slave)
        self.shown = ""

    def until(self, pattern: str) -> None:
        """Read what is shown until it matches."""
        deadline = time.monotonic() + 60
        with selectors.DefaultSelector() as selector:
            selector.register(self._master, selectors.EVENT_READ)
            while not re.search(pattern, self.shown):
                assert time.monotonic() < deadline, f"{pattern} is not in {self.shown!r}"
                if selector.select(0.1):
                    self.shown += os.read(self._master, 10_000).decode()

    def stop(self) -> str:
        """End it; gives its standard output."""
        self.process.send_signal(signal.SIGTERM)
        said = self.process.communicate(timeout=60)[0].decode()
        try:
            while more := os.read(self._master, 10_000).decode():
                self.shown += more
        except OSError:  # how a terminal says that nobody is left at its other end
            pass
        os.close(self._master)
        return said


def post(address: str, body: bytes) -> None:
    connection = http.client.HTTPConnection(address, timeout=60)
    connection.request("POST", "/v1/traces", body, {"content-type": "application/x-protobuf"})
    connection.getresponse().read()
    connection.close()


def test_a_terminal_shows_how_much_comes_in_and_the_ready_line_stays_as_it_is(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "xterm")
    assert terminal.process.stdout is not None
    ready = terminal.process.stdout.readline().decode()
    terminal.until(r"0 spans/s   spool 0\.0 MB   lag -   refused 0")
    address = ready.split("http=")[1].split()[0]
    post(address, BODY)
    post(address, b"garbage")
    terminal.until(r"refused 1")
    terminal.until(r"lag \d+\.\d s")
    assert terminal.stop() == ""
    assert ready.startswith("spanhouse ready store=")


def test_a_terminal_that_can_t_go_back_in_a_line_shows_none(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "dumb")
    assert terminal.process.stdout is not None
    ready = terminal.process.stdout.readline().decode()
    post(ready.split("http=")[1].split()[0], BODY)
    assert terminal.stop() == ""
    assert terminal.shown == ""


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_serve_sends_no_spans_of_its_own_whatever_its_surroundings_say(tmp_path: Path, protocol: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as collector:
        variables = {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.getsockname()[1]}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_PYTHON_TRACER_PROVIDER": "sdk_tracer_provider",
            "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "spanhouse,otel",
            "OTEL_BSP_SCHEDULE_DELAY": "1",
        }
        with Serve(tmp_path, env=variables) as serve, grpc.insecure_channel(serve.grpc) as channel:
            export: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(EXPORT)
            export(BODY, timeout=60, metadata=(("traceparent", "00-" + "1" * 32 + "-" + "2" * 16 + "-01"),))
            post(serve.http, BODY)
            serve.drained()
            assert serve.stop() == 0
        collector.setblocking(False)
        with pytest.raises(BlockingIOError):
            collector.accept()
