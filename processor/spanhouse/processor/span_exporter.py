"""Exporter wrapper that puts the process's metadata on the resource of exported spans."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationInfo, InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status
from opentelemetry.util.types import Attributes

from spanhouse.processor.process import Model, Process, model_at, suppressed_instrumentation, this_process

_RESOURCES_KEPT = 64

_logger = logging.getLogger("spanhouse.processor")


class MetadataSpanExporter(SpanExporter):
    """Exporter that puts process metadata on the resource of every span and passes the spans to ``inner``.

    Metadata that was unknown when the tracer provider was made gets on the wire this way: the dirty flag, and the new model for spans that
    start after ``set_active_model``. The provider's own attributes stay, except those that arguments of ``configure`` override.

    Args:
        inner: the exporter that sends.
    """

    _counts_as = 1

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self._process = this_process()
        self._resources: dict[int, _StampedResources] = {}
        self._process.add_wrapper(self._counts_as)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export ``spans`` with metadata; if stamping fails, as they are."""
        with suppressed_instrumentation():
            try:
                stamped: Sequence[ReadableSpan] = [self._stamp(span) for span in spans]
            except Exception:
                _logger.exception("spans go without metadata")
                stamped = spans
            return self._inner.export(stamped)

    def shutdown(self) -> None:
        """Shut down the inner exporter."""
        self._process.add_wrapper(-self._counts_as)
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the inner exporter and return its answer."""
        return self._inner.force_flush(timeout_millis)

    def _stamp(self, span: ReadableSpan) -> ReadableSpan:
        resource = span.resource
        stamped = self._resources.get(id(resource))
        if stamped is None or stamped.version != self._process.version:
            if len(self._resources) >= _RESOURCES_KEPT:
                self._resources.clear()
            stamped = self._resources[id(resource)] = _StampedResources(resource, self._process)
        return _StampedSpan(span, stamped.at(span.start_time))


class _StampedResources:
    """Stamped copies of one tracer provider's resource, one per active model."""

    def __init__(self, resource: Resource, process: Process) -> None:
        self.version = process.version
        self._original = resource  # the reference also keeps the id from being reused
        self._models = process.models
        self._attributes = {**resource.attributes, **process.missing_from(resource.attributes)}
        self._by_model: dict[Model | None, Resource] = {}

    def at(self, start_time_ns: int | None) -> Resource:
        model = model_at(self._models, start_time_ns) if self._models else None
        stamped = self._by_model.get(model)
        if stamped is None:
            attributes: Mapping[str, Any] = self._attributes if model is None else {**self._attributes, **model.attributes}
            stamped = self._by_model[model] = _HashedResource(attributes, self._original.schema_url)
        return stamped


class _HashedResource(Resource):
    """A resource that computes its hash once; encoders group spans by it."""

    def __init__(self, attributes: Mapping[str, Any], schema_url: str) -> None:
        super().__init__(attributes, schema_url)
        self._known_hash = super().__hash__()

    def __hash__(self) -> int:
        return self._known_hash

    def __eq__(self, other: object) -> bool:
        return self is other or super().__eq__(other)


class _StampedSpan(ReadableSpan):
    """An ended span with another resource. The original answers for all other properties, so nothing is copied and no count gets lost."""

    def __init__(self, original: ReadableSpan, resource: Resource) -> None:
        # ReadableSpan.__init__ would copy everything that the properties below read from the original.
        self._original = original
        self._stamped_resource = resource

    @property
    def resource(self) -> Resource:
        return self._stamped_resource

    @property
    def dropped_attributes(self) -> int:
        return self._original.dropped_attributes

    @property
    def dropped_events(self) -> int:
        return self._original.dropped_events

    @property
    def dropped_links(self) -> int:
        return self._original.dropped_links

    @property
    def name(self) -> str:
        return self._original.name

    def get_span_context(self) -> SpanContext | None:
        return self._original.get_span_context()

    @property
    def context(self) -> SpanContext | None:
        return self._original.get_span_context()

    @property
    def kind(self) -> SpanKind:
        return self._original.kind

    @property
    def parent(self) -> SpanContext | None:
        return self._original.parent

    @property
    def start_time(self) -> int | None:
        return self._original.start_time

    @property
    def end_time(self) -> int | None:
        return self._original.end_time

    @property
    def status(self) -> Status:
        return self._original.status

    @property
    def attributes(self) -> Attributes:
        return self._original.attributes

    @property
    def events(self) -> Sequence[Event]:
        return self._original.events

    @property
    def links(self) -> Sequence[Link]:
        return self._original.links

    @property
    def instrumentation_info(self) -> InstrumentationInfo | None:
        return self._original.instrumentation_info

    @property
    def instrumentation_scope(self) -> InstrumentationScope | None:
        return self._original.instrumentation_scope

    def to_json(self, indent: int | None = 4) -> str:
        fields = json.loads(self._original.to_json(indent=None))
        fields["resource"] = json.loads(self._stamped_resource.to_json(indent=None))
        return json.dumps(fields, indent=indent)

    def __getattr__(self, name: str) -> Any:
        # Called only for names not defined above: some exporters read private attributes of a span.
        if name in {"_original", "_stamped_resource"}:
            raise AttributeError(name)
        return getattr(self._original, name)
