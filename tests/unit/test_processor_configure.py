"""Providers of other packages' making: ``configure`` adds its processors and leaves theirs alone."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.support.application import made_up_process
from tests.support.sink import Sink

from spanhouse.processor import configuration, configure, otlp
from spanhouse.processor.process import Process
from spanhouse.schema import vocabulary

NAME = vocabulary.SOURCE_NAME.mlflow


@pytest.fixture(autouse=True)
def this_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    yield from made_up_process(monkeypatch)


class Replacing(TracerProvider):
    """A provider that takes another processor for a replacement of its default one, unless it is told otherwise (Phoenix)."""

    def __init__(self) -> None:
        super().__init__(shutdown_on_exit=False)
        self.kept = InMemorySpanExporter()
        super().add_span_processor(SimpleSpanProcessor(self.kept))

    def add_span_processor(self, *arguments: Any, replace_default_processor: bool = True, **others: Any) -> None:
        if replace_default_processor:
            self._active_span_processor.shutdown()
            self._active_span_processor._span_processors = ()
        super().add_span_processor(*arguments, **others)


class ReplacingAlways(Replacing):
    """The same without an argument that prevents it (Arize)."""

    def add_span_processor(self, *arguments: Any, **others: Any) -> None:
        super().add_span_processor(*arguments, **others, replace_default_processor=True)


class Equal(TracerProvider):
    """A provider that equals every other one and counts as false."""

    def __init__(self) -> None:
        super().__init__(shutdown_on_exit=False)
        self.kept = InMemorySpanExporter()
        self.add_span_processor(SimpleSpanProcessor(self.kept))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Equal)

    def __len__(self) -> int:
        return 0

    __hash__ = None  # type: ignore[assignment]


@dataclass
class Proxy(trace.TracerProvider):
    """A provider in front of another one, as Logfire's: its class cannot be hashed."""

    provider: TracerProvider
    lock: Lock = field(default_factory=Lock)

    def get_tracer(self, *arguments: Any, **others: Any) -> trace.Tracer:
        return self.provider.get_tracer(*arguments, **others)

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        with self.lock:
            self.provider.add_span_processor(span_processor)


class Slotted:
    """A provider that takes neither attributes nor weak references."""

    __slots__ = ("_inner", "add_span_processor", "get_tracer")

    def __init__(self, inner: TracerProvider) -> None:
        self._inner = inner
        self.add_span_processor = inner.add_span_processor
        self.get_tracer = inner.get_tracer


def kept_by(provider: Any, exporter: InMemorySpanExporter) -> list[dict[str, object]]:
    """Make one span and return the attributes of all that the provider's own exporter has."""
    with provider.get_tracer("tests").start_as_current_span("root", context=Context()):
        pass
    return [dict(span.attributes or {}) for span in exporter.get_finished_spans()]


@pytest.mark.parametrize("kind", [Replacing, ReplacingAlways, Equal])
def test_a_provider_keeps_its_processors_whatever_its_own_method_would_do(kind: type[Replacing | ReplacingAlways | Equal]) -> None:
    for provider in (kind(), kind()):
        assert configure(tracer_provider=provider) is provider
        configure(tracer_provider=provider)
        ((attributes),) = kept_by(provider, provider.kept)
        assert attributes[NAME] == "app.py"
        assert len(provider._active_span_processor._span_processors) == 2


@pytest.mark.parametrize("kind", [Proxy, Slotted])
def test_a_provider_that_cannot_be_hashed_or_referred_to_is_equipped_once(kind: type[Proxy | Slotted]) -> None:
    inner, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    inner.add_span_processor(SimpleSpanProcessor(exporter))
    provider: Any = kind(inner)
    for _ in range(2):
        assert configure(tracer_provider=provider) is provider
    (attributes,) = kept_by(provider, exporter)
    assert attributes[NAME] == "app.py"
    assert len(inner._active_span_processor._span_processors) == 2


