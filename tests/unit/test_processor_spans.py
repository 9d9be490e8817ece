"""Spans of the real SDK, from their start to an exporter in memory: what is stamped on them, and when."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, TraceFlags

from spanhouse.processor import (
    MetadataResourceDetector,
    MetadataSpanExporter,
    MetadataSpanProcessor,
    process,
    set_active_model,
    span_processor,
    trace_context,
    update_current_trace,
)
from spanhouse.processor.capture import Capture
from spanhouse.processor.process import Process
from spanhouse.processor.source import EntryPoint
from spanhouse.processor.values import Value
from spanhouse.schema import vocabulary

METADATA, TAG = vocabulary.TRACE_METADATA_PREFIX, vocabulary.TRACE_TAG_PREFIX
MODEL, TYPE, DIRTY = vocabulary.MODEL_ID.mlflow, vocabulary.SOURCE_TYPE.mlflow, vocabulary.GIT_DIRTY.mlflow


class App:
    """An application with a provider of its own in a process whose surroundings are made up."""

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


@pytest.fixture(autouse=True)
def this_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    """A process that runs ``app.py`` in production with one model, and no repository."""
    made = Process()
    environ = {"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=production", "USER": "ada", "MLFLOW_ACTIVE_MODEL_ID": "m-start"}
    made._capture = Capture(EntryPoint("script", "app.py", None, None), environ)
    monkeypatch.setattr(process, "_PROCESS", made)
    before = dict(span_processor._roots)
    yield made
    assert span_processor._roots == before, "every span that ended is forgotten"


# Resources


def test_the_detector_gives_strings_without_schema_and_leaves_out_what_the_environment_sets() -> None:
    resource = MetadataResourceDetector().detect()
    assert resource.schema_url == ""
    assert dict(resource.attributes) == {"mlflow.source.name": "app.py", TYPE: "production", MODEL: "m-start", "mlflow.user": "ada"}


def test_the_detector_gives_nothing_instead_of_failing(
    this_process: Process, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("made up")

    monkeypatch.setattr(this_process, "detect", fail)
    assert dict(MetadataResourceDetector().detect().attributes) == {}
    assert "no metadata on the resource" in caplog.text


def test_the_exporter_adds_metadata_to_the_resource_and_keeps_what_is_there() -> None:
    app = App(resource=Resource({"service.name": "app", "mlflow.source.name": "mine", "process.pid": 7}, "https://schema"))
    resource = app.run().resource
    assert resource.schema_url == "https://schema"
    assert dict(resource.attributes) == {
        "service.name": "app",
        "process.pid": 7,
        "mlflow.source.name": "mine",
        TYPE: "production",
        MODEL: "m-start",
        "mlflow.user": "ada",
        "deployment.environment.name": "production",
    }


def test_an_environment_in_the_providers_resource_becomes_the_type_over_the_detectors_default(this_process: Process) -> None:
    this_process._capture = Capture(EntryPoint("script", "app.py", None, None), {})
    detected = MetadataResourceDetector().detect()
    assert detected.attributes[TYPE] == "LOCAL"
    app = App(resource=detected.merge(Resource({"deployment.environment.name": "staging"})))
    assert app.run().resource.attributes[TYPE] == "staging"


def test_arguments_win_over_the_providers_resource(this_process: Process) -> None:
    this_process.set_arguments({TYPE: "canary", "team": "search"}, "argument")
    attributes = App(resource=Resource({TYPE: "mine", "team": "other"})).run().resource.attributes
    assert (attributes[TYPE], attributes["team"]) == ("canary", "search")


def test_a_late_answer_about_the_files_reaches_spans_that_are_exported_later(this_process: Process) -> None:
    assert this_process._capture is not None
    this_process._capture._disk = {vocabulary.GIT_COMMIT.mlflow: Value("c", "disk")}
    app = App()
    assert DIRTY not in app.run().resource.attributes
    this_process._dirty = True
    this_process.version += 1
    assert app.run().resource.attributes[DIRTY] == "true"


def test_spans_that_start_after_a_change_of_model_carry_the_new_one_and_earlier_ones_the_old() -> None:
    app = App()
    early = app.tracer.start_span("early")
    assert set_active_model(model_id="m-second") == "m-second"
    late = app.tracer.start_span("late")
    set_active_model(model_id="m-third")
    late.end()
    early.end()
    assert app.span("early").resource.attributes[MODEL] == "m-start"
    assert app.span("late").resource.attributes[MODEL] == "m-second"
    assert app.run("last").resource.attributes[MODEL] == "m-third"


def test_spans_of_one_resource_share_one_stamped_resource_with_a_stable_hash() -> None:
    app = App()
    first, second = app.run("first").resource, app.run("second").resource
    assert first is second
    assert hash(first) == hash(Resource(dict(first.attributes))) == hash(second)
    assert first == Resource(dict(first.attributes))


class Capturing(SpanExporter):
    """Keeps the very objects that it is given."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.flushed_ms: int | None = None
        self.closed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        self.flushed_ms = timeout_millis
        return False

    def shutdown(self) -> None:
        self.closed = True


