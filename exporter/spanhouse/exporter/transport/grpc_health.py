"""``grpc.health.v1``: readiness for load balancers and probes, without a token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from spanhouse.exporter.readiness import STOPPING, Readiness

_SERVICES: Final = frozenset({"", "opentelemetry.proto.collector.trace.v1.TraceService"})
"""The server as a whole, and its only service."""
_WATCHERS: Final = 100

_Context: TypeAlias = "grpc.aio.ServicerContext[HealthCheckRequest, HealthCheckResponse]"


class Health(health_pb2_grpc.HealthServicer):
    """Health service that reports the readiness of the parts."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness
        self._watchers = 0

    async def Check(self, request: HealthCheckRequest, context: _Context) -> HealthCheckResponse:  # noqa: N802 gRPC's name
        """Return the status now."""
        if request.service not in _SERVICES:
            await context.abort(grpc.StatusCode.NOT_FOUND, "the server has no such service")
        return HealthCheckResponse(status=_status(request, self._readiness.problems))

    async def Watch(self, request: HealthCheckRequest, context: _Context) -> None:  # noqa: N802 gRPC's name
        """Send the status at once and after each change, until the server stops."""
        if self._watchers >= _WATCHERS:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{_WATCHERS} clients watch already: use Check")
        self._watchers += 1
        try:
            problems, sent = self._readiness.problems, None
            while True:
                if (status := _status(request, problems)) != sent:
                    await context.write(HealthCheckResponse(status=status))
                    sent = status
                if STOPPING in problems:  # an endless call would delay the stop
                    return
                problems = await self._readiness.other_than(problems)
        finally:
            self._watchers -= 1


def _status(request: HealthCheckRequest, problems: Mapping[str, str]) -> int:
    if request.service not in _SERVICES:
        return HealthCheckResponse.SERVICE_UNKNOWN
    return HealthCheckResponse.NOT_SERVING if problems else HealthCheckResponse.SERVING
