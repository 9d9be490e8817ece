"""The view `traces` has one right row per trace, however its spans arrive."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.support.otlp import LOCAL, REMOTE, new_trace_id, request, span, trace
from tests.support.store import TestStore

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
    assert early["ServiceName"] == "tests"
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
    row = only(store)
    assert (row["State"], row["Name"], row["ErrorCount"]) == ("ERROR", "old", 1)


def _tree(draw: Any) -> list[Span]:
    """A trace with or without a root, remote parents, flags and trace metadata; starts grow from parent to child."""
    trace_id = new_trace_id()
    flagged = draw(st.booleans())
    spans: list[Span] = []
    for number in range(draw(st.integers(1, 6))):
        parent = draw(st.sampled_from([*spans, None])) if spans else None
        remote = parent is None and draw(st.booleans())
        attributes = draw(st.dictionaries(st.sampled_from(["mlflow.traceMetadata.a", "mlflow.traceTag.t", "other"]), st.sampled_from(["x", "y"])))
        spans.append(
            span(
                f"span {number}",
                trace_id=trace_id,
                parent=b"outside!" if remote else (parent.span_id if parent else b""),
                start_ns=START + number * 10,
                attributes=attributes,
                error=draw(st.booleans()),
                flags=0 if not flagged else (REMOTE if remote else LOCAL),
            )
        )
    kept: list[Span] = draw(st.lists(st.sampled_from(spans), min_size=1, max_size=10))
    return list({one.span_id: one for one in kept}.values())


def _expected(spans: Sequence[Span]) -> dict[str, Any]:
    """The row by the rules as the design states them."""
    stored = {one.span_id for one in spans}
    by_start = sorted(spans, key=lambda one: (one.start_time_unix_nano, one.span_id.hex()))
    roots = (
        [one for one in by_start if not one.parent_span_id]
        or [one for one in by_start if one.flags & 0x300 == 0x300]
        or [one for one in by_start if not one.flags & 0x100 and one.parent_span_id not in stored]
    )
    root = roots[0] if roots else None
    found: dict[str, dict[str, str]] = {"mlflow.traceMetadata.": {}, "mlflow.traceTag.": {}}
    for one in [*by_start, *([root] if root else [])]:
        for attribute in one.attributes:
            for prefix, values in found.items():
                if attribute.key.startswith(prefix):
                    values[attribute.key.removeprefix(prefix)] = attribute.value.string_value
    name = root.name if root else ""
    return {
        "Name": name,
        "StartNs": root.start_time_unix_nano if root else by_start[0].start_time_unix_nano,
        "State": "IN_PROGRESS" if root is None else ("ERROR" if root.status.code == 2 else "OK"),
        "SpanCount": len(spans),
        "ErrorCount": sum(one.status.code == 2 for one in spans),
        "Metadata": ({"service.name": "s"} if root else {}) | found["mlflow.traceMetadata."],
        "Tags": found["mlflow.traceTag."] | ({"mlflow.traceName": name} if name else {}),
    }


@pytest.fixture(scope="module")
def engine() -> Iterable[TestStore]:
    made = TestStore()
    yield made
    made.close()


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_scattered_late_and_repeated_parts_give_the_same_row_as_all_at_once(engine: TestStore, data: st.DataObject) -> None:
    traces = [_tree(data.draw) for _ in range(data.draw(st.integers(1, 4)))]
    everything = [one for spans in traces for one in spans]
    order = random.Random(data.draw(st.integers(0, 1000)))
    arrivals = everything + order.sample(everything, data.draw(st.integers(0, len(everything))))
    order.shuffle(arrivals)
    while arrivals:
        size = order.randint(1, 5)
        engine.ingest(request(arrivals[:size], resource={"service.name": "s"}))
        del arrivals[:size]
    if data.draw(st.booleans()):
        engine.client.command("OPTIMIZE TABLE trace_carriers FINAL")
    ids = [spans[0].trace_id.hex() for spans in traces]
    rows = {
        row.pop("TraceId"): row
        for row in engine.rows(
            "SELECT TraceId, Name, toUnixTimestamp64Nano(Timestamp) AS StartNs, State, SpanCount, ErrorCount, Metadata, Tags "
            f"FROM traces WHERE TraceId IN {ids}"
        )
    }
    assert rows == dict(zip(ids, map(_expected, traces), strict=True))
    whole = engine.rows(f"SELECT * FROM traces WHERE TraceId IN {ids} ORDER BY TraceId")
    assert whole == engine.rows(f"SELECT * EXCEPT (Key) FROM traces_merged WHERE TraceId IN {ids} ORDER BY TraceId")


def test_what_one_row_tells_of_a_trace_is_what_merging_gives(store: TestStore) -> None:
    usage = {"gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 3, "gen_ai.usage.cost": 0.5}
    said = {
        "session.id": "s-1",
        "mlflow.traceMetadata.app_version": "2",
        "mlflow.traceTag.team": "a",
        "mlflow.traceState": "ERROR",
        "mlflow.traceClientRequestId": "c",
        "mlflow.traceRequestPreview": "hello",
        "mlflow.traceResponsePreview": "world",
    }
    root = span("root", attributes=said | usage, start_ns=START)
    child = span("child", trace_id=root.trace_id, parent=root.span_id, flags=LOCAL, attributes=usage, start_ns=START + 1, error=True)
    lone = span("lone", start_ns=START + 2, error=True)
    unfinished = span("child", parent=b"missing!", flags=LOCAL, start_ns=START + 3)
    resource = {"service.name": "s", "service.version": "1", "mlflow.source.git.commit": "abc"}
    store.ingest(request([root, child, child], resource=resource), request([lone]), request([unfinished]))
    alone = store.rows("SELECT * EXCEPT (StateAlone, SentTags, First, Last) FROM trace_rows ORDER BY Timestamp")
    merged = store.rows("SELECT * FROM traces_merged ORDER BY Timestamp")
    assert alone == merged
    assert (alone[0]["SpanCount"], alone[0]["InputTokens"], alone[0]["Cost"], alone[0]["AppVersion"]) == (2, 7, 0.5, "2")
    assert [row["State"] for row in alone] == ["ERROR", "ERROR", "IN_PROGRESS"]
