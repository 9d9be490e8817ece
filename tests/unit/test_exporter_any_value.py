"""Nested values become the Collector's JSON text."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.support.otlp import any_value, key_values, request, span

from spanhouse.exporter.otlp.any_value import MAX_DEPTH, TooDeepError, to_json
from spanhouse.exporter.otlp.partial_schemas import Flat
from spanhouse.exporter.otlp.request_limits import MAX_JSON_GROWTH
from spanhouse.exporter.otlp.truncate import flatten

_scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=20) | st.binary(max_size=20)
_values = st.recursive(_scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4), max_leaves=12)


def is_flat(made: ExportTraceServiceRequest) -> bool:
    body = made.SerializeToString()
    try:
        return bool(Flat.FromString(body).SerializeToString() == body)
    except DecodeError:
        return False


def nest(levels: int, *, leaf: Any = "x", as_map: bool = True) -> Any:
    """A value inside so many maps or arrays."""
    value = leaf
    for _ in range(levels):
        value = {"k": value} if as_map else [value]
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([], "[]"),
        ({}, "{}"),
        ([[]], "[[]]"),
        ({"b": 1, "a": [True, None, "x"]}, '{"a":[true,null,"x"],"b":1}'),
        ([b"\x00\xff"], '["AP8="]'),
        ({"é": "<&>/"}, '{"é":"<&>/"}'),
        (['"\\\n\r\t\x01\u2028\u2029\x7f'], '["\\"\\\\\\n\\r\\t\\u0001\\u2028\\u2029\x7f"]'),
        ([math.nan, math.inf, -math.inf], '["NaN","Infinity","-Infinity"]'),
        ([0.0, -0.0, 1.0, -1.5, 0.1, 100.0], "[0,-0,1,-1.5,0.1,100]"),
        ([1e20, 1e21, -1e21, 1.5e300, 123456789012345680000.0], "[100000000000000000000,1e+21,-1e+21,1.5e+300,123456789012345680000]"),
        ([1e-6, 1e-7, 1.25e-7, 5e-324, 0.00001234], "[0.000001,1e-7,1.25e-7,5e-324,0.00001234]"),
        ([2**63 - 1, -(2**63)], "[9223372036854775807,-9223372036854775808]"),
    ],
)
def test_a_nested_value_is_printed_as_the_collector_prints_it(value: Any, text: str) -> None:
    assert to_json(any_value(value)) == text


def test_of_duplicate_keys_in_a_map_the_last_is_kept() -> None:
    value = any_value({"a": 1})
    value.kvlist_value.values.extend(key_values({"a": 2}))
    assert to_json(value) == '{"a":2}'


@given(_values)
def test_the_text_reads_back_as_the_value(value: Any) -> None:
    def plain(item: Any) -> Any:
        match item:
            case bytes():
                return json.loads(to_json(any_value(item)))
            case bool() | None:
                return item
            case int():
                return float(item)
            case float() if not math.isfinite(item):
                return "NaN" if math.isnan(item) else ("Infinity" if item > 0 else "-Infinity")
            case list():
                return [plain(one) for one in item]
            case dict():
                return {key: plain(one) for key, one in item.items()}
        return item

    # A number without a point may be either kind in JSON, so all are read as floats.
    assert json.loads(to_json(any_value(value)), parse_int=float) == plain(value)


@given(_values)
def test_the_text_is_never_longer_than_said(value: Any) -> None:
    made = any_value(value)
    assert len(to_json(made).encode()) <= MAX_JSON_GROWTH * max(1, made.ByteSize())
    assert to_json(made, stop_bytes=3).startswith(to_json(made)[:4])


@given(st.lists(_values, max_size=3), st.lists(_values, max_size=2), st.text(max_size=300))
def test_the_flat_reading_finds_every_nested_value_and_no_other_a_nested_value(values: list[Any], of_resource: list[Any], name: str) -> None:
    def nested(value: Any) -> bool:
        return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, list | dict) for item in value))

    made = request(
        [span(name, attributes={f"k{number}": value for number, value in enumerate(values)})],
        resource={f"r{number}": value for number, value in enumerate(of_resource)},
    )
    assert is_flat(made) is not any(map(nested, [*values, *of_resource]))


def test_the_flat_reading_finds_containers_behind_lengths_of_every_size() -> None:
    for size in (0, 1, 120, 130, 16_000, 17_000, 2_100_000):
        for value in ({"k": "x" * size}, ["x", ["x" * size]], ["x" * size, {}]):
            assert not is_flat(request([span(attributes={"a": value})]))


def test_usual_requests_are_flat() -> None:
    attributes = {"s": "text", "i": 7, "f": 0.5, "b": True, "list": ["stop", "length"], "empty": [], "prompt": "2*2" * 500}
    assert is_flat(request([span(attributes=attributes) for _ in range(200)]))


@pytest.mark.parametrize("as_map", [True, False])
def test_values_are_exact_to_the_deepest_level_and_refused_below_it(as_map: bool) -> None:
    attributes = key_values({"a": nest(MAX_DEPTH, as_map=as_map)})
    flatten(attributes)
    assert json.loads(attributes[0].value.string_value) == nest(MAX_DEPTH, as_map=as_map)
    with pytest.raises(TooDeepError):
        flatten(key_values({"a": nest(MAX_DEPTH + 1, as_map=as_map)}))


def test_scalars_and_arrays_of_scalars_are_left_to_the_engine() -> None:
    attributes = key_values({"s": "x", "list": [1, "x", None]})
    before = [attribute.SerializeToString() for attribute in attributes]
    flatten(attributes)
    assert [attribute.SerializeToString() for attribute in attributes] == before
