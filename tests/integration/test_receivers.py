"""Several receive processes: one server to clients and to operators."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import clickhouse_connect
import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.otlp import request, span
from tests.support.receiver import EXPORT
from tests.support.serve import Serve


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    with Serve(tmp_path, "--processes", "2") as running:
        yield running


def post(serve: Serve, body: bytes, token: str = "") -> int:
    headers = {"Content-Type": "application/x-protobuf"} | ({"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(urllib.request.Request(f"http://{serve.http}/v1/traces", body, headers), timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def one(name: str) -> bytes:
    return request([span(name)]).SerializeToString()


def spanhouse(*words: str, data_dir: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "SPANHOUSE_DATA_DIR": str(data_dir)}
    return subprocess.run([sys.executable, "-m", "spanhouse.cli", *words], capture_output=True, text=True, env=env, timeout=60)


def stored(serve: Serve) -> list[str]:
    serve.drained()
    client = clickhouse_connect.get_client(dsn=serve.dsn)
    names = [str(row[0]) for row in client.query("SELECT SpanName FROM otel_traces ORDER BY SpanName").result_rows]
    client.close()
    return names


def receive_processes(serve: Serve) -> set[int]:
    children = Path(f"/proc/{serve.process.pid}/task").glob("*/children")
    pids = {int(pid) for file in children for pid in file.read_text().split()}
    return {pid for pid in pids if b"spanhouse.exporter.serve.receive_worker" in Path(f"/proc/{pid}/cmdline").read_bytes()}


def metric(serve: Serve, name: str) -> float:
    with urllib.request.urlopen(f"http://{serve.http}/metrics") as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return sum(sample.value for family in families for sample in family.samples if sample.name == name)


def until(condition: object, seconds: float = 30) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_any_of_them_takes_is_stored_once_and_counted_as_one_server(serve: Serve) -> None:
    assert len(receive_processes(serve)) == 2
    bodies = [one(f"{number:02}") for number in range(40)]
    for body in bodies:
        assert post(serve, body) == 200
        with grpc.insecure_channel(serve.grpc) as channel:
            call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(EXPORT)
            assert call(body, timeout=30) == b""  # the same request again, perhaps to the other process
    assert stored(serve) == [f"{number:02}" for number in range(40)]
    assert metric(serve, "spanhouse_spans_total") == 80
    assert metric(serve, "spanhouse_resent_requests_total") == 40
    assert {path.parent.name for path in serve.spool.glob("*/spanhouse.lock")} == {"0", "1"}


def test_one_that_is_killed_is_started_again_and_loses_nothing(serve: Serve) -> None:
    acknowledged = []
    for number in range(30):
        if number == 10:
            before = receive_processes(serve)
            os.kill(min(before), signal.SIGKILL)
        try:
            if post(serve, one(f"{number:02}")) == 200:
                acknowledged.append(f"{number:02}")
        except OSError:  # its connections end with it
            continue
    until(lambda: len(receive_processes(serve)) == 2)
    assert set(acknowledged) <= set(stored(serve))
    assert len(acknowledged) >= 20
    assert "is started again" in serve.log.read_text()


def test_they_end_with_the_process_that_empties_the_spool(tmp_path: Path) -> None:
    with Serve(tmp_path, "--processes", "2") as serve:
        pids = receive_processes(serve)
        for number in range(5):
            assert post(serve, one(f"{number}")) == 200
        serve.stop(signal.SIGKILL)
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    with Serve(tmp_path, "--processes", "2") as serve:
        assert stored(serve) == ["0", "1", "2", "3", "4"]


def test_a_port_that_they_share_is_not_shared_with_another_server(serve: Serve, tmp_path: Path) -> None:
    words = [
        "serve",
        "--store",
        f"chdb://{tmp_path}/other",
        "--grpc",
        serve.grpc,
        "--http",
        "off",
        "--clickhouse-http",
        "off",
        "--console",
        "off",
        "--processes",
        "2",
    ]
    done = spanhouse(*words, data_dir=tmp_path / "elsewhere")
    assert done.returncode == 2
    assert done.stderr.startswith(f"spanhouse: --grpc {serve.grpc}: address already in use")


def test_a_token_that_is_revoked_is_revoked_in_all_of_them(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    line = "ci:{}\n".format(hashlib.sha256(b"secret").hexdigest())
    tokens.write_text(line)
    with Serve(tmp_path / "data", "--processes", "2", "--token-file", str(tokens)) as serve:
        assert {post(serve, one("a"), "secret") for _ in range(8)} == {200}
        tokens.write_text(f"other:{'0' * 64}\n")
        serve.process.send_signal(signal.SIGHUP)
        until(lambda: {post(serve, one("a"), "secret") for _ in range(8)} == {401})


@pytest.mark.parametrize("ack", ["spool", "store"])
def test_they_write_to_a_server_of_its_own(ack: str, tmp_path: Path) -> None:
    with ClickHouseServer(tmp_path / "server") as server:
        made = spanhouse("migrate", "--store", server.dsn, data_dir=tmp_path)
        assert made.returncode == 0, made.stderr
        with Serve(tmp_path, "--processes", "2", "--store", server.dsn, "--ack", ack, "--spool", str(tmp_path / "spool")) as serve:
            for number in range(10):
                assert post(serve, one(f"{number}")) == 200
            serve.drained()
        client = clickhouse_connect.get_client(dsn=server.dsn)
        names = [str(row[0]) for row in client.query("SELECT SpanName FROM otel_traces ORDER BY SpanName").result_rows]
        client.close()
    assert names == [f"{number}" for number in range(10)]
