"""Process metadata on resources: by the detector, and by the exporter on what it hands on."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, TraceFlags
from tests.support.application import App, made_up_process

from spanhouse.processor import MetadataResourceDetector, MetadataSpanExporter, process, set_active_model
from spanhouse.processor.metadata_values import Value
from spanhouse.processor.process import Process
from spanhouse.processor.sources.capture import Capture
from spanhouse.processor.sources.entry_point import EntryPoint
from spanhouse.schema import vocabulary

MODEL, TYPE, DIRTY = vocabulary.MODEL_ID.mlflow, vocabulary.SOURCE_TYPE.mlflow, vocabulary.GIT_DIRTY.mlflow


@pytest.fixture(autouse=True)
def this_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    yield from made_up_process(monkeypatch)


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


@pytest.mark.parametrize("key", ["deployment.environment.name", "deployment.environment"])
@pytest.mark.parametrize("kind", ["LOCAL", "NOTEBOOK", "JOB"])
def test_an_environment_in_the_providers_resource_reaches_local_roots_over_the_detected_type(this_process: Process, kind: str, key: str) -> None:
    entry = EntryPoint("notebook" if kind == "NOTEBOOK" else "script", "app.py", None, None)
    this_process._capture = Capture(entry, {"SLURM_JOB_ID": "7"} if kind == "JOB" else {})
    detected = MetadataResourceDetector().detect()
    assert detected.attributes[TYPE] == kind
    named = App(resource=detected.merge(Resource({key: "production"})), wrap=False)
    assert dict(named.run().attributes or {}) == {TYPE: "production"}
    assert not App(resource=detected, wrap=False).run().attributes, "a type that nobody contradicts is not repeated"


def test_a_type_that_the_application_named_stays_beside_another_environment(this_process: Process) -> None:
    this_process._capture = Capture(EntryPoint("script", "app.py", None, None), {})
    resource = MetadataResourceDetector().detect().merge(Resource({TYPE: "canary", "deployment.environment.name": "production"}))
    assert App(resource=resource).run().resource.attributes[TYPE] == "canary"
    assert not App(resource=resource, wrap=False).run().attributes


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


def test_name_and_parameters_of_a_model_travel_without_secrets_and_within_bounds() -> None:
    app = App()
    secrets = {"openai_api_key": "x", "Password": "x", "auth_token": "x", "pwd": 1, "user_email": "x", "CREDENTIALS": "x", "client_secret": "x"}
    several = {f"p{number:02}": number for number in range(40)}
    set_active_model(name="n" * 300, params={"max_tokens": 512, "tokens": "abc", "text": "t" * 300, "none": None, **secrets, **several})
    resource = app.run().resource.attributes
    prefix = "mlflow.model.params."
    params = {key.removeprefix(prefix): value for key, value in resource.items() if key.startswith(prefix)}
    assert resource["mlflow.model.name"] == "n" * 250
    assert params == {"max_tokens": "512", "text": "t" * 250, **{f"p{number:02}": str(number) for number in range(30)}}
    set_active_model(model_id="m-2")
    assert dict(app.run("later").resource.attributes) == {key: value for key, value in resource.items() if not key.startswith("mlflow.model.")} | {
        MODEL: "m-2"
    }


def test_a_secret_among_the_parameters_does_not_change_the_id() -> None:
    assert set_active_model(name="agent", params={"k": 1, "api_key": "a"}) == set_active_model(name="agent", params={"k": 1, "api_key": "b"})


def test_name_and_parameters_reach_local_roots_where_no_exporter_stamps() -> None:
    app = App(wrap=False)
    set_active_model(name="agent", params={"k": 1})
    attributes = dict(app.run().attributes or {})
    prefix = vocabulary.TRACE_METADATA_PREFIX
    assert (attributes[f"{prefix}mlflow.model.name"], attributes[f"{prefix}mlflow.model.params.k"]) == ("agent", "1")


def test_a_model_without_name_and_id_changes_nothing_and_is_logged(this_process: Process, caplog: pytest.LogCaptureFixture) -> None:
    assert set_active_model() == ""
    assert set_active_model(name=" ", model_id="") == ""
    assert this_process.models == ()
    assert "give it a name or a model_id" in caplog.text


def test_the_list_of_models_stays_short(this_process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_MODELS_KEPT", 3)
    for number in range(10):
        set_active_model(model_id=f"m-{number}")
    assert [model.attributes["mlflow.modelId"] for model in this_process.models] == ["m-7", "m-8", "m-9"]
    assert process.model_at(this_process.models, 0) is None
    assert process.model_at(this_process.models, None) is this_process.models[-1]


def test_the_capture_of_a_strange_entry_point_fails_quietly(tmp_path: Path) -> None:
    strange = Capture(
        EntryPoint("script", "\udcff", "\x00", f"{tmp_path}\x00"), {"OTEL_RESOURCE_ATTRIBUTES": "=,=,a", "SPANHOUSE_STAMP_FILE": "\x00"}
    )
    values = [value.text for found in strange.sources(None) for value in found.values()]
    assert "LOCAL" in values
    assert Capture(None, {}).sources(True)