def test_an_exporter_of_ours_beside_theirs_leaves_both_with_metadata() -> None:
    sink, provider = Sink(), Replacing()
    try:
        for _ in range(2):
            configure(tracer_provider=provider, endpoint=f"http://127.0.0.1:{sink.http_port}", protocol="http/protobuf")
        (attributes,) = kept_by(provider, provider.kept)
        provider.shutdown()
        assert sink.resource()[NAME] == attributes[NAME] == "app.py"
    finally:
        sink.close()


def test_a_provider_that_is_set_up_once_more_is_equipped_once_more() -> None:
    proxy = Proxy(Replacing())
    configure(tracer_provider=proxy)  # type: ignore[arg-type]
    proxy.provider.shutdown()
    proxy.provider = second = Equal()
    configure(tracer_provider=proxy)  # type: ignore[arg-type]
    (attributes,) = kept_by(proxy, second.kept)
    assert attributes[NAME] == "app.py"


def test_the_id_of_a_provider_that_is_gone_does_not_count_for_the_next_one() -> None:
    gone = TracerProvider(shutdown_on_exit=False)
    configure(tracer_provider=gone)
    provider = Equal()
    configuration._equipped[id(provider)] = configuration._equipped[id(gone)]
    del gone
    gc.collect()
    configure(tracer_provider=provider)
    (attributes,) = kept_by(provider, provider.kept)
    assert attributes[NAME] == "app.py"


class Raising:
    """A provider that takes no processor, at least at first."""

    def __init__(self) -> None:
        self.taken: list[SpanProcessor] = []
        self.error: Exception | None = RuntimeError("made up")

    def add_span_processor(self, processor: SpanProcessor) -> None:
        if self.error:
            raise self.error
        self.taken.append(processor)


class Unreadable:
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("made up")


class CallingBack:
    def __init__(self) -> None:
        self.taken: list[SpanProcessor] = []

    def add_span_processor(self, processor: SpanProcessor) -> None:
        self.taken.append(processor)
        configure(tracer_provider=self)  # type: ignore[arg-type]


def test_a_provider_that_fails_costs_the_application_a_line_in_its_log(caplog: pytest.LogCaptureFixture, this_process: Process) -> None:
    raising: Any = Raising()
    assert id(configure(tracer_provider=raising, endpoint="http://127.0.0.1:9")) == id(raising)
    assert this_process.wrappers == 0
    assert "configure() failed; the application goes on without metadata" in caplog.text
    raising.error = None
    configure(tracer_provider=raising)
    assert len(raising.taken) == 1
    for provider in (Unreadable(), object(), 7):
        assert configure(tracer_provider=provider) is provider  # type: ignore[arg-type]


def test_a_provider_that_calls_configure_itself_gets_each_processor_once() -> None:
    provider: Any = CallingBack()
    configure(tracer_provider=provider)
    assert len(provider.taken) == 1


def test_a_global_provider_that_cannot_be_loaded_leaves_one_that_records_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("made up")

    monkeypatch.setattr(trace, "get_tracer_provider", fail)
    with configure().get_tracer("tests").start_as_current_span("root") as span:
        assert not span.is_recording()
    assert "made up" in caplog.text


@pytest.mark.parametrize(
    ("endpoint", "protocol", "kind"),
    [
        ("http://127.0.0.1:4318", None, "http"),
        ("127.0.0.1:4318/", None, "http"),
        ("http://127.0.0.1:4317", None, "grpc"),
        ("http://127.0.0.1:4318", "grpc", "grpc"),
        (None, None, "grpc"),
    ],
)
def test_the_port_tells_the_protocol_unless_one_is_named(
    monkeypatch: pytest.MonkeyPatch, endpoint: str | None, protocol: str | None, kind: str
) -> None:
    for variable in [name for name in os.environ if name.startswith("OTEL_EXPORTER_")]:
        monkeypatch.delenv(variable)
    exporter = otlp._otlp_exporter(endpoint, protocol, None)
    exporter.shutdown()
    assert f".{kind}." in type(exporter).__module__
