"""OTLP over HTTP: a bare ASGI application around the service."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from spanhouse.exporter import metrics
from spanhouse.exporter.access.tokens import Right, Tokens
from spanhouse.exporter.errors import (
    ExportError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotKeptError,
    TooLargeError,
    UnavailableError,
    UnsupportedMediaTypeError,
)
from spanhouse.exporter.ingest.service import Acknowledgement, ExportService
from spanhouse.exporter.otlp.from_json import to_protobuf
from spanhouse.exporter.transport.asgi_responses import JSON, PROTOBUF, answer_error, answer_message, encoding_of
from spanhouse.exporter.transport.content_encoding import Unpacker
from spanhouse.exporter.transport.http_intake import LATE, Budget, Receive, Send

_log = logging.getLogger(__name__)

_SMALL_JSON_BYTES: Final = 32 * 1024
"""JSON up to this size is read on the event loop, about 2 ms."""
_LONG_STEP_BYTES: Final = 256 * 1024
"""After unpacking so much at once others get their turn."""


class OtlpHttp:
    """``POST /v1/traces`` with bodies in protobuf or JSON, plain or packed.

    Every answer, errors too, is in the encoding of the request, protobuf if it has none: an ``ExportTraceServiceResponse`` or a
    ``google.rpc.Status`` (OTLP specification, "OTLP/HTTP response").
    """

    def __init__(self, service: ExportService, tokens: Callable[[], Tokens | None], *, budget: Budget) -> None:
        """Make the application.

        Args:
            service: stores requests.
            tokens: the tokens that hold now; None if everybody on this machine is let in.
            budget: what all requests together may hold in memory.
        """
        self._service = service
        self._tokens = tokens
        self._budget = budget
        self._one_large_json = asyncio.Lock()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        encoding = encoding_of(headers.get("content-type", ""))
        answer = await self._answer(scope, headers, encoding, receive)
        if isinstance(answer, ExportError):
            metrics.refused("http", answer)
            await answer_error(send, encoding, answer)
        elif answer is not None:
            metrics.acknowledged("http", answer.spans)
            await answer_message(send, 200, encoding, ExportTraceServiceResponse.FromString(answer.response))

    async def _answer(self, scope: dict[str, Any], headers: dict[str, str], encoding: str, receive: Receive) -> Acknowledgement | ExportError | None:
        """What the client is told; None if it is gone."""
        try:
            if (tokens := self._tokens()) is not None:
                tokens.require(Right.INGEST, headers.get)
            _check(scope["method"], scope["path"], encoding)
            with self._budget.request() as take:
                body = await self._read(headers, receive, take)
                if body is None:
                    return None
                if encoding == JSON:
                    body = await self._from_json(body)
                return await self._service.export(body)
        except ExportError as error:
            # Its traceback leads to the body, which must go before the client has read the answer.
            return error.with_traceback(None)
        except Exception:  # noqa: BLE001 our fault, whatever it is: logged whole, and the client keeps its data
            _log.exception("a request over HTTP failed")
            return UnavailableError("the server failed; its log says why", 5.0)

    async def _read(self, headers: dict[str, str], receive: Receive, take: Callable[[int], None]) -> bytes | None:
        """The decompressed body; None if the client is gone.

        Raises:
            ExportError: it is too large, not what its content encoding says, or late.
        """
        unpacker = Unpacker(headers.get("content-encoding", ""))
        limit = self._service.max_request_bytes
        if headers.get("content-length", "").isdigit() and int(headers["content-length"]) > limit:
            raise TooLargeError(f"the body has {headers['content-length']} bytes, more than the {limit} allowed: send smaller batches")
        steps: list[bytes] = []
        received = unpacked = 0
        more = True
        while more:
            message = await receive()
            if message == LATE:
                # Retryable, other than 408: the client may not be to blame, as when the server stops.
                raise UnavailableError("the request did not arrive in time; try again", 1.0)
            if message["type"] == "http.disconnect":
                return None
            piece = message.get("body", b"")
            more = message.get("more_body", False)
            received += len(piece)
            for step in unpacker.unpack(piece):
                unpacked += len(step)
                if max(received, unpacked) > limit:
                    raise TooLargeError(f"the body has more than the {limit} bytes allowed: send smaller batches")
                take(len(step))
                steps.append(step)
                if len(step) >= _LONG_STEP_BYTES:
                    await asyncio.sleep(0)
        if not unpacker.complete:
            raise InvalidRequestError("the body is cut short: its content-encoding has an end that did not come")
        return b"".join(steps)

    async def _from_json(self, body: bytes) -> bytes:
        if len(body) <= _SMALL_JSON_BYTES:
            return to_protobuf(body, self._service.limits)
        async with self._one_large_json:
            return await asyncio.to_thread(to_protobuf, body, self._service.limits)


def _check(method: str, path: str, encoding: str) -> None:
    if path in {"/v1/logs", "/v1/metrics", "/v1development/profiles"}:
        raise NotKeptError("only traces are kept here: send logs and metrics elsewhere")
    if path.rstrip("/") != "/v1/traces":
        raise NotKeptError("no such path: OTLP traces go to /v1/traces")
    if method != "POST":
        raise MethodNotAllowedError("OTLP traces are sent with POST")
    if encoding not in {PROTOBUF, JSON}:
        raise UnsupportedMediaTypeError(f"content-type {encoding[:60]!r} is not supported: send {PROTOBUF} or {JSON}")
