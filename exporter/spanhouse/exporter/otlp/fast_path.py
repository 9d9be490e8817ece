"""The fast path: finds requests that are stored byte for byte, without a Python object for each attribute. Nearly all are."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from spanhouse.exporter.otlp.partial_schemas import Flat
from spanhouse.exporter.otlp.request_limits import MAX_JSON_GROWTH, Limits
from spanhouse.exporter.otlp.span_ids import ids_are_good
from spanhouse.exporter.otlp.truncate import Attributes, attribute_lists

_FIELD_TAG: Final = np.zeros(256, bool)
_FIELD_TAG[[0x0A, 0x12, 0x1A, 0x22, 0x2A, 0x32, 0x3A, 0x42, 0x4A, 0x5A, 0x6A, 0x7A]] = True
"""Tags of OTLP's fields that have a length."""
_TINY_BYTES: Final = 8
_SCANNED_BYTES: Final = 2**20


def takes_fast_path(body: bytes, frame: Any, limits: Limits) -> bool:
    """Return True if a request, given with its ``Frame``, can be stored byte for byte. It is valid then; others may be valid or not."""
    try:
        if Flat.FromString(body).SerializeToString() != body:
            return False
    except DecodeError:
        return False
    scopes = [scope for resource in frame.resource_spans for scope in resource.scope_spans]
    spans = [span for scope in scopes for span in scope.spans]
    small = limits.small_bytes()
    return (
        ids_are_good(spans)
        and all(_span_is_within(Span.FromString(span), limits) for span in spans if len(span) > small)
        and all(_are_within(Resource.FromString(one.resource).attributes, limits) for one in frame.resource_spans if len(one.resource) > small)
        and all(_are_within(InstrumentationScope.FromString(one.scope).attributes, limits) for one in scopes if len(one.scope) > small)
    )


def _span_is_within(span: Span, limits: Limits) -> bool:
    return len(span.events) <= limits.events and len(span.links) <= limits.links and all(_are_within(one, limits) for one in attribute_lists(span))


def _are_within(attributes: Attributes, limits: Limits) -> bool:
    """Return True if attributes are surely within the limits."""
    if len(attributes) > limits.attributes:
        return False
    # Upper bounds: four bytes a character, and the greatest growth of an array's text. Values near a limit are left to the exact measure.
    return all(len(one.key) * 4 <= limits.key_bytes and one.ByteSize() * MAX_JSON_GROWTH <= limits.value_bytes for one in attributes)


def is_dense(body: bytes, values: int) -> bool:
    """Return True if a request holds more than so many fields of at most 8 bytes. Few bytes of text look like one: control characters."""
    if len(body) <= 2 * values:
        return False
    found = 0
    for begin in range(0, len(body), _SCANNED_BYTES):
        piece = np.frombuffer(body[begin : begin + _SCANNED_BYTES + 1], np.uint8)
        found += int(np.count_nonzero(_FIELD_TAG[piece[:-1]] & (piece[1:] <= _TINY_BYTES)))
    return found > values
