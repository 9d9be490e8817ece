"""An application with tracing in this process, with made-up surroundings."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from spanhouse.processor import MetadataSpanExporter, MetadataSpanProcessor, process, span_processor
from spanhouse.processor.process import Process
from spanhouse.processor.sources.capture import Capture
from spanhouse.processor.sources.entry_point import EntryPoint


class App:
    """A tracer provider of its own, with an exporter in memory."""

    def __init__(self, *, resource: Resource | None = None, all_keys: bool = False, wrap: bool = True) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(resource=resource or Resource({"service.name": "app"}), shutdown_on_exit=False)
        self.provider.add_span_processor(MetadataSpanProcessor(all_keys=all_keys))
        self.provider.add_span_processor(SimpleSpanProcessor(MetadataSpanExporter(self.exporter) if wrap else self.exporter))
        self.tracer = self.provider.get_tracer("tests")

    def run(self, name: str = "root") -> ReadableSpan:
        """Return a finished span without anything in it."""
        with self.tracer.start_as_current_span(name, context=Context()):
            pass
        return self.span(name)

    def span(self, name: str) -> ReadableSpan:
        return [span for span in self.exporter.get_finished_spans() if span.name == name][-1]

    def attributes(self, name: str) -> dict[str, object]:
        return dict(self.span(name).attributes or {})


def made_up_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    """A process that runs ``app.py`` in production with one model, and no repository; for a fixture."""
    made = Process()
    environ = {"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=production", "USER": "ada", "MLFLOW_ACTIVE_MODEL_ID": "m-start"}
    made._capture = Capture(EntryPoint("script", "app.py", None, None), environ)
    monkeypatch.setattr(process, "_PROCESS", made)
    before = dict(span_processor._roots)
    yield made
    assert span_processor._roots == before, "every span that ended is forgotten"
