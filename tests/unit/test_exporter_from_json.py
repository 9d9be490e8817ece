"""OTLP's JSON is read by the letter of its specification, and costs no more than it may."""

from __future__ import annotations

import json
import math
import tracemalloc
from base64 import b64encode, urlsafe_b64encode
from typing import Any

import pytest
from google.rpc.error_details_pb2 import BadRequest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.support.otlp import any_value, key_values, request, span
from tests.support.otlp_json import as_json

from spanhouse.exporter.errors import InvalidRequestError, TooLargeError
from spanhouse.exporter.otlp.from_json import to_protobuf
from spanhouse.exporter.otlp.request_limits import Limits

TRACE_ID = "5B8EFFF798038103d269b633813fc60c"
SPAN_ID = "EEE19B7EC3C1b174"

_scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=20) | st.binary(max_size=20)
_values = st.recursive(_scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4), max_leaves=12)


def read(value: Any) -> ExportTraceServiceRequest:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return ExportTraceServiceRequest.FromString(to_protobuf(body))


def one(fields: dict[str, Any]) -> dict[str, Any]:
    """A request with one span of these fields."""
    return {"resourceSpans": [{"scopeSpans": [{"spans": [fields]}]}]}


def read_one(fields: dict[str, Any]) -> Span:
    return read(one(fields)).resource_spans[0].scope_spans[0].spans[0]


def attribute(value: Any) -> dict[str, Any]:
    return {"attributes": [{"key": "k", "value": value}]}


def read_value(value: Any) -> Any:
    return read_one(attribute(value)).attributes[0].value


@given(st.dictionaries(st.text(max_size=5), _values, max_size=4), st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1))
def test_what_protobuf_writes_as_json_is_read_as_it_was(attributes: dict[str, Any], time: int, number: int) -> None:
    full = span("é\u2028", attributes=attributes, flags=number, error=True)
    full.start_time_unix_nano = time
    full.trace_state, full.dropped_events_count = "a=b", number
    full.events.add(name="event", time_unix_nano=time, attributes=key_values(attributes))
    full.links.add(trace_id=b"\xab" * 16, span_id=b"\xcd" * 8, attributes=key_values(attributes), flags=number)
    made = request([full], resource=attributes)
    made.resource_spans[0].schema_url = "https://schema"
    made.resource_spans[0].scope_spans[0].scope.attributes.extend(key_values(attributes))
    again = read(as_json(made))
    assert again.SerializeToString() == made.SerializeToString()


def test_the_same_text_gives_the_same_bytes() -> None:
    body = json.dumps(one({"traceId": TRACE_ID, **attribute({"kvlistValue": {"values": []}})})).encode()
    assert to_protobuf(body) == to_protobuf(body)


def test_ids_are_hex_of_any_case_and_not_base64() -> None:
    made = read_one({"traceId": TRACE_ID, "spanId": SPAN_ID, "parentSpanId": "", "links": [{"traceId": TRACE_ID.lower(), "spanId": SPAN_ID.upper()}]})
    assert (made.trace_id, made.span_id, made.parent_span_id) == (bytes.fromhex(TRACE_ID), bytes.fromhex(SPAN_ID), b"")
    assert (made.links[0].trace_id, made.links[0].span_id) == (bytes.fromhex(TRACE_ID), bytes.fromhex(SPAN_ID))


@pytest.mark.parametrize("number", [1_700_000_000_123_456_789, "1700000000123456789"])
def test_64_bit_integers_are_numbers_or_strings(number: int | str) -> None:
    assert read_one({"startTimeUnixNano": number}).start_time_unix_nano == 1_700_000_000_123_456_789
    assert read_value({"intValue": number}).int_value == 1_700_000_000_123_456_789
    assert read_value({"intValue": "-9223372036854775808"}).int_value == -(2**63)
    assert read_value({"intValue": 5.0}).int_value == 5


@pytest.mark.parametrize(
    ("value", "expected"),
    [("NaN", math.nan), ("Infinity", math.inf), ("-Infinity", -math.inf), (1, 1.0), (1.5, 1.5), ("-2.5e3", -2500.0), (1e308, 1e308)],
)
def test_doubles_are_numbers_or_strings(value: Any, expected: float) -> None:
    assert repr(read_value({"doubleValue": value}).double_value) == repr(expected)


@pytest.mark.parametrize("text", [b64encode(b"\xfb\xff\x00").decode(), urlsafe_b64encode(b"\xfb\xff\x00").decode()])
def test_bytes_are_base64_of_either_alphabet(text: str) -> None:
    assert read_value({"bytesValue": text}).bytes_value == b"\xfb\xff\x00"
    assert read_value({"bytesValue": b64encode(b"a").decode().rstrip("=")}).bytes_value == b"a"


