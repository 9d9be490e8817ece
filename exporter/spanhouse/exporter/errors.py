"""Errors of an export, with their gRPC and HTTP status codes: one table for both transports.

The codes follow the OTLP specification 1.x, "OTLP/gRPC response" and "OTLP/HTTP response": a client may repeat a request after
UNAVAILABLE or 503, and must not after INVALID_ARGUMENT, RESOURCE_EXHAUSTED without RetryInfo, 400 or 413.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status


@dataclass
class ExportError(Exception):
    """A request that was not stored. The message is one line for the client's operator.

    Attributes:
        message: the problem and its remedy.
        retry_seconds: pause before a retry; None for "do not retry".
    """

    message: str
    retry_seconds: float | None = None

    grpc_code: ClassVar[int]
    """Number of the gRPC status code (google.rpc.Code)."""
    http_status: ClassVar[int]

    def __str__(self) -> str:
        return self.message

    def status(self) -> Status:
        """Return the google.rpc.Status that both transports send, with RetryInfo where the client should retry."""
        status = Status(code=self.grpc_code, message=self.message)
        for detail in self.details():
            status.details.add().Pack(detail)
        return status

    def details(self) -> Iterator[Message]:
        """Return the details of the status, for programs."""
        if self.retry_seconds is not None:
            info = RetryInfo()
            info.retry_delay.FromMilliseconds(round(self.retry_seconds * 1000))
            yield info


@dataclass
class InvalidRequestError(ExportError):
    """The bytes are not an OTLP trace request.

    Attributes:
        field: path of the wrong field; '' if it is unknown.
    """

    field: str = ""

    grpc_code = 3
    http_status = 400

    def details(self) -> Iterator[Message]:
        """Return the details with the path of the wrong field."""
        yield from super().details()
        yield BadRequest(field_violations=[BadRequest.FieldViolation(field=self.field, description=self.message)])


class UnsupportedMediaTypeError(ExportError):
    """The content type or encoding is not supported."""

    grpc_code = 3
    http_status = 415


class TooLargeError(ExportError):
    """The request is larger than the limit, before or after decompression."""

    grpc_code = 8
    http_status = 413


class UnauthenticatedError(ExportError):
    """The request has no token, or one that is not in the token file."""

    grpc_code = 16
    http_status = 401


class PermissionDeniedError(ExportError):
    """The token lacks the right to write spans."""

    grpc_code = 7
    http_status = 403


class NotKeptError(ExportError):
    """A signal or a path that is not served here."""

    grpc_code = 12
    http_status = 404


class MethodNotAllowedError(ExportError):
    """An HTTP method other than POST."""

    grpc_code = 12
    http_status = 405


class UnavailableError(ExportError):
    """The store can't take the request now; none of its spans were acknowledged."""

    grpc_code = 14
    http_status = 503
