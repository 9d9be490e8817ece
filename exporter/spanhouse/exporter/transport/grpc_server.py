"""OTLP over gRPC: decodes nothing, hands the bytes to the service."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2_grpc

from spanhouse.exporter import metrics
from spanhouse.exporter.access.tls import Certificates
from spanhouse.exporter.access.tokens import Right, Tokens
from spanhouse.exporter.address import Address, ConfigError
from spanhouse.exporter.errors import ExportError, InvalidRequestError, NotKeptError
from spanhouse.exporter.ingest.service import Acknowledgement, ExportService
from spanhouse.exporter.transport.grpc_health import Health
from spanhouse.exporter.transport.grpc_intake import GrpcIntake
from spanhouse.exporter.transport.http_intake import Budget

_log = logging.getLogger(__name__)

_COLLECTOR: Final = "/opentelemetry.proto.collector."
_TRACES: Final = f"{_COLLECTOR}trace.v1.TraceService/Export"
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
_LIMITS: Final = (
    # Calls beyond these wait with their sender; gRPC's protection from overload would refuse every second one of a client that has more to do.
    ("grpc.max_concurrent_streams", 100),
    ("grpc.http.overload_protection", 0),
    # What a connection may send before somebody reads it. Left to itself gRPC raises this to megabytes a call.
    ("grpc.http2.lookahead_bytes", 256 * 1024),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.server_handshake_timeout_ms", 10_000),
    # Connections end when nobody uses them, when their client is gone without a word, and at an age that lets a load balancer share them anew.
    ("grpc.max_connection_idle_ms", 5 * 60_000),
    ("grpc.max_connection_age_ms", 60 * 60_000),
    ("grpc.max_connection_age_grace_ms", 60_000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # Clients may ask for a sign of life as often as they like, calls or not: an answer costs less than the connections of those sent away.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_ping_strikes", 0),
)

TokensNow = Callable[[], Tokens | None]
"""The tokens that hold now; None if everybody on this machine is let in."""

_Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
_Handler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes]"
_Behaviour: TypeAlias = Callable[[object, _Context], Awaitable[bytes]]


class GrpcServer:
    """The gRPC listener, bound when made.

    Args:
        service: stores requests.
        address: where to listen; port 0 is any free one.
        tokens: the tokens that hold now; None if everybody who gets here is let in.
        budget: what all requests together may hold in memory.
        health: answers ``grpc.health.v1``.
        certificates: for TLS; None speaks without.
        max_connections: more are closed at once.
        shared: other processes listen at the same address; without it, a second server on the port fails.

    Attributes:
        address: where it listens, the port filled in.

    Raises:
        ConfigError: the address can't be had.
    """

    def __init__(
        self,
        service: ExportService,
        address: Address,
        tokens: TokensNow,
        *,
        budget: Budget,
        health: Health,
        certificates: Certificates | None = None,
        max_connections: int = 1000,
        shared: bool = False,
    ) -> None:
        self._service = service
        self._tokens = tokens
        self._budget = budget
        self._intake = GrpcIntake(budget.limit_bytes)
        # What the service refuses it says itself; gRPC stops what is far too large.
        largest = ("grpc.max_receive_message_length", service.max_request_bytes + 1024)
        self._server = grpc.aio.server(
            options=[*_LIMITS, largest, ("grpc.so_reuseport", int(shared)), ("grpc.max_allowed_incoming_connections", max_connections)]
        )
        self._server.add_generic_rpc_handlers((_Handlers(self._export, self._refuse),))
        health_pb2_grpc.add_HealthServicer_to_server(health, self._server)
        try:
            if certificates is None:
                port = self._server.add_insecure_port(str(address))
            else:
                port = self._server.add_secure_port(str(address), certificates.grpc())
        except RuntimeError:
            raise ConfigError(f"--grpc {address}: the address is in use or not of this machine; choose another port, or 0 for any") from None
        self.address = Address(address.host, port)

    async def start(self) -> None:
        """Take calls."""
        await self._server.start()

    async def stop(self, grace_seconds: float) -> None:
        """Refuse new calls and let those whose message has arrived finish for so long."""
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
            # Read here and not by gRPC, so that a message takes no memory before its sender is known and its turn has come.
            body = await self._intake(context.read)
            if not isinstance(body, bytes):
                raise InvalidRequestError("the call holds no message")
            with self._budget.request() as take:
                take(len(body))
                return await self._service.export(body)
        except ExportError as error:
            # gRPC keeps the exception by which a call ends in a cycle of references. It must not lead to the frames that hold the message.
            error.__cause__ = error.__context__ = None
            return error.with_traceback(None)

    async def _refuse(self, _: object, context: _Context) -> bytes:
        error = NotKeptError("only traces are kept here: send logs and metrics elsewhere")
        metrics.refused("grpc", error)
        await _abort(context, error)
        raise error


async def _abort(context: _Context, error: ExportError) -> None:
    """End the call with the error's status; raises."""
    details = (("grpc-status-details-bin", error.status().SerializeToString()),)
    await context.abort(_CODES[error.grpc_code], error.message, trailing_metadata=details)


class _Handlers(grpc.GenericRpcHandler):
    """Raw bytes for OTLP's three services; gRPC itself answers UNIMPLEMENTED for all else.

    Their calls are unary. A server may take such a call as a stream of one message, and so choose when to read it.
    """

    def __init__(self, export: _Behaviour, refuse: _Behaviour) -> None:
        self._export: _Handler = grpc.stream_unary_rpc_method_handler(export)
        self._refuse: _Handler = grpc.stream_unary_rpc_method_handler(refuse)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> _Handler | None:
        """The handler of a call."""
        if handler_call_details.method == _TRACES:
            return self._export
        if handler_call_details.method.startswith(_COLLECTOR):
            return self._refuse
        return None
