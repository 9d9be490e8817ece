"""From the bytes of an OTLP request to what may be stored: parsed, its ids and sizes checked, its nested values rewritten.

All of it happens before the acknowledgement, so that a bad request gets its own error and costs its neighbours nothing.

Nearly every request is stored byte for byte as it came, and then nothing here touches a single attribute: ``wire`` has the parser say that the
bytes are plain, and numpy looks at the ids of all spans at once. The rest is read, put right and written again.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from spanhouse.exporter.anyvalue import MAX_DEPTH, TooDeepError
from spanhouse.exporter.cut import Cutter
from spanhouse.exporter.limits import Limits
from spanhouse.exporter.metrics import CUT_VALUES, REJECTED_SPANS
from spanhouse.exporter.plain import ids_are_good, is_dense, is_within
from spanhouse.exporter.status import InvalidRequestError, TooLargeError
from spanhouse.exporter.wire import Flat, Frame

_NO_TRACE_ID: Final = bytes(16)
_NO_SPAN_ID: Final = bytes(8)
_DEFAULT_LIMITS: Final = Limits()

_LARGE_BYTES: Final = 4 * 2**20
_one_large_request: Final = threading.Lock()
"""A parsed request takes several times its bytes. So of the large ones one is parsed at a time, whichever thread it comes from."""


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """A request that the engine can take.

    Attributes:
        body: serialised ``ExportTraceServiceRequest`` without the rejected spans; several of them joined are one request. The same
            request gives the same bytes each time.
        spans: how many spans ``body`` holds.
        rejected: how many spans were left out.
        reason: why, and what was cut, for ``partial_success``; '' if the request is stored whole.
    """

    body: bytes
    spans: int
    rejected: int = 0
    reason: str = ""


def check(body: bytes, limits: Limits = _DEFAULT_LIMITS) -> CheckedRequest:
    """Check a serialised request, and count what it loses.

    Raises:
        InvalidRequestError: it is not an ``ExportTraceServiceRequest``.
        TooLargeError: it holds more tiny values than memory is given to.
    """
    with _room_for(body), _decoding():
        if is_dense(body, limits.values):
            raise TooLargeError(f"the request holds more than {limits.values} values of at most 8 bytes: send smaller batches")
        frame = Frame.FromString(body)
        spans = _spans(frame)
        extra = len(spans) - limits.spans
        if extra > 0:
            body = _first_spans(frame, limits.spans)
        else:
            if _is_plain(body, frame, spans, limits):
                return CheckedRequest(body, len(spans))
            del frame, spans
        request = ExportTraceServiceRequest.FromString(body)
        request.DiscardUnknownFields()
        checked = _check_canonical(request, body, limits)
    if extra > 0:
        checked.reject("spans", f"more than {limits.spans} spans in a request: send smaller batches", extra)
    return checked.result()


def canonical(body: bytes, limits: Limits = _DEFAULT_LIMITS) -> CheckedRequest:
    """The request as protobuf itself would write it, every nested value rewritten: for one that ``check`` passed and the engine refused.

    Raises:
        InvalidRequestError: as ``check``.
    """
    with _decoding():
        request = ExportTraceServiceRequest.FromString(body)
    request.DiscardUnknownFields()
    return _Rewrite(request, limits).result()
