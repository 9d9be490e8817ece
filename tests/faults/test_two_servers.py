"""Two servers never share a spool or a store: the second says so in one line and changes nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import clickhouse_connect
from tests.faults.test_resent_requests import post
from tests.support.otlp import request, span
from tests.support.serve import Serve


def second(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    ports = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--clickhouse-http", "127.0.0.1:0", "--console", "off"]
    command = [sys.executable, "-m", "spanhouse.cli", "serve", *ports, *arguments]
    directory.mkdir(exist_ok=True)
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, "SPANHOUSE_DATA_DIR": str(directory)})


def test_a_second_server_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    with Serve(tmp_path / "first", "--spool", str(spool)) as serve:
        assert post(serve, request([span("before")]).SerializeToString()) == b""
        refusals = {
            "store": second(tmp_path / "first", "--spool", str(tmp_path / "other spool")),
            "spool": second(tmp_path / "second", "--spool", str(spool)),
        }
        for what, refusal in refusals.items():
            assert (refusal.returncode, refusal.stdout) == (3, ""), refusal.stderr
            (line,) = refusal.stderr.splitlines()
            assert f"choose another --{what}" in line
        assert post(serve, request([span("after")]).SerializeToString()) == b""
        serve.drained()
        client = clickhouse_connect.get_client(dsn=serve.dsn)
        assert client.query("SELECT SpanName, count() FROM otel_traces GROUP BY SpanName ORDER BY 1").result_rows == [("after", 1), ("before", 1)]
        client.close()


def test_receive_processes_that_outlive_their_server_lose_nothing_to_the_next_one(tmp_path: Path) -> None:
    names = []
    for attempt in range(2):
        with Serve(tmp_path, "--processes", "2") as serve:
            for index in range(20):
                names.append(f"{attempt}-{index}")
                assert post(serve, request([span(names[-1])]).SerializeToString()) == b""
            # Of a killed server the receive processes learn that it is gone, and finish what they have begun.
            assert serve.stop(signal.SIGKILL) == -signal.SIGKILL
    with Serve(tmp_path, "--processes", "2") as serve:
        serve.drained()
        client = clickhouse_connect.get_client(dsn=serve.dsn)
        counts = {str(name): int(times) for name, times in client.query("SELECT SpanName, count() FROM otel_traces GROUP BY SpanName").result_rows}
        client.close()
        assert "Traceback" not in serve.log.read_text()
    assert counts == dict.fromkeys(names, 1)
