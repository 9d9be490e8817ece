"""OTLP over HTTP: a plain ASGI application around the ingest service."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from spanhouse.exporter import metrics
from spanhouse.exporter.access.tokens import CurrentTokens, Right
from spanhouse.exporter.errors import (
    ExportError,
    MethodNotAllowedError,
    NotKeptError,
    TooLargeError,
    UnavailableError,
    UnsupportedMediaTypeError,
)
from spanhouse.exporter.ingest.service import Acknowledgement, ExportService
from spanhouse.exporter.otlp.from_json import to_protobuf
from spanhouse.exporter.transport.asgi import Message, Receive, Scope, Send, read_headers
from spanhouse.exporter.transport.body_deadline import LATE
from spanhouse.exporter.transport.body_reader import read_body
from spanhouse.exporter.transport.content_encoding import Decompressor
from spanhouse.exporter.transport.memory_budget import MemoryBudget
from spanhouse.exporter.transport.otlp_responses import JSON, PROTOBUF, answer_error, answer_message, media_type

_log = logging.getLogger(__name__)

_SMALL_JSON_BYTES: Final = 32 * 1024
"""JSON up to this size is parsed on the event loop, about 2 ms."""


class OtlpHttp:
    """ASGI application for ``POST /v1/traces`` with bodies in protobuf or JSON, compressed or not.

    Every response, errors too, is in the request's encoding, protobuf if it has none: an ``ExportTraceServiceResponse`` or a
    ``google.rpc.Status`` (OTLP specification, "OTLP/HTTP response").
    """

    def __init__(self, service: ExportService, tokens: CurrentTokens, *, budget: MemoryBudget) -> None:
        """Make the application.

        Args:
            service: stores requests.
            tokens: gives the current tokens; None accepts every process on this machine.
            budget: memory of all requests together.
        """
        self._service = service
        self._tokens = tokens
        self._budget = budget
        self._one_large_json = asyncio.Lock()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = read_headers(scope)
        encoding = media_type(headers.get("content-type", ""))
        answer = await self._answer(scope, headers, encoding, receive)
        if isinstance(answer, ExportError):
            metrics.refused("http", answer)
            await answer_error(send, encoding, answer)
        elif answer is not None:
            metrics.acknowledged("http", answer.spans)
            await answer_message(send, 200, encoding, ExportTraceServiceResponse.FromString(answer.response))

    async def _answer(self, scope: Scope, headers: Mapping[str, str], encoding: str, receive: Receive) -> Acknowledgement | ExportError | None:
        """Return the answer to the client; None if the client has disconnected."""
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
            # Its traceback refers to the body, which must be freed before the client reads the answer.
            return error.with_traceback(None)
        except Exception:  # noqa: BLE001 a defect of the server: logged with its traceback, and the client keeps its data
            _log.exception("a request over HTTP failed")
            return UnavailableError("the server failed; see its log", 5.0)

    async def _read(self, headers: Mapping[str, str], receive: Receive, take: Callable[[int], None]) -> bytes | None:
        """Return the decompressed body; None if the client has disconnected.

        Raises:
            ExportError: the body is too large, late, or does not match its content encoding.
        """
        decompressor = Decompressor(headers.get("content-encoding", ""))
        limit = self._service.max_request_bytes
        if headers.get("content-length", "").isdigit() and int(headers["content-length"]) > limit:
            raise TooLargeError(f"the body has {headers['content-length']} bytes, more than the {limit} allowed: send smaller batches")

        async def receive_in_time() -> Message:
            if (message := await receive()) == LATE:
                # Retryable, unlike 408: the server may be the cause, as when it stops.
                raise UnavailableError("the request did not arrive in time; try again", 1.0)
            return message

        def too_large() -> TooLargeError:
            return TooLargeError(f"the body has more than the {limit} bytes allowed: send smaller batches")

        return await read_body(receive_in_time, decompressor, limit_bytes=limit, too_large=too_large, take=take)

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
