"""The view `traces` has one right row per trace, however its spans arrive."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.otlp import REMOTE, new_trace_id, request, span, trace
from tests.support.store import TestStore

from spanhouse.schema.settle import settle

START = 1_700_000_000_000_000_000


def only(store: TestStore) -> dict[str, Any]:
    (row,) = store.rows("SELECT *, toUnixTimestamp64Nano(Timestamp) AS StartNs FROM traces")
    return row


def test_a_trace_has_the_fields_of_its_root(store: TestStore) -> None:
    store.ingest(trace(name="POST /chat", start_ns=START, duration_ns=1_500_000, error=True, children=3, resource={"service.name": "chat"}))
    row = only(store)
    assert (row["Name"], row["ServiceName"], row["State"], row["StartNs"], row["Duration"]) == ("POST /chat", "chat", "ERROR", START, 1_500_000)
    assert (row["SpanCount"], row["ErrorCount"]) == (4, 1)
    assert row["Tags"] == {"mlflow.traceName": "POST /chat"}
    assert store.rows("SELECT count() AS n FROM traces") == [{"n": 1}]


def test_a_trace_is_in_progress_until_its_root_is_stored(store: TestStore) -> None:
    root = span("root", start_ns=START)
    child = span("child", trace_id=root.trace_id, parent=root.span_id, start_ns=START + 5)
    store.ingest(request([child]))
    early = only(store)
    assert (early["State"], early["Name"], early["RootSpanId"], early["StartNs"], early["SpanCount"]) == ("IN_PROGRESS", "", "", START + 5, 1)
    assert (early["ServiceName"], early["Metadata"]) == ("tests", {"service.name": "tests"})
    store.ingest(request([root]))
    late = only(store)
    assert (late["State"], late["Name"], late["RootSpanId"], late["StartNs"], late["SpanCount"]) == ("OK", "root", root.span_id.hex(), START, 2)


def test_behind_a_gateway_the_earliest_span_with_a_remote_parent_is_the_root(store: TestStore) -> None:
    trace_id = new_trace_id()
    first = span("first", trace_id=trace_id, parent=b"gateway!", flags=REMOTE, start_ns=START)
    second = span("second", trace_id=trace_id, parent=b"gateway!", flags=REMOTE, start_ns=START + 1)
    store.ingest(request([second], resource={"service.name": "b"}))
    store.ingest(request([first], resource={"service.name": "a"}))
    assert (only(store)["Name"], only(store)["ServiceName"], only(store)["State"]) == ("first", "a", "OK")
    store.ingest(request([span("true root", trace_id=trace_id, start_ns=START + 2)], resource={"service.name": "c"}))
    assert (only(store)["Name"], only(store)["ServiceName"]) == ("true root", "c")


def test_without_flags_the_earliest_span_whose_parent_is_not_stored_is_the_root(store: TestStore) -> None:
    trace_id = new_trace_id()
    entry = span("entry", trace_id=trace_id, parent=b"missing!", flags=0, start_ns=START)
    inner = span("inner", trace_id=trace_id, parent=entry.span_id, flags=0, start_ns=START + 1)
    leaf = span("leaf", trace_id=trace_id, parent=inner.span_id, flags=0, start_ns=START + 2)
    store.ingest(request([leaf], resource={"service.name": "s", "service.version": "1.0"}))
    assert only(store)["Name"] == "leaf"
    store.ingest(request([inner, entry], resource={"service.name": "s", "service.version": "2.0"}))
    row = only(store)
    assert (row["Name"], row["Metadata"]["app_version"], row["SpanCount"], row["State"]) == ("entry", "2.0", 3, "OK")


@pytest.mark.parametrize("state", ["OK", "ERROR", "IN_PROGRESS", "STATE_UNSPECIFIED"])
def test_a_state_that_the_application_set_wins_over_the_status(store: TestStore, state: str) -> None:
    store.ingest(trace(attributes={"mlflow.traceState": state}, error=state == "OK"))
    assert only(store)["State"] == state


def test_a_state_that_does_not_exist_is_passed_over(store: TestStore) -> None:
    store.ingest(trace(attributes={"mlflow.traceState": "GREAT"}))
    assert only(store)["State"] == "OK"


def test_all_resource_attributes_of_the_root_are_metadata_and_aliases_fill_in(store: TestStore) -> None:
    store.ingest(
        trace(
            resource={
                "service.name": "chat",
                "service.version": "1.2",
                "deployment.environment": "staging",
                "vcs.repository.ref.revision": "old",
                "vcs.ref.head.revision": "abc",
                "vcs.ref.head.name": "main",
                "vcs.repository.url.full": "https://github.com/a/b",
                "mlflow.source.git.branch": "set",
                "host.name": "h",
            }
        )
    )
    metadata = only(store)["Metadata"]
    assert metadata["app_version"] == "1.2"
    assert metadata["mlflow.source.type"] == "staging"
    assert metadata["mlflow.source.git.commit"] == "abc"
    assert metadata["mlflow.source.git.branch"] == "set"
    assert metadata["mlflow.source.git.repoURL"] == "https://github.com/a/b"
    assert (metadata["host.name"], metadata["service.name"]) == ("h", "chat")


def test_process_keys_on_the_root_span_stand_in_for_resource_attributes(store: TestStore) -> None:
    store.ingest(trace(attributes={"mlflow.source.git.commit": "abc", "vcs.ref.head.name": "main", "http.route": "/chat"}))
    metadata = only(store)["Metadata"]
    assert (metadata["mlflow.source.git.commit"], metadata["mlflow.source.git.branch"]) == ("abc", "main")
    assert "http.route" not in metadata


def test_trace_metadata_overrides_process_metadata(store: TestStore) -> None:
    store.ingest(
        trace(resource={"service.name": "s", "mlflow.source.type": "LOCAL"}, attributes={"mlflow.traceMetadata.mlflow.source.type": "production"})
    )
    assert only(store)["Metadata"]["mlflow.source.type"] == "production"


def test_trace_keys_are_taken_from_every_span_and_the_root_wins_then_the_later(store: TestStore) -> None:
    def keys(value: str, only_here: str) -> dict[str, str]:
        return {
            "mlflow.traceMetadata.k": value,
            f"mlflow.traceMetadata.{only_here}": value,
            "mlflow.traceTag.t": value,
            "mlflow.traceClientRequestId": value,
            "mlflow.traceRequestPreview": value,
            "mlflow.traceResponsePreview": value,
        }

    root = span("root", start_ns=START, attributes=keys("of root", "a"))
    early = span("early", trace_id=root.trace_id, parent=root.span_id, start_ns=START + 1, attributes=keys("early", "b"))
    later = span("later", trace_id=root.trace_id, parent=root.span_id, start_ns=START + 2, attributes=keys("later", "b"))
    for one in (later, early):
        store.ingest(request([one]))
    row = only(store)
    assert (row["Metadata"]["k"], row["Metadata"]["b"], row["Tags"]["t"], row["ClientRequestId"]) == ("later", "later", "later", "later")
    store.ingest(request([root]))
    row = only(store)
    assert (row["Metadata"]["k"], row["Metadata"]["a"], row["Metadata"]["b"]) == ("of root", "of root", "later")
    assert (row["Tags"]["t"], row["ClientRequestId"], row["RequestPreview"], row["ResponsePreview"]) == ("of root",) * 4


@pytest.mark.parametrize(("session", "user"), [("session.id", "user.id"), ("gen_ai.conversation.id", "enduser.id")])
def test_session_user_and_model_have_columns(store: TestStore, session: str, user: str) -> None:
    store.ingest(trace(attributes={session: "s1", user: "u1", "mlflow.traceMetadata.mlflow.modelId": "m-1"}))
    row = only(store)
    assert (row["SessionId"], row["UserId"], row["ModelId"]) == ("s1", "u1", "m-1")
    assert row["Metadata"]["mlflow.trace.session"] == "s1"


def test_tokens_are_summed_over_the_spans_that_spent_them(store: TestStore) -> None:
    def usage(tokens: int, cost: float) -> dict[str, Any]:
        return {"gen_ai.usage.input_tokens": tokens, "gen_ai.usage.output_tokens": tokens * 2, "gen_ai.usage.cost": cost}

    agent = span("agent", attributes=usage(30, 0.75))
    calls = [span("llm", trace_id=agent.trace_id, parent=agent.span_id, attributes=usage(10, 0.25)) for _ in range(3)]
    store.ingest(request([agent, calls[0]]))
    store.ingest(request(calls))
    row = only(store)
    assert (row["InputTokens"], row["OutputTokens"], row["Cost"]) == (30, 60, 0.75)


def test_a_trace_without_costs_has_none(store: TestStore) -> None:
    store.ingest(trace())
    assert only(store)["Cost"] is None


def test_a_trace_over_midnight_is_one_row(store: TestStore) -> None:
    midnight = 1_700_006_400_000_000_000
    root = span("root", start_ns=midnight - 1000, duration_ns=5000)
    child = span("child", trace_id=root.trace_id, parent=root.span_id, start_ns=midnight + 1000)
    store.ingest(request([child]))
    store.ingest(request([root]))
    row = only(store)
    assert (row["StartNs"], row["SpanCount"]) == (midnight - 1000, 2)


def test_a_trace_of_ten_thousand_spans_is_counted(store: TestStore) -> None:
    root = span("root")
    spans = [span(f"s{number % 7}", trace_id=root.trace_id, parent=root.span_id, error=number % 100 == 0) for number in range(9_999)]
    for begin in range(0, len(spans), 2500):
        store.ingest(request(spans[begin : begin + 2500]))
    store.ingest(request([root]))
    row = only(store)
    assert (row["SpanCount"], row["ErrorCount"]) == (10_000, 100)


def test_old_spellings_of_the_status_are_read(store: TestStore) -> None:
    columns = "Timestamp, TraceId, SpanId, ParentSpanId, SpanName, ServiceName, ResourceAttributes, Duration, StatusCode"
    store.client.command(
        f"INSERT INTO otel_traces ({columns}) SELECT now64(9), repeat('ab', 16), "
        "repeat('cd', 8), '', 'old', 's', map('service.name', 's'), 5, 'STATUS_CODE_ERROR'"
    )
    settle.settle_all(store.execute)
    row = only(store)
    assert (row["State"], row["Name"], row["ErrorCount"]) == ("ERROR", "old", 1)
