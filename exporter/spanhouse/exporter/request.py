"""From the bytes of an OTLP request to what may be stored: parsed, its ids checked, its nested values rewritten.

All of it happens before the acknowledgement, so that a bad request gets its own error and costs its neighbours nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from spanhouse.exporter.anyvalue import MAX_DEPTH, TooDeepError, flatten, may_hold_nested
from spanhouse.exporter.status import InvalidRequestError

_NO_TRACE_ID: Final = bytes(16)
_NO_SPAN_ID: Final = bytes(8)


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """A request that the engine can take.

    Attributes:
        body: serialised ``ExportTraceServiceRequest`` without the rejected spans; several of them joined are one request.
        spans: how many spans ``body`` holds.
        rejected: how many spans were left out.
        reason: why, for ``partial_success``; '' if none was.
    """

    body: bytes
    spans: int
    rejected: int = 0
    reason: str = ""


def check(body: bytes) -> CheckedRequest:
    """Check a serialised request.

    Raises:
        InvalidRequestError: it is not an ``ExportTraceServiceRequest``.
    """
    request = _parse(body)
    scopes = [scope for resource in request.resource_spans for scope in resource.scope_spans]
    spans = sum(len(scope.spans) for scope in scopes)
    bad_ids = not all(map(_has_ids, (span for scope in scopes for span in scope.spans)))
    nested = may_hold_nested(body)
    if not bad_ids and not nested:
        return CheckedRequest(body, spans)
    return _rewrite(request, spans)


def canonical(body: bytes) -> CheckedRequest:
    """The request as protobuf itself would write it, every nested value rewritten: for one that ``check`` passed and the engine refused.

    Raises:
        InvalidRequestError: as ``check``.
    """
    request = _parse(body)
    request.DiscardUnknownFields()
    return _rewrite(request, sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans))


def _parse(body: bytes) -> ExportTraceServiceRequest:
    try:
        return ExportTraceServiceRequest.FromString(body)
    except DecodeError:
        raise InvalidRequestError("the body is not an OTLP ExportTraceServiceRequest in protobuf") from None


def _has_ids(span: Span) -> bool:
    trace_id, span_id, parent = span.trace_id, span.span_id, span.parent_span_id
    return len(trace_id) == 16 and len(span_id) == 8 and len(parent) in {0, 8} and trace_id != _NO_TRACE_ID and span_id != _NO_SPAN_ID


def _rewrite(request: ExportTraceServiceRequest, spans: int) -> CheckedRequest:
    """Leave out the spans that cannot be stored and flatten nested values."""
    reasons: list[str] = []
    for resource in request.resource_spans:
        resource_is_flat = _flatten(resource.resource.attributes)
        for scope in resource.scope_spans:
            shared_is_flat = _flatten(scope.scope.attributes) and resource_is_flat
            problems = [_problem(span, shared_is_flat) for span in scope.spans]
            if any(problems):
                kept = [Span.FromString(span.SerializeToString()) for span, problem in zip(scope.spans, problems, strict=True) if not problem]
                del scope.spans[:]
                scope.spans.extend(kept)
                reasons += filter(None, problems)
    if not reasons:
        return CheckedRequest(request.SerializeToString(), spans)
    return CheckedRequest(request.SerializeToString(), spans - len(reasons), len(reasons), f"{len(reasons)} spans rejected; first: {reasons[0]}")


def _problem(span: Span, shared_is_flat: bool) -> str:
    """Why the span cannot be stored, '' if it can. Flattens its attributes."""
    if len(span.trace_id) != 16 or span.trace_id == _NO_TRACE_ID:
        return f"span {span.name[:100]!r}: trace_id must be 16 bytes and not all zero"
    if len(span.span_id) != 8 or span.span_id == _NO_SPAN_ID:
        return f"span {span.name[:100]!r}: span_id must be 8 bytes and not all zero"
    if len(span.parent_span_id) not in {0, 8}:
        return f"span {span.name[:100]!r}: parent_span_id must be 8 bytes or absent"
    if not shared_is_flat or not all(map(_flatten, _attribute_lists(span))):
        return f"span {span.name[:100]!r}: an attribute is nested deeper than {MAX_DEPTH} levels"
    return ""


def _attribute_lists(span: Span) -> Iterator[Iterable[KeyValue]]:
    yield span.attributes
    for event in span.events:
        yield event.attributes
    for link in span.links:
        yield link.attributes


def _flatten(attributes: Iterable[KeyValue]) -> bool:
    """Flatten in place; False if a value is too deep."""
    try:
        flatten(attributes)
    except TooDeepError:
        return False
    return True
