"""What has to be stored of a request, by protobuf's own reading of its bytes: the Collector's values, in rows of ``otel_traces``."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from spanhouse.exporter.otlp.any_value import to_json
from spanhouse.exporter.otlp.span_ids import id_problem

_LAST_NS = 2**63 - 1
_KINDS = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
_CODES = ("Unset", "Ok", "Error")

_MAP = "arrayZip(mapKeys({0}), mapValues({0}))"
_MAPS = "arrayMap(m -> arrayZip(mapKeys(m), mapValues(m)), {})"
COLUMNS = ", ".join(
    (
        "toUnixTimestamp64Nano(Timestamp), TraceId, SpanId, ParentSpanId, TraceState, SpanName, SpanKind, ServiceName, ScopeName, ScopeVersion",
        "Duration",
        "StatusCode, StatusMessage, Flags, DroppedAttributesCount, DroppedEventsCount, DroppedLinksCount, ResourceSchemaUrl, ScopeSchemaUrl",
        *(_MAP.format(name) for name in ("ResourceAttributes", "ScopeAttributes", "SpanAttributes")),
        f"arrayMap(t -> toUnixTimestamp64Nano(t), Events.Timestamp), Events.Name, {_MAPS.format('Events.Attributes')}",
        f"Links.TraceId, Links.SpanId, Links.TraceState, {_MAPS.format('Links.Attributes')}",
    )
)
"""The columns of a row that ``rows`` gives."""


def text(value: AnyValue) -> str:
    """A value as the Collector stores it."""
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "double_value":
            return to_json(value).strip('"')
        case "bytes_value":
            return b64encode(value.bytes_value).decode()
        case "bool_value" | "int_value" | "array_value" | "kvlist_value":
            return to_json(value)
    return ""


def rows(body: bytes) -> list[tuple[Any, ...]]:
    """The rows of a serialised request, without those that are rejected for their ids."""
    request = ExportTraceServiceRequest.FromString(body)
    made = []
    for resource in request.resource_spans:
        of_resource = _pairs(resource.resource.attributes)
        service = next((value for key, value in of_resource if key == "service.name"), "")
        for scope in resource.scope_spans:
            for span in scope.spans:
                if id_problem(span):
                    continue
                begin, end = span.start_time_unix_nano, span.end_time_unix_nano
                made.append(
                    (
                        min(begin, _LAST_NS),
                        span.trace_id.hex(),
                        _id(span.span_id),
                        _id(span.parent_span_id),
                        span.trace_state,
                        span.name,
                        _named(_KINDS, span.kind),
                        service,
                        scope.scope.name,
                        scope.scope.version,
                        max(0, end - begin),
                        _named(_CODES, span.status.code),
                        span.status.message,
                        span.flags,
                        span.dropped_attributes_count,
                        span.dropped_events_count,
                        span.dropped_links_count,
                        resource.schema_url,
                        scope.schema_url,
                        of_resource,
                        _pairs(scope.scope.attributes),
                        _pairs(span.attributes),
                        [min(event.time_unix_nano, _LAST_NS) for event in span.events],
                        [event.name for event in span.events],
                        [_pairs(event.attributes) for event in span.events],
                        [_id(link.trace_id) for link in span.links],
                        [_id(link.span_id) for link in span.links],
                        [link.trace_state for link in span.links],
                        [_pairs(link.attributes) for link in span.links],
                    )
                )
    return made


def _pairs(attributes: Iterable[KeyValue]) -> list[tuple[str, str]]:
    return [(attribute.key, text(attribute.value)) for attribute in attributes]


def _named(names: tuple[str, ...], number: int) -> str:
    return names[number] if 0 <= number < len(names) else ""


def _id(value: bytes) -> str:
    return "" if value in {bytes(8), bytes(16)} else value.hex()
