"""OTLP over gRPC: hands the raw bytes of each message to the ingest service."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2_grpc

from spanhouse.exporter import metrics
from spanhouse.exporter.access.tls import Certificates
from spanhouse.exporter.access.tokens import CurrentTokens, Right
from spanhouse.exporter.address import Address, ConfigError
from spanhouse.exporter.errors import ExportError, InvalidRequestError, NotKeptError
from spanhouse.exporter.ingest.service import Acknowledgement, ExportService
from spanhouse.exporter.transport.grpc_health import Health
from spanhouse.exporter.transport.grpc_intake import GrpcIntake
from spanhouse.exporter.transport.memory_budget import MemoryBudget

_log = logging.getLogger(__name__)

_COLLECTOR: Final = "/opentelemetry.proto.collector."
_TRACES: Final = f"{_COLLECTOR}trace.v1.TraceService/Export"
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
_LIMITS: Final = (
    # Further calls wait at their sender; gRPC's overload protection would refuse every second call of a busy client.
    ("grpc.max_concurrent_streams", 100),
    ("grpc.http.overload_protection", 0),
    # Bytes that a connection may send unread. By default gRPC raises this to megabytes per call.
    ("grpc.http2.lookahead_bytes", 256 * 1024),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.server_handshake_timeout_ms", 10_000),
    # Connections end when idle, when their client is gone, and at an age that lets a load balancer distribute them anew.
    ("grpc.max_connection_idle_ms", 5 * 60_000),
    ("grpc.max_connection_age_ms", 60 * 60_000),
    ("grpc.max_connection_age_grace_ms", 60_000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # Clients may ping as often as they like, with or without calls: a pong costs less than a new connection.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_ping_strikes", 0),
)

_Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
_Handler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes]"
_Behaviour: TypeAlias = Callable[[object, _Context], Awaitable[bytes]]


class GrpcServer:
    """gRPC listener: ``open`` binds it, ``start`` accepts calls.

    Args:
        service: stores requests.
        address: where to listen; port 0 takes a free one.
        tokens: gives the current tokens; None accepts every client.
        budget: memory of all requests together.
        health: answers ``grpc.health.v1``.
        certificates: for TLS; None listens without TLS.
        max_connections: further ones are closed at once.
        shared: share the address with other processes (SO_REUSEPORT); else a second server on the port fails.

    Attributes:
        address: where it listens; ``open`` fills in the port.
    """

    def __init__(
        self,
        service: ExportService,
        address: Address,
        tokens: CurrentTokens,
        *,
        budget: MemoryBudget,
        health: Health,
        certificates: Certificates | None = None,
        max_connections: int = 1000,
        shared: bool = False,
    ) -> None:
        self._service = service
        self._tokens = tokens
        self._budget = budget
        self._intake = GrpcIntake(budget.limit_bytes)
        # The service answers for requests over its limit; gRPC stops much larger ones.
        largest = ("grpc.max_receive_message_length", service.max_request_bytes + 1024)
        self._server = grpc.aio.server(
            options=[*_LIMITS, largest, ("grpc.so_reuseport", int(shared)), ("grpc.max_allowed_incoming_connections", max_connections)]
        )
        self._server.add_generic_rpc_handlers((_Handlers(self._export, self._refuse),))
        health_pb2_grpc.add_HealthServicer_to_server(health, self._server)
        self._certificates = certificates
        self.address = address

    def open(self) -> None:
        """Bind the address.

        Raises:
            ConfigError: the address is not available.
        """
        try:
            if self._certificates is None:
                port = self._server.add_insecure_port(str(self.address))
            else:
                port = self._server.add_secure_port(str(self.address), self._certificates.grpc())
        except RuntimeError:
            raise ConfigError(f"--grpc {self.address}: the address is in use or not of this machine; choose another port, or 0 for any") from None
        self.address = Address(self.address.host, port)

    async def start(self) -> None:
        """Accept calls."""
        await self._server.start()

    async def stop(self, grace_seconds: float) -> None:
        """Refuse new calls, and give those whose message has arrived this time to finish."""
        self._intake.stop()
        await self._server.stop(grace_seconds)

    async def _export(self, _: object, context: _Context) -> bytes:
        answer = await self._answer(context)
        if isinstance(answer, ExportError):
            metrics.refused("grpc", answer)
            await _abort(context, answer)
            raise answer
        metrics.acknowledged("grpc", answer.spans)
        return answer.response

    async def _answer(self, context: _Context) -> Acknowledgement | ExportError:
        try:
            if (tokens := self._tokens()) is not None:
                metadata = {str(key): str(value) for key, value in context.invocation_metadata() or ()}
                tokens.require(Right.INGEST, metadata.get)
            # Read here and not by gRPC, so that a message takes no memory before its token is checked and it has a slot.
            body = await self._intake(context.read)
            if not isinstance(body, bytes):
                raise InvalidRequestError("the call holds no message")
            with self._budget.request() as take:
                take(len(body))
                return await self._service.export(body)
        except ExportError as error:
            # gRPC keeps the exception that ends a call in a reference cycle, so it must not refer to the frames that hold the message.
            error.__cause__ = error.__context__ = None
            return error.with_traceback(None)

    async def _refuse(self, _: object, context: _Context) -> bytes:
        error = NotKeptError("only traces are kept here: send logs and metrics elsewhere")
        metrics.refused("grpc", error)
        await _abort(context, error)
        raise error


async def _abort(context: _Context, error: ExportError) -> None:
    """End the call with the error's status, by raising."""
    details = (("grpc-status-details-bin", error.status().SerializeToString()),)
    await context.abort(_CODES[error.grpc_code], error.message, trailing_metadata=details)


class _Handlers(grpc.GenericRpcHandler):
    """Raw-bytes handlers of OTLP's three services; gRPC itself answers UNIMPLEMENTED for all others.

    Their calls are unary. A server may handle a unary call as a stream of one message, and so choose when to read it.
    """

    def __init__(self, export: _Behaviour, refuse: _Behaviour) -> None:
        self._export: _Handler = grpc.stream_unary_rpc_method_handler(export)
        self._refuse: _Handler = grpc.stream_unary_rpc_method_handler(refuse)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> _Handler | None:
        """Return the handler of a call."""
        if handler_call_details.method == _TRACES:
            return self._export
        if handler_call_details.method.startswith(_COLLECTOR):
            return self._refuse
        return None
