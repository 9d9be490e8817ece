"""What of a request may be stored is decided before the acknowledgement."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.support.otlp import request, span, trace

from spanhouse.exporter.errors import InvalidRequestError
from spanhouse.exporter.otlp.check import canonical, check


def names(body: bytes) -> list[str]:
    parsed = ExportTraceServiceRequest.FromString(body)
    return [one.name for resource in parsed.resource_spans for scope in resource.scope_spans for one in scope.spans]


def _varint(number: int) -> bytes:
    return bytes([number]) if number < 0x80 else bytes([number & 0x7F | 0x80]) + _varint(number >> 7)


def test_a_good_request_passes_byte_for_byte() -> None:
    body = trace(children=3).SerializeToString()
    checked = check(body)
    assert checked.body is body
    assert (checked.spans, checked.rejected, checked.reason) == (4, 0, "")


@pytest.mark.parametrize("body", [b"garbage", b"\x0a", b"\x0a\x05ab", trace().SerializeToString()[:-3], b"\xff" * 40])
def test_what_is_not_a_request_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="not an OTLP"):
        check(body)


def test_text_that_is_not_utf8_costs_itself_alone() -> None:
    body = trace(name="NAME!").SerializeToString().replace(b"NAME!", b"\xff\xfe\xfd\xfc\xfb")
    checked = check(body)
    assert names(checked.body) == ["\ufffd" * 5, "child 0", "child 1"]
    assert (checked.spans, checked.rejected) == (3, 0)
    assert checked.reason == "1 texts are not UTF-8 and are kept with U+FFFD; first: span '\ufffd\ufffd\ufffd\ufffd\ufffd': 'span.name'"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (span("bad", trace_id=b""), "trace_id"),
        (span("bad", trace_id=b"\x01" * 15), "trace_id"),
        (span("bad", trace_id=bytes(16)), "trace_id"),
        (span("bad", span_id=b"\x01" * 9), "span_id"),
        (span("bad", span_id=bytes(8)), "span_id"),
        (span("bad", parent=b"\x01"), "parent_span_id"),
    ],
)
def test_a_span_with_a_bad_id_is_left_out_and_counted(bad: span, reason: str) -> None:  # type: ignore[valid-type]
    checked = check(request([span("first"), bad, span("last")]).SerializeToString())
    assert names(checked.body) == ["first", "last"]
    assert (checked.spans, checked.rejected) == (2, 1)
    assert reason in checked.reason
    assert "'bad'" in checked.reason


def test_a_zero_parent_means_root_and_is_no_bad_id() -> None:
    assert check(request([span(parent=bytes(8))]).SerializeToString()).rejected == 0


def test_an_attribute_nested_too_deep_costs_its_span_only() -> None:
    deep: object = "x"
    for _ in range(25):
        deep = {"k": deep}
    checked = check(request([span("flat"), span("deep", attributes={"a": deep})]).SerializeToString())
    assert names(checked.body) == ["flat"]
    assert "24 levels" in checked.reason


def test_what_protobuf_itself_cannot_parse_is_garbage() -> None:
    value = b"\x0a\x01x"
    for _ in range(120):  # by hand, since protobuf would not build it: an ArrayValue with one AnyValue, in an AnyValue
        element = b"\x0a" + _varint(len(value)) + value
        value = b"\x2a" + _varint(len(element)) + element
    attribute = b"\x0a\x01a\x12" + _varint(len(value)) + value
    resource = b"\x0a" + _varint(len(attribute)) + attribute
    resource_spans = b"\x0a" + _varint(len(resource)) + resource
    with pytest.raises(InvalidRequestError):
        check(b"\x0a" + _varint(len(resource_spans)) + resource_spans)


def test_unknown_fields_are_no_reason_to_refuse() -> None:
    body = trace().SerializeToString() + b"\xa2\x06\x03abc"
    assert check(body).rejected == 0
    assert names(canonical(body)) == ["root", "child 0", "child 1"]


@given(st.binary(max_size=200))
def test_random_bytes_never_crash_the_check(body: bytes) -> None:
    try:
        checked = check(body)
    except InvalidRequestError:
        return
    assert checked.spans == len(names(checked.body))


@given(st.data())
def test_a_damaged_request_is_refused_or_gives_a_body_that_parses(data: st.DataObject) -> None:
    body = bytearray(trace(attributes={"a": ["x", 1], "b": {"c": "d"}}).SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        checked = check(bytes(body))
    except InvalidRequestError:
        return
    assert checked.spans == len(names(checked.body))
