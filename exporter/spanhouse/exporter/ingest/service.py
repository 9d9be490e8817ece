"""One ``export`` for both transports. Knows neither gRPC nor HTTP."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from spanhouse.exporter.errors import ExportError, TooLargeError, UnavailableError
from spanhouse.exporter.otlp.check import CheckedRequest, check
from spanhouse.exporter.otlp.request_limits import DEFAULT_LIMITS, Limits

_log = logging.getLogger(__name__)

_SMALL_BYTES: Final = 512 * 1024
"""Requests up to this size, as SDKs send them, are checked on the event loop: about 3 µs a span, most of it with the GIL held, whichever thread
does it."""
_MOST_REFUSED: Final = 20_000
_TAIL_BYTES: Final = 4096
"""The ids of a request's last span are in it, mostly. Who is taken for another gets in earlier, nothing more."""
_SLICES: Final = 32
_SLICE_BYTES: Final = 64
"""Ids of other spans are in these, where all requests of a client end in the same long text."""


class RecentlyRefused:
    """The requests that were refused lately: one that comes again is known by it, and let in before those that come for the first time.

    For one thread.

    A client tries a few times in some ten seconds, then gives its spans up. Under a load that never ends its tries would be as good as anybody's,
    and some clients would lose all of them.

    Args:
        most: how many.
    """

    def __init__(self, most: int = _MOST_REFUSED) -> None:
        self._most = most
        self._keys: dict[int, None] = {}

    def __contains__(self, body: bytes) -> bool:
        return bool(self._keys) and _key(body) in self._keys

    def add(self, body: bytes) -> None:
        """Remember a request."""
        key = _key(body)
        self._keys.pop(key, None)
        self._keys[key] = None
        if len(self._keys) > self._most:
            del self._keys[next(iter(self._keys))]

    def discard(self, body: bytes) -> None:
        """Forget a request that was taken."""
        if self._keys:
            self._keys.pop(_key(body), None)


class Sink(Protocol):
    """The next step of the flow."""

    def admit(self, size: int, *, is_retry: bool) -> None:
        """Raise ExportError if a request of so many bytes would be refused now, whatever it holds; ``is_retry``: it was refused before."""
        ...

    async def add(self, request: CheckedRequest, *, is_retry: bool) -> None:
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
    _refused: RecentlyRefused = field(default_factory=RecentlyRefused)

    async def export(self, body: bytes) -> Acknowledgement:
        """Store the spans of a serialised ``ExportTraceServiceRequest``.

        Raises:
            ExportError: nothing was acknowledged.
        """
        if len(body) > self.max_request_bytes:
            raise TooLargeError(f"the request has {len(body)} bytes, more than the {self.max_request_bytes} allowed: send smaller batches")
        is_retry = body in self._refused
        try:
            # Before it is parsed: who is overloaded lives on what a refusal does not cost.
            self.sink.admit(len(body), is_retry=is_retry)
            checked = check(body, self.limits) if len(body) <= _SMALL_BYTES else await asyncio.to_thread(check, body, self.limits)
            if checked.spans:
                await self.sink.add(checked, is_retry=is_retry)
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


def _key(body: bytes) -> int:
    spread = range(0, len(body), max(_SLICE_BYTES, len(body) // _SLICES))
    return hash((len(body), body[-_TAIL_BYTES:], *(body[begin : begin + _SLICE_BYTES] for begin in spread)))
