"""Requests in OTLP's JSON, made of protobuf's own."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_IDS = frozenset({"traceId", "spanId", "parentSpanId"})


def as_json(request: ExportTraceServiceRequest) -> dict[str, Any]:
    """A request as its JSON object: enums as numbers, ids in hex."""
    made = _with_hex_ids(MessageToDict(request, use_integers_for_enums=True))
    assert isinstance(made, dict)
    return made


def _with_hex_ids(value: Any) -> Any:
    match value:
        case dict():
            return {key: b64decode(item).hex() if key in _IDS else _with_hex_ids(item) for key, item in value.items()}
        case list():
            return [_with_hex_ids(item) for item in value]
    return value


def from_json(body: bytes) -> ExportTraceServiceRequest:
    """Read a request from its JSON, by protobuf's own reading."""
    return ParseDict(_with_base64_ids(json.loads(body)), ExportTraceServiceRequest())


def _with_base64_ids(value: Any) -> Any:
    match value:
        case dict():
            return {key: b64encode(bytes.fromhex(item)).decode() if key in _IDS else _with_base64_ids(item) for key, item in value.items()}
        case list():
            return [_with_base64_ids(item) for item in value]
    return value
