"""``grpc.health.v1``: whether requests are taken, for load balancers and probes. Nobody needs a token for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from spanhouse.exporter.readiness import STOPPING, Readiness

_SERVICES: Final = frozenset({"", "opentelemetry.proto.collector.trace.v1.TraceService"})
"""The server as a whole, and the only service it has."""
_WATCHERS: Final = 100

_Context: TypeAlias = "grpc.aio.ServicerContext[HealthCheckRequest, HealthCheckResponse]"


class Health(health_pb2_grpc.HealthServicer):
    """The service, after what the parts say of themselves."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness
        self._watchers = 0

    async def Check(self, request: HealthCheckRequest, context: _Context) -> HealthCheckResponse:  # noqa: N802 gRPC's name
        """Whether requests are taken now."""
        if request.service not in _SERVICES:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service here")
        return HealthCheckResponse(status=_status(request, self._readiness.problems))

    async def Watch(self, request: HealthCheckRequest, context: _Context) -> None:  # noqa: N802 gRPC's name
        """The same at once and after each change, until the server stops."""
        if self._watchers >= _WATCHERS:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{_WATCHERS} others watch already: use Check")
        self._watchers += 1
        try:
            problems, told = self._readiness.problems, None
            while True:
                if (status := _status(request, problems)) != told:
                    await context.write(HealthCheckResponse(status=status))
                    told = status
                if STOPPING in problems:  # a call without end would delay the stop
                    return
                problems = await self._readiness.other_than(problems)
        finally:
            self._watchers -= 1


def _status(request: HealthCheckRequest, problems: Mapping[str, str]) -> int:
    if request.service not in _SERVICES:
        return HealthCheckResponse.SERVICE_UNKNOWN
    return HealthCheckResponse.NOT_SERVING if problems else HealthCheckResponse.SERVING
