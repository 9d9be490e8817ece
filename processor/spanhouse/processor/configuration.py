"""One call that stamps and exports an application's traces."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Iterable, Mapping
from typing import cast

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from spanhouse.processor.process import suppressed_instrumentation, this_process
from spanhouse.processor.span_processor import MetadataSpanProcessor
from spanhouse.schema import vocabulary

_ARGUMENT = "argument of configure()"

_logger = logging.getLogger("spanhouse.processor")
_configured: weakref.WeakSet[trace.TracerProvider] = weakref.WeakSet()
_exporting: weakref.WeakSet[trace.TracerProvider] = weakref.WeakSet()


def configure(
    *,
    service_name: str | None = None,
    endpoint: str | None = None,
    protocol: str | None = None,
    headers: Mapping[str, str] | None = None,
    export: bool | None = None,
    metadata: Mapping[str, object] | None = None,
    source_type: str | None = None,
    source_name: str | None = None,
    model_id: str | None = None,
    propagate: Iterable[str] | None = None,
    tracer_provider: TracerProvider | None = None,
) -> TracerProvider:
    """Stamp the application's spans and, where nobody does so yet, export them.

    Without a tracer provider a new one becomes the global one, which exports over OTLP. An existing provider, ``tracer_provider`` or the
    global one, gets the span processor, and an exporter only if ``export`` or ``endpoint`` asks for it, so that nothing is sent twice; if
    metadata cannot reach its resource, local root spans carry it as attributes. A second call for the same provider takes new arguments
    and adds nothing twice. Nothing is raised: what goes wrong is logged, and the application goes on.

    Args:
        service_name: ``service.name``; default ``OTEL_SERVICE_NAME``. A provider that exists keeps its own, but for what is exported from here.
        endpoint: OTLP endpoint, ``http://HOST:PORT``; default ``OTEL_EXPORTER_OTLP_[TRACES_]ENDPOINT``, else this machine. Without a
            scheme it is taken as ``http://``; for ``http/protobuf`` an address without a path gets ``/v1/traces``.
        protocol: ``grpc`` or ``http/protobuf``; default ``OTEL_EXPORTER_OTLP_[TRACES_]PROTOCOL``, else ``grpc``.
        headers: sent with every request, such as ``{"authorization": "Bearer ..."}``.
        export: whether to export; default: yes for a new provider (not if ``OTEL_TRACES_EXPORTER`` is ``none``), for an existing one
            only with ``endpoint``.
        metadata: further resource attributes; a key of the process's metadata given here wins over what is found.
        source_type: kind of run or environment, such as ``production``.
        source_name: entry point.
        model_id: active model.
        propagate: names of trace metadata that crosses to other services as W3C baggage, out of ``trace_context`` and onto the traces that
            their requests start here: ``session_id``, ``user`` and metadata keys; default ``SPANHOUSE_PROPAGATE``, else none.
        tracer_provider: the provider to use instead of the global one.

    Returns:
        The tracer provider in use.
    """
    process = this_process()
    try:
        process.set_arguments(metadata or {}, _ARGUMENT)
        process.set_arguments(
            {
                vocabulary.SERVICE_NAME: service_name,
                vocabulary.SOURCE_TYPE.mlflow: source_type,
                vocabulary.SOURCE_NAME.mlflow: source_name,
                vocabulary.MODEL_ID.mlflow: model_id,
            },
            _ARGUMENT,
        )
        process.propagate(propagate)
    except Exception:
        _logger.exception("configure() leaves its metadata out")
    with process.configuring, suppressed_instrumentation():
        provider = tracer_provider or trace.get_tracer_provider()
        is_new = tracer_provider is None and isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider)
        try:
            if is_new:
                provider = TracerProvider(resource=Resource.create(dict(process.attributes_of_new_provider())))
                trace.set_tracer_provider(provider)
            _equip(provider, is_new=is_new, endpoint=endpoint, protocol=protocol, headers=headers, export=export)
        except Exception:
            _logger.exception("configure() failed; the application goes on without metadata")
    return cast("TracerProvider", provider)


def _equip(
    provider: trace.TracerProvider,
    *,
    is_new: bool,
    endpoint: str | None,
    protocol: str | None,
    headers: Mapping[str, str] | None,
    export: bool | None,
) -> None:
    """Add what the provider does not have from us yet."""
    add = getattr(provider, "add_span_processor", None)
    if add is None:
        _logger.warning("configure() has no effect: the tracer provider %s takes no span processors", type(provider).__name__)
        return
    exports = export if export is not None else bool(endpoint) or (is_new and os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() != "none")
    exports = exports and provider not in _exporting
    if provider not in _configured:
        _configured.add(provider)
        add(MetadataSpanProcessor(all_keys=not is_new and not exports))
    if exports and os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() != "true":
        from spanhouse.processor.otlp import otlp_processor  # loads gRPC, which costs more than everything else

        _exporting.add(provider)
        add(otlp_processor(endpoint=endpoint, protocol=protocol, headers=headers))
