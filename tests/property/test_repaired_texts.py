"""Whatever bytes stand where texts should: a request is kept with them decoded as Python does, and with all else as it was."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from spanhouse.exporter.otlp.check import check
from spanhouse.exporter.otlp.partial_schemas import Loose
from spanhouse.exporter.otlp.repair_utf8 import repair
from spanhouse.exporter.otlp.request_limits import DEFAULT_LIMITS

_TEXTS = {"key", "string_value", "name", "message", "trace_state", "version", "schema_url", "type", "id_keys", "description_keys"}

texts = st.text(max_size=6).map(str.encode) | st.binary(max_size=6)
scalars = st.fixed_dictionaries({"string_value": texts}) | st.sampled_from([{"bytes_value": b"\xff"}, {"int_value": 7}, {"bool_value": True}, {}])


def key_values(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(st.fixed_dictionaries({"key": texts, "value": values}), max_size=3)


values = st.recursive(
    scalars,
    lambda inner: (
        st.fixed_dictionaries({"array_value": st.fixed_dictionaries({"values": st.lists(inner, max_size=3)})})
        | st.fixed_dictionaries({"kvlist_value": st.fixed_dictionaries({"values": key_values(inner)})})
    ),
    max_leaves=6,
)
attributes = key_values(values)
spans = st.fixed_dictionaries(
    {"trace_id": st.just(b"\xff" * 16), "span_id": st.just(b"\x01" * 8), "name": texts, "attributes": attributes},
    optional={
        "trace_state": texts,
        "status": st.fixed_dictionaries({"message": texts, "code": st.just(2)}),
        "events": st.lists(st.fixed_dictionaries({"name": texts, "attributes": attributes}), max_size=2),
        "links": st.lists(st.fixed_dictionaries({"trace_state": texts, "attributes": attributes}), max_size=2),
    },
)
scopes = st.fixed_dictionaries(
    {"spans": st.lists(spans, max_size=3)},
    optional={"schema_url": texts, "scope": st.fixed_dictionaries({"name": texts, "version": texts, "attributes": attributes})},
)
entities = st.fixed_dictionaries({"schema_url": texts, "type": texts, "id_keys": st.lists(texts, max_size=2), "description_keys": st.lists(texts)})
resources = st.fixed_dictionaries(
    {"scope_spans": st.lists(scopes, max_size=2)},
    optional={"schema_url": texts, "resource": st.fixed_dictionaries({"attributes": attributes, "entity_refs": st.lists(entities, max_size=1)})},
)
requests = st.fixed_dictionaries({"resource_spans": st.lists(resources, max_size=2)})


def decoded(value: Any, name: str = "") -> Any:
    """Return the same with every text decoded."""
    if isinstance(value, dict):
        return {key: decoded(one, key) for key, one in value.items()}
    if isinstance(value, list):
        return [decoded(one, name) for one in value]
    return value.decode(errors="replace") if name in _TEXTS else value


@given(requests)
def test_a_repaired_request_is_the_one_that_was_sent_with_its_texts_decoded(made: dict[str, Any]) -> None:
    body = Loose(**made).SerializeToString()
    repaired = repair(body, DEFAULT_LIMITS)
    assert ExportTraceServiceRequest.FromString(repaired.body) == ExportTraceServiceRequest(**decoded(made))
    assert repaired == repair(body, DEFAULT_LIMITS)
    changed = made != decoded_as_bytes(made)
    assert bool(repaired.sizes) is changed


@given(requests)
def test_a_request_is_kept_whole_whatever_its_texts_are(made: dict[str, Any]) -> None:
    sent = sum(len(scope["spans"]) for resource in made["resource_spans"] for scope in resource["scope_spans"])
    checked = check(Loose(**made).SerializeToString())
    assert (checked.spans, checked.rejected) == (sent, 0)
    changed = made != decoded_as_bytes(made)
    assert ("UTF-8" in checked.reason) is changed


def decoded_as_bytes(value: Any, name: str = "") -> Any:
    """Return the same with every text as it is kept."""
    if isinstance(value, dict):
        return {key: decoded_as_bytes(one, key) for key, one in value.items()}
    if isinstance(value, list):
        return [decoded_as_bytes(one, name) for one in value]
    return value.decode(errors="replace").encode() if name in _TEXTS else value
