"""Export over OTLP with metadata. Loaded only by processes that export, since the exporters take long to import."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from spanhouse.processor.span_exporter import MetadataSpanExporter

_PROTOCOL_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_ENDPOINT_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_GRPC, _HTTP = "grpc", "http/protobuf"
_TRACES_PATH = "/v1/traces"
_HTTP_PORT = ":4318"

_logger = logging.getLogger("spanhouse.processor")


class OtlpMetadataSpanExporter(MetadataSpanExporter):
    """OTLP exporter with metadata, configured by the environment; ``OTEL_TRACES_EXPORTER=spanhouse`` needs no code."""

    def __init__(self) -> None:
        super().__init__(_otlp_exporter(None, None, None))


class _ExporterBesideOthers(MetadataSpanExporter):
    """An OTLP exporter beside the provider's own exporters, which still need the metadata on local roots."""

    _counts_as = 0


def otlp_processor(*, endpoint: str | None, protocol: str | None, headers: Mapping[str, str] | None, has_others: bool = False) -> BatchSpanProcessor:
    """Make a batching processor that exports over OTLP; arguments as of ``configure``.

    ``has_others``: the provider may have exporters already.
    """
    wrapper = _ExporterBesideOthers if has_others else MetadataSpanExporter
    return BatchSpanProcessor(wrapper(_otlp_exporter(endpoint, protocol, headers)))


def _otlp_exporter(endpoint: str | None, protocol: str | None, headers: Mapping[str, str] | None) -> SpanExporter:
    # gRPC takes header names in small letters only, HTTP in any.
    lower = {name.lower(): value for name, value in headers.items()} if headers else None
    if endpoint and "://" not in endpoint:
        endpoint = f"http://{endpoint}"
    if _chosen_protocol(protocol, endpoint) == _HTTP:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter  # one of two

        return HttpExporter(endpoint=_with_path(endpoint) if endpoint else None, headers=lower)
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter  # one of two

    return GrpcExporter(endpoint=endpoint or None, headers=lower)


def _chosen_protocol(argument: str | None, endpoint: str | None) -> str:
    """Return the named protocol, else that of the endpoint's port or path, else gRPC."""
    for origin, value in (("protocol", argument), *((variable, os.environ.get(variable)) for variable in _PROTOCOL_VARIABLES)):
        name = (value or "").strip().lower()
        if name in {_GRPC, _HTTP}:
            return name
        if name:
            _logger.warning("%s=%r is left out: traces are exported with grpc or http/protobuf", origin, value)
    addresses = (endpoint, *(os.environ.get(variable) for variable in _ENDPOINT_VARIABLES))
    address = next((address.strip().rstrip("/") for address in addresses if address and address.strip()), "")
    return _HTTP if address.endswith((_HTTP_PORT, _TRACES_PATH)) else _GRPC


def _with_path(endpoint: str) -> str:
    base = endpoint.rstrip("/")
    return base if "/" in base.partition("://")[2] else base + _TRACES_PATH
