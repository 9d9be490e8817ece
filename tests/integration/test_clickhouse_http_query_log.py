"""The log of what was asked over the ClickHouse-compatible endpoint."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.clickhouse_http import listening
from tests.support.store import TestStore

from spanhouse.exporter.clickhouse_http import query_log
from spanhouse.exporter.clickhouse_http.query_log import Entry, Logged, QueryLog


def lines(path: Path) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_query_is_logged_with_what_it_cost_and_without_its_values(store: TestStore, tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    with listening(store.database, authorize=lambda _: "grafana", query_log=QueryLog(path, Logged.SHAPE)) as endpoint:
        endpoint.ask("SELECT number, 'secret' FROM numbers(3) WHERE number < {most:UInt8}", fields={"param_most": "123", "query_id": "q1"})
        endpoint.ask("SELECT throwIf(number = 7, 'secret') FROM numbers(9)")
        endpoint.ask("SELECT 'secret' FROM")
        endpoint.ask("DROP TABLE otel_traces -- secret")
        endpoint.ask("SELECT number FROM numbers(200000)")
    text = path.read_text()
    assert "secret" not in text
    assert '"123"' not in text
    first, failed, unread, refused, large = lines(path)
    assert (first["query_id"], first["token"], first["code"], first["rows"], first["result_bytes"]) == ("q1", "grafana", 0, 3, 27)
    assert first["shape"].startswith("SELECT number, ? FROM numbers(?) WHERE number < {most:UInt8}")
    assert first["seconds"] > 0
    assert "123" not in first["shape"]
    assert not first.keys() & {"statement", "parameters"}
    assert (failed["code"], unread["code"], unread["shape"], refused["code"]) == (395, 62, "", 164)
    assert (large["rows"], large["code"]) == (200_000, 0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_asked_for_it_keeps_statements_and_parameters(store: TestStore, tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    with listening(store.database, query_log=QueryLog(path, Logged.FULL)) as endpoint:
        endpoint.ask("SELECT {a:String} -- here", fields={"param_a": "v"})
    (line,) = lines(path)
    assert (line["statement"], line["parameters"]) == ("SELECT {a:String} -- here", {"a": "v"})


def test_it_keeps_to_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_log, "_FILE_BYTES", 10_000)
    path = tmp_path / "queries.jsonl"
    log = QueryLog(path, Logged.SHAPE)
    for number in range(500):
        log.write(Entry(query_id=str(number), shape="SELECT ?"))
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["queries.jsonl", "queries.jsonl.1"]
    assert all(file.stat().st_size <= 10_000 for file in files)
    kept = [line["query_id"] for file in reversed(files) for line in lines(file)]
    assert kept == [str(number) for number in range(500 - len(kept), 500)]


def test_a_log_that_can_not_be_written_costs_no_query(store: TestStore, tmp_path: Path) -> None:
    with listening(store.database, query_log=QueryLog(tmp_path / "gone" / "queries.jsonl", Logged.SHAPE)) as endpoint:
        assert endpoint.ask("SELECT 1").body == b"1\n"
