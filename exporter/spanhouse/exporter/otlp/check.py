"""Validation of an OTLP request: parses it, checks ids and sizes, rejects single spans, rewrites nested values.

All of this happens before the acknowledgement, so that a bad request gets its own error and costs its neighbours nothing.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

from spanhouse.exporter.errors import InvalidRequestError, TooLargeError
from spanhouse.exporter.metrics import CUT_VALUES, REJECTED_SPANS
from spanhouse.exporter.otlp.any_value import MAX_DEPTH, TooDeepError
from spanhouse.exporter.otlp.fast_path import is_dense, takes_fast_path
from spanhouse.exporter.otlp.partial_schemas import Frame, Outline
from spanhouse.exporter.otlp.repair_utf8 import Place, repair
from spanhouse.exporter.otlp.request_limits import DEFAULT_LIMITS, Limits
from spanhouse.exporter.otlp.span_ids import id_problem
from spanhouse.exporter.otlp.truncate import NOTHING, Attributes, Sizes, Truncator

_NOTHING: Final[Mapping[Place, Sizes]] = MappingProxyType({})
_LARGE_BYTES: Final = 4 * 2**20
_one_large_request: Final = threading.Lock()
"""Lock of the threads that parse large requests: a parsed one takes several times its bytes, so they are parsed one at a time."""


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """A request that the engine can take.

    Attributes:
        body: serialised ``ExportTraceServiceRequest`` without the rejected spans; several of them joined are one request. The same
            request gives the same bytes each time.
        spans: number of spans in ``body``.
        rejected: number of spans that were left out.
        reason: rejected spans and truncated values in words, for ``partial_success``; '' if all is stored.
    """

    body: bytes
    spans: int
    rejected: int = 0
    reason: str = ""


def check(body: bytes, limits: Limits = DEFAULT_LIMITS) -> CheckedRequest:
    """Check a serialised request. Count rejected spans and truncated values.

    Raises:
        InvalidRequestError: the body is not an ``ExportTraceServiceRequest``.
        TooLargeError: the request holds more tiny values than memory is given to.
    """
    with _one_large_request if len(body) > _LARGE_BYTES else nullcontext(), _decoding():
        if is_dense(body, limits.values):
            raise TooLargeError(f"the request holds more than {limits.values} values of a few bytes each: send smaller batches")
        with suppress(DecodeError):
            return _check(body, limits)
        repaired = repair(body, limits)
        return _check(repaired.body, limits, repaired.sizes)


def _check(body: bytes, limits: Limits, repaired: Mapping[Place, Sizes] = _NOTHING) -> CheckedRequest:
    outlined = _outlined(body)
    frame = Frame.FromString(outlined)
    spans = _count(frame)
    if spans > limits.spans:
        rewrite = _Rewrite(limits, repaired)
        rewrite.reject("spans", f"a request may have {limits.spans} spans, this one has {spans}: send smaller batches", spans - limits.spans)
        return rewrite(_known(_first_spans(frame, limits.spans)))
    if not repaired and takes_fast_path(outlined, frame, limits):
        return CheckedRequest(outlined, spans)
    request = _known(outlined)
    written = request.SerializeToString()
    if not repaired and written != outlined and takes_fast_path(written, frame := Frame.FromString(written), limits):
        return CheckedRequest(written, _count(frame))
    return _Rewrite(limits, repaired)(request)


def canonical(body: bytes) -> bytes:
    """Return a request as protobuf itself writes it, without unknown fields: for one that ``check`` passed and the engine refused.

    Raises:
        InvalidRequestError: the body is not an ``ExportTraceServiceRequest``.
    """
    with _decoding():
        return _known(body).SerializeToString()


@contextmanager
def _decoding() -> Iterator[None]:
    try:
        yield
    except DecodeError:
        raise InvalidRequestError("the body is not an OTLP ExportTraceServiceRequest in protobuf") from None


def _known(body: bytes) -> ExportTraceServiceRequest:
    """Return the parsed request without unknown fields."""
    request = ExportTraceServiceRequest.FromString(body)
    request.DiscardUnknownFields()
    return request


def _outlined(body: bytes) -> bytes:
    """Return the request as protobuf writes it, without unknown fields outside of attributes; the same object if nothing changed.

    Writers other than protobuf's differ outside of attributes: they write fields that are zero or empty, which protobuf leaves out.
    """
    outline = Outline.FromString(body)
    outline.DiscardUnknownFields()
    written: bytes = outline.SerializeToString()
    return body if written == body else written


def _count(request: Any) -> int:
    return sum([len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans])


def _first_spans(frame: Any, number: int) -> bytes:
    """Return the serialised request with its first spans only."""
    for resource in frame.resource_spans:
        for scope in resource.scope_spans:
            del scope.spans[number:]
            number -= len(scope.spans)
    written: bytes = frame.SerializeToString()
    return written


class _Rewrite:
    """Rewriter of a request: rejects spans that can't be stored, flattens nested values, truncates values beyond a limit."""

    def __init__(self, limits: Limits, repaired: Mapping[Place, Sizes]) -> None:
        self._limits = limits
        self._repaired = repaired
        self._truncator = Truncator(limits)
        self._rejected: Counter[str] = Counter()
        self._first = ""

    def reject(self, reason: str, words: str, spans: int = 1) -> None:
        """Count rejected spans."""
        self._rejected[reason] += spans
        self._first = self._first or words

    def __call__(self, request: ExportTraceServiceRequest) -> CheckedRequest:
        """Rewrite the request in place, and return it checked."""
        for first, resource in enumerate(request.resource_spans):
            problem = self._shared(resource.resource.attributes, "resource", (first,))
            for second, scope in enumerate(resource.scope_spans):
                self._scope(scope, problem or self._shared(scope.scope.attributes, "scope", (first, second)), (first, second))
        self._count()
        return CheckedRequest(request.SerializeToString(), _count(request), self._rejected.total(), self._reason())

    def _shared(self, attributes: Attributes, where: str, place: Place) -> tuple[str, str] | None:
        """Return why no span of a resource or scope with these attributes can be stored; None if they can."""
        if len(attributes) > self._limits.attributes:
            return "attributes", f"the {where} has {len(attributes)} attributes, more than the {self._limits.attributes} allowed"
        try:
            self._truncator.shared(attributes, where, self._repaired.get(place, NOTHING))
        except TooDeepError:
            return "depth", f"an attribute of the {where} is nested deeper than {MAX_DEPTH} levels"
        return None

    def _scope(self, scope: ScopeSpans, shared: tuple[str, str] | None, place: Place) -> None:
        kept = []
        for index, span in enumerate(scope.spans):
            if problem := shared or self._problem(span, self._repaired.get((*place, index), NOTHING)):
                self.reject(problem[0], f"span {span.name[:100]!r}: {problem[1]}")
            else:
                kept.append(span)
        if len(kept) < len(scope.spans):
            copies = [Span.FromString(span.SerializeToString()) for span in kept]
            del scope.spans[:]
            scope.spans.extend(copies)

    def _problem(self, span: Span, repaired: Sizes) -> tuple[str, str] | None:
        """Return why the span can't be stored; None if it can, and then its attributes are flat and within the limits."""
        match id_problem(span):
            case "trace_id":
                return "trace_id", "trace_id must be 16 bytes and not all zero"
            case "span_id":
                return "span_id", "span_id must be 8 bytes and not all zero"
            case "parent_span_id":
                return "parent_span_id", "parent_span_id must be 8 bytes or absent"
        try:
            self._truncator.span(span, repaired)
        except TooDeepError:
            return "depth", f"an attribute is nested deeper than {MAX_DEPTH} levels"
        return None

    def _reason(self) -> str:
        parts = []
        if self._rejected:
            parts.append(f"{self._rejected.total()} spans rejected; first: {self._first}")
        if self._truncator.cuts:
            parts.append(f"{self._truncator.cuts.total()} values cut; first: {self._truncator.first}")
        if self._truncator.repaired:
            parts.append(f"{self._truncator.repaired} texts are not UTF-8 and are kept with U+FFFD; first: {self._truncator.first_repaired}")
        return ". ".join(parts)

    def _count(self) -> None:
        for reason, spans in self._rejected.items():
            REJECTED_SPANS.labels(reason).inc(spans)
        for limit, values in self._truncator.cuts.items():
            CUT_VALUES.labels(limit).inc(values)
        if self._truncator.repaired:
            CUT_VALUES.labels("utf8").inc(self._truncator.repaired)
