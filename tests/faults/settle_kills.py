"""The way from an acknowledged request to its trace's row, in a process that kills itself at one of its calls of the engine.

Usage: python -m tests.faults.settle_kills STORE_DIRECTORY [--prepare | --kill-after N | --kill-before N]

Prints the calls, a line each, which are the points to kill at, and at the end the rows of all traces. ``--prepare`` makes a store with traces of
each kind, and a spool with acknowledged requests that tell more of them.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.support.expected import text
from tests.support.otlp import request, span
from tests.support.reference_merge import Edit, merge
from tests.support.reference_span import Copy
from tests.support.spool import append

from spanhouse.exporter.ingest.drain import Drain
from spanhouse.exporter.otlp.check import CheckedRequest
from spanhouse.exporter.spool.directory import SpoolDirectory
from spanhouse.exporter.spool.seen_requests import SeenRequests
from spanhouse.exporter.store.open_store import OpenStore
from spanhouse.exporter.store.writer import Writer
from spanhouse.schema.address.dsn import parse_store
from spanhouse.schema.settle.settle import Settler

ROWS = "rows:"


class Killing:
    """A client that counts its calls, and kills the process before or after one of them."""

    def __init__(self, client: Any, *, before: int | None, after: int | None) -> None:
        self._client = client
        self._before = before
        self._after = after
        self._calls = 0

    def query(self, sql: str, parameters: Mapping[str, object] | None = None, **options: Any) -> Any:
        return self._call(" ".join(sql.split()[:3]), lambda: self._client.query(sql, parameters=parameters, **options))

    def raw_insert(self, table: str, **options: Any) -> Any:
        return self._call(f"raw insert {table}", lambda: self._client.raw_insert(table, **options))

    def _call(self, name: str, do: Any) -> Any:
        self._calls += 1
        print(self._calls, name, flush=True)
        if self._calls == self._before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = do()
        if self._calls == self._after:
            os.kill(os.getpid(), signal.SIGKILL)
        return result


START_NS = 1_796_000_000 * 10**9
_PROCESS = {"service.name": "shop", "service.version": "1.0", "mlflow.source.git.commit": "a" * 40}
_OTHER = {"service.name": "pay", "service.version": "7"}
_EDITED = b"edited".ljust(16, b".").hex()
_EDIT = Edit(0, "t0", "edited")


def _piece(trace: str, *numbers: int, resource: Mapping[str, Any] = _PROCESS) -> CheckedRequest:
    """A request with some spans of a trace; number 0 is its root, and what it says differs by its number."""
    made = [
        span(
            f"{trace}/{number}",
            trace_id=trace.encode().ljust(16, b"."),
            span_id=b"span%04d" % number,
            parent=b"span%04d" % (number // 2) if number else b"",
            start_ns=START_NS + ord(trace[0]) * 10**9 + number * 1000,
            duration_ns=10**8 // (number + 1),
            flags=0,
            error=number == 3,
            attributes={"session.id": f"s{number}", "gen_ai.usage.input_tokens": 100 + number, f"mlflow.traceTag.t{number}": trace},
        )
        for number in numbers
    ]
    return CheckedRequest(request(made, resource=resource).SerializeToString(), len(made))


def _before() -> list[CheckedRequest]:
    return [_piece("rooted", 0, 1), _piece("open", 2, 3), _piece("edited", 0, 1, 2), _piece("late", 0, 1), _piece("old", 1, 2)]


def _after() -> list[CheckedRequest]:
    return [
        *(_piece("rooted", 3, 2, resource=_OTHER), _piece("open", 0, 1), _piece("edited", 3), _piece("late", 2, 1)),
        *(_piece("old", 3, 3), _piece("new", 0, 1, 2, 3), _piece("lost", 4, 5), _piece("new", 2, resource=_OTHER)),
    ]


def merged() -> dict[str, dict[str, Any]]:
    """Return the row of each trace as the reference merges it, by its id."""
    copies: dict[str, list[Copy]] = defaultdict(list)
    for piece in (*_before(), *_after()):
        (resource_spans,) = ExportTraceServiceRequest.FromString(piece.body).resource_spans
        resource = {one.key: text(one.value) for one in resource_spans.resource.attributes}
        for one in resource_spans.scope_spans[0].spans:
            copies[one.trace_id.hex()].append(Copy.of(one, resource))
    return {trace_id: merge(of_trace, [_EDIT] if trace_id == _EDITED else []) for trace_id, of_trace in copies.items()}


def prepare(directory: Path) -> None:
    """Make a store that holds settled traces of each kind, and a spool beside it with requests that were acknowledged and not stored."""
    spool = directory.with_name(f"{directory.name}-spool")
    spool.mkdir(parents=True)
    append(spool, *_before())
    run(directory, before=None, after=None)
    os.chdir(directory.parent)
    with OpenStore.open(parse_store(f"chdb://{directory}")) as store:
        store.client.command(
            "INSERT INTO trace_tags (TraceId, Key, Value) SELECT {id:String}, {key:String}, {value:String}",
            parameters={"id": _EDITED, "key": _EDIT.key, "value": _EDIT.value},
        )
        # As if hours had gone by.
        store.client.command("TRUNCATE TABLE spanhouse_trace_parts")
    append(spool, *_after())


def run(directory: Path, *, before: int | None, after: int | None) -> None:
    """Drain the spool beside the store into it, settle, and sweep."""
    os.chdir(directory.parent)
    with OpenStore.open(parse_store(f"chdb://{directory}")) as store:
        client: Any = Killing(store.client, before=before, after=after)
        spool = directory.with_name(f"{directory.name}-spool")
        root = SpoolDirectory.open(spool, "test")
        drain = Drain(root, Writer(client, SeenRequests.load(spool), root.identity), batch_bytes=2**20)
        drain.start()
        deadline = time.monotonic() + 60
        while root.sealed():
            assert time.monotonic() < deadline, drain.trouble
            time.sleep(0.01)
        drain.stop(10)
        root.close()
        settler = Settler(lambda sql, parameters=None: client.query(sql, parameters=dict(parameters or {})).result_rows)
        while settler.settle(everything=True).arrivals:
            settler.remake_due()
        settler.feed()
        settler.sweep()
        rows = store.client.query("SELECT * FROM traces ORDER BY TraceId", query_formats={"DateTime64": "int"})
        print(ROWS, json.dumps([dict(zip(rows.column_names, row, strict=True)) for row in rows.result_rows]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("--kill-after", type=int)
    parser.add_argument("--kill-before", type=int)
    chosen = parser.parse_args(sys.argv[1:])
    if chosen.prepare:
        prepare(chosen.directory)
    else:
        run(chosen.directory, before=chosen.kill_before, after=chosen.kill_after)
