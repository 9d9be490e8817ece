"""OTLP's export for both transports: admission, check, queue, acknowledgement. Knows neither gRPC nor HTTP."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from spanhouse.exporter.errors import ExportError, TooLargeError, UnavailableError
from spanhouse.exporter.ingest.admission import Admission
from spanhouse.exporter.otlp.check import CheckedRequest, check
from spanhouse.exporter.otlp.request_limits import DEFAULT_LIMITS, Limits

_log = logging.getLogger(__name__)

_SMALL_BYTES: Final = 512 * 1024
"""Requests up to this size, as SDKs send them, are checked on the event loop: about 3 µs a span, mostly with the GIL held in any thread."""


class Sink(Protocol):
    """The next step of the write path."""

    async def add(self, request: CheckedRequest) -> None:
        """Return when the request is stored; raise ExportError if it is not."""
        ...


class Acknowledgement(NamedTuple):
    """Answer to a request that is stored.

    Attributes:
        response: serialised ``ExportTraceServiceResponse``: empty if all is stored, else with ``partial_success``.
        spans: number of spans that are stored.
    """

    response: bytes
    spans: int


@dataclass(slots=True)
class ExportService:
    """Export of a serialised request.

    Attributes:
        admission: asked once for each request, before it is parsed.
        sink: next step for checked requests.
        max_request_bytes: larger requests are refused.
        limits: limits of a request's content.
    """

    admission: Admission
    sink: Sink
    max_request_bytes: int
    limits: Limits = DEFAULT_LIMITS

    async def export(self, body: bytes) -> Acknowledgement:
        """Store the spans of a serialised ``ExportTraceServiceRequest``.

        Raises:
            ExportError: nothing was acknowledged.
        """
        if len(body) > self.max_request_bytes:
            raise TooLargeError(f"the request has {len(body)} bytes, more than the {self.max_request_bytes} allowed: send smaller batches")
        try:
            self.admission.check(body)
            checked = check(body, self.limits) if len(body) <= _SMALL_BYTES else await self._check_in_thread(body)
            if checked.spans:
                await self.sink.add(checked)
        except UnavailableError:
            self.admission.refused(body)
            raise
        except ExportError:
            raise
        except Exception:  # noqa: BLE001 our fault, whatever it is: logged whole, and the client keeps its data
            _log.exception("a request of %d bytes failed", len(body))
            raise UnavailableError("the server failed; its log says why", 5.0) from None
        self.admission.taken(body)
        return Acknowledgement(_response(checked), checked.spans)

    async def _check_in_thread(self, body: bytes) -> CheckedRequest:
        with self.admission.holding(len(body)):
            return await asyncio.to_thread(check, body, self.limits)


def _response(checked: CheckedRequest) -> bytes:
    if not checked.reason:
        return b""
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = checked.rejected
    response.partial_success.error_message = checked.reason
    return response.SerializeToString()
