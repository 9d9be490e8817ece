"""A store is looked after while a server has it open: by that server, told by the command or by a program."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from tests.faults.test_resent_requests import post
from tests.support.otlp import trace
from tests.support.serve import Serve
from tests.support.standard_load import standard_request
from tests.support.tokens import token_file

SPANS = "SELECT count() AS n, sum(cityHash64(*)) AS hash FROM otel_traces"


def spanhouse(serve: Serve, *words: str, store: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "spanhouse.cli", *words, "--store", store or serve.store]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=serve.env)


def rows(serve: Serve, sql: str) -> Any:
    with clickhouse_connect.get_client(dsn=serve.dsn) as client:
        return client.query(sql).result_rows


def ask(serve: Serve, action: str, body: bytes | None = None, *, method: str = "POST", token: str = "") -> tuple[int, list[Any]]:
    connection = http.client.HTTPConnection(serve.console, timeout=60)
    connection.request(method, f"/api/v1/store/{action}", body, {"Authorization": f"Bearer {token}"} if token else {})
    response = connection.getresponse()
    events = [json.loads(line) for line in response.read().splitlines()]
    connection.close()
    return response.status, events


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    with Serve(tmp_path_factory.mktemp("kept")) as running:
        for number in range(3):
            post(running, standard_request(400, number))
            running.drained()
        yield running


def test_a_backup_that_is_made_while_spans_come_holds_what_was_stored_and_is_restored(kept: Serve, tmp_path: Path) -> None:
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            post(kept, trace().SerializeToString())

    sender = threading.Thread(target=send)
    sender.start()
    done = spanhouse(kept, "store", "backup", str(tmp_path / "monday"))
    stop.set()
    sender.join()
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "monday" / "spanhouse-backup.json").read_text())
    assert f"{written['contents']['otel_traces'][0]:,} spans are in {tmp_path / 'monday'}" in done.stdout
    assert list((kept.data_dir / "store-backups").iterdir()) == []
    kept.drained()
    ((stored, _),) = rows(kept, SPANS)
    assert 1200 <= written["contents"]["otel_traces"][0] <= stored
    restored = spanhouse(kept, "store", "restore", str(tmp_path / "monday"), store=f"chdb://{tmp_path / 'again'}")
    assert restored.returncode == 0, restored.stderr
    assert "is not empty" in spanhouse(kept, "store", "backup", str(tmp_path / "monday")).stderr


def test_the_command_checks_and_compacts_what_a_server_has_open(kept: Serve) -> None:
    for store in (kept.store, kept.dsn):
        checked = spanhouse(kept, "store", "check", store=store)
        assert (checked.returncode, checked.stderr) == (0, "")
        assert "every part is whole" in checked.stdout
        compacted = spanhouse(kept, "store", "compact", store=store)
        assert (compacted.returncode, compacted.stderr) == (0, "")
        assert "partitions merged" in compacted.stdout
    parts = "SELECT max(n) FROM (SELECT count() AS n FROM system.parts WHERE active AND table = 'otel_traces' GROUP BY partition_id)"
    assert rows(kept, parts) == [(1,)]
    assert "otel_traces" in spanhouse(kept, "store", "size").stdout


def test_the_command_has_the_server_make_all_rows_anew_and_leaves_to_it_what_waits(kept: Serve) -> None:
    traces = "SELECT count(), sum(cityHash64(tuple(*))) FROM traces"
    before = rows(kept, traces)
    for store in (kept.store, kept.dsn):
        done = spanhouse(kept, "store", "settle", "--all", store=store)
        assert (done.returncode, done.stderr) == (0, "")
        assert "the rows of all traces are made anew" in done.stdout
        assert rows(kept, traces) == before
    assert "the server that has it open settles it by itself" in spanhouse(kept, "store", "settle").stdout


def test_the_command_says_how_long_to_keep_what_a_server_has_open(kept: Serve) -> None:
    done = spanhouse(kept, "store", "retention", "metadata=400")
    assert (done.returncode, done.stderr) == (0, "")
    assert "metadata keeps 400 days" in done.stdout
    assert "toIntervalDay(400)" in rows(kept, "SHOW CREATE TABLE spanhouse_metadata")[0][0]
    assert ask(kept, "retention", b'{"days": {"metadata": 0}}') == (200, [{"keeps": "metadata", "days": 0}])
    assert "TTL" not in rows(kept, "SHOW CREATE TABLE spanhouse_metadata")[0][0]


@pytest.mark.parametrize(
    ("action", "body", "method", "status"),
    [
        ("shrink", None, "POST", 404),
        ("check", None, "GET", 405),
        ("settle", None, "GET", 405),
        ("retention", None, "POST", 400),
        ("retention", b'{"days": {"nothing": 3}}', "POST", 400),
        ("retention", b'{"days": {"metadata": true}}', "POST", 400),
        ("retention", b'{"days": {"metadata": -1}}', "POST", 400),
    ],
)
def test_a_mistake_is_told_in_one_line(kept: Serve, action: str, body: bytes | None, method: str, status: int) -> None:
    code, (said,) = ask(kept, action, body, method=method)
    assert (code, list(said)) == (status, ["error"])


def test_only_a_token_that_may_write_looks_after_the_store(tmp_path: Path) -> None:
    tokens = token_file(tmp_path / "tokens", "reader:read", "writer:read,write")
    with Serve(tmp_path / "data", "--token-file", str(tokens)) as serve:
        assert ask(serve, "compact", token="reader")[0] == 403
        assert ask(serve, "compact")[0] == 401
        assert ask(serve, "compact", token="writer")[0] == 200
        done = spanhouse(serve, "store", "check", store=f"http://any:writer@{serve.clickhouse_http}")
        assert (done.returncode, done.stderr) == (0, "")