def test_an_empty_value_is_told_from_none() -> None:
    for name, value in (("stringValue", ""), ("intValue", 0), ("boolValue", False), ("doubleValue", 0), ("bytesValue", ""), ("arrayValue", {})):
        assert read_value({name: value}).WhichOneof("value") is not None
    assert read_value({}) == any_value(None)
    assert read_value({"stringValue": None}) == any_value(None)


def test_unknown_keys_and_keys_in_snake_case_are_ignored() -> None:
    made = read_one({"name": "n", "trace_id": TRACE_ID, "novel": {"a": [1]}, "attributes": [{"key": "k", "value": {"new_value": 1}}]})
    assert made == Span(name="n", attributes=key_values({"k": None}))
    assert read({"resource_spans": [{}], "futureField": 1}) == ExportTraceServiceRequest()


def test_null_is_a_field_left_out() -> None:
    assert read_one({"name": None, "kind": None, "attributes": None, "status": None}) == Span()


def test_half_of_a_surrogate_pair_is_replaced() -> None:
    assert read_one({"name": "cut \ud83d"}).name == "cut \ufffd"
    assert read_one({"name": "whole \U0001f600"}).name == "whole \U0001f600"


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"traceId": "zz"}, "resourceSpans[0].scopeSpans[0].spans[0].traceId"),
        ({"traceId": "ab cd"}, "traceId"),
        ({"spanId": 7}, "spanId"),
        ({"kind": "SPAN_KIND_SERVER"}, "kind"),
        ({"status": {"code": "STATUS_CODE_OK"}}, "status.code"),
        ({"kind": 2**40}, "kind"),
        ({"startTimeUnixNano": -1}, "startTimeUnixNano"),
        ({"startTimeUnixNano": "1_000"}, "startTimeUnixNano"),
        ({"startTimeUnixNano": 1.5}, "startTimeUnixNano"),
        ({"startTimeUnixNano": True}, "startTimeUnixNano"),
        ({"name": 5}, "name"),
        ({"events": {}}, "events"),
        ({"events": [{}, 5]}, "spans[0].events[1]"),
        ({"attributes": [None]}, "attributes[0]"),
        (attribute({"intValue": str(2**63)}), "attributes[0].value.intValue"),
        (attribute({"boolValue": "true"}), "boolValue"),
        (attribute({"doubleValue": "1e999"}), "doubleValue"),
        (attribute({"doubleValue": 10**400}), "doubleValue"),
        (attribute({"bytesValue": "a?"}), "bytesValue"),
        (attribute({"stringValue": "a", "intValue": 1}), "intValue"),
    ],
)
def test_a_value_that_its_field_cannot_hold_is_refused_by_its_path(fields: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidRequestError, match="not an OTLP ExportTraceServiceRequest in JSON") as caught:
        read(one(fields))
    assert caught.value.field.startswith("resourceSpans[0].scopeSpans[0].spans[0].")
    assert caught.value.field.endswith(where)
    detail = BadRequest()
    assert caught.value.status().details[0].Unpack(detail)
    assert detail.field_violations[0].field == caught.value.field


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b"\xff\xfe",
        b'{"resourceSpans":5}',
        b'{"resourceSpans":[5]}',
        b'{"a":NaN}',
        b'{"a":' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"resourceSpans":[{"resource":{"attributes":[{"value":' + b'{"arrayValue":{"values":[' * 200 + b"]}}" * 200 + b"}]}}]}",
    ],
)
def test_what_is_no_request_is_refused_in_one_line(body: bytes) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        to_protobuf(body)
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 400


@given(st.binary(max_size=100) | st.text(alphabet='{}[]:,"\\ntruefalse0-.eE', max_size=60).map(str.encode))
def test_random_text_is_refused_or_read(body: bytes) -> None:
    try:
        made = to_protobuf(body)
    except InvalidRequestError:
        return
    assert ExportTraceServiceRequest.FromString(made).SerializeToString() == made


@pytest.mark.parametrize("piece", [b"[],", b"{},", b'{"a":0},', b"1.5,", b'"ab",'])
def test_values_that_would_fill_memory_are_counted_before_they_are_made(piece: bytes) -> None:
    body = b'{"x":[' + piece * (4_000_000 // len(piece)) + b"0]}"
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError, match="JSON values"):
            to_protobuf(body, Limits(json_values=100_000))
        assert tracemalloc.get_traced_memory()[1] < 4 * len(body)
    finally:
        tracemalloc.stop()


def test_commas_inside_texts_are_no_values() -> None:
    body = json.dumps(one({"name": 'a,b,"c",[{\\' * 10_000})).encode()
    assert read(body).resource_spans[0].scope_spans[0].spans[0].name.startswith("a,b")
    assert to_protobuf(body, Limits(json_values=20))


def test_a_body_larger_than_json_may_be_is_refused() -> None:
    with pytest.raises(TooLargeError, match="protobuf"):
        to_protobuf(b" " * 1001, Limits(json_bytes=1000))
