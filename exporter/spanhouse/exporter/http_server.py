"""OTLP over HTTP: a bare ASGI application around the service."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from typing import Any, Final

from spanhouse.exporter import metrics
from spanhouse.exporter.bodies import Budget, Receive, Send
from spanhouse.exporter.service import ExportService
from spanhouse.exporter.status import (
    ExportError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotKeptError,
    TooLargeError,
    UnsupportedMediaTypeError,
)
from spanhouse.exporter.tokens import Right, Tokens

PROTOBUF: Final = "application/x-protobuf"
_GZIP: Final = 31
"""zlib's window bits for a gzip header and trailer."""


class OtlpHttp:
    """``POST /v1/traces`` with protobuf bodies, plain or gzip.

    Every answer, errors too, is protobuf: an ``ExportTraceServiceResponse`` or a ``google.rpc.Status`` (OTLP specification, "OTLP/HTTP response").
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

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            if (tokens := self._tokens()) is not None:
                tokens.require(Right.INGEST, headers.get)
            _check_target(scope["method"], scope["path"])
            _check_content_type(headers.get("content-type", ""))
            with self._budget.request() as take:
                body = await self._read(headers, receive, take)
                if body is None:
                    return
                done = await self._service.export(body)
        except ExportError as error:
            metrics.refused("http", error)
            extra = []
            if error.retry_seconds is not None:
                extra.append((b"retry-after", str(max(1, round(error.retry_seconds))).encode()))
            if isinstance(error, MethodNotAllowedError):
                extra.append((b"allow", b"POST"))
            await _answer(send, error.http_status, error.status().SerializeToString(), extra)
        else:
            metrics.acknowledged("http", done.spans)
            await _answer(send, 200, done.response)

    async def _read(self, headers: dict[str, str], receive: Receive, take: Callable[[int], None]) -> bytes | None:
        """The decompressed body; None if the client is gone.

        Raises:
            ExportError: it is too large, or not what its content encoding says.
        """
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"identity", "gzip", ""}:
            raise UnsupportedMediaTypeError(f"content-encoding {encoding[:40]!r} is not supported: send gzip or none")
        limit = self._service.max_request_bytes
        if headers.get("content-length", "").isdigit() and int(headers["content-length"]) > limit:
            raise TooLargeError(f"the body has {headers['content-length']} bytes, more than the {limit} allowed: send smaller batches")
        unpack = _Gunzip() if encoding == "gzip" else None
        pieces: list[bytes] = []
        received = unpacked = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            piece = message.get("body", b"")
            received += len(piece)
            if unpack is not None:
                piece = unpack(piece, limit + 1 - unpacked)
            unpacked += len(piece)
            if max(received, unpacked) > limit:
                raise TooLargeError(f"the body has more than the {limit} bytes allowed: send smaller batches")
            take(len(piece))
            pieces.append(piece)
            if not message.get("more_body", False):
                break
        if unpack is not None and not unpack.complete:
            raise InvalidRequestError("the gzip body is cut short")
        return b"".join(pieces)


class _Gunzip:
    """Unpacks a gzip body that comes in pieces. It may have several members, one after the other (RFC 1952, section 2.2).

    Attributes:
        complete: whether what came so far is a whole body; an empty one is.
    """

    def __init__(self) -> None:
        self.complete = True
        self._member = zlib.decompressobj(_GZIP)

    def __call__(self, piece: bytes, room: int) -> bytes:
        """The piece unpacked; of one that unpacks to more than ``room`` bytes, a byte more than that at the least.

        Raises:
            InvalidRequestError: it is not gzip.
        """
        unpacked = bytearray()
        try:
            while piece and len(unpacked) <= room:
                if self._member.eof:
                    self._member = zlib.decompressobj(_GZIP)
                unpacked += self._member.decompress(piece, room + 1 - len(unpacked))
                self.complete = self._member.eof
                piece = self._member.unused_data
        except zlib.error:
            raise InvalidRequestError("the body is not gzip, as its content-encoding says") from None
        return bytes(unpacked)


def _check_target(method: str, path: str) -> None:
    if path in {"/v1/logs", "/v1/metrics", "/v1development/profiles"}:
        raise NotKeptError("only traces are kept here: send logs and metrics elsewhere")
    if path.rstrip("/") != "/v1/traces":
        raise NotKeptError("no such path: OTLP traces go to /v1/traces")
    if method != "POST":
        raise MethodNotAllowedError("OTLP traces are sent with POST")


def _check_content_type(content_type: str) -> None:
    kind = content_type.partition(";")[0].strip().lower()
    if kind != PROTOBUF:
        raise UnsupportedMediaTypeError(f"content-type {kind[:60]!r} is not supported: send {PROTOBUF}")


async def _answer(send: Send, status: int, body: bytes, extra: Iterable[tuple[bytes, bytes]] = ()) -> None:
    headers = [(b"content-type", PROTOBUF.encode()), (b"content-length", str(len(body)).encode()), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
