"""HTTP responses with a body: plain ones, and OTLP messages and errors in the request's encoding."""

from __future__ import annotations

from typing import Final

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from spanhouse.exporter.errors import ExportError, MethodNotAllowedError, UnauthenticatedError
from spanhouse.exporter.transport.asgi import RawHeaders, Send, respond

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"


def media_type(content_type: str) -> str:
    """Return the media type of a Content-Type header, without its parameters."""
    return content_type.partition(";")[0].strip().lower()


async def answer(send: Send, status: int, body: bytes, content_type: str, extra: RawHeaders = ()) -> None:
    """Send a response with its length and type."""
    await respond(send, status, [(b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body)), *extra], body)


async def answer_message(send: Send, status: int, encoding: str, message: Message, extra: RawHeaders = ()) -> None:
    """Send a message in the request's encoding; protobuf if that is none of OTLP's."""
    if encoding == JSON:
        await answer(send, status, MessageToJson(message, indent=None).encode(), JSON, extra)
    else:
        await answer(send, status, message.SerializeToString(), PROTOBUF, extra)


async def answer_error(send: Send, encoding: str, error: ExportError, extra: RawHeaders = ()) -> None:
    """Send an error as a ``google.rpc.Status``, with the headers that its class requires."""
    headers = list(extra)
    if error.retry_seconds is not None:
        headers.append((b"retry-after", b"%d" % max(1, round(error.retry_seconds))))
    if isinstance(error, MethodNotAllowedError):
        headers.append((b"allow", b"POST"))
    if isinstance(error, UnauthenticatedError):
        headers.append((b"www-authenticate", b"Bearer"))
    await answer_message(send, error.http_status, encoding, error.status(), headers)
