"""OTLP over gRPC: decodes nothing, hands the bytes to the service."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import grpc
import grpc.aio

from spanhouse.exporter import metrics
from spanhouse.exporter.config import Address, ConfigError
from spanhouse.exporter.service import ExportService
from spanhouse.exporter.status import ExportError, NotKeptError
from spanhouse.exporter.tokens import Right, Tokens

_log = logging.getLogger(__name__)

_COLLECTOR: Final = "/opentelemetry.proto.collector."
_TRACES: Final = f"{_COLLECTOR}trace.v1.TraceService/Export"
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}

TokensNow = Callable[[], Tokens | None]
"""The tokens that hold now; None if everybody on this machine is let in."""

_Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
_Handler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes]"


class GrpcServer:
    """The gRPC listener, bound when made.

    Attributes:
        address: where it listens, the port filled in.

    Raises:
        ConfigError: the address can't be had.
    """

    def __init__(self, service: ExportService, address: Address, tokens: TokensNow) -> None:
        self._service = service
        self._tokens = tokens
        self._server = grpc.aio.server(
            options=[
                # A second server on the port has to fail, not to share it.
                ("grpc.so_reuseport", 0),
                # The service itself refuses what is too large, with a message; gRPC stops what is far too large.
                ("grpc.max_receive_message_length", service.max_request_bytes + 1024),
            ]
        )
        self._server.add_generic_rpc_handlers((_Handlers(self._export, self._refuse),))
        try:
            port = self._server.add_insecure_port(str(address))
        except RuntimeError:
            raise ConfigError(f"--grpc {address}: the address is in use or not of this machine; choose another port, or 0 for any") from None
        self.address = Address(address.host, port)

    async def start(self) -> None:
        """Take calls."""
        await self._server.start()

    async def stop(self, grace_seconds: float) -> None:
        """Refuse new calls and let those under way finish for so long."""
        await self._server.stop(grace_seconds)

    async def _export(self, body: bytes, context: _Context) -> bytes:
        try:
            if (tokens := self._tokens()) is not None:
                metadata = {str(key): str(value) for key, value in context.invocation_metadata() or ()}
                tokens.require(Right.INGEST, metadata.get)
            done = await self._service.export(body)
        except ExportError as error:
            metrics.refused("grpc", error)
            await _abort(context, error)
            raise
        metrics.acknowledged("grpc", done.spans)
        return done.response

    async def _refuse(self, _: bytes, context: _Context) -> bytes:
        error = NotKeptError("only traces are kept here: send logs and metrics elsewhere")
        metrics.refused("grpc", error)
        await _abort(context, error)
        raise error


async def _abort(context: _Context, error: ExportError) -> None:
    """End the call with the error's status; raises."""
    details = (("grpc-status-details-bin", error.status().SerializeToString()),)
    await context.abort(_CODES[error.grpc_code], error.message, trailing_metadata=details)


class _Handlers(grpc.GenericRpcHandler):
    """Raw bytes for OTLP's three services; gRPC itself answers UNIMPLEMENTED for all else."""

    def __init__(self, export: Callable[[bytes, _Context], Awaitable[bytes]], refuse: Callable[[bytes, _Context], Awaitable[bytes]]) -> None:
        self._export: _Handler = grpc.unary_unary_rpc_method_handler(export)
        self._refuse: _Handler = grpc.unary_unary_rpc_method_handler(refuse)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> _Handler | None:
        """The handler of a call."""
        if handler_call_details.method == _TRACES:
            return self._export
        if handler_call_details.method.startswith(_COLLECTOR):
            return self._refuse
        return None
