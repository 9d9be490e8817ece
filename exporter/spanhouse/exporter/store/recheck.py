"""Recheck: finds which spans are already stored, after an insert whose outcome is unknown.

A process may have ended between an insert and the removal of its segment; an insert may have failed halfway. The engine's deduplication log
does not help after a power loss, since nothing syncs it, nor for other batches. So the spans themselves are looked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from spanhouse.exporter.owned_directory import Buffer
from spanhouse.schema.settle.remake import remake_parts
from spanhouse.schema.tables.driver import execute_of
from spanhouse.schema.tables.error_codes import ClickHouseErrorCode

_TRACES: Final = 1_000
"""Trace ids in one statement; a server gets parameters in its URL."""
_PART_BYTES: Final = 4 * 2**20
_LAST_NS: Final = 2**63 - 1
"""Greatest time that the engine stores; later ones are clamped to it."""

_STORED: Final = """SELECT DISTINCT TraceId, SpanId FROM otel_traces
WHERE Timestamp BETWEEN fromUnixTimestamp64Nano({first:Int64}) AND fromUnixTimestamp64Nano({last:Int64}) AND TraceId IN {trace_ids:Array(String)}"""

_RUNNING: Final = "SELECT count() FROM system.processes WHERE Settings['log_comment'] = {mark:String}"

_SpanId = tuple[str, str]


def still_runs(client: Client, mark: str) -> bool:
    """Return True while the store works on an insert with this ``log_comment``: it goes on without its sender, and may still store spans.

    Return False if the user may not see its own queries.
    """
    try:
        return bool(client.query(_RUNNING, parameters={"mark": mark}).result_rows[0][0])
    except DatabaseError as error:
        if error.code == ClickHouseErrorCode.ACCESS_DENIED:
            return False
        raise


def missing(client: Client, bodies: Sequence[Buffer]) -> Sequence[Buffer]:
    """Return the requests without the spans that the store has: one body for each, b"" where no span is left.

    Traces with stored spans are settled again: the insert may have ended between the spans and their parts.
    """
    return [body for some in _in_parts(bodies) for body in _missing(client, some)]


def _in_parts(bodies: Sequence[Buffer]) -> Iterator[Sequence[Buffer]]:
    """Split the requests, so that few are parsed at a time: a parsed one takes several times its bytes."""
    part: list[Buffer] = []
    size = 0
    for body in bodies:
        if part and size + len(body) > _PART_BYTES:
            yield part
            part, size = [], 0
        part.append(body)
        size += len(body)
    yield part


def _missing(client: Client, bodies: Sequence[Buffer]) -> Sequence[Buffer]:
    requests = [ExportTraceServiceRequest.FromString(bytes(body)) for body in bodies]
    spans = [span for request in requests for span in _spans(request)]
    stored = _stored(client, spans)
    if not stored:
        return bodies
    remake_parts(execute_of(client), sorted({trace_id for trace_id, _ in stored}))
    return [_without(request, stored) for request in requests]


def _spans(request: ExportTraceServiceRequest) -> Iterator[Span]:
    return (span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans)


def _id(span: Span) -> _SpanId:
    return span.trace_id.hex(), span.span_id.hex()


def _stored(client: Client, spans: Sequence[Span]) -> set[_SpanId]:
    if not spans:
        return set()
    stored: set[_SpanId] = set()
    starts = [min(span.start_time_unix_nano, _LAST_NS) for span in spans]
    trace_ids = sorted({span.trace_id.hex() for span in spans})
    for begin in range(0, len(trace_ids), _TRACES):
        parameters = {"first": min(starts), "last": max(starts), "trace_ids": trace_ids[begin : begin + _TRACES]}
        stored.update((str(trace_id), str(span_id)) for trace_id, span_id in client.query(_STORED, parameters=parameters).result_rows)
    return stored & {_id(span) for span in spans}


def _without(request: ExportTraceServiceRequest, stored: set[_SpanId]) -> bytes:
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for index in reversed(range(len(scope.spans))):
                if _id(scope.spans[index]) in stored:
                    del scope.spans[index]
    return request.SerializeToString() if any(_spans(request)) else b""
