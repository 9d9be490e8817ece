"""OTLP requests made by hand, one span a line."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span

_numbers = itertools.count(1)
REMOTE = 0x300
"""Flags of a span that knows its parent to be remote."""
LOCAL = 0x100
"""Flags of a span that knows its parent to be local, or that it has none."""


def any_value(value: Any) -> AnyValue:
    """The AnyValue of a Python value; None is an AnyValue without one, an AnyValue is itself."""
    match value:
        case AnyValue():
            return value
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case list() | tuple():
            return AnyValue(array_value=ArrayValue(values=[any_value(item) for item in value]))
        case dict():
            return AnyValue(kvlist_value=KeyValueList(values=key_values(value)))
        case _:
            return AnyValue(string_value=value)


def key_values(values: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=any_value(value)) for key, value in values.items()]


def new_trace_id() -> bytes:
    return next(_numbers).to_bytes(8, "big") + random.randbytes(8)


def new_span_id() -> bytes:
    return random.randbytes(7) + b"\x01"


def span(
    name: str = "root",
    *,
    trace_id: bytes | None = None,
    span_id: bytes | None = None,
    parent: bytes = b"",
    start_ns: int | None = None,
    duration_ns: int = 1_000_000,
    attributes: Mapping[str, Any] | None = None,
    error: bool = False,
    kind: int = 2,
    flags: int = LOCAL,
) -> Span:
    begun = time.time_ns() if start_ns is None else start_ns
    made = Span(
        trace_id=new_trace_id() if trace_id is None else trace_id,
        span_id=new_span_id() if span_id is None else span_id,
        parent_span_id=parent,
        name=name,
        kind=kind,  # type: ignore[arg-type]
        start_time_unix_nano=begun,
        end_time_unix_nano=begun + duration_ns,
        attributes=key_values(attributes or {}),
        flags=flags,
    )
    if error:
        made.status.code = 2  # type: ignore[assignment]
        made.status.message = "boom"
    return made


def request(spans: Iterable[Span], *, resource: Mapping[str, Any] | None = None, scope: str = "tests") -> ExportTraceServiceRequest:
    """A request with one resource and one scope."""
    made = ExportTraceServiceRequest()
    resource_spans = made.resource_spans.add()
    resource_spans.resource.attributes.extend(key_values({"service.name": "tests"} if resource is None else resource))
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = scope
    scope_spans.spans.extend(spans)
    return made


def trace(
    *,
    resource: Mapping[str, Any] | None = None,
    attributes: Mapping[str, Any] | None = None,
    children: int = 2,
    name: str = "root",
    start_ns: int | None = None,
    duration_ns: int = 5_000_000,
    error: bool = False,
) -> ExportTraceServiceRequest:
    """A request that holds one whole trace: a root with ``attributes`` and some children."""
    root = span(name, attributes=attributes, start_ns=start_ns, duration_ns=duration_ns, error=error)
    inner = [
        span(f"child {number}", trace_id=root.trace_id, parent=root.span_id, start_ns=root.start_time_unix_nano + number * 1000, kind=1)
        for number in range(children)
    ]
    return request([root, *inner], resource=resource)
