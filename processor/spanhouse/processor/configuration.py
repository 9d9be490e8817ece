"""``configure``: one call that stamps and exports an application's traces."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import cast

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from spanhouse.processor.process import suppressed_instrumentation, this_process
from spanhouse.processor.span_processor import MetadataSpanProcessor
from spanhouse.schema import vocabulary

_ARGUMENT = "argument of configure()"

_logger = logging.getLogger("spanhouse.processor")


class _Equipment:
    """Processors that ``configure`` added to one tracer provider.

    Attributes:
        provider: weak reference to the provider.
        stamps: true if a ``MetadataSpanProcessor`` was added.
        exports: true if an exporter was added.
    """

    __slots__ = ("exports", "provider", "stamps")

    def __init__(self, provider: object) -> None:
        self.stamps = False
        self.exports = False
        self.provider: Callable[[], object | None]
        try:
            self.provider = weakref.ref(provider)
        except TypeError:  # a class with __slots__
            self.provider = lambda: provider


class _ConfiguredProcessor(MetadataSpanProcessor):
    """A processor that ``configure`` added: after its shutdown, the next call may add another."""

    def __init__(self, equipment: _Equipment, *, all_keys: bool) -> None:
        super().__init__(all_keys=all_keys)
        self._equipment = equipment

    def shutdown(self) -> None:
        # Logfire and Arize remove all processors when they are set up again.
        self._equipment.stamps = self._equipment.exports = False


# By id: a provider may be a dataclass, which cannot be hashed, or equal to another one.
_equipped: dict[int, _Equipment] = {}


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
    """Stamp the application's spans, and export them unless an existing provider does so.

    Without a tracer provider a new one becomes the global one, which exports over OTLP. An existing provider, ``tracer_provider`` or the
    global one, gets the span processor. It gets an exporter only if ``export`` or ``endpoint`` asks for one, so that nothing is sent twice.
    If metadata cannot reach its resource, local root spans carry the metadata as attributes. The provider keeps all its processors and
    exporters, Phoenix's and Arize's default ones included. A second call for the same provider takes new arguments and adds nothing twice.
    Never raises: each failure is logged, and the application goes on.

    Args:
        service_name: ``service.name``; default ``OTEL_SERVICE_NAME``. In an existing provider it changes only the spans exported from here.
        endpoint: OTLP endpoint, ``http://HOST:PORT``; default ``OTEL_EXPORTER_OTLP_[TRACES_]ENDPOINT``, else this machine. Without a
            scheme it means ``http://``; for ``http/protobuf`` an address without a path gets ``/v1/traces``.
        protocol: ``grpc`` or ``http/protobuf``; default ``OTEL_EXPORTER_OTLP_[TRACES_]PROTOCOL``, else ``http/protobuf`` for an endpoint
            with the port 4318 or the path ``/v1/traces``, else ``grpc``.
        headers: headers of every request, such as ``{"authorization": "Bearer ..."}``.
        export: export the spans; default: true for a new provider (unless ``OTEL_TRACES_EXPORTER`` is ``none``), for an existing one
            only with ``endpoint``.
        metadata: further resource attributes; they override captured process metadata.
        source_type: kind of run or environment, such as ``production``.
        source_name: entry point.
        model_id: active model.
        propagate: names of trace metadata to send and receive as W3C baggage, from ``trace_context`` to the traces that requests start:
            ``session_id``, ``user`` and metadata keys; default ``SPANHOUSE_PROPAGATE``, else none.
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
    provider = tracer_provider
    with process.configuring, suppressed_instrumentation():
        try:
            found = trace.get_tracer_provider() if tracer_provider is None else tracer_provider
            is_new = tracer_provider is None and isinstance(found, trace.ProxyTracerProvider | trace.NoOpTracerProvider)
            if is_new:
                found = TracerProvider(resource=Resource.create(dict(process.attributes_of_new_provider())))
                trace.set_tracer_provider(found)
            provider = cast("TracerProvider", found)
            _equip(provider, is_new=is_new, endpoint=endpoint, protocol=protocol, headers=headers, export=export)
        except Exception:
            _logger.exception("configure() failed; the application goes on without metadata")
    return cast("TracerProvider", trace.ProxyTracerProvider()) if provider is None else provider


def _equip(
    provider: TracerProvider,
    *,
    is_new: bool,
    endpoint: str | None,
    protocol: str | None,
    headers: Mapping[str, str] | None,
    export: bool | None,
) -> None:
    """Add the processors that ``configure`` has not added to the provider yet."""
    if getattr(provider, "add_span_processor", None) is None:
        _logger.warning("configure() has no effect: the tracer provider %s takes no span processors", type(provider).__name__)
        return
    equipment = _equipment_of(provider)
    if not equipment.stamps:
        equipment.stamps = True
        _add(provider, _ConfiguredProcessor(equipment, all_keys=not is_new))
    exports = export if export is not None else bool(endpoint) or (is_new and os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() != "none")
    if exports and not equipment.exports and os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() != "true":
        from spanhouse.processor.otlp import otlp_processor  # start-up: loads gRPC, the costliest import

        _add(provider, otlp_processor(endpoint=endpoint, protocol=protocol, headers=headers, has_others=not is_new))
        equipment.exports = True


def _equipment_of(provider: TracerProvider) -> _Equipment:
    known = _equipped.get(id(provider))
    if known is None or known.provider() is not provider:
        # The id of a collected provider may be reused.
        known = _equipped[id(provider)] = _Equipment(provider)
    return known


def _add(provider: object, processor: SpanProcessor) -> None:
    """Add a processor; the own method of Phoenix's and Arize's providers would remove their default processors."""
    try:
        if isinstance(provider, TracerProvider):
            TracerProvider.add_span_processor(provider, processor)
        else:
            cast("TracerProvider", provider).add_span_processor(processor)
    except Exception:
        processor.shutdown()
        raise
