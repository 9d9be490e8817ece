"""A text that is not UTF-8 costs itself, is named where it stands, and changes nothing beside it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client import REGISTRY
from tests.support.mutation import field
from tests.support.otlp import key_values, request, span

from spanhouse.exporter.errors import InvalidRequestError, TooLargeError
from spanhouse.exporter.otlp.check import CheckedRequest, check
from spanhouse.exporter.otlp.request_limits import DEFAULT_LIMITS

CUT, WRONG, REPAIRED = "caf??", b"caf\xc3.", "caf\ufffd."
"""A text as it is written here, as it is sent (cut in the middle of a character), and as it is kept."""


def sent(message: ExportTraceServiceRequest) -> bytes:
    return message.SerializeToString().replace(CUT.encode(), WRONG)


def parsed(checked: CheckedRequest) -> ExportTraceServiceRequest:
    return ExportTraceServiceRequest.FromString(checked.body)


def spans(message: ExportTraceServiceRequest) -> list[Span]:
    return [one for resource in message.resource_spans for scope in resource.scope_spans for one in scope.spans]


def marks(attributes: object) -> dict[str, int]:
    """Return what the mark among attributes names."""
    (mark,) = [one.value.string_value for one in attributes if one.key == "spanhouse.cut"]  # type: ignore[attr-defined]
    named: dict[str, int] = json.loads(mark)
    return named


def full() -> Span:
    """A span with a text in every place."""
    made = span("a name", attributes={"text": "x", "list": ["x", "y"], "map": {"k": {"l": "x"}}, "bytes": b"\xff", "number": 7}, error=True)
    made.trace_state = "a=b"
    made.events.add(name="an event", attributes=key_values({"text": "x"}))
    made.links.add(trace_id=b"\x01" * 16, span_id=b"\x01" * 8, trace_state="c=d", attributes=key_values({"text": "x"}))
    return made


def test_every_text_of_a_span_is_named_with_the_bytes_that_it_had_and_its_neighbours_are_kept_exactly() -> None:
    bad, good = full(), full()
    bad.name = bad.status.message = bad.trace_state = bad.events[0].name = bad.links[0].trace_state = CUT
    bad.attributes.extend(key_values({"user_agent": CUT, CUT: "value"}))
    bad.events[0].attributes.extend(key_values({"agent": CUT}))
    bad.links[0].attributes.extend(key_values({"agent": CUT}))
    checked = check(sent(request([good, bad, good])))
    first, changed, last = spans(parsed(checked))
    (as_alone,) = spans(parsed(check(request([good]).SerializeToString())))
    assert first == last == as_alone
    assert {changed.name, changed.status.message, changed.trace_state, changed.events[0].name, changed.links[0].trace_state} == {REPAIRED}
    values = {one.key: one.value.string_value for one in changed.attributes}
    assert (values["user_agent"], values[REPAIRED], values["text"]) == (REPAIRED, "value", "x")
    assert values["map"] == '{"k":{"l":"x"}}'
    assert [one.value.string_value for one in changed.events[0].attributes] == ["x", REPAIRED]
    assert marks(changed.attributes) == dict.fromkeys(
        [
            *("span.name", "span.status.message", "span.trace_state", "span.events.0.name", "span.links.0.trace_state"),
            *("user_agent", REPAIRED, "events.0.agent", "links.0.agent"),
        ],
        5,
    )
    assert (checked.spans, checked.rejected) == (3, 0)
    assert checked.reason == f"9 texts are not UTF-8 and are kept with U+FFFD; first: span {REPAIRED!r}: 'span.trace_state'"


def test_a_text_within_a_list_or_a_map_costs_itself_and_the_attribute_is_named_with_its_bytes_on_the_wire() -> None:
    made = span(attributes={"list": ["x", CUT], "map": {"a": {CUT: 1}, "b": [CUT, {"c": CUT}]}, "good": {"a": "b"}})
    sizes = {one.key: getattr(one.value, one.value.WhichOneof("value") or "").ByteSize() for one in made.attributes}
    (changed,) = spans(parsed(check(sent(request([made])))))
    values = {one.key: one.value for one in changed.attributes}
    assert [one.string_value for one in values["list"].array_value.values] == ["x", REPAIRED]
    assert values["map"].string_value == f'{{"a":{{"{REPAIRED}":1}},"b":["{REPAIRED}",{{"c":"{REPAIRED}"}}]}}'
    assert values["good"].string_value == '{"a":"b"}'
    assert marks(changed.attributes) == {"list": sizes["list"], "map": sizes["map"]}


def test_a_text_of_a_resource_or_scope_is_named_there() -> None:
    made = request([span("one")], resource={"service.name": CUT, "host": "h"}, scope=CUT)
    made.resource_spans[0].schema_url = made.resource_spans[0].scope_spans[0].schema_url = CUT
    made.resource_spans[0].resource.entity_refs.add(type="service", id_keys=["service.name", CUT])
    checked = check(sent(made))
    (resource,) = parsed(checked).resource_spans
    assert marks(resource.resource.attributes) == {"service.name": 5, "resource.schema_url": 5, "resource.entity_refs.0.id_keys.1": 5}
    assert list(resource.resource.entity_refs[0].id_keys) == ["service.name", REPAIRED]
    (scope,) = resource.scope_spans
    assert (scope.scope.name, scope.schema_url) == (REPAIRED, REPAIRED)
    assert marks(scope.scope.attributes) == {"scope.name": 5, "scope.schema_url": 5}
    assert [one.key for one in scope.spans[0].attributes] == []


def test_a_request_that_is_sent_again_gives_the_same_bytes_and_the_same_answer() -> None:
    body = sent(request([span(CUT, attributes={"a": CUT}), span("good")]))
    assert check(body) == check(body)
    again = check(check(body).body)
    assert (again.body, again.reason) == (check(body).body, "")


def test_unknown_fields_and_ids_of_any_bytes_are_no_texts() -> None:
    made = request([span(CUT, trace_id=b"\xff" * 16, span_id=b"\xc3" * 8)])
    checked = check(sent(made) + field(100, b"\xff\xff"))
    (changed,) = spans(parsed(checked))
    assert (changed.trace_id, changed.span_id) == (b"\xff" * 16, b"\xc3" * 8)
    assert marks(changed.attributes) == {"span.name": 5}


@pytest.mark.parametrize("damage", [b"\x0a", b"\x0a\x05ab", b"\xff" * 11])
def test_what_is_no_request_besides_is_refused(damage: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="not an OTLP"):
        check(sent(request([span(CUT)])) + damage)


def test_a_bad_span_with_such_a_text_costs_itself_alone() -> None:
    checked = check(sent(request([span(CUT, trace_id=b""), span("good")])))
    assert [one.name for one in spans(parsed(checked))] == ["good"]
    assert (checked.rejected, "UTF-8" in checked.reason) == (1, False)


def test_such_a_text_that_is_also_too_long_is_cut_and_one_mark_names_all() -> None:
    limits = replace(DEFAULT_LIMITS, key_bytes=10, value_bytes=100, attributes=3)
    made = span(attributes={"long": "x" * 200, "bad": CUT + "y" * 200, CUT + "z" * 20: "v", "dropped": CUT})
    checked = check(sent(request([made])), limits)
    (changed,) = spans(parsed(checked))
    values = {one.key: one.value.string_value for one in changed.attributes}
    assert values["bad"] == REPAIRED + "y" * 93
    assert [key for key in values if key.startswith(REPAIRED)] == [REPAIRED + "zzz"]
    assert marks(changed.attributes) == {"long": 200, "bad": 205, REPAIRED + "zzz": 25}
    assert changed.dropped_attributes_count == 1
    assert checked.reason.endswith("2 texts are not UTF-8 and are kept with U+FFFD; first: span 'root': 'bad'")


def test_a_request_beyond_the_limits_on_repairing_is_too_large() -> None:
    body = sent(request([span(CUT, attributes={str(number): CUT for number in range(50)})]))
    with pytest.raises(TooLargeError, match="more than 50 values"):
        check(body, replace(DEFAULT_LIMITS, repaired_values=50))
    with pytest.raises(TooLargeError, match="at most 500 bytes"):
        check(body, replace(DEFAULT_LIMITS, repaired_bytes=500))
    check(body, DEFAULT_LIMITS)


def test_spans_in_which_all_is_well_do_not_count_for_the_limits_on_repairing() -> None:
    good = [span(attributes={str(number): "x" for number in range(50)}) for _ in range(20)]
    checked = check(sent(request([*good, span(CUT)])), replace(DEFAULT_LIMITS, repaired_values=10))
    assert checked.spans == 21


def test_such_texts_are_counted() -> None:
    def counted() -> float:
        return REGISTRY.get_sample_value("spanhouse_cut_values_total", {"limit": "utf8"}) or 0

    before = counted()
    check(sent(request([span(CUT, attributes={"a": CUT})])))
    assert counted() == before + 2
