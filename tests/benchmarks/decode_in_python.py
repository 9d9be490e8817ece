"""The straightforward receiver: protobuf's own objects, rows in Python, an insert: ``python -m tests.benchmarks.decode_in_python SPANS SIZE NOW_NS``.

It stores the same load in the same tables, materialized views included, in batches of the same size. No transport, no spool, no checks:
requests are in memory when it starts. Prints CPU seconds of its process until merges rest, and the spans that are stored.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.benchmarks.clients import standard_load
from tests.benchmarks.processes import cpu_seconds, wait_until_quiet
from tests.support.expected import text

from spanhouse.exporter.store.open_store import OpenStore
from spanhouse.schema.address.dsn import parse_store

_BATCH_SPANS = 40_000
_KINDS = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
_CODES = ("Unset", "Ok", "Error")
_COLUMNS = (
    *("Timestamp", "TraceId", "SpanId", "ParentSpanId", "TraceState", "SpanName", "SpanKind", "ServiceName", "ResourceAttributes"),
    *("ScopeName", "ScopeVersion", "SpanAttributes", "Duration", "StatusCode", "StatusMessage"),
    *("Events.Timestamp", "Events.Name", "Events.Attributes", "Links.TraceId", "Links.SpanId", "Links.TraceState", "Links.Attributes", "Flags"),
)


def _attributes(attributes: Iterable[KeyValue]) -> dict[str, str]:
    return {attribute.key: attribute.value.string_value or text(attribute.value) for attribute in attributes}


def _rows(bodies: Sequence[bytes]) -> Iterator[tuple[Any, ...]]:
    for body in bodies:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            of_resource = _attributes(resource.resource.attributes)
            for scope in resource.scope_spans:
                for span in scope.spans:
                    yield _row(span, of_resource, scope.scope.name, scope.scope.version)


def _row(span: Span, of_resource: dict[str, str], scope: str, version: str) -> tuple[Any, ...]:
    return (
        span.start_time_unix_nano,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.trace_state,
        span.name,
        _KINDS[span.kind],
        of_resource.get("service.name", ""),
        of_resource,
        scope,
        version,
        _attributes(span.attributes),
        span.end_time_unix_nano - span.start_time_unix_nano,
        _CODES[span.status.code],
        span.status.message,
        [event.time_unix_nano for event in span.events],
        [event.name for event in span.events],
        [_attributes(event.attributes) for event in span.events],
        [link.trace_id.hex() for link in span.links],
        [link.span_id.hex() for link in span.links],
        [link.trace_state for link in span.links],
        [_attributes(link.attributes) for link in span.links],
        span.flags,
    )


def main() -> None:
    spans, size, now_ns = map(int, sys.argv[1:])
    bodies = standard_load(spans, size, now_ns=now_ns)
    with tempfile.TemporaryDirectory() as directory, OpenStore.open(parse_store(f"chdb://{directory}/store")) as store:
        wait_until_quiet(os.getpid())
        begun = cpu_seconds(os.getpid())
        rows = _rows(bodies)
        while batch := list(islice(rows, _BATCH_SPANS)):
            store.client.insert("otel_traces", batch, column_names=_COLUMNS)
        wait_until_quiet(os.getpid())
        used = cpu_seconds(os.getpid()) - begun
        (count,) = store.client.query("SELECT count() FROM otel_traces").result_rows[0]
        print(used, count)
        os.chdir("/")


if __name__ == "__main__":
    main()