def test_a_stamped_span_shows_everything_of_the_original_but_the_resource() -> None:
    originals, stamped = Capturing(), Capturing()
    provider = TracerProvider(shutdown_on_exit=False, span_limits=SpanLimits(max_span_attributes=2, max_events=1, max_links=1))
    provider.add_span_processor(SimpleSpanProcessor(originals))
    provider.add_span_processor(SimpleSpanProcessor(MetadataSpanExporter(stamped)))
    links = [Link(SpanContext(number, number, is_remote=False)) for number in (1, 2)]
    parent = trace.set_span_in_context(NonRecordingSpan(SpanContext(5, 6, is_remote=True, trace_flags=TraceFlags(1))))
    with provider.get_tracer("tests", "1").start_as_current_span("s", context=parent, kind=trace.SpanKind.CLIENT, links=links) as span:
        span.set_attributes({"a": 1, "b": 2, "c": 3})
        span.add_event("e", {"x": 1})
        span.add_event("f")
        span.set_status(trace.StatusCode.ERROR, "bad")
    (original,), (copy,) = originals.spans, stamped.spans
    public = {name for name in dir(ReadableSpan) if not name.startswith("_")} - {"resource", "to_json", "get_span_context", "instrumentation_info"}
    assert len(public) >= 14
    assert {name: getattr(copy, name) for name in public} == {name: getattr(original, name) for name in public}
    assert copy.get_span_context() is original.get_span_context()
    assert (copy.dropped_attributes, copy.dropped_events, copy.dropped_links) == (1, 1, 1)
    assert isinstance(copy, ReadableSpan)
    assert copy.resource.attributes[TYPE] == "production"
    assert json.loads(copy.to_json(indent=None)) | {"resource": None} == json.loads(original.to_json()) | {"resource": None}
    assert json.loads(copy.to_json())["resource"]["attributes"][TYPE] == "production"
    printed = io.StringIO()
    ConsoleSpanExporter(out=printed).export([copy])
    assert "production" in printed.getvalue()


def test_the_exporter_hands_shutdown_and_flush_on_with_their_answers() -> None:
    inner = Capturing()
    exporter = MetadataSpanExporter(inner)
    assert exporter.force_flush(5) is False
    exporter.shutdown()
    assert (inner.flushed_ms, inner.closed) == (5, True)


