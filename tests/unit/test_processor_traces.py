"""Metadata of traces: on the local root, wherever it is set from."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator

import pytest
from opentelemetry import baggage, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from tests.support.application import App, made_up_process

from spanhouse.processor import MetadataSpanProcessor, span_processor, trace_context, update_current_trace
from spanhouse.processor.process import Process
from spanhouse.schema import vocabulary
from spanhouse.schema.trace_attributes import TraceState

METADATA, TAG = vocabulary.TRACE_METADATA_PREFIX, vocabulary.TRACE_TAG_PREFIX
TYPE = vocabulary.SOURCE_TYPE.mlflow


@pytest.fixture(autouse=True)
def this_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    yield from made_up_process(monkeypatch)


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
        update_current_trace(metadata={"app_version": "1.1"}, state=TraceState.OK)
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


@pytest.mark.parametrize(("length", "kept"), [(1000, "x" * 1000), (1001, "x" * 997 + "...")])
def test_previews_keep_a_thousand_characters(length: int, kept: str) -> None:
    app = App()
    with app.tracer.start_as_current_span("root"):
        update_current_trace(request_preview="x" * length, response_preview={"text": "y" * length})
    assert app.attributes("root")["mlflow.traceRequestPreview"] == kept
    assert len(str(app.attributes("root")["mlflow.traceResponsePreview"])) == 1000


def test_a_session_is_text_or_a_list_of_texts_and_any_other_list_is_left_out_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    with app.tracer.start_as_current_span("root"):
        update_current_trace(session_id=["a", "b c"])
    assert app.attributes("root")["session.id"] == app.attributes("root")[METADATA + vocabulary.SESSION] == '["a","b c"]'
    assert caplog.text == ""
    for wrong in ([], [1], ["a", None], ()):
        with trace_context(session_id=wrong), app.tracer.start_as_current_span("wrong"):
            update_current_trace(session_id=wrong, user="ada")
        assert app.attributes("wrong") == {"user.id": "ada", METADATA + vocabulary.TRACE_USER: "ada"}
    assert len([record for record in caplog.records if "leaves the session_id" in record.message]) == 8


def test_baggage_reaches_only_traces_of_requests_and_only_what_is_named_and_fit(this_process: Process, caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    remote = NonRecordingSpan(SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1)))
    context = trace.set_span_in_context(remote)
    for key, value in {"session.id": "s", METADATA + "tenant": "acme", METADATA + "long": "x" * 257, METADATA + "odd": "a\nb", "other": "o"}.items():
        context = baggage.set_baggage(key, value, context)
    with app.tracer.start_as_current_span("closed", context=context):
        pass
    this_process.propagate(["session_id", "tenant", "long", "odd", "no token", *(f"n{number}" for number in range(20))])
    with app.tracer.start_as_current_span("open", context=context):
        pass
    with app.tracer.start_as_current_span("own", context=trace.set_span_in_context(trace.INVALID_SPAN, context)):
        pass
    assert app.attributes("closed") == app.attributes("own") == {}
    assert app.attributes("open") == {"session.id": "s", METADATA + vocabulary.SESSION: "s", METADATA + "tenant": "acme"}
    assert this_process.propagated is not None
    assert len(this_process.propagated) == 16
    assert len([record for record in caplog.records if "is not propagated" in record.message]) == 9


def test_a_value_that_cannot_go_out_takes_the_outer_one_along(this_process: Process) -> None:
    this_process.propagate(["tenant"])
    with trace_context(metadata={"tenant": "acme", "other": "x"}):
        assert baggage.get_all() == {METADATA + "tenant": "acme"}
        with trace_context(metadata={"tenant": "x" * 300}):
            assert baggage.get_all() == {}
    assert baggage.get_all() == {}


def test_what_a_service_sets_itself_wins_over_baggage(this_process: Process) -> None:
    app = App()
    this_process.propagate(["tenant"])
    remote = trace.set_span_in_context(NonRecordingSpan(SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1))))
    with (
        trace_context(metadata={"tenant": "mine"}),
        app.tracer.start_as_current_span("s", context=baggage.set_baggage(METADATA + "tenant", "x", remote)),
    ):
        pass
    assert app.attributes("s") == {METADATA + "tenant": "mine"}


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
