"""ClickHouse's own client for Node reads the embedded store."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.support import otlp
from tests.support.clickhouse_http import listening
from tests.support.node import node_program
from tests.support.store import TestStore

PROGRAM = Path(__file__).parent.parent / "support" / "clients" / "node-clickhouse"


def test_the_node_client_reads_rows_and_streams_and_is_refused_what_writes(store: TestStore) -> None:
    store.ingest(otlp.trace(name="checkout", resource={"service.name": "node"}, children=2))
    node, program = node_program(PROGRAM)
    with listening(store.database) as endpoint:
        command = [node, "read.mjs", f"http://127.0.0.1:{endpoint.port}"]
        done = subprocess.run(command, cwd=program, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said.pop("failing") != "it ran"
    assert said == {
        "ping": True,
        "rows": [{"Name": "checkout", "SpanCount": 3}],
        "whole": [{"one": 1}],
        "streamed": 300_000,
        "insert": "READONLY",
        "command": "READONLY",
    }
    assert store.rows("SELECT count() AS n FROM otel_traces") == [{"n": 3}]
