"""Applications with tracing: in this process with made-up surroundings, and as programs of their own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

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
        """A span without anything in it."""
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


def start(command: Sequence[str], *, cwd: Path, environ: Mapping[str, str] | None = None, pass_fds: Sequence[int] = ()) -> subprocess.Popen[str]:
    """Start a program as a user would, without the variables of this machine."""
    variables = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "PYTHONPYCACHEPREFIX"}}
    variables |= {"PYTHONDONTWRITEBYTECODE": "1", "USER": "ada", **(environ or {})}
    return subprocess.Popen(command, cwd=cwd, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=pass_fds)


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for the end of a program that must go well; its output."""
    try:
        output, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert "Traceback" not in errors, errors
    return output
