"""One ``export`` for both transports. Knows neither gRPC nor HTTP."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from spanhouse.exporter.limits import DEFAULT_LIMITS, Limits
from spanhouse.exporter.refused import RefusedLately
from spanhouse.exporter.request import CheckedRequest, check
from spanhouse.exporter.status import ExportError, TooLargeError, UnavailableError

_log = logging.getLogger(__name__)

_SMALL_BYTES: Final = 512 * 1024
"""Requests up to this size, as SDKs send them, are checked on the event loop: about 3 µs a span, most of it with the GIL held, whichever thread
does it."""


class Sink(Protocol):
    """The next step of the flow."""

    def admit(self, size: int, *, again: bool) -> None:
        """Raise ExportError if a request of so many bytes would be refused now, whatever it holds; ``again``: it was refused before."""
        ...

    async def add(self, request: CheckedRequest, *, again: bool) -> None:
        """Return when the request is stored; raise ExportError if it is not."""
        ...


class Acknowledgement(NamedTuple):
    """The answer to a request that is stored.

    Attributes:
        response: serialised ``ExportTraceServiceResponse``: empty if all is stored, else with ``partial_success``.
        spans: how many spans are stored.
    """

    response: bytes
    spans: int


@dataclass(slots=True)
class ExportService:
    """Takes request bytes, answers response bytes.

    Attributes:
        sink: where checked requests go.
        max_request_bytes: larger requests are refused.
        limits: on what a request may hold.
    """

    sink: Sink
    max_request_bytes: int
    limits: Limits = DEFAULT_LIMITS
    _refused: RefusedLately = field(default_factory=RefusedLately)

    async def export(self, body: bytes) -> Acknowledgement:
        """Store the spans of a serialised ``ExportTraceServiceRequest``.

        Raises:
            ExportError: nothing was acknowledged.
        """
        if len(body) > self.max_request_bytes:
            raise TooLargeError(f"the request has {len(body)} bytes, more than the {self.max_request_bytes} allowed: send smaller batches")
        again = body in self._refused
        try:
            # Before it is parsed: who is overloaded lives on what a refusal does not cost.
            self.sink.admit(len(body), again=again)
            checked = check(body, self.limits) if len(body) <= _SMALL_BYTES else await asyncio.to_thread(check, body, self.limits)
            if checked.spans:
                await self.sink.add(checked, again=again)
        except UnavailableError:
            self._refused.add(body)
            raise
        except ExportError:
            raise
        except Exception:  # noqa: BLE001 our fault, whatever it is: logged whole, and the client keeps its data
            _log.exception("a request of %d bytes failed", len(body))
            raise UnavailableError("the server failed; its log says why", 5.0) from None
        self._refused.discard(body)
        return Acknowledgement(_response(checked), checked.spans)


def _response(checked: CheckedRequest) -> bytes:
    if not checked.reason:
        return b""
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = checked.rejected
    response.partial_success.error_message = checked.reason
    return response.SerializeToString()
