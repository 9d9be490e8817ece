"""What is beyond a limit is cut and marked, or rejected and counted, and what is below it is not touched."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.support.mutation import varint
from tests.support.otlp import any_value, key_values, request, span, trace
from tests.support.standard_load import standard_request

from spanhouse.exporter.errors import TooLargeError
from spanhouse.exporter.metrics import CUT_VALUES, REJECTED_SPANS
from spanhouse.exporter.otlp.any_value import to_json
from spanhouse.exporter.otlp.check import CheckedRequest, check
from spanhouse.exporter.otlp.request_limits import DEFAULT_LIMITS, Limits

SMALL = Limits(attributes=10, events=4, links=3, key_bytes=20, value_bytes=100, spans=50)


def parsed(checked: CheckedRequest) -> ExportTraceServiceRequest:
    return ExportTraceServiceRequest.FromString(checked.body)


def first_span(checked: CheckedRequest) -> Span:
    return parsed(checked).resource_spans[0].scope_spans[0].spans[0]


def values(attributes: Iterable[KeyValue]) -> dict[str, AnyValue]:
    return {attribute.key: attribute.value for attribute in attributes}


def cut_of(attributes: Iterable[KeyValue]) -> dict[str, int]:
    made: dict[str, int] = json.loads(values(attributes)["spanhouse.cut"].string_value)
    return made


def counted(metric: Any, label: str) -> float:
    return float(metric.labels(label)._value.get())


def checked_with(attributes: dict[str, Any], limits: Limits = SMALL) -> CheckedRequest:
    return check(request([span(attributes=attributes)]).SerializeToString(), limits)


@pytest.mark.parametrize(
    ("value", "kept", "size"),
    [
        ("x" * 101, "x" * 100, 101),
        ("x" * 99 + "é", "x" * 99, 101),
        ("\U0001f600" * 26, "\U0001f600" * 25, 104),
        (b"\x00" * 101, b"\x00" * 100, 101),
    ],
)
def test_a_long_value_is_cut_at_a_character_and_named_with_its_bytes(value: Any, kept: Any, size: int) -> None:
    before = counted(CUT_VALUES, "value_bytes")
    checked = checked_with({"short": "a" * 100, "long": value})
    stored = first_span(checked).attributes
    assert values(stored)["long"] == any_value(kept)
    assert values(stored)["short"] == any_value("a" * 100)
    assert cut_of(stored) == {"long": size}
    assert (checked.spans, checked.rejected) == (1, 0)
    assert checked.reason == f"1 values cut; first: span 'root': 'long' has {size} bytes, more than the 100 kept"
    assert counted(CUT_VALUES, "value_bytes") == before + 1


@pytest.mark.parametrize("value", [["x" * 30] * 4, {"k": "x" * 200}, [[1, 2, 3] * 40], [0.1] * 40, [None] * 60])
def test_a_long_array_or_map_is_cut_as_json_text(value: Any) -> None:
    checked = checked_with({"long": value})
    stored = first_span(checked).attributes
    assert values(stored)["long"].string_value == to_json(any_value(value))[:100]
    assert list(cut_of(stored)) == ["long"]


def test_arrays_and_maps_up_to_the_limit_are_whole() -> None:
    checked = checked_with({"array": ["x" * 94], "map": {"k": "x" * 90}, "filler": "y" * 100})
    stored = values(first_span(checked).attributes)
    assert stored["array"] == any_value(["x" * 94])
    assert stored["map"].string_value == json.dumps({"k": "x" * 90}, separators=(",", ":"))
    assert "spanhouse.cut" not in stored
    assert checked.reason == ""


def test_a_long_key_is_cut_and_named_with_its_bytes() -> None:
    checked = checked_with({"k" * 19 + "é": "value", "fine": 1})
    stored = first_span(checked).attributes
    assert values(stored)["k" * 19].string_value == "value"
    assert cut_of(stored) == {"k" * 19: 21}
    assert "a key of 21 bytes, more than the 20 kept" in checked.reason


def test_attributes_events_and_links_beyond_their_number_go_to_the_dropped_counts() -> None:
    made = span(attributes={f"k{number}": number for number in range(13)})
    made.dropped_attributes_count = 5
    for number in range(6):
        made.events.add(name=f"event {number}")
        made.links.add(trace_id=b"\x01" * 16, span_id=b"\x02" * 8, trace_state=str(number))
    before = {name: counted(CUT_VALUES, name) for name in ("attributes", "events", "links")}
    checked = check(request([made]).SerializeToString(), SMALL)
    stored = first_span(checked)
    assert [attribute.key for attribute in stored.attributes] == [f"k{number}" for number in range(10)]
    assert [event.name for event in stored.events] == [f"event {number}" for number in range(4)]
    assert len(stored.links) == 3
    assert (stored.dropped_attributes_count, stored.dropped_events_count, stored.dropped_links_count) == (8, 2, 3)
    assert {name: counted(CUT_VALUES, name) - count for name, count in before.items()} == {"attributes": 3, "events": 2, "links": 3}
    assert checked.reason == "8 values cut; first: span 'root': 13 attributes, more than the 10 kept"


def test_what_is_cut_in_events_and_links_is_named_by_their_place_on_the_span() -> None:
    made = span()
    made.events.add(name="fine", attributes=key_values({"message": "short"}))
    made.events.add(name="long", attributes=key_values({"message": "m" * 150}))
    made.events.add(name="many", attributes=key_values({f"k{number}": 0 for number in range(12)}))
    made.links.add(trace_id=b"\x01" * 16, span_id=b"\x02" * 8, attributes=key_values({"why": "w" * 160}))
    stored = first_span(check(request([made]).SerializeToString(), SMALL))
    assert cut_of(stored.attributes) == {"events.1.message": 150, "events.2": 12, "links.0.why": 160}
    assert stored.events[1].attributes[0].value.string_value == "m" * 100
    assert (len(stored.events[2].attributes), stored.events[2].dropped_attributes_count) == (10, 2)
    assert stored.links[0].attributes[0].value.string_value == "w" * 100


def test_what_is_cut_in_a_resource_or_scope_is_named_there() -> None:
    made = request([span()], resource={"service.name": "s", "long": "r" * 200})
    made.resource_spans[0].scope_spans[0].scope.attributes.extend(key_values({"wide": "s" * 300}))
    stored = parsed(check(made.SerializeToString(), SMALL)).resource_spans[0]
    assert cut_of(stored.resource.attributes) == {"long": 200}
    assert cut_of(stored.scope_spans[0].scope.attributes) == {"wide": 300}
    assert "spanhouse.cut" not in values(stored.scope_spans[0].spans[0].attributes)


@pytest.mark.parametrize("where", ["resource", "scope"])
def test_spans_of_a_resource_or_scope_with_too_many_attributes_are_rejected(where: str) -> None:
    made = request([span("one"), span("two")])
    part = made.resource_spans[0].resource if where == "resource" else made.resource_spans[0].scope_spans[0].scope
    part.attributes.extend(key_values({f"k{number}": number for number in range(12)}))
    made.resource_spans.extend(trace(children=0).resource_spans)
    before = counted(REJECTED_SPANS, "attributes")
    checked = check(made.SerializeToString(), SMALL)
    assert (checked.spans, checked.rejected) == (1, 2)
    assert f"the {where} has 1" in checked.reason
    assert counted(REJECTED_SPANS, "attributes") == before + 2


def test_spans_beyond_their_number_are_rejected_and_the_first_are_kept() -> None:
    made = request([span(f"first {number}") for number in range(30)])
    made.resource_spans.extend(request([span(f"second {number}") for number in range(30)]).resource_spans)
    before = counted(REJECTED_SPANS, "spans")
    checked = check(made.SerializeToString(), SMALL)
    kept = [one.name for resource in parsed(checked).resource_spans for scope in resource.scope_spans for one in scope.spans]
    assert kept == [f"first {number}" for number in range(30)] + [f"second {number}" for number in range(20)]
    assert (checked.spans, checked.rejected) == (50, 10)
    assert "send smaller batches" in checked.reason
    assert counted(REJECTED_SPANS, "spans") == before + 10


def test_each_reason_for_a_rejected_span_is_counted_by_its_name() -> None:
    deep: Any = "x"
    for _ in range(25):
        deep = [deep]
    bad = {"trace_id": span(trace_id=b"x"), "span_id": span(span_id=b""), "parent_span_id": span(parent=b"x"), "depth": span(attributes={"a": deep})}
    before = {reason: counted(REJECTED_SPANS, reason) for reason in bad}
    assert check(request([span("good"), *bad.values()]).SerializeToString()).rejected == 4
    assert {reason: counted(REJECTED_SPANS, reason) - count for reason, count in before.items()} == dict.fromkeys(bad, 1)


def test_a_request_of_countless_tiny_values_is_refused_before_it_takes_memory() -> None:
    body = b"\x0a" + _length(b"\x12" + _length(b"\x12\x00" * 2_000_000))
    body += b"\x0a" + _length(b"\x0a" + _length(b"\x0a\x00" * 1_000_000))
    with pytest.raises(TooLargeError, match="send smaller batches"):
        check(body)


def _length(content: bytes) -> bytes:
    return varint(len(content)) + content


def test_large_requests_of_the_usual_kind_are_within_every_limit() -> None:
    body = b"".join(standard_request(512, seed) for seed in range(30))
    assert len(body) > 2 * DEFAULT_LIMITS.values
    checked = check(body)
    assert checked.body is body
    prompt = trace(attributes={"gen_ai.prompt": "é" * 2**20, "list": ["x" * 1000] * 500}).SerializeToString()
    assert (check(prompt).body, check(prompt).reason) == (prompt, "")


@given(
    st.dictionaries(st.text(max_size=30), st.text(max_size=150) | st.binary(max_size=150) | st.lists(st.text(max_size=60), max_size=5), max_size=14),
    st.integers(0, 6),
)
def test_whatever_is_sent_what_is_stored_is_within_the_limits_and_every_cut_is_named(attributes: dict[str, Any], events: int) -> None:
    made = span(attributes=attributes)
    for number in range(events):
        made.events.add(name=str(number), attributes=key_values(attributes))
    checked = check(request([made]).SerializeToString(), SMALL)
    stored = first_span(checked)
    named = [attribute for attribute in stored.attributes if attribute.key == "spanhouse.cut" and checked.reason]
    own = list(stored.attributes)[: len(stored.attributes) - len(named)]
    assert len(own) <= SMALL.attributes
    assert len(stored.events) <= SMALL.events
    for attribute in [*own, *(one for event in stored.events for one in event.attributes)]:
        assert len(attribute.key.encode()) <= SMALL.key_bytes
        assert len(to_json(attribute.value).encode()) <= 6 * SMALL.value_bytes
    changed = stored != made
    assert bool(checked.reason) is changed
    assert check(checked.body, SMALL).reason == "" or named


def test_the_page_on_receiving_has_every_limit() -> None:
    page = (Path(__file__).parents[2] / "docs" / "receiving.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)`[^|]*\| ([\d,]+) \|", page, re.MULTILINE))
    assert {name: int(number.replace(",", "")) for name, number in rows.items()} == asdict(DEFAULT_LIMITS)