def test_the_exporter_sends_spans_as_they_are_where_stamping_fails(
    this_process: Process, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("made up")

    app = App()
    monkeypatch.setattr(this_process, "missing_from", fail)
    assert dict(app.run().resource.attributes) == {"service.name": "app"}
    assert "spans go without metadata" in caplog.text


# Local roots


def test_metadata_of_a_trace_goes_to_its_local_root_from_any_span_below() -> None:
    app = App()
    with app.tracer.start_as_current_span("root"), app.tracer.start_as_current_span("child"), app.tracer.start_as_current_span("grandchild"):
        update_current_trace(
            tags={"team": "search"},
            metadata={"app_version": "1.0", "ok": True, "header": None, "list": [1, "a"]},
            client_request_id="r-1",
            session_id="s-1",
            user="u-1",
            model_id="m-1",
            state="ERROR",
            request_preview="hello",
            response_preview="bye",
        )
        update_current_trace(metadata={"app_version": "1.1"}, state=vocabulary.TraceState.OK)
    assert app.attributes("root") == {
        TAG + "team": "search",
        METADATA + "app_version": "1.1",
        METADATA + "ok": "true",
        METADATA + "list": '[1,"a"]',
        "session.id": "s-1",
        METADATA + "mlflow.trace.session": "s-1",
        "user.id": "u-1",
        METADATA + "mlflow.trace.user": "u-1",
        METADATA + "mlflow.modelId": "m-1",
        "mlflow.traceClientRequestId": "r-1",
        "mlflow.traceRequestPreview": "hello",
        "mlflow.traceResponsePreview": "bye",
        "mlflow.traceState": "OK",
    }
    assert app.attributes("child") == app.attributes("grandchild") == {}


def test_the_span_below_a_remote_parent_is_a_local_root_and_several_may_share_a_trace() -> None:
    app = App()
    remote = trace.set_span_in_context(NonRecordingSpan(SpanContext(5, 6, is_remote=True, trace_flags=TraceFlags(1))))
    first, second = app.tracer.start_span("first", context=remote), app.tracer.start_span("second", context=remote)
    with trace.use_span(first), app.tracer.start_as_current_span("below"):
        update_current_trace(metadata={"k": "first"})
    with trace.use_span(second):
        update_current_trace(metadata={"k": "second"})
    first.end()
    second.end()
    assert app.attributes("first") == {METADATA + "k": "first"}
    assert app.attributes("second") == {METADATA + "k": "second"}


def test_after_the_local_root_has_ended_the_current_span_is_told() -> None:
    app = App()
    root = app.tracer.start_span("root")
    child = app.tracer.start_span("child", context=trace.set_span_in_context(root))
    root.end()
    with trace.use_span(child, end_on_exit=True):
        update_current_trace(metadata={"k": "v"})
        with app.tracer.start_as_current_span("grandchild"):
            update_current_trace(metadata={"k": "w"})
    assert app.attributes("root") == {}
    assert app.attributes("child") == {METADATA + "k": "v"}
    assert app.attributes("grandchild") == {METADATA + "k": "w"}


def test_without_the_processor_the_current_span_is_told() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("tests").start_as_current_span("span"):
        update_current_trace(tags={"k": "v"})
    assert dict(exporter.get_finished_spans()[0].attributes or {}) == {TAG + "k": "v"}


def test_without_a_recording_span_there_is_one_warning_and_nothing_else(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spanhouse.processor.trace_metadata._warned", threading.Event())
    for _ in range(3):
        update_current_trace(metadata={"k": "v"})
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1


@pytest.mark.parametrize("state", ["DONE", "ok", 1, ""])
def test_another_state_than_ok_or_error_is_left_out_with_a_warning(state: object, caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    with app.tracer.start_as_current_span("root"):
        update_current_trace(state=state, metadata={"k": "v"})
    assert app.attributes("root") == {METADATA + "k": "v"}
    assert "it takes OK or ERROR" in caplog.text


@pytest.mark.parametrize("wrong", [{"metadata": ["k"]}, {"tags": "k"}, {"metadata": 7}])
def test_arguments_of_a_wrong_kind_are_logged_and_never_raised(wrong: dict[str, object], caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    with app.tracer.start_as_current_span("root"):
        update_current_trace(**wrong)  # type: ignore[arg-type]
        with trace_context(**wrong):  # type: ignore[arg-type]
            app.run("inner")
    assert app.attributes("root") == app.attributes("inner") == {}
    assert "update_current_trace failed" in caplog.text
    assert "trace_context failed" in caplog.text


def test_a_span_whose_attributes_are_frozen_at_its_end_is_exported_with_all_metadata() -> None:
    app = App(all_keys=True, wrap=False)
    with app.tracer.start_as_current_span("root") as root:
        update_current_trace(metadata={"k": "v"})
    assert not root.is_recording()
    with pytest.raises(TypeError):
        app.span("root").attributes["late"] = "x"  # type: ignore[index]
    assert app.attributes("root")[METADATA + "k"] == "v"
    assert app.attributes("root")[TYPE] == "production"


def test_spans_that_never_end_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_processor, "_SPANS_KEPT", 10)
    app = App()
    spans = [app.tracer.start_span(f"span {number}") for number in range(50)]
    assert len(span_processor._roots) == 10
    forgotten = spans[0].get_span_context().span_id
    assert span_processor.local_root(forgotten) is None
    last = spans.pop()
    assert span_processor.local_root(last.get_span_context().span_id) is last
    spans.clear()
    gc.collect()
    assert sum(reference() is not None for reference in span_processor._roots.values()) == 1, "the registry keeps no span alive"
    span_processor._roots.clear()


def test_a_fault_at_the_start_of_a_span_is_logged_and_the_span_goes_on(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    def fail(*_: object) -> None:
        raise RuntimeError("made up")

    monkeypatch.setattr(MetadataSpanProcessor, "_stamp_root", fail)
    assert app.run().name == "root"
    assert "a span goes without metadata" in caplog.text


# Stamps on local roots


def test_a_provider_whose_exporter_is_out_of_reach_has_the_keys_on_local_roots_only() -> None:
    app = App(all_keys=True, wrap=False)
    with app.tracer.start_as_current_span("root"), app.tracer.start_as_current_span("child"):
        pass
    expected = {
        "mlflow.source.name": "app.py",
        TYPE: "production",
        MODEL: "m-start",
        "mlflow.user": "ada",
        "deployment.environment.name": "production",
    }
    assert app.attributes("root") == expected
    assert app.attributes("child") == {}


def test_keys_that_readers_do_not_know_go_to_local_roots_as_metadata_of_the_trace(this_process: Process) -> None:
    this_process.set_arguments({"team": "search", "service.name": "shop", "app_version": "2"}, "argument")
    attributes = dict(App(all_keys=True, wrap=False).run().attributes or {})
    assert (attributes[METADATA + "team"], attributes["app_version"]) == ("search", "2")
    assert "team" not in attributes
    assert "service.name" not in attributes


def test_what_the_detector_put_on_the_resource_is_not_repeated_on_local_roots(this_process: Process) -> None:
    app = App(resource=MetadataResourceDetector().detect().merge(Resource({"deployment.environment.name": "production"})), all_keys=True, wrap=False)
    assert dict(app.run().attributes or {}) == {}
    this_process.set_arguments({TYPE: "canary"}, "argument")
    assert dict(app.run().attributes or {}) == {TYPE: "canary"}


def test_once_an_exporter_stamps_resources_local_roots_are_left_alone() -> None:
    app = App(all_keys=True, wrap=False)
    assert app.run().attributes
    MetadataSpanExporter(InMemorySpanExporter())
    assert not app.run().attributes


def test_a_new_model_reaches_local_roots_of_a_provider_with_the_detector_only() -> None:
    app = App(resource=MetadataResourceDetector().detect(), wrap=False)
    assert not app.run().attributes
    set_active_model(model_id="m-new")
    assert dict(app.run().attributes or {}) == {MODEL: "m-new"}


# Contexts


def test_a_context_covers_the_traces_that_start_in_it_and_the_inner_one_wins() -> None:
    app = App()
    with trace_context(metadata={"a": "1", "b": "1"}, tags={"t": "1"}, session_id="s", user="u"):
        with trace_context(metadata={"b": "2", "none": None}), app.tracer.start_as_current_span("inner"), app.tracer.start_as_current_span("child"):
            pass
        with app.tracer.start_as_current_span("outer"):
            update_current_trace(metadata={"a": "3"})
    app.run("after")
    shared = {TAG + "t": "1", "session.id": "s", METADATA + "mlflow.trace.session": "s", "user.id": "u", METADATA + "mlflow.trace.user": "u"}
    assert app.attributes("inner") == shared | {METADATA + "a": "1", METADATA + "b": "2"}
    assert app.attributes("outer") == shared | {METADATA + "a": "3", METADATA + "b": "1"}
    assert app.attributes("child") == app.attributes("after") == {}


def test_a_context_covers_a_trace_that_starts_from_a_requests_headers() -> None:
    app = App()
    with trace_context(metadata={"k": "v"}):
        app.run("request")
    assert app.attributes("request") == {METADATA + "k": "v"}


def test_an_error_inside_of_a_context_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError, match="mine"), trace_context(metadata={"k": "v"}):
        raise KeyError("mine")


def test_asyncio_tasks_keep_their_traces_apart() -> None:
    app = App()

    async def request(number: int) -> None:
        with trace_context(session_id=f"s-{number}"), app.tracer.start_as_current_span(f"root {number}"):
            await asyncio.sleep(0)
            with app.tracer.start_as_current_span("child"):
                await asyncio.sleep(0)
                update_current_trace(metadata={"number": number})

    async def requests() -> None:
        await asyncio.gather(*(request(number) for number in range(50)))

    asyncio.run(requests())
    for number in range(50):
        attributes = app.attributes(f"root {number}")
        assert (attributes["session.id"], attributes[METADATA + "number"]) == (f"s-{number}", str(number))


def test_threads_keep_their_traces_apart() -> None:
    app = App()
    barrier = threading.Barrier(8)

    def work(worker: int) -> None:
        barrier.wait()
        for number in range(200):
            with app.tracer.start_as_current_span(f"root {worker}.{number}"), app.tracer.start_as_current_span("child"):
                update_current_trace(metadata={"own": f"{worker}.{number}"})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    roots = [span for span in app.exporter.get_finished_spans() if span.name.startswith("root")]
    assert len(roots) == 1600
    assert all((span.attributes or {})[METADATA + "own"] == span.name.removeprefix("root ") for span in roots)


def in_child(action: Callable[[], str]) -> str:
    """What ``action`` returns in a forked child."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, action().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:  # noqa: PTH123 a descriptor
        answer = file.read().decode()
    os.waitpid(pid, 0)
    return answer


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_stamps_its_own_spans_even_if_a_lock_was_held(this_process: Process) -> None:
    app = App()
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with this_process._lock:
            held.set()
            release.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()

    def child() -> str:
        set_active_model(model_id="m-child")
        with app.tracer.start_as_current_span("below the parent's"):
            update_current_trace(metadata={"k": "current"})
        with app.tracer.start_as_current_span("own root", context=Context()), app.tracer.start_as_current_span("below"):
            update_current_trace(metadata={"k": "root"})
        model = app.span("own root").resource.attributes[MODEL]
        return json.dumps([model, app.attributes("below the parent's"), app.attributes("own root"), app.attributes("below")])

    with app.tracer.start_as_current_span("parent's root"):
        answer = in_child(child)
        update_current_trace(metadata={"k": "parent"})
    release.set()
    thread.join()
    assert json.loads(answer) == ["m-child", {METADATA + "k": "current"}, {METADATA + "k": "root"}, {}]
    assert app.attributes("parent's root") == {METADATA + "k": "parent"}
    assert app.span("parent's root").resource.attributes[MODEL] == "m-start"


# Models


def test_a_models_id_is_derived_from_name_commit_and_parameters(this_process: Process) -> None:
    plain = set_active_model(name="agent")
    assert len(plain) == 34
    assert plain.startswith("m-")
    assert set_active_model(name="agent") == plain
    first = set_active_model(name="agent", params={"temperature": 0.1, "model": "x"})
    assert first == set_active_model(name="agent", params={"model": "x", "temperature": 0.1})
    assert len({plain, first, set_active_model(name="other"), set_active_model(name="agent", params={"temperature": 0.2, "model": "x"})}) == 4
    this_process.set_arguments({vocabulary.GIT_COMMIT.mlflow: "c"}, "argument")
    assert set_active_model(name="agent") != plain


def test_a_model_without_name_and_id_changes_nothing_and_is_logged(this_process: Process, caplog: pytest.LogCaptureFixture) -> None:
    assert set_active_model() == ""
    assert set_active_model(name=" ", model_id="") == ""
    assert this_process.models == ()
    assert "give it a name or a model_id" in caplog.text


def test_the_list_of_models_stays_short(this_process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_MODELS_KEPT", 3)
    for number in range(10):
        set_active_model(model_id=f"m-{number}")
    assert [model for _, model in this_process.models] == ["m-7", "m-8", "m-9"]
    assert process.model_at(this_process.models, 0) is None
    assert process.model_at(this_process.models, None) == "m-9"


def test_the_capture_of_a_strange_entry_point_fails_quietly(tmp_path: Path) -> None:
    strange = Capture(
        EntryPoint("script", "\udcff", "\x00", f"{tmp_path}\x00"), {"OTEL_RESOURCE_ATTRIBUTES": "=,=,a", "SPANHOUSE_STAMP_FILE": "\x00"}
    )
    values = [value.text for found in strange.sources(None) for value in found.values()]
    assert "LOCAL" in values
    assert Capture(None, {}).sources(True)
